//! The attribute macros of `durable`. Use the crate `durable`, which exports them.
//!
//! An attribute reads its options (`options`) and the function (`function`), collects what is wrong with them (`check`,
//! `faults`), and quotes the expansion (`expand`). `tests/expand` shows what comes out, and `tests/ui/fail` what is said
//! of mistakes. The expansion calls `::durable::__private`, or that of the crate which the option `crate` names.

mod attributes;
mod block;
mod branches;
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
/// * It is a free `async fn`, or one in an `impl` block without `self`. With `&self` it belongs to an object that is
///   found again after a restart: see [`#[durable::instance]`](macro@instance).
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
/// ## `timeout = "1h"`
///
/// How long the workflow may take, from when it begins to run for the first time; then it is cancelled. Restarts do not
/// prolong it. Without the option there is no limit.
///
/// ```no_run
/// # use durable::prelude::*;
/// #[workflow(timeout = "1h30m")]
/// async fn quote(item: String) -> Result<u64> {
///     Ok(item.len() as u64)
/// }
/// ```
///
/// ## `queue = TASKS`
///
/// The [queue](macro@queue) on which the workflow waits for its turn if a call names no other one. Without the option
/// it is started at once.
///
/// ```no_run
/// # use durable::prelude::*;
/// #[queue]
/// static TASKS: Queue = Queue::new("tasks").worker_concurrency(5);
///
/// #[workflow(queue = TASKS)]
/// async fn resize(picture: String) -> Result<String> {
///     Ok(picture)
/// }
/// ```
///
/// ## `nondeterminism = "allow"`
///
/// After a restart the body runs again, and its steps give what they have given before; so it has to make the same calls
/// again. What would come out differently is an error of the compiler, which names what to write instead: clocks
/// (`Utc::now`, `Instant::now`), ids and numbers drawn by lot (`Uuid::new_v4`, `rand`, `fastrand`), waiting
/// (`tokio::time::sleep`, `timeout`), tasks and threads (`tokio::spawn`, `thread::spawn`), races (`tokio::select!`,
/// `FuturesUnordered`), `async` blocks that are polled by turns (`tokio::join!`, `join_all`; calls in them are fine), and
/// the world (`std::fs`, `std::env::var`, `reqwest`). This option turns that off, where it is known to be harmless.
///
/// The check sees names and no meaning. It does not see what a called function does, and not what was imported under
/// another name or without its path (`use std::fs::read; read(path)`); an iteration over a `HashMap`, a `static` that
/// changes and a pointer's address are as nondeterministic, and look like any other code. Something of yours with the
/// name of one of these is found, too. Functions inside the body, such as a `#[step]` that is written there, are left alone.
///
/// ```no_run
/// # use durable::prelude::*;
/// #[workflow(nondeterminism = "allow")]
/// async fn report(order: String) -> Result<String> {
///     let begun = std::time::Instant::now(); // only logged, so a replay may see another one
///     println!("{order} took {:?}", begun.elapsed());
///     Ok(order)
/// }
/// ```
///
/// ## `crate = "renamed"`
///
/// The name of the dependency in this crate, if it is not `durable`. Every attribute has this option.
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
/// | `retry_if = is_transient` | the errors that are worth another attempt: a function `fn(&E) -> bool` | all |
/// | `timeout = "30s"` | how long one attempt may take; its future is dropped then | no limit |
/// | `outside = "deny"` | refuses a call outside any workflow | a plain call |
/// | `crate = "renamed"` | the name of the dependency in this crate | `durable` |
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
///     retry_if = is_transient,
/// )]
/// async fn charge(card: String, cents: u64) -> Result<String> {
///     Ok(format!("{cents} from {card}"))
/// }
///
/// fn is_transient(error: &Error) -> bool {
///     error.to_string().contains("busy")
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

/// Makes an async function a transaction: what its SQL has done and the record of its result are committed together,
/// so it happens exactly once.
///
/// The first argument is the connection, on which the transaction is open; it is not part of a call. What the function
/// returns is recorded like the result of a step. An `Err` rolls the SQL back. If it loses against another transaction
/// (a serialization failure, a deadlock, a busy database), it is tried again from the beginning.
///
/// # Example: a row and its record
///
/// ```no_run
/// use durable::prelude::*;
/// use durable::sqlx::{self, PgConnection};
///
/// #[transaction]
/// async fn create_user(tx: &mut PgConnection, id: &str, name: &str) -> Result<()> {
///     sqlx::query("insert into users (id, name) values ($1, $2)").bind(id).bind(name).execute(tx).await?;
///     Ok(())
/// }
///
/// #[workflow]
/// async fn sign_up(id: String, name: String) -> Result<()> {
///     create_user(&id, &name).await
/// }
/// ```
///
/// With more than one statement, `&mut *tx` lends the connection to each.
///
/// # What the function looks like
///
/// * It is an `async fn`, and can take `self` in any form but `&mut self`, in an `impl` block of a type.
/// * Its connection comes first, after `self`: `&mut PgConnection` or `&mut SqliteConnection`, by any path or alias.
///   The engine begins and commits; neither a pool nor a `Transaction` of sqlx is needed.
/// * Its other arguments can be borrowed, generic, `impl Trait` and patterns, as those of a [step](macro@step). They are
///   `Clone`, since another attempt gets them again.
/// * It returns what a step may return.
/// * Its body calls nothing durable: no step, no workflow, no other transaction.
///
/// # Options
///
/// | option | what it does | if it is not given |
/// |---|---|---|
/// | `name = "create-user"` | the name in the database, up to 255 bytes | the function's name |
/// | `isolation = "serializable"` | or `"repeatable read"` or `"read committed"` | the database's default |
/// | `read_only` | opens the transaction so that it cannot write | it can |
/// | `database = "orders"` | the database that the builder was given under this name | where the workflows are |
/// | `crate = "renamed"` | the name of the dependency in this crate | `durable` |
///
/// ```no_run
/// # use durable::prelude::*;
/// # use durable::sqlx::{self, PgConnection};
/// #[transaction(isolation = "repeatable read", read_only, database = "orders")]
/// async fn count(tx: &mut PgConnection) -> Result<i64> {
///     Ok(sqlx::query_scalar("select count(*) from orders").fetch_one(tx).await?)
/// }
/// ```
///
/// # Attributes beside it
///
/// They part ways as with [`#[workflow]`](macro@workflow).
#[proc_macro_attribute]
pub fn transaction(options: TokenStream, item: TokenStream) -> TokenStream {
    expand::transaction(options.into(), item.into()).into()
}

/// Makes the workflows of an `impl` block methods of an object that is found again after a restart.
///
/// The type implements `Instance`, which gives each object a name. The builder takes the objects, before it launches.
/// A call `object.process(day)` records the name beside the arguments, and recovery gives the body the object of that
/// name. The name of the workflow in the database is `Type::process`; the option `name` of `#[workflow]` gives another
/// one, in place of all of it.
///
/// # Example: a processor for each source
///
/// ```no_run
/// use durable::prelude::*;
///
/// struct Processor {
///     source: String,
/// }
///
/// impl Instance for Processor {
///     fn instance_name(&self) -> &str {
///         &self.source
///     }
/// }
///
/// #[durable::instance]
/// impl Processor {
///     #[step]
///     async fn fetch(&self, day: u32) -> Result<String> {
///         Ok(format!("{} on {day}", self.source))
///     }
///
///     #[workflow]
///     async fn process(&self, day: u32) -> Result<String> {
///         self.fetch(day).await
///     }
/// }
/// ```
///
/// # What the block looks like
///
/// * It is the `impl` block of a type without parameters, and not of a trait: after a restart only the name of the type
///   is known.
/// * Its workflows take `&self`, since all of them share the object. Else they are as
///   [`#[workflow]`](macro@workflow) says, with the same options.
/// * Whatever else is in it stays as it is. Steps and transactions take `self` without this attribute, too.
///
/// Its only option is `crate = "renamed"`, which is also that of the workflows in it.
#[proc_macro_attribute]
pub fn instance(options: TokenStream, item: TokenStream) -> TokenStream {
    expand::instance(options.into(), item.into()).into()
}

/// Makes a `static` a queue of the program: workflows wait on it for their turn.
///
/// The static is of the type `Queue`, and is left as it is; the attribute makes it known to the engine, which takes
/// workflows from it. A workflow gets onto it by [`#[workflow(queue = TASKS)]`](macro@workflow), or by a call that names
/// it.
///
/// # Example: limits of a process, of a service, of a user
///
/// ```no_run
/// use durable::prelude::*;
///
/// /// Five at once in each process.
/// #[queue]
/// static TASKS: Queue = Queue::new("task_queue").worker_concurrency(5);
///
/// /// A hundred starts a minute, however many processes there are.
/// #[queue]
/// static API: Queue = Queue::new("api_queue").rate_limit(100, Duration::from_secs(60));
///
/// /// One at a time and in order for each user, and ten at once in each process.
/// #[queue]
/// static USERS: Queue = Queue::new("user_queue").partitioned().worker_concurrency(10);
/// ```
///
/// # What the static looks like
///
/// * Its name in the database is what `Queue::new` is given. Two queues of one program cannot have the same one: the
///   launch refuses them.
/// * A limit of 0 would let nothing run, and is refused: by the compiler where it is written so, else at the launch.
/// * Docs, visibility, `#[cfg]` and any other attribute stay on it.
///
/// Its only option is `crate = "renamed"`.
#[proc_macro_attribute]
pub fn queue(options: TokenStream, item: TokenStream) -> TokenStream {
    expand::queue(options.into(), &item.into()).into()
}

/// Not public API: `durable::join!` calls it, where its documentation is.
#[doc(hidden)]
#[proc_macro]
pub fn join(input: TokenStream) -> TokenStream {
    branches::join(input.into()).into()
}

/// Not public API: `durable::select!` calls it, where its documentation is.
#[doc(hidden)]
#[proc_macro]
pub fn select(input: TokenStream) -> TokenStream {
    branches::select(input.into()).into()
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
