//! Waiting for several workflows.

use std::fmt;
use std::future::Future;

use futures_util::future::{join_all, select_all};

use crate::journal::checkpoint::{Operation, OperationResult};
use crate::journal::context::CallSite;
use crate::journal::reserved_position::ReservedPosition;
use crate::operations::caller_errors::interrupted;
use crate::operations::outside_wait;
use crate::operations::workflow_handle::WorkflowHandle;
use crate::runtime::activity::Activity;
use crate::runtime::stop_reason::StopReason;
use crate::types::error::{Error, ErrorKind, Result};
use crate::types::payload::Codec;
use crate::wait::shutdown_phase::EnginePhase;

/// Waits for all of the workflows, and returns their results in the order of the handles.
///
/// Inside a workflow each result is recorded, at positions that are reserved when this is called.
///
/// # Example
///
/// ```no_run
/// # use durable_core as durable;
/// # async fn example(handles: Vec<durable::WorkflowHandle<u64>>) -> durable::Result<u64> {
/// let mut sum = 0;
/// for result in durable::wait_all(handles).await {
///     sum += result?;
/// }
/// # Ok(sum)
/// # }
/// ```
pub fn wait_all<T, E>(
    handles: impl IntoIterator<Item = WorkflowHandle<T, E>>,
) -> impl Future<Output = Vec<Result<T, E>>> + Send
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    let results: Vec<_> = handles.into_iter().map(|handle| handle.result()).collect();
    join_all(results)
}

/// Waits until one of the workflows has ended, and returns its index: await that handle for the result.
/// If several have ended already, it is the first of them in the slice.
///
/// Inside a workflow the index is recorded, at a position that is reserved when this is called.
///
/// # Errors
/// The slice is empty; the process shuts down; it was called in a transaction.
///
/// # Example
///
/// ```no_run
/// # use durable_core as durable;
/// # async fn example(mut handles: Vec<durable::WorkflowHandle<u64>>) -> durable::Result<u64> {
/// let first = durable::wait_first(&handles).await?;
/// let fastest = handles.swap_remove(first).await?;
/// # Ok(fastest)
/// # }
/// ```
pub fn wait_first<T, E>(handles: &[WorkflowHandle<T, E>]) -> impl Future<Output = Result<usize>> + Send + use<T, E>
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    let call_site = CallSite::here();
    let handles = handles.to_vec();
    async move {
        if handles.is_empty() {
            return Err(Error::new(
                ErrorKind::Misuse,
                "`durable::wait_first` was given no handles, and would wait forever",
            ));
        }
        match call_site {
            CallSite::Body(reserved) => in_body(&reserved, &handles).await,
            CallSite::Transaction(scope) => Err(scope.refusal("`durable::wait_first`")),
            CallSite::Outside | CallSite::Step(_) => first(&handles, false).await,
        }
    }
}

async fn in_body<T, E>(reserved: &ReservedPosition, handles: &[WorkflowHandle<T, E>]) -> Result<usize>
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    let operation = Operation::once("wait_first");
    reserved.check_same_body("wait_first").await;
    if let Some(record) = reserved.replayed(operation).await {
        return Ok(reserved.decode(Codec::PLAIN, record).await);
    }
    reserved.ensure_accepting().await;
    let execution = &reserved.execution;
    let _activity = execution.begin_activity(Activity::Result(Ids(handles).to_string()));
    let Ok(index) = first(handles, true).await else { return execution.stop_here(StopReason::Suspend).await };
    let outcome = reserved.encode(Codec::PLAIN, operation, &index)?;
    reserved
        .record_result(operation, OperationResult { outcome: Some(outcome), attempts: 1, ..OperationResult::default() })
        .await;
    Ok(index)
}

/// The index of the one that ends first.
async fn first<T, E>(handles: &[WorkflowHandle<T, E>], in_body: bool) -> Result<usize>
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    let ended = |(index, handle): (usize, &WorkflowHandle<T, E>)| {
        let handle = handle.clone();
        Box::pin(async move { handle.ended(in_body).await.map(|_| index) })
    };
    let mut ends: Vec<_> = handles.iter().enumerate().map(ended).collect();
    let any = async {
        // During a drain some waits are released while other workflows run here and finish.
        while !ends.is_empty() {
            let (index, _, others) = select_all(ends).await;
            if let Some(index) = index {
                return Some(index);
            }
            ends = others;
        }
        None
    };
    let runtime = handles[0].runtime();
    let released = async {
        if in_body {
            runtime.shutdown.wait_for(EnginePhase::Aborting).await;
        } else {
            outside_wait::released(runtime, handles.iter().map(WorkflowHandle::id)).await;
        }
    };
    tokio::select! {
        biased;
        index = any => index.ok_or_else(|| interrupted(handles[0].id())),
        () = released => Err(interrupted(handles[0].id())),
    }
}

/// Some of the ids, for the report.
struct Ids<'a, T, E>(&'a [WorkflowHandle<T, E>]);

impl<T, E> fmt::Display for Ids<'_, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let others = self.0.len() - 1;
        f.write_str(self.0[0].id())?;
        if others > 0 { write!(f, " or one of {others} others") } else { Ok(()) }
    }
}
