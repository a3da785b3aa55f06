//! `patch` and `deprecate_patch`: changes of a workflow's code that leave recorded runs on the earlier path.

use std::future::Future;

use crate::journal::checkpoint::{Operation, OperationResult};
use crate::journal::context::CallSite;
use crate::runtime::stop_reason::StopReason;
use crate::types::id::check_id;

/// Whether this run takes the changed code: `true` for a run that had not come here before the change, `false` for
/// one that went past this place without it.
///
/// ```no_run
/// # use durable_core as durable;
/// # async fn charge_v1() -> durable::Result<()> { Ok(()) }
/// # async fn reserve() -> durable::Result<()> { Ok(()) }
/// # async fn charge_v2() -> durable::Result<()> { Ok(()) }
/// # async fn body() -> durable::Result<()> {
/// // In the body of a #[workflow]:
/// if durable::patch("reserve-first").await {
///     reserve().await?;
///     charge_v2().await?;
/// } else {
///     charge_v1().await?;
/// }
/// # Ok(())
/// # }
/// ```
///
/// `true` is recorded as a marker with this name, which takes a position and is written with the next commit of the
/// workflow. `false` takes no position, so the records of earlier runs are where the earlier code put them. Where no
/// record follows in the branch of the call, the answer is `true`: the run has not gone past this place.
///
/// Each call decides for itself. Keep the answer in a variable where two places must agree.
///
/// Once no unfinished workflow is without the marker, the earlier code can go: write
/// [`deprecate_patch`] in place of the call. A program without either parks the workflows that have
/// the marker. In a step and outside any workflow nothing is recorded, and the answer is `true`.
pub fn patch(name: impl AsRef<str>) -> impl Future<Output = bool> + Send {
    let (name, call_site) = (name.as_ref().to_owned(), PatchSite::here(name.as_ref(), true));
    async move {
        match call_site {
            PatchSite::Old => false,
            PatchSite::New(CallSite::Outside | CallSite::Step(_)) => true,
            PatchSite::New(call_site) => {
                mark(&call_site, "patch", &name).await;
                true
            }
        }
    }
}

/// Takes the place of [`patch`] once no unfinished workflow is left that went past it without the marker: the marker
/// of a workflow that has it is read, and nothing is recorded for the others.
///
/// Once no unfinished workflow has the marker either, remove the call.
///
/// ```no_run
/// # use durable_core as durable;
/// # async fn reserve() -> durable::Result<()> { Ok(()) }
/// # async fn charge_v2() -> durable::Result<()> { Ok(()) }
/// # async fn body() -> durable::Result<()> {
/// // In the body of a #[workflow]:
/// durable::deprecate_patch("reserve-first").await;
/// reserve().await?;
/// charge_v2().await?;
/// # Ok(())
/// # }
/// ```
pub fn deprecate_patch(name: impl AsRef<str>) -> impl Future<Output = ()> + Send {
    let (name, call_site) = (name.as_ref().to_owned(), PatchSite::here(name.as_ref(), false));
    async move {
        if let PatchSite::New(call_site) = call_site {
            mark(&call_site, "deprecate_patch", &name).await;
        }
    }
}

/// What a patch is for the run that calls it, decided when the call is made.
enum PatchSite {
    /// The run went past this place without the marker. No position is reserved.
    Old,
    /// The marker is recorded at the reserved position, or will be.
    New(CallSite),
}

impl PatchSite {
    /// `adds` is whether a run that is here for the first time records the marker.
    fn here(name: &str, adds: bool) -> Self {
        let operation = Operation::patch(name);
        CallSite::here_if(|execution, next| match execution.recorded(next) {
            Some(record) => operation.is_of(record),
            None => adds && !execution.has_records_behind(next),
        })
        .map_or(Self::Old, Self::New)
    }
}

/// Records the marker, or finds it recorded.
async fn mark(call_site: &CallSite, function: &str, name: &str) {
    let reserved = match call_site {
        CallSite::Body(reserved) => reserved,
        CallSite::Transaction(scope) => return scope.refuse(&format!("`durable::{function}`")).await,
        CallSite::Outside | CallSite::Step(_) => return,
    };
    reserved.check_same_body(function).await;
    if let Err(error) = check_id("the name of the patch", name) {
        return reserved.execution.stop_here(StopReason::Park(error.to_string())).await;
    }
    let operation = Operation::patch(name);
    if reserved.replayed(operation).await.is_none() {
        reserved.record_result(operation, OperationResult { attempts: 1, ..OperationResult::default() }).await;
    }
}
