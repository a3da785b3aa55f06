//! Waiting for conditions that send no signal.

use std::time::Duration;

use durable::{Durable, StepInfo};

/// Longer than any expected event takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);
/// The pause between two checks.
const PAUSE: Duration = Duration::from_millis(5);

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
