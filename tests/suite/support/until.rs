//! Waiting for conditions that send no signal.

use std::future::Future;
use std::task::Poll;
use std::time::Duration;

use durable::{Durable, StepInfo};
use tokio::task::JoinHandle;

/// Longer than any expected event takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);
/// The pause between two checks.
const PAUSE: Duration = Duration::from_millis(5);

/// Polls a call once, so that it has begun, and spawns it.
pub(crate) async fn begun<F>(call: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let mut call = Box::pin(call);
    match futures_util::poll!(&mut call) {
        Poll::Ready(output) => tokio::spawn(std::future::ready(output)),
        Poll::Pending => tokio::spawn(call),
    }
}

/// Returns once `condition` holds, by polling: for conditions without a signal, such as rows of a database and
/// files of another process.
///
/// # Panics
/// If it does not hold in time. The message contains `what`.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let holds = async {
        while !condition().await {
            tokio::time::sleep(PAUSE).await; // the pause of the polling
        }
    };
    tokio::time::timeout(PATIENCE, holds).await.unwrap_or_else(|_| panic!("waited in vain until {what}"));
}

/// Returns all records of a workflow, once this many are durable.
pub(crate) async fn wait_for_steps(app: &Durable, id: &str, many: usize) -> Vec<StepInfo> {
    until("the steps are recorded", async || app.list_steps(id).await.unwrap().len() >= many).await;
    app.list_steps(id).await.unwrap()
}
