//! What a driver polls: the body of a workflow and its spawned branches.

use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use futures_util::stream::{FuturesUnordered, StreamExt};

use crate::journal::context::Context;
use crate::journal::execution::Execution;
use crate::runtime::panics;
use crate::store::BoxFuture;
use crate::types::payload::Outcome;

/// The body and its branches, until all of them have ended.
pub(super) struct BodyAndBranches {
    execution: Arc<Execution>,
    body: Option<BoxFuture<'static, Outcome>>,
    /// The result of the body, while branches still run.
    returned: Option<Outcome>,
    /// Most workflows spawn nothing, and have none.
    branches: Option<Box<FuturesUnordered<BoxFuture<'static, ()>>>>,
}

impl BodyAndBranches {
    pub(super) fn new(execution: &Arc<Execution>, body: BoxFuture<'static, Outcome>) -> Self {
        Self { execution: Arc::clone(execution), body: Some(body), returned: None, branches: None }
    }

    /// Polls everything once. Ready with the result of the body once its branches have ended too.
    pub(super) fn poll(&mut self, cx: &mut TaskContext<'_>) -> Poll<Outcome> {
        let (execution, branch) = (Arc::clone(&self.execution), Arc::clone(&self.execution.root));
        let here = Context::Body { execution, branch };
        if let Some(body) = &mut self.body
            && let Poll::Ready(outcome) = here.sync_scope(|| body.as_mut().poll(cx))
        {
            self.body = None;
            self.returned = Some(outcome);
        }
        // A branch can spawn others.
        loop {
            let spawned = self.execution.take_spawned();
            if spawned.is_empty() && self.branches.is_none() {
                break;
            }
            let more = !spawned.is_empty();
            let branches = self.branches.get_or_insert_default();
            branches.extend(spawned);
            match branches.poll_next_unpin(cx) {
                Poll::Ready(Some(())) => {}
                Poll::Ready(None) => self.branches = None,
                Poll::Pending if more => {}
                Poll::Pending => break,
            }
        }
        match self.returned.take() {
            Some(outcome) if self.branches.is_none() => Poll::Ready(outcome),
            returned => {
                self.returned = returned;
                Poll::Pending
            }
        }
    }

    /// Whether the body waits for something that is neither a call nor a branch of its own.
    pub(super) fn waits_for_something_else(&self) -> bool {
        self.body.is_some() && self.branches.is_none() && self.execution.has_no_open_call()
    }

    fn drop_watched<T>(&self, what: T) {
        if let Err(panic) = panics::catch(|| drop(what)) {
            let id = &self.execution.row.id;
            tracing::error!(target: "durable", %id, %panic, "a destructor in a workflow's body panicked");
            self.execution.runtime.note_panic(format!("a destructor in the body of the workflow {id:?} {panic}"));
        }
    }
}

/// Drops the body and each branch separately, so that a destructor that panics does not prevent the
/// others from running.
impl Drop for BodyAndBranches {
    fn drop(&mut self) {
        let body = self.body.take();
        self.drop_watched(body);
        for branch in self.branches.take().into_iter().flat_map(|it| *it) {
            self.drop_watched(branch);
        }
        // A destructor in a branch could still spawn one. It would hold the execution, which holds it.
        loop {
            let spawned = self.execution.take_spawned();
            if spawned.is_empty() {
                break;
            }
            for branch in spawned {
                self.drop_watched(branch);
            }
        }
    }
}
