//! Waiting for the result of a workflow.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget};
use serde_json::Value;

use super::exit::{Exit, Failure, Result};
use super::session::Session;
use crate::WorkflowHandle;

/// Waits for the result, with a sign of life on a terminal.
pub(super) async fn result_of(session: &Session, handle: &WorkflowHandle<Value>) -> Result<Value> {
    let spinner = ProgressBar::new_spinner(); // it is drawn on a terminal only
    if session.output.is_json() {
        spinner.set_draw_target(ProgressDrawTarget::hidden());
    }
    spinner.set_message(format!("waiting for {}", handle.id()));
    spinner.enable_steady_tick(Duration::from_millis(120));
    let result = handle.result().await;
    spinner.finish_and_clear();
    result.map_err(|error| {
        let failure = Failure::from(error);
        Failure::new(Exit::Failed, format!("the workflow {}: {}", handle.id(), failure.message())).about_one()
    })
}
