//! `join!` and `select!`. They pass the path of this crate, whatever the name of the dependency is, to
//! the procedural macros that expand them.

/// Runs several futures concurrently, and returns a tuple of their results.
///
/// Each future is a branch of the workflow with positions of its own, so a replay does not depend on
/// which one finishes first: each future reserves one position, and the calls in the future at
/// position 3 record 3/1, 3/2 and so on. (If each future is a single call, `tokio::join!` has the same
/// effect.)
///
/// It takes 1 to 8 futures and polls them in the workflow's own task, so a future that blocks delays
/// the others. They may borrow. It waits for all of them; to stop at an error, check the results. For
/// many items of one type, use [`durable::map`](crate::map).
///
/// # Panics
/// Outside a workflow. In a step or a transaction it parks the workflow: use `tokio::join!` there.
///
/// # At shutdown
/// Steps that are running may finish and are recorded. Then all branches are suspended, and continue
/// in another process or after the restart.
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
/// It takes 2 to 8 arms `pattern = future => handler`, with commas between them as in a `match`. The
/// patterns are irrefutable. The handlers are part of the workflow's body: `?`, `.await`, `break` and
/// `return` work in them.
///
/// The futures are branches of the workflow with positions of their own: if the select has
/// position 3, the calls in its second arm record 3/2/1, 3/2/2 and so on. They are polled in the
/// workflow's own task and in the order in which they are written, so if two are ready, the first one
/// wins. The others are dropped before the handler runs: a step in one of them may or may not have
/// taken effect, and its result is lost; a workflow that one of them started continues.
///
/// # On replay
/// The number of the arm that won is recorded at the select's own position. A replay polls only that
/// arm, whose recorded calls give the same value. The record is not a side effect and needs no commit
/// of its own. Because it is a number, add new arms at the end.
///
/// # Panics
/// Outside a workflow. In a step or a transaction it parks the workflow: use `tokio::select!` there.
///
/// # At shutdown
/// Steps that are running may finish and are recorded. Then all branches are suspended, and continue
/// in another process or after the restart.
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
