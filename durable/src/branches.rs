//! The macros that make branches. They name this crate, under whatever name it is imported, to the
//! procedural macros that do the work.

/// Waits for several futures, which go on at the same time, and gives a tuple of what they return.
///
/// Every future is a branch of the workflow with positions of its own, so it replays the same way
/// whatever ends first: each arm claims one position, and the arm that has position 3 records
/// 3/1, 3/2 … (Where every arm is a single call, `tokio::join!` does the same.)
///
/// It takes 1 to 8 futures and awaits them itself, in the workflow's own task: an arm that blocks
/// keeps the others waiting. They may borrow. All of them are finished; to stop at an error, look at
/// the results. For many items of one kind there is [`durable::map`](crate::map).
///
/// # Panics
/// Outside any workflow. In a step or a transaction it parks the workflow instead: use `tokio::join!`
/// there.
///
/// # At shutdown
/// Arms in a step may let it come to its end and be recorded; then all of them are suspended, and go
/// on elsewhere or after the restart.
///
/// # Example
///
/// ```no_run
/// use durable::prelude::*;
///
/// #[step]
/// async fn fetch(url: &str) -> Result<String> {
///     Ok(format!("the page at {url}"))
/// }
///
/// #[step]
/// async fn store(page: &str) -> Result<u64> {
///     Ok(page.len() as u64)
/// }
///
/// #[workflow]
/// async fn mirror(left: String, right: String) -> Result<u64> {
///     let (left, right) = durable::join!(
///         async {
///             let page = fetch(&left).await?;
///             store(&page).await
///         },
///         async {
///             let page = fetch(&right).await?;
///             store(&page).await
///         },
///     );
///     Ok(left? + right?)
/// }
/// ```
#[macro_export]
macro_rules! join {
    ($($input:tt)*) => { $crate::__private_macros::join!($crate; $($input)*) };
}

/// Waits for the first of several futures, records which one it was, and runs its handler.
///
/// An arm is `pattern = future => handler`, and there are 2 to 8. A comma stands between two arms, as
/// in a `match`. The pattern fits every value. The handler is code of the workflow's body: `?`,
/// `.await`, `break` and `return` in it work.
///
/// The futures are branches of the workflow with positions of their own: if the select has
/// position 3, the calls of its second arm record 3/2/1, 3/2/2 … They are polled in the workflow's own
/// task, in the order in which they are written and not by lot, so of two that are ready the first
/// one wins. The others are dropped before the handler runs: a step in one of them has happened or
/// has not, and nobody learns its result; a workflow that was started in one goes on.
///
/// # On a replay
/// The number of the arm that won is recorded, under the select's own position. With that record only
/// the future of the winner is polled, whose own records give the same value. The record is no side
/// effect and costs no commit of its own. It is a number: new arms are added at the end.
///
/// # Panics
/// Outside any workflow. In a step or a transaction it parks the workflow instead: use
/// `tokio::select!` there.
///
/// # At shutdown
/// Arms in a step may let it come to its end and be recorded; then all of them are suspended, and go
/// on elsewhere or after the restart.
///
/// # Example
///
/// ```no_run
/// use durable::prelude::*;
///
/// #[step(retries = 3)]
/// async fn ask(service: &str) -> Result<String> {
///     Ok(format!("the answer of {service}"))
/// }
///
/// #[workflow]
/// async fn first_answer() -> Result<String> {
///     durable::select! {
///         answer = ask("the near one") => answer,
///         answer = ask("the far one") => {
///             let answer = answer?;
///             Ok(format!("{answer}, which is far"))
///         }
///     }
/// }
/// ```
#[macro_export]
macro_rules! select {
    ($($input:tt)*) => { $crate::__private_macros::select!($crate; $($input)*) };
}
