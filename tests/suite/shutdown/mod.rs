//! The ordered shutdown: nothing is lost, nothing is falsified, and it ends in time.
//!
//! What other engines were seen to do wrong, and the test that says it is not so here:
//!
//! | elsewhere | here |
//! |---|---|
//! | a child that is started during the shutdown is stored as an error | `drain::child_started_while_draining_is_counted` |
//! | a workflow that catches its cancellation is stored as a success | `drain::swallowing_workflow_cannot_complete` |
//! | sleepers keep their threads, and the process stays | `waits::long_sleep_released_at_once` |
//! | with the database gone the process stays for minutes | `signals::blocked`: `a_process_exits_although_the_server_is_gone` |
//! | a parent of enqueued children uses up the whole drain | `waits::parent_of_enqueued_children_does_not_burn_drain` |
//! | whoever waits for a result from outside waits for ever | `drain::external_result_waiter_interrupted` |
//! | heartbeats end before the work, so peers steal it | `handoff::heartbeat_outlives_drain` |
//! | a second call neither shortens nor aborts anything | `lifecycle::later_call_shortens_never_extends` |
//! | signals wait behind blocked threads, and two become one | `signals::blocked`: `signals_work_with_blocked_workers` |
//! | a blocking thread holds up the end of the process | `signals::blocked`: `a_thread_that_blocks_does_not_hold_up_the_exit` |
//! | closing the pool waits for ever for one connection | `closing::pools_closed_last_and_bounded` |
//! | closing waits for the statement of a step that was dropped | `closing::aborted_query_does_not_delay_close` |
//! | the write-ahead log of SQLite stays behind | `closing::sqlite_wal_gone_after_clean_shutdown` |
//! | an endless request holds up the web service | `signals::web`: `endless_http_handler_bounded` |

mod abort;
mod closing;
mod drain;
mod handoff;
mod lifecycle;
mod outage;
mod processes;
mod queues;
mod runtimes;
mod stuck;
mod unanswered;
mod waits;

pub(crate) use closing::Log;
pub(crate) use runtimes::on_a_runtime_that_is_dropped;

use std::sync::Arc;

use durable::prelude::*;
use durable::{EnginePhase, ShutdownReport};
use tokio::task::JoinHandle;

/// So many milliseconds for the drain and the abort.
fn budgets(drain: u64, abort: u64) -> ShutdownOptions {
    let mut options = ShutdownOptions::default();
    let (drain, abort) = (Duration::from_millis(drain), Duration::from_millis(abort));
    options = options.drain(drain).abort(abort).total(drain + abort + Duration::from_secs(10));
    options
}

/// A drain of a minute: what ends sooner was not waited for.
fn patient() -> ShutdownOptions {
    budgets(60_000, 0)
}

/// Shuts down beside the test.
fn go_down(app: &Durable, options: ShutdownOptions) -> JoinHandle<Arc<ShutdownReport>> {
    let app = app.clone();
    tokio::spawn(async move { app.shutdown_with(options).await })
}

/// Returns once the shutdown has come so far.
async fn arrive_at(app: &Durable, level: EnginePhase) {
    while app.phase() < level {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
