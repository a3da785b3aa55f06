//! `durable::spawn`: a branch that goes on beside the body.

use std::fmt;
use std::future::{Future, pending};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use crate::operations::join::{BranchKind, Fork};
use crate::store::BoxFuture;

const SPAWN: BranchKind = BranchKind { name: "durable::spawn", elsewhere: "`tokio::spawn`" };

/// Works on a future beside the body of the workflow, from now on, and gives a handle to await its
/// result with.
///
/// The future is a branch: it has positions of its own below the one that this call claims (spawned
/// at position 3 it records 3/1, 3/2 …), so it replays the same way whatever ends first. It is
/// polled in the workflow's own task, so it must not block, and needs no lock; what it shares with
/// other branches it must not use to talk with them, because a replay would talk in another order.
///
/// The workflow ends only when its body has returned and all its branches have ended, as
/// [`std::thread::scope`] does. To drop the handle does not stop the branch. A panic in the branch is
/// the workflow's panic.
///
/// # Panics
/// Outside any workflow. In a step or a transaction it parks the workflow instead.
///
/// # At shutdown
/// A branch in a step may let it come to its end and be recorded; then all of the workflow is dropped
/// together, and goes on elsewhere or after the restart.
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
/// announce(order).await; // goes on beside
/// packed.await
/// # }
/// ```
pub fn spawn<F>(future: F) -> BranchHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let fork = Fork::here(SPAWN);
    let (sender, receiver) = oneshot::channel();
    match fork.claim() {
        Ok(claim) => {
            let arm = fork.arm(None, future);
            // Nobody may want the result, which is no reason not to work.
            let branch = async move { drop(sender.send(arm.await)) };
            claim.execution.add_branch(Box::pin(branch));
        }
        Err(place) => SPAWN.refuse(place),
    }
    let ended = async move {
        fork.check().await;
        match receiver.await {
            Ok(value) => value,
            // The branch is gone with its workflow, and so is whoever awaits it.
            Err(_) => pending().await,
        }
    };
    BranchHandle { ended: Box::pin(ended) }
}

/// Waits for a branch that was [spawned](spawn): a future that gives what the branch returns.
pub struct BranchHandle<T> {
    ended: BoxFuture<'static, T>,
}

impl<T> Future for BranchHandle<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        self.ended.as_mut().poll(cx)
    }
}

impl<T> fmt::Debug for BranchHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BranchHandle")
    }
}
