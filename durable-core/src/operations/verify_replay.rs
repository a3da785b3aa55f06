//! Verifies that the present code of a workflow makes the operations that are recorded, without running any of them.

use std::future::Future;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::journal::checkpoint::Operation;
use crate::journal::execution::Execution;
use crate::operations::admin::not_found;
use crate::operations::body::BodyAndBranches;
use crate::operations::look::Look;
use crate::operations::spans;
use crate::registry::{Taken, Workflow};
use crate::runtime::Runtime;
use crate::runtime::panics;
use crate::runtime::stop_reason::StopReason;
use crate::store::{Record, RunRow, StoreError};
use crate::types::error::Result;
use crate::types::filter::Filter;
use crate::types::id::check_id;
use crate::types::replay_report::{ReplayOutcome, ReplayReport};
use crate::types::status::Status;

/// How long a verification may take.
const LIMIT: Duration = Duration::from_secs(10);
/// How long a body may do nothing while it waits for no operation.
const IDLE_LIMIT: Duration = Duration::from_millis(500);
/// The same for a body that waits for an operation without a record: the verification is over then, unless a part of
/// the body has just yielded.
const SETTLE_LIMIT: Duration = Duration::from_millis(5);

/// Runs the recorded history of a workflow against the present code of its function, and reports whether they fit.
///
/// No body of a step or transaction is run, nothing is sent or started, and nothing is written: recorded operations
/// return their records, and the verification ends with the first operation that has none, in every branch. What the
/// body computes between its calls is run. It takes at most 10 s, as long as the body does not block its thread.
///
/// In a workflow's body the answer is recorded, at a position that is reserved when this is called.
///
/// # Errors
/// No workflow has this id; no engine runs; it was called in a transaction; the database cannot be reached (in a body the
/// workflow waits for it).
///
/// # Example
///
/// ```no_run
/// # use durable_core as durable;
/// # async fn example() -> durable::Result<()> {
/// let report = durable::verify_replay("order-7").await?;
/// if !report.is_match() {
///     println!("order-7: {report}");
/// }
/// # Ok(())
/// # }
/// ```
pub fn verify_replay<I: AsRef<str>>(id: I) -> impl Future<Output = Result<ReplayReport>> + Send + use<I> {
    verify_one(None, id.as_ref())
}

/// Verifies each of the workflows that a filter selects: see [`verify_replay`]. They are verified one after the other,
/// in the order of [`list_workflows`](crate::list_workflows); all of them, if the filter has no limit.
///
/// # Errors
/// As [`list_workflows`](crate::list_workflows).
pub fn verify_replays(filter: Filter) -> impl Future<Output = Result<Vec<ReplayReport>>> + Send {
    verify_all(None, filter)
}

pub(crate) fn verify_one(
    engine: Option<&Arc<Runtime>>,
    id: &str,
) -> impl Future<Output = Result<ReplayReport>> + Send + use<> {
    let (look, id) = (Look::through(engine), Arc::<str>::from(id));
    async move {
        check_id("the workflow id", &id)?;
        let question = |runtime: Arc<Runtime>| {
            let id = Arc::clone(&id);
            async move { Ok(verify_by_id(&runtime, &id).await?.ok_or_else(|| not_found(&id))) }
        };
        look.ask(Operation::on("verify_replay", &id), "verify a replay", question).await
    }
}

pub(crate) fn verify_all(
    engine: Option<&Arc<Runtime>>,
    filter: Filter,
) -> impl Future<Output = Result<Vec<ReplayReport>>> + Send + use<> {
    let look = Look::through(engine);
    let question = move |runtime: Arc<Runtime>| {
        let filter = filter.clone();
        async move {
            if let Err(error) = filter.check() {
                return Ok(Err(error));
            }
            let (mut filter, mut reports, is_limited) = (filter.clone(), Vec::new(), filter.limit.is_some());
            loop {
                let page = runtime.store.list(&filter).await?;
                for listed in page.items {
                    reports.extend(verify_by_id(&runtime, &listed.id).await?); // it may have been deleted
                }
                match page.next {
                    Some(next) if !is_limited => filter = filter.after(next),
                    _ => return Ok(Ok(reports)),
                }
            }
        }
    };
    look.ask(Operation::once("verify_replays"), "verify replays", question)
}

/// Verifies a workflow; `None` if there is none of this id.
pub(crate) async fn verify_by_id(
    runtime: &Arc<Runtime>,
    id: &str,
) -> std::result::Result<Option<ReplayReport>, StoreError> {
    let store = &runtime.store;
    let Some(found) = store.find(id).await? else { return Ok(None) };
    let Some(shown) = store.show(id).await? else { return Ok(None) };
    let records = store.records(&[found.key]).await?;
    let Some(workflow) = runtime.registry.get(&found.name) else {
        let reason = format!("this program has no workflow `{}`", found.name);
        return Ok(Some(report(id, &found.name, &records, 0, ReplayOutcome::Unknown { reason })));
    };
    let row = RunRow {
        key: found.key,
        id: id.into(),
        name: Box::default(),                          // the function is known
        input: shown.input.unwrap_or_default().into(), // one workflow is read with its payloads
        instance: found.instance.map(Into::into),
        attempt: i32::try_from(shown.attempts).unwrap_or(i32::MAX),
        is_fork: false,
        recoveries: 0,
        version: None,
        fingerprint: workflow.fingerprint,
        deadline: None,
        parent: None,
        queue: None,
        keyed: false,
        waits_since: None,
        trace_context: None,
    };
    Ok(Some(verify(runtime, workflow, Arc::new(row), records, shown.status).await))
}

/// Runs the body of a workflow against its records.
pub(crate) async fn verify(
    runtime: &Arc<Runtime>,
    workflow: &'static Workflow,
    row: Arc<RunRow>,
    records: Vec<Record>,
    status: Status,
) -> ReplayReport {
    let execution = Execution::for_verification(Arc::clone(runtime), workflow, Arc::clone(&row), records.clone());
    let stopped = poll_to_the_end(&execution).await;
    let Some(check) = execution.replay_check() else { unreachable!("it was made for a verification") };
    let has_returned = matches!(status, Status::Success | Status::Error);
    let outcome = match (check.mismatch(), stopped) {
        (Some(mismatch), _) => mismatch,
        (None, Verified::Returned) => check.missing(&records).unwrap_or(ReplayOutcome::Match),
        // It ended so the first time, too.
        (None, Verified::Panicked(_)) if status == Status::Error => {
            check.missing(&records).unwrap_or(ReplayOutcome::Match)
        }
        (None, Verified::Waits) => match check.unrecorded() {
            Some((position, now)) if has_returned => ReplayOutcome::Extra { position, now },
            Some(_) => ReplayOutcome::Match,
            None => ReplayOutcome::Unknown {
                reason: format!("the body waited for {IDLE_LIMIT:?} for something that is no durable operation"),
            },
        },
        (None, Verified::Panicked(reason) | Verified::Failed(reason)) => ReplayOutcome::Unknown { reason },
    };
    report(&row.id, workflow.name, &records, check.compared(), outcome)
}

fn report(id: &str, workflow: &str, records: &[Record], compared: usize, outcome: ReplayOutcome) -> ReplayReport {
    let number = |it: usize| u32::try_from(it).unwrap_or(u32::MAX);
    ReplayReport {
        id: id.to_owned(),
        workflow: workflow.to_owned(),
        records: number(records.len()),
        compared: number(compared),
        outcome,
    }
}

/// How far a body came.
enum Verified {
    /// It returned, or ended with an error of the engine.
    Returned,
    /// It waits.
    Waits,
    /// It panicked.
    Panicked(String),
    /// It could not be run to its end.
    Failed(String),
}

/// Notes that the body is to be polled again.
struct BodyWaker(Notify);

impl Wake for BodyWaker {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}

/// Polls a body until it returns, waits, or differs. It is dropped then.
async fn poll_to_the_end(execution: &Arc<Execution>) -> Verified {
    let (row, workflow) = (&execution.row, execution.workflow);
    let span = tracing::info_span!(target: "durable", "verify_replay", name = workflow.name, id = %row.id);
    let make = || {
        let _in_span = span.enter();
        let taken = Taken::read(&row.input)?;
        let mut taken = taken.of_instance(row.instance.as_deref(), &execution.runtime.resources);
        (workflow.run)(&mut taken)
    };
    let mut body = match panics::catch(|| spans::unless_replayed(execution, make)) {
        Ok(Ok(body)) => BodyAndBranches::new(execution, body),
        Ok(Err(error)) => return Verified::Failed(format!("the arguments cannot be read: {error}")),
        Err(panic) => return Verified::Panicked(format!("the body {panic}")),
    };
    let begun = Instant::now();
    let woken = Arc::new(BodyWaker(Notify::new()));
    let waker = Waker::from(Arc::clone(&woken));
    let Some(check) = execution.replay_check() else { unreachable!("it was made for a verification") };
    let verified = loop {
        let polled = panics::catch(|| {
            let poll = || body.poll(&mut TaskContext::from_waker(&waker));
            span.in_scope(|| spans::unless_replayed(execution, poll))
        });
        if check.mismatch().is_some() {
            break Verified::Waits;
        }
        match (execution.poll_stop(&waker), polled) {
            (Some(StopReason::Park(reason)), _) => break Verified::Failed(reason),
            (Some(StopReason::Suspend | StopReason::Lost | StopReason::Replay), _) => {
                break Verified::Failed("the engine is shutting down".to_owned());
            }
            (Some(_), _) | (None, Ok(Poll::Ready(_))) => break Verified::Returned,
            (None, Err(panic)) => break Verified::Panicked(format!("the body {panic}")),
            (None, Ok(Poll::Pending)) => {}
        }
        if begun.elapsed() > LIMIT {
            break Verified::Failed(format!("the body did not come to an end within {LIMIT:?}"));
        }
        let limit = if check.unrecorded().is_some() { SETTLE_LIMIT } else { IDLE_LIMIT };
        if tokio::time::timeout(limit, woken.0.notified()).await.is_err() {
            break Verified::Waits;
        }
        tokio::task::yield_now().await; // other tasks have their turn, whatever the body does
    };
    span.in_scope(|| drop(body));
    verified
}
