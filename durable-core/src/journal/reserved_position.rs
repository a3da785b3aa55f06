//! A position that a durable call has reserved, and the check that the call is awaited where it was made.

use std::future::{Future, pending};
use std::sync::Arc;

use crate::journal::context::Context;
use crate::journal::execution::Execution;
use crate::runtime::stop_reason::StopReason;
use crate::types::position::Position;

/// A position that a call holds.
#[derive(Debug)]
pub(crate) struct ReservedPosition {
    pub(crate) execution: Arc<Execution>,
    pub(crate) position: Position,
}

impl ReservedPosition {
    /// Returns only if the call is polled by the body that made it. A call that was carried into
    /// another task or another workflow would be recorded in a place that depends on luck: the
    /// workflow that made it is parked, and so is the one that awaits it.
    ///
    /// # Panics
    /// When it is polled outside any workflow, where there is nothing to park and nobody else would
    /// hear of it.
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
            "`{what}` was called at position {} of the workflow {:?} and awaited somewhere else (in another task, a step or another workflow), where its result could not be replayed; await it in the body of that workflow",
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

/// Returns at once, or never: why the execution stops has been said. It is as good as nothing to
/// hold, and the futures of all operations hold it.
pub(crate) async fn pend_unless(may_go_on: bool) {
    if !may_go_on {
        pending::<()>().await;
    }
}
