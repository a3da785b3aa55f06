//! Branches: parts of a workflow that run concurrently, each with positions of its own, so that a replay
//! does not depend on the order in which they make progress. All are polled in the workflow's own task.
//! Outside any workflow nothing is recorded, and they are the plain futures.

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use tokio::task::futures::TaskLocalFuture;

use crate::journal::context::{CallSite, Context};
use crate::journal::reserved_position::ReservedPosition;
use crate::runtime::stop_reason::StopReason;

/// A function or macro that makes branches.
#[derive(Debug, Clone, Copy)]
pub(super) struct BranchKind {
    /// Its name, as users write it.
    pub(super) name: &'static str,
    /// What to use in a step instead.
    pub(super) replacement: &'static str,
}

/// A call that makes branches. It reserves one position, and the positions in its branches are below that.
#[derive(Debug)]
pub(super) struct BranchPoint {
    kind: BranchKind,
    pub(super) call_site: CallSite,
}

impl BranchPoint {
    /// Reserves the position.
    pub(super) fn here(kind: BranchKind) -> Self {
        Self { kind, call_site: CallSite::here() }
    }

    /// The context of a branch: of the branch of this call's position, or of the one with this number
    /// below it. `None` outside a workflow's body.
    pub(super) fn branch(&self, number: Option<usize>) -> Option<Context> {
        let CallSite::Body(ReservedPosition { execution, position }) = &self.call_site else { return None };
        let path = match number {
            None => position.as_branch(),
            Some(number) => format!("{position}/{number}").into(),
        };
        Some(Context::Body { execution: Arc::clone(execution), branch: execution.root.fork(path) })
    }

    /// A future that runs in a branch. Outside any workflow it is the plain future; in a step or a
    /// transaction, where the call is refused, it never does anything.
    ///
    /// It is boxed, so that a workflow's future does not grow by copies of its parts.
    pub(super) fn arm<F: Future>(&self, number: Option<usize>, future: F) -> BranchFuture<F> {
        self.run_in(self.branch(number), future)
    }

    /// As [`arm`](Self::arm), in a branch that [`branch`](Self::branch) returned.
    pub(super) fn run_in<F: Future>(&self, branch: Option<Context>, future: F) -> BranchFuture<F> {
        match (&self.call_site, branch) {
            (CallSite::Outside, _) => BranchFuture::Plain(Box::pin(future)),
            (_, Some(branch)) => BranchFuture::Branch(Box::pin(branch.scope(future))),
            (_, None) => BranchFuture::Misplaced,
        }
    }

    /// Returns the position if the call was made in a workflow's body and is awaited there, and `None`
    /// outside any workflow, where nothing is recorded. Otherwise the workflow is parked, and this never
    /// returns.
    ///
    /// # Panics
    /// In a transaction outside any workflow, where there is nothing to park.
    pub(super) async fn check(&self) -> Option<&ReservedPosition> {
        match &self.call_site {
            CallSite::Body(position) => {
                position.check_same_body(self.kind.name).await;
                Some(position)
            }
            CallSite::Outside => None,
            misplaced => {
                self.kind.refuse(misplaced);
                pending().await
            }
        }
    }
}

/// Given by [`Fork::arm`].
pub(super) enum BranchFuture<F> {
    Branch(Pin<Box<TaskLocalFuture<Context, F>>>),
    Plain(Pin<Box<F>>),
    Misplaced,
}

impl<F: Future> Future for BranchFuture<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<F::Output> {
        // The parts are boxed, so the whole is `Unpin`.
        match self.get_mut() {
            Self::Branch(future) => future.as_mut().poll(cx),
            Self::Plain(future) => future.as_mut().poll(cx),
            Self::Misplaced => Poll::Pending,
        }
    }
}

impl BranchKind {
    /// Parks the workflow that made the call in a step or a transaction.
    ///
    /// # Panics
    /// In a transaction outside any workflow, where there is nothing to park.
    pub(super) fn refuse(self, call_site: &CallSite) {
        let Self { name, replacement } = self;
        let (execution, refusal) = match call_site {
            CallSite::Body(_) | CallSite::Outside => return,
            CallSite::Step(scope) => {
                let instead = format!("call it in the workflow's body; in a step use {replacement}");
                (Some(&scope.execution), scope.refusal(&format!("`{name}`"), &instead))
            }
            CallSite::Transaction(scope) => (scope.execution.as_ref(), scope.refusal(&format!("`{name}`"))),
        };
        match execution {
            Some(execution) => execution.request_stop(StopReason::Park(refusal.to_string())),
            None => panic!("{refusal}"),
        }
    }
}

const JOIN: BranchKind = BranchKind { name: "durable::join!", replacement: "`tokio::join!`" };

macro_rules! joins {
    ($($name:ident($($arm:ident: $future:ident),+);)+) => {
        $(
            /// Not public API. Used by generated code.
            #[doc(hidden)]
            #[allow(clippy::too_many_arguments, reason = "one for each arm, and generated code gives them")]
            pub fn $name<$($future: Future),+>($($arm: $future),+) -> impl Future<Output = ($($future::Output,)+)> {
                $(
                    let point = BranchPoint::here(JOIN);
                    let $arm = (point.arm(None, $arm), point);
                )+
                async move {
                    $($arm.1.check().await;)+
                    tokio::join!($($arm.0),+)
                }
            }
        )+
    };
}

joins! {
    join1(a: A);
    join2(a: A, b: B);
    join3(a: A, b: B, c: C);
    join4(a: A, b: B, c: C, d: D);
    join5(a: A, b: B, c: C, d: D, e: E);
    join6(a: A, b: B, c: C, d: D, e: E, f: F);
    join7(a: A, b: B, c: C, d: D, e: E, f: F, g: G);
    join8(a: A, b: B, c: C, d: D, e: E, f: F, g: G, h: H);
}
