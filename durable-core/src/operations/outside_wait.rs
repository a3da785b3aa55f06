//! When a caller outside of workflows stops waiting because the process shuts down.

use std::time::Duration;

use crate::runtime::Runtime;
use crate::runtime::activity::WaitsFor;
use crate::types::time::Timestamp;
use crate::wait::shutdown_phase::EnginePhase;

/// How often it is checked whether a workflow can still end here, once callers are to be released.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// For how many checks in a row a workflow has to wait for others before its callers are released: a message
/// may be under way.
const PATIENT_CHECKS: u32 = 5;

/// Returns when a call outside of workflows is to stop waiting for these workflows: the shutdown aborts, or
/// [`Durable::release_callers`](crate::Durable::release_callers) was called and none of them can end in this
/// process in time. Poll it after the wait itself, whose result may be there already.
pub(super) async fn released<'a>(runtime: &Runtime, ids: impl IntoIterator<Item = &'a str> + Clone) {
    #[cfg(feature = "testing")]
    let _waits = runtime.rest.outside_wait();
    let no_longer_useful = async {
        let deadline = runtime.shutdown.callers_released().await;
        let mut waits = 0;
        loop {
            tokio::time::sleep(CHECK_INTERVAL).await; // the wait reads the database once in any case
            let outlooks = ids.clone().into_iter().map(|id| outlook(runtime, id, deadline));
            waits = match outlooks.max() {
                None | Some(Outlook::CannotEnd) => return,
                Some(Outlook::WaitsForOthers) if waits + 1 >= PATIENT_CHECKS => return,
                Some(Outlook::WaitsForOthers) => waits + 1,
                Some(Outlook::CanEnd) => 0,
            };
        }
    };
    tokio::select! {
        () = runtime.shutdown.wait_for(EnginePhase::Aborting) => {}
        () = no_longer_useful => {}
    }
}

/// Whether a workflow can end in this process until a deadline, the best outlook last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outlook {
    /// It does not run here, or sleeps for longer.
    CannotEnd,
    /// It waits for a message or an event.
    WaitsForOthers,
    CanEnd,
}

fn outlook(runtime: &Runtime, id: &str, deadline: Timestamp) -> Outlook {
    let Some(run) = runtime.running.get(id) else { return Outlook::CannotEnd };
    let Some(waits_for) = run.execution().and_then(|it| it.waits_for()) else { return Outlook::CanEnd };
    let of_wait = |it: &WaitsFor| match it {
        WaitsFor::Time(until) if *until > deadline => Outlook::CannotEnd,
        WaitsFor::Time(_) => Outlook::CanEnd,
        WaitsFor::Workflow(child) => outlook(runtime, child, deadline),
        WaitsFor::Others => Outlook::WaitsForOthers,
    };
    waits_for.iter().map(of_wait).max().unwrap_or(Outlook::CanEnd)
}
