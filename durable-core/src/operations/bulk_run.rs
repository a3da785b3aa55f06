//! Changes of all workflows that a filter selects: how they are carried out.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use uuid::Uuid;

use crate::journal::current_engine;
use crate::operations::bulk_request::{BulkAction, BulkReport, BulkRequest};
use crate::operations::cancel::try_cancel;
use crate::operations::change::{change_all, label_change, result_of};
use crate::operations::events::set_event;
use crate::operations::fork::{ForkFrom, fork};
use crate::operations::inline_step::step;
use crate::operations::spans;
use crate::operations::step_context::workflow_id;
use crate::operations::workflow_call::{WorkflowCall, call};
use crate::registry::{Arguments, Registered, Taken, Workflow, WorkflowOptions};
use crate::runtime::Runtime;
use crate::store::{BoxFuture, ForkRequest, StoreError, WorkflowChange};
use crate::types::backoff::CALLS_WHILE_DATABASE_IS_AWAY;
use crate::types::error::{ErrorKind, Result};
use crate::types::keys::Fingerprint;
use crate::types::page::Cursor;
use crate::types::payload::{Codec, Outcome, PayloadError};
use crate::types::time::Timestamp;

/// How many workflows one batch changes.
const BATCH: u32 = 200;

const CODEC: Codec<Result<BulkReport>> = Codec::<Result<BulkReport>>::TYPED_FROM_ENGINE;

/// The name of the workflow that carries a bulk change out.
pub const BULK_NAME: &str = "durable.bulk";
/// The event with its report so far.
pub const PROGRESS_EVENT: &str = "progress";

static BULK: Workflow = Workflow {
    name: BULK_NAME,
    module: module_path!(),
    function: "bulk",
    file: file!(),
    line: line!(),
    fingerprint: Fingerprint::new(0), // its records stay readable from one release to the next
    options: WorkflowOptions::DEFAULT,
    run,
};

inventory::submit! { Registered(&BULK) }

/// The call of the workflow that carries a bulk change out.
pub(super) fn bulk_call(request: &BulkRequest) -> WorkflowCall<BulkReport> {
    call(&BULK, CODEC, Arguments::new().with("request", request)).on_internal_queue()
}

fn run(taken: &mut Taken) -> std::result::Result<BoxFuture<'static, Outcome>, PayloadError> {
    Ok(crate::operations::workflow_result::run(CODEC, body(taken.take("request")?)))
}

/// The body of the workflow: each batch is a step. Its changes are idempotent, so a batch that was interrupted is
/// made again.
async fn body(request: BulkRequest) -> Result<BulkReport> {
    let until = step("begin", || async { began(&current_engine::engine()?).await }).await?;
    let mut batches = BulkBatches::new(request, workflow_id().unwrap_or_default(), until);
    let mut report = BulkReport::default();
    loop {
        let next = &batches;
        let batch = step("batch", move || async move { next.next(&current_engine::engine()?).await }).await?;
        report.add(batch.report);
        set_event(PROGRESS_EVENT, &report).await?;
        if batch.next.is_none() {
            return Ok(report);
        }
        batches.after = batch.next;
    }
}

/// The present time of the database: this process's idea of it may be behind what has just been created.
pub(super) async fn began(runtime: &Arc<Runtime>) -> Result<DateTime<Utc>> {
    let now = persistently(runtime, || runtime.store.now()).await?;
    Ok(now.saturating_add(Timestamp::RESOLUTION).to_date())
}

/// A bulk change, and how far it is.
pub(super) struct BulkBatches {
    request: BulkRequest,
    /// The id of the workflow that carries it out, which it leaves alone. The ids of forks are made of it.
    own_id: String,
    pub(super) after: Option<Cursor>,
}

/// What a batch has done, and where the next one begins.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct BulkBatch {
    pub(super) report: BulkReport,
    pub(super) next: Option<Cursor>,
}

impl BulkBatches {
    pub(super) fn new(mut request: BulkRequest, own_id: String, until: DateTime<Utc>) -> Self {
        let filter = &mut request.filter;
        filter.created.until = Some(filter.created.until.map_or(until, |it| it.min(until)));
        (filter.newest_first, filter.payloads) = (false, false);
        filter.limit = Some(request.per_second.unwrap_or(BATCH).min(BATCH));
        let after = filter.after.take();
        Self { request, own_id, after }
    }

    /// Changes the workflows of the next batch, and takes as long as the rate wants.
    pub(super) async fn next(&self, runtime: &Arc<Runtime>) -> Result<BulkBatch> {
        let begun = Instant::now();
        let mut filter = self.request.filter.clone();
        filter.after = self.after;
        let page = persistently(runtime, || runtime.store.list(&filter)).await?;
        let ids: Vec<String> = page.items.into_iter().map(|it| it.id).filter(|id| *id != self.own_id).collect();
        let mut report = BulkReport { matched: ids.len() as u64, ..BulkReport::default() };
        if !ids.is_empty() {
            self.change(runtime, &ids, &mut report).await?;
        }
        if let Some(per_second) = self.request.per_second.filter(|_| page.next.is_some()) {
            let due =
                Duration::from_secs_f64(f64::from(u32::try_from(ids.len()).unwrap_or(BATCH)) / f64::from(per_second));
            tokio::time::sleep_until(begun + due).await;
        }
        Ok(BulkBatch { report, next: page.next })
    }

    async fn change(&self, runtime: &Arc<Runtime>, ids: &[String], report: &mut BulkReport) -> Result<()> {
        let change = match &self.request.action {
            BulkAction::Cancel { children } => {
                let cancelled = persistently(runtime, || try_cancel(runtime, ids, *children)).await?;
                report.changed += cancelled.runs.len() as u64;
                let ended = |id: &String| cancelled.before.get(id).is_none_or(|it| it.is_terminal());
                report.unchanged += ids.iter().filter(|id| ended(id)).count() as u64;
                return Ok(());
            }
            BulkAction::Restart => return self.fork_all(runtime, ids, ForkFrom::Position(1), report).await,
            BulkAction::Fork(from) => return self.fork_all(runtime, ids, *from, report).await,
            BulkAction::Resume => WorkflowChange::Resume,
            BulkAction::Delete => WorkflowChange::Delete,
            BulkAction::SetLabels(labels) => label_change(labels)?,
            BulkAction::SetPriority(priority) => WorkflowChange::Priority(*priority),
            BulkAction::SetDelay(delay) => WorkflowChange::Delay(*delay),
            BulkAction::MoveToQueue(queue) => WorkflowChange::Queue(queue.clone()),
        };
        let change = Arc::new(change);
        let outcomes = persistently(runtime, || change_all(runtime, ids.to_vec(), Arc::clone(&change))).await?;
        for (id, outcome) in ids.iter().zip(&outcomes) {
            let result = match result_of(id, &change, outcome) {
                // It was deleted meanwhile, perhaps with an ancestor in this batch.
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
                other => other,
            };
            report.note(id, result);
        }
        Ok(())
    }

    async fn fork_all(
        &self,
        runtime: &Arc<Runtime>,
        ids: &[String],
        from: ForkFrom,
        report: &mut BulkReport,
    ) -> Result<()> {
        for source in ids {
            // The same id at a second attempt, so that no workflow is forked twice.
            let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{}/{source}", self.own_id).as_bytes()).to_string();
            let request = ForkRequest {
                source: source.clone(),
                key: runtime.keys.next(),
                id,
                from: from.point(),
                queue: None,
                version: None,
                input: None,
                outcomes: Vec::new(),
                trace_context: spans::current_traceparent(runtime),
            };
            let forked = persistently(runtime, || fork(runtime, request.clone(), &[])).await?;
            report.note(source, forked.map(|_| 1));
        }
        Ok(())
    }
}

/// Asks the database however long it cannot be reached.
async fn persistently<T, F>(runtime: &Runtime, ask: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = std::result::Result<T, StoreError>>,
{
    let mut failed = 0;
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) if error.is_temporary() => {
                failed += 1;
                tracing::debug!(target: "durable", attempts = failed, %error, "a bulk change waits for the database");
                tokio::time::sleep(CALLS_WHILE_DATABASE_IS_AWAY.random_delay(failed)).await;
            }
            Err(error) => return Err(crate::operations::caller_errors::failed_to(runtime, "change workflows", &error)),
        }
    }
}
