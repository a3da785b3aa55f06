//! Deletes workflows that have been kept for their time.

use std::collections::HashMap;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::journal::context::Context;
use crate::journal::current_engine;
use crate::operations::caller_errors::failed_to;
use crate::runtime::Runtime;
use crate::store::{EndCursor, EndedWorkflow, StoreError, WorkflowKey};
use crate::types::error::{Error, ErrorKind, Result};
use crate::types::retention::{Retention, RetentionCounts, RetentionReport};

/// How many ended workflows one query reads.
const PAGE: u32 = 1_000;
/// How many families the first transaction deletes, and at most one.
const FIRST_BATCH: usize = 100;
const MAX_BATCH: usize = 500;
/// Transactions are made smaller above this time and larger below a quarter of it: others wait meanwhile.
const LONG_BATCH: Duration = Duration::from_millis(80);
/// For how many times the length of a transaction there is a pause, in which others write.
const PAUSE: u32 = 3;
/// After this time families are looked at again that could not be deleted at first.
const LOOK_AGAIN: Duration = Duration::from_hours(1);

/// Deletes workflows that have been kept for their time, now: see [`Retention`]. Without a
/// [`policy`](RunRetention::policy) that of the [builder](crate::Builder::retention) is carried out.
///
/// It goes on beside other work: it deletes in small transactions, with pauses. Dropped, it stops after the batch
/// that is under way.
///
/// # Errors
/// There is no policy ([`ErrorKind::Misuse`](crate::ErrorKind::Misuse)); it was called in the body of a workflow,
/// where it is not recorded; no engine runs; the database cannot be reached. What was deleted until then stays
/// deleted.
///
/// # Example
///
/// ```no_run
/// # use durable_core as durable;
/// # use durable::Retention;
/// # async fn example() -> durable::Result<()> {
/// let report = durable::run_retention().policy(Retention::new().keep(Retention::days(30))).dry_run().await?;
/// for group in report.groups {
///     println!("{} {}: {} since {}", group.name, group.status, group.count, group.oldest);
/// }
/// # Ok(())
/// # }
/// ```
pub fn run_retention() -> RunRetention {
    RunRetention::new(current_engine::engine())
}

/// A run of the retention: see [`run_retention`]. Nothing happens before it is awaited.
#[derive(Debug)]
#[must_use = "nothing is deleted before `.await`"]
pub struct RunRetention {
    runtime: Result<Arc<Runtime>>,
    policy: Option<Retention>,
    dry_run: bool,
}

impl RunRetention {
    pub(crate) fn new(runtime: Result<Arc<Runtime>>) -> Self {
        Self { runtime, policy: None, dry_run: false }
    }

    /// Carries out this policy instead of that of the builder.
    pub fn policy(mut self, policy: Retention) -> Self {
        self.policy = Some(policy);
        self
    }

    /// Only reports what would be deleted.
    pub fn dry_run(mut self) -> Self {
        self.dry_run = true;
        self
    }

    async fn run(self) -> Result<RetentionReport> {
        Context::refuse_unrecorded("`run_retention`")?;
        let runtime = self.runtime?;
        let policy = self.policy.or_else(|| runtime.settings.retention.clone()).ok_or_else(|| {
            let message = "there is no policy for `run_retention`: give it one with `.policy(..)`, or the builder with `.retention(..)`";
            Error::new(ErrorKind::Misuse, message)
        })?;
        policy.check()?;
        delete_old(&runtime, &policy, self.dry_run).await
    }
}

impl IntoFuture for RunRetention {
    type Output = Result<RetentionReport>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// Carries a policy out from the beginning.
pub(crate) async fn delete_old(runtime: &Arc<Runtime>, policy: &Retention, dry_run: bool) -> Result<RetentionReport> {
    let done = RetentionRun::new(runtime, policy, dry_run).all_of_it().await;
    done.map_err(|error| failed_to(runtime, "delete old workflows", &error))
}

/// How far the runs of one process have come: what is before a place stays, or was not to be deleted at that time.
#[derive(Debug, Default)]
pub(crate) struct RetentionProgress {
    places: HashMap<Duration, EndCursor>,
    began: Option<Instant>,
}

/// One run of the retention.
pub(crate) struct RetentionRun<'a> {
    runtime: &'a Arc<Runtime>,
    policy: &'a Retention,
    dry_run: bool,
    counts: RetentionCounts,
    /// The first of the last workflows of each name that are kept in any case; `None` if all of them are.
    last: HashMap<String, Option<WorkflowKey>>,
    batch: usize,
    /// When this process last took its turn; `None` if it needs none.
    turn: Option<Instant>,
}

impl<'a> RetentionRun<'a> {
    pub(crate) fn new(runtime: &'a Arc<Runtime>, policy: &'a Retention, dry_run: bool) -> Self {
        let (counts, last) = (RetentionCounts::default(), HashMap::new());
        Self { runtime, policy, dry_run, counts, last, batch: FIRST_BATCH, turn: None }
    }

    async fn all_of_it(mut self) -> std::result::Result<RetentionReport, StoreError> {
        self.delete_all(&mut RetentionProgress::default()).await?;
        self.finish().await
    }

    /// The same if no other process of the fleet does it at present, without what was looked at a short time ago.
    pub(crate) async fn in_turn(
        mut self,
        progress: &mut RetentionProgress,
    ) -> std::result::Result<Option<RetentionReport>, StoreError> {
        if !self.take_turn().await? {
            *progress = RetentionProgress::default();
            return Ok(None);
        }
        if progress.began.is_none_or(|it| it.elapsed() > LOOK_AGAIN) {
            *progress = RetentionProgress { places: HashMap::new(), began: Some(Instant::now()) };
        }
        self.delete_all(progress).await?;
        self.finish().await.map(Some)
    }

    async fn take_turn(&mut self) -> std::result::Result<bool, StoreError> {
        let own = self.runtime.fence().executor;
        self.turn = Some(Instant::now());
        // Twice the interval, so that the same process does it again next time.
        self.runtime.store.take_turn(own, "retention", self.policy.interval() * 2).await
    }

    async fn finish(self) -> std::result::Result<RetentionReport, StoreError> {
        let executors = if self.dry_run { 0 } else { self.runtime.store.remove_dead_executors().await? };
        Ok(self.counts.into_report(self.dry_run, executors))
    }

    async fn delete_all(&mut self, progress: &mut RetentionProgress) -> std::result::Result<(), StoreError> {
        for time in self.policy.times() {
            let before = self.runtime.timers.clock.lower_bound().saturating_sub(time);
            let place = progress.places.entry(time).or_insert(EndCursor::START);
            loop {
                let began = Instant::now();
                let page = self.runtime.store.ended(*place, before, PAGE).await?;
                let Some(end) = page.last().map(|it| it.place) else { break };
                let is_last = page.len() < PAGE as usize;
                tokio::time::sleep(began.elapsed()).await;
                let mut roots = Vec::new();
                for it in page {
                    if !it.is_child && self.policy.time_of(&it.name, it.status) == time && !self.is_kept(&it).await? {
                        roots.push(WorkflowKey::from(it.place.key));
                    }
                }
                if !self.delete_batches(&roots, before).await? {
                    return Ok(());
                }
                *place = end;
                if is_last {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Whether it is one of the last of its name, which are kept in any case.
    async fn is_kept(&mut self, workflow: &EndedWorkflow) -> std::result::Result<bool, StoreError> {
        let Some(number) = self.policy.last().filter(|number| *number > 0) else { return Ok(false) };
        let first = if let Some(known) = self.last.get(&workflow.name) {
            *known
        } else {
            let first = self.runtime.store.nth_last_ended(&workflow.name, number).await?;
            self.last.insert(workflow.name.clone(), first);
            first
        };
        Ok(first.is_none_or(|first| workflow.place.key >= first.get()))
    }

    /// Deletes these workflows with their descendants. Returns whether it is still the turn of this process.
    async fn delete_batches(
        &mut self,
        mut roots: &[WorkflowKey],
        before: crate::store::Timestamp,
    ) -> std::result::Result<bool, StoreError> {
        while !roots.is_empty() {
            let batch: Vec<_> = roots[..self.batch.min(roots.len())].to_vec();
            roots = &roots[batch.len()..];
            let (task_runtime, dry_run, began) = (Arc::clone(self.runtime), self.dry_run, Instant::now());
            let call = async move { task_runtime.store.delete_ended(&batch, before, dry_run).await };
            let deleted = self.runtime.finish_call(call).await?;
            let took = began.elapsed();
            let number = deleted.len() as u64;
            for it in deleted {
                self.counts.add(it.name, it.status, it.ended);
            }
            if took > LONG_BATCH {
                self.batch = (self.batch / 2).max(1);
            } else if took < LONG_BATCH / 4 {
                self.batch = (self.batch * 2).min(MAX_BATCH);
            }
            if self.dry_run {
                tokio::time::sleep(took).await;
                continue;
            }
            tokio::time::sleep((took * PAUSE).max(self.policy.time_for(number).saturating_sub(took))).await;
            if self.turn.is_some_and(|it| it.elapsed() > self.policy.interval()) && !self.take_turn().await? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
