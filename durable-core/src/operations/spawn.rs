//! `durable::spawn`: a branch that runs concurrently with the body.

use std::fmt;
use std::future::{Future, pending};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::journal::context::CallSite;
use crate::operations::join::{BranchKind, BranchPoint};
use crate::store::BoxFuture;

const SPAWN: BranchKind = BranchKind { name: "durable::spawn", replacement: "`tokio::spawn`" };

/// Runs a future concurrently with the rest of the workflow's body, from now on, and returns a handle
/// that gives its result.
///
/// The future is a branch with positions of its own below the one that this call reserves (spawned at
/// position 3 it records 3/1, 3/2 …), so a replay does not depend on which branch makes progress first.
/// It is polled in the workflow's own task, so it must not block. Branches must not communicate through
/// shared memory: a replay would do so in another order.
///
/// The workflow ends when its body has returned and all its branches have ended, as with
/// [`std::thread::scope`]. Dropping the handle does not stop the branch. A panic in the branch is the
/// workflow's panic. In a step or a transaction this parks the workflow.
///
/// # Outside any workflow
/// It is [`tokio::spawn`]: nothing is recorded, and a panic of the task is passed on by the handle.
///
/// # Panics
/// Outside any workflow, if there is no tokio runtime; in a `#[transaction]` that was called outside any
/// workflow.
///
/// # At shutdown
/// A running step of a branch may finish and is recorded. Then the body and all branches are dropped
/// together, and the workflow continues in another process or after the restart.
///
/// # Example
///
/// ```no_run
/// # use durable_core as durable;
/// # async fn pack(order: u32) -> String { String::new() }
/// # async fn label(order: u32) -> String { String::new() }
/// # async fn announce(order: u32) {}
/// # async fn body(order: u32) -> String {
/// // In the body of a #[workflow]:
/// let packed = durable::spawn(async move {
///     let parcel = pack(order).await; // calls of steps
///     format!("{parcel}, {}", label(order).await)
/// });
/// announce(order).await; // runs concurrently
/// packed.await
/// # }
/// ```
pub fn spawn<F>(future: F) -> BranchHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let point = BranchPoint::here(SPAWN);
    let result: BoxFuture<'static, F::Output> = match &point.call_site {
        CallSite::Body(position) => {
            let (sender, receiver) = oneshot::channel();
            let arm = point.arm(None, future);
            // The handle may be dropped; the branch runs all the same.
            let branch = async move { drop(sender.send(arm.await)) };
            position.execution.add_branch(Box::pin(branch));
            Box::pin(async move {
                point.check().await;
                match receiver.await {
                    Ok(value) => value,
                    // The branch was dropped together with its workflow, as the code that awaits it will be.
                    Err(_) => pending().await,
                }
            })
        }
        CallSite::Outside => Box::pin(join_task(tokio::spawn(future))),
        misplaced => {
            SPAWN.refuse(misplaced);
            Box::pin(pending())
        }
    };
    BranchHandle { result }
}

/// The result of a task that was spawned outside any workflow.
async fn join_task<T>(task: JoinHandle<T>) -> T {
    match task.await {
        Ok(value) => value,
        Err(failed) if failed.is_panic() => std::panic::resume_unwind(failed.into_panic()),
        // The runtime shuts down.
        Err(_) => pending().await,
    }
}

/// Waits for a branch that was [spawned](spawn): a future that gives what the branch returns.
pub struct BranchHandle<T> {
    result: BoxFuture<'static, T>,
}

impl<T> Future for BranchHandle<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        self.result.as_mut().poll(cx)
    }
}

impl<T> fmt::Debug for BranchHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BranchHandle")
    }
}
