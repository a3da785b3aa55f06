//! Waiting for conditions that send no signal.

use std::time::Duration;

use durable::{Durable, StepInfo};

/// Longer than anything takes that is bound to happen, also on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);
/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// Returns once `condition` holds: for what is only seen by asking, such as rows of a database and files of
/// another process. Where there is a signal, tests wait for that.
///
/// # Panics
/// It does not hold in time; with `what` was waited for.
pub(crate) async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let holds = async {
        while !condition().await {
            tokio::time::sleep(PAUSE).await; // the pause of the polling
        }
    };
    tokio::time::timeout(PATIENCE, holds).await.unwrap_or_else(|_| panic!("waited in vain until {what}"));
}

/// Returns once so many records of a workflow are durable, and gives all of them.
pub(crate) async fn wait_for_steps(app: &Durable, id: &str, many: usize) -> Vec<StepInfo> {
    until("the steps are recorded", async || app.list_steps(id).await.unwrap().len() >= many).await;
    app.list_steps(id).await.unwrap()
}
