//! The attribute macros of `durable`. Use the crate `durable`, which exports them.
//!
//! An attribute reads its options (`options`) and the function (`function`), collects what is wrong with them (`check`,
//! `faults`), and quotes the expansion (`expand`). `tests/expand` shows what comes out, and `tests/ui/fail` what is said
//! of mistakes. The expansion calls `::durable::__private`, so an application has to call its dependency `durable`.

mod attributes;
mod block;
mod check;
mod determinism;
mod duration;
mod expand;
mod facade;
mod faults;
mod fingerprint;
mod function;
mod lifetimes;
mod options;
mod types;

use proc_macro::TokenStream;

/// Makes an async function a durable workflow.
///
/// The function keeps its name, its arguments, its docs and its visibility. A call of it is a value, a
/// `WorkflowCall<T, E>`: awaiting it runs the workflow durably and waits for its result; methods such as `.id(..)` set
/// options of one call first, and `.start()` runs it in the background. The arguments are recorded when it starts. After a crash, a
/// restart or a deploy the engine finds the function by its name, gives it the recorded arguments, and replays what
/// its steps have recorded until it is where it stopped.
///
/// # Example: a workflow of two steps
///
/// ```no_run
/// use durable::prelude::*;
///
/// #[workflow]
/// async fn checkout(order: String, cents: u64) -> Result<String> {
///     charge(cents).await?;
///     ship(&order).await
/// }
///
/// #[step(retries = 3)]
/// async fn charge(cents: u64) -> Result<()> {
///     println!("charged {cents}"); // a call of a payment service, say
///     Ok(())
/// }
///
/// #[step]
/// async fn ship(order: &str) -> Result<String> {
///     Ok(format!("{order} is on its way"))
/// }
///
/// # async fn example() -> Result<()> {
/// let receipt = checkout("order-1001".into(), 2_500).await?;
/// let receipt = checkout("order-1001".into(), 2_500).id("order-1001").await?; // never runs twice
/// # Ok(())
/// # }
/// ```
///
/// # What the function looks like
///
/// * It is a free `async fn`, or one in an `impl` block without `self`. Methods come with a later release.
/// * Its arguments are owned, and implement `Serialize` and `DeserializeOwned`. They are recorded by name: their order
///   can change between versions, and an `Option` can be added. So an argument is a name, with or without `mut`, and
///   is taken apart in the body.
/// * It returns `Result<T, E>`. `T` can be recorded like an argument; `E` converts from `durable::Error`, because a
///   call can also end with an error of the engine. `durable::Result<T>` has it all.
/// * It is not generic: after a restart only its name is known.
/// * Its future can move between threads (`Send`): what cannot, such as an `Rc`, is dropped before the next `.await`.
///
/// # Options
///
/// ## `name = "charge-order"`
///
/// The name in the database, up to 255 bytes; else the name of the function. Rows refer to it, so give the old name to
/// a function that is renamed. Two workflows of one program cannot have the same one.
///
/// ```no_run
/// # use durable::prelude::*;
/// #[workflow(name = "checkout")]
/// async fn buy(order: String) -> Result<String> {
///     Ok(order)
/// }
/// ```
///
/// ## `max_recoveries = 5`
///
/// How often the workflow is recovered after a crash of its process before it is parked for a person to look at; 100
/// if nothing is said.
///
/// ```no_run
/// # use durable::prelude::*;
/// #[workflow(max_recoveries = 5)]
/// async fn import(file: String) -> Result<u64> {
///     Ok(file.len() as u64)
/// }
/// ```
///
/// # Attributes beside it
///
/// Docs, `#[deprecated]`, `#[must_use]` and `#[cfg]` stay on the function that is called, lint levels are for all of
/// it, and any other attribute below `#[workflow]`, such as `#[tracing::instrument]`, goes to the body.
#[proc_macro_attribute]
pub fn workflow(options: TokenStream, item: TokenStream) -> TokenStream {
    expand::workflow(options.into(), item.into()).into()
}

/// Makes a function a step: a side effect whose result is recorded once, and replayed from then on.
///
/// A call of it is a value, a `StepCall<R>` that awaits to what the function returns. It has its place in the workflow
/// from the moment it is made, so calls can be awaited in any order. Methods such as `.retries(3)` set options of one
/// call. Outside any workflow it is a plain call of the function, so that it can be tested and reused.
///
/// # Example: steps borrow, and are methods
///
/// ```no_run
/// use durable::prelude::*;
///
/// struct Mailer {
///     sender: String,
/// }
///
/// impl Mailer {
///     #[step(retries = 5, timeout = "30s")]
///     async fn send(&self, to: &str, text: &str) -> Result<u64> {
///         println!("{} to {to}: {text}", self.sender); // a call of a mail service, say
///         Ok(text.len() as u64)
///     }
/// }
///
/// #[workflow]
/// async fn welcome(user: String) -> Result<u64> {
///     let mailer = Mailer { sender: "shop".into() };
///     mailer.send(&user, "Welcome!").await
/// }
/// ```
///
/// # Example: a blocking step
///
/// Without `async` the body runs on the threads that are kept for blocking work. It takes owned arguments then, since
/// it moves to another thread.
///
/// ```no_run
/// # use durable::prelude::*;
/// #[step]
/// fn checksum(data: Vec<u8>) -> u64 {
///     data.iter().map(|it| u64::from(*it)).sum()
/// }
/// ```
///
/// # What the function looks like
///
/// * Its arguments are not recorded. They can be borrowed, generic, `impl Trait` and patterns; they and the future can
///   move between threads (`Send`). Lifetimes are written: `Row<'_>`, not `Row`.
/// * It returns any type that implements `Serialize` and `DeserializeOwned`, or nothing, or a `Result<T, E>` of such
///   types where `E` is an error. The same typed error comes back on a replay.
/// * It can take `self` in any form, and say `Self`, in an `impl` block of a type. (Its body becomes a hidden method there, so
///   not in the `impl` of a trait.)
/// * A step that retries gets its arguments again: they are `Clone`.
///
/// # Options
///
/// | option | what it does | if it is not given |
/// |---|---|---|
/// | `name = "charge-card"` | the name in the database, up to 255 bytes | the function's name |
/// | `retries = 3` | attempts after the first, when it returns an error or times out | 0 |
/// | `backoff = "1s"` | the pause before the first retry | 1 s |
/// | `backoff_rate = 2.0` | by what each further pause is longer, 1 or more | 2 |
/// | `max_backoff = "1h"` | the longest pause | 1 h |
/// | `jitter = 0.2` | how much of a pause is drawn by lot, from 0 to 1 | 0.2: 80 % to 120 % |
/// | `timeout = "30s"` | how long one attempt may take; its future is dropped then | no limit |
/// | `outside = "deny"` | refuses a call outside any workflow | a plain call |
///
/// Durations are numbers with units, the largest first: `"100ms"`, `"30s"`, `"5m"`, `"1h30m"`, `"2d"`. A mistake in one
/// is an error of the compiler.
///
/// ```no_run
/// # use durable::prelude::*;
/// #[step(
///     name = "charge-card",
///     retries = 10,
///     backoff = "500ms",
///     backoff_rate = 1.5,
///     max_backoff = "5m",
///     jitter = 0.5,
///     timeout = "30s",
///     outside = "deny",
/// )]
/// async fn charge(card: String, cents: u64) -> Result<String> {
///     Ok(format!("{cents} from {card}"))
/// }
/// ```
///
/// # Attributes beside it
///
/// They part ways as with [`#[workflow]`](macro@workflow).
#[proc_macro_attribute]
pub fn step(options: TokenStream, item: TokenStream) -> TokenStream {
    expand::step(options.into(), item.into()).into()
}

/// TODO
#[proc_macro_attribute]
pub fn transaction(options: TokenStream, item: TokenStream) -> TokenStream {
    expand::transaction(options.into(), item.into()).into()
}

/// TODO
#[proc_macro_attribute]
pub fn instance(options: TokenStream, item: TokenStream) -> TokenStream {
    expand::instance(options.into(), item.into()).into()
}

/// Makes an async function a test with an engine of its own.
///
/// The test gets a `TestApp`, on a store that nobody else uses, and what it calls runs there. When it ends the engine
/// is shut down, and the test fails if something was left running.
///
/// # Example: what a workflow has recorded
///
/// ```no_run
/// use durable::prelude::*;
///
/// #[workflow]
/// async fn quote(item: String) -> Result<u64> {
///     Ok(price(&item).await)
/// }
///
/// #[step]
/// async fn price(item: &str) -> u64 {
///     item.len() as u64
/// }
///
/// #[durable::test]
/// async fn a_quote_is_one_step(app: TestApp) {
///     assert_eq!(quote("tea".into()).id("q1").await.unwrap(), 3);
///     assert_eq!(app.list_steps("q1").await.unwrap().len(), 1);
/// }
/// ```
///
/// # What the function looks like
///
/// It is an `async fn` with one argument, the `TestApp`, or with none. It returns nothing, or what a test may return.
/// `#[ignore]`, `#[should_panic]` and `#[cfg]` work as on any test.
///
/// # Options
///
/// `sqlite`, which is also what is taken if nothing is said, is a database in memory. `postgres` is a schema of its own
/// on a Postgres server.
///
/// ```no_run
/// # use durable::testing::TestApp;
/// #[durable::test(postgres)]
/// async fn on_postgres(app: TestApp) -> durable::Result<()> {
///     app.list_steps("unknown").await?;
///     Ok(())
/// }
/// ```
#[proc_macro_attribute]
pub fn test(options: TokenStream, item: TokenStream) -> TokenStream {
    expand::test(options.into(), item.into()).into()
}
