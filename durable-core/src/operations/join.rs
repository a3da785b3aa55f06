//! Branches: parts of a workflow that go on at the same time, each with positions of its own, so that
//! the order in which they get on cannot disturb a replay. All are polled in the workflow's own task.

use std::future::{Future, Pending, pending};
use std::pin::Pin;
use std::sync::Arc;

use futures_util::future::Either;

use crate::journal::context::{CallSite, Context};
use crate::journal::reserved_position::ReservedPosition;
use crate::runtime::stop_reason::StopReason;

/// A function or macro that makes branches.
#[derive(Debug, Clone, Copy)]
pub(super) struct BranchKind {
    /// As users write it.
    pub(super) name: &'static str,
    /// What does the same where nothing is replayed.
    pub(super) elsewhere: &'static str,
}

/// A call that makes branches: it claims one position, and everything in them stands below that.
#[derive(Debug)]
pub(super) struct Fork {
    form: BranchKind,
    call_site: CallSite,
}

impl Fork {
    /// Claims the position.
    pub(super) fn here(form: BranchKind) -> Self {
        Self { form, call_site: CallSite::here() }
    }

    /// The position, unless the call is misplaced.
    pub(super) fn claim(&self) -> Result<&ReservedPosition, &CallSite> {
        match &self.call_site {
            CallSite::Body(claim) => Ok(claim),
            misplaced => Err(misplaced),
        }
    }

    /// Where the code of a branch stands: the branch of this call's position, or the one with this
    /// number below it. There is none where the call is misplaced.
    pub(super) fn branch(&self, number: Option<usize>) -> Option<Context> {
        let ReservedPosition { execution, position } = self.claim().ok()?;
        let path = match number {
            None => position.as_branch(),
            Some(number) => format!("{position}/{number}").into(),
        };
        Some(Context::Body { execution: Arc::clone(execution), branch: execution.root.fork(path) })
    }

    /// A future that works in a branch; where the call is misplaced, one that never does anything.
    ///
    /// It lies on the heap, so that a workflow's future does not grow by copies of its parts.
    pub(super) fn arm<F: Future>(
        &self,
        number: Option<usize>,
        future: F,
    ) -> Either<Pin<Box<impl Future<Output = F::Output> + use<F>>>, Pending<F::Output>> {
        match self.branch(number) {
            Some(branch) => Either::Left(Box::pin(branch.scope(future))),
            None => Either::Right(pending()),
        }
    }

    /// Returns only if the call stands in a workflow's body, and is awaited there.
    ///
    /// # Panics
    /// Outside any workflow, where there is nothing to park.
    pub(super) async fn check(&self) -> &ReservedPosition {
        match self.claim() {
            Ok(claim) => {
                claim.check_same_body(self.form.name).await;
                claim
            }
            Err(place) => {
                self.form.refuse(place);
                pending().await
            }
        }
    }
}

impl BranchKind {
    /// Parks the workflow that called it in the wrong place.
    ///
    /// # Panics
    /// Outside any workflow, where there is nothing to park.
    pub(super) fn refuse(self, place: &CallSite) {
        let Self { name, elsewhere } = self;
        let (execution, refusal) = match place {
            CallSite::Body(_) => return,
            CallSite::Outside => panic!(
                "`{name}` was called outside any workflow, where nothing is replayed; call it in the body of a #[workflow], and elsewhere use {elsewhere}"
            ),
            CallSite::Step(scope) => {
                let instead = format!("call it in the workflow's body; in a step use {elsewhere}");
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

const JOIN: BranchKind = BranchKind { name: "durable::join!", elsewhere: "`tokio::join!`" };

macro_rules! joins {
    ($($name:ident($($arm:ident: $future:ident),+);)+) => {
        $(
            /// Not public API. Used by generated code.
            #[doc(hidden)]
            #[allow(clippy::too_many_arguments, reason = "one for each arm, and generated code gives them")]
            pub fn $name<$($future: Future),+>($($arm: $future),+) -> impl Future<Output = ($($future::Output,)+)> {
                $(
                    let fork = Fork::here(JOIN);
                    let $arm = (fork.arm(None, $arm), fork);
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
