//! A position that a durable call has reserved, and the check that the call is awaited where it was made.

use std::future::{Future, pending};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::journal::context::Context;
use crate::journal::execution::Execution;
use crate::runtime::stop_reason::StopReason;
use crate::types::position::Position;

/// A position that a durable call has reserved.
#[derive(Debug)]
pub(crate) struct ReservedPosition {
    pub(crate) execution: Arc<Execution>,
    pub(crate) position: Position,
}

impl ReservedPosition {
    pub(crate) fn new(execution: Arc<Execution>, position: Position) -> Self {
        execution.open_calls.fetch_add(1, Ordering::Relaxed);
        Self { execution, position }
    }

    /// Returns only if the call is polled by the body that made it. The record of a call that was moved
    /// into another task or workflow would depend on timing: the workflow that made it is parked, and
    /// so is the one that awaits it.
    ///
    /// # Panics
    /// When it is polled outside any workflow: there is nothing to park, and an error has nowhere else
    /// to go.
    pub(crate) fn check_same_body(&self, what: &str) -> impl Future<Output = ()> + Send + use<> {
        pend_unless(self.is_same_body(what))
    }

    fn is_same_body(&self, what: &str) -> bool {
        let here = match Context::here() {
            Some(Context::Body { execution, .. }) if Arc::ptr_eq(&execution, &self.execution) => return true,
            Some(Context::Body { execution, .. }) => Some(execution),
            Some(Context::Step(scope)) => Some(Arc::clone(&scope.execution)),
            Some(Context::Transaction(scope)) => scope.execution.clone(),
            None => None,
        };
        let reason = format!(
            "`{what}` was called at position {} of the workflow {:?} and awaited elsewhere (in another task, a step or another workflow), where its result cannot be replayed; await it in the body of that workflow",
            self.position, self.execution.row.id
        );
        self.execution.request_stop(StopReason::Park(reason.clone()));
        match here {
            Some(execution) => execution.request_stop(StopReason::Park(reason)),
            None => panic!("{reason}"),
        }
        false
    }
}

impl Drop for ReservedPosition {
    /// The call has ended, or is given up.
    fn drop(&mut self) {
        self.execution.open_calls.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Returns at once if `may_go_on`, and never otherwise: the driver has been given the reason to stop.
/// Its future is as small as possible, because the futures of all operations contain it.
pub(crate) async fn pend_unless(may_go_on: bool) {
    if !may_go_on {
        pending::<()>().await;
    }
}
