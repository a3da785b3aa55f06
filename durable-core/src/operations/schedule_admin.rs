//! Schedules: listing, pausing, triggering and deleting them.

use std::future::Future;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::journal::checkpoint::Operation;
use crate::journal::context::Context as Here;
use crate::journal::current_engine;
use crate::operations::caller_errors::{failed_to, unknown_name};
use crate::operations::look::Look;
use crate::operations::schedule_spec::{MISFIRE_GRACE, ScheduleSpec, TickStart, start_now, start_tick};
use crate::registry::Misfire;
use crate::runtime::Runtime;
use crate::runtime::pending_notifications::SCHEDULES;
use crate::store::{Hint, ScheduleChange, ScheduleRow};
use crate::types::cron::CronSchedule;
use crate::types::error::{Error, ErrorKind, Result};
use crate::types::time::Timestamp;

/// How many ticks a backfill starts before it reads the schedule again.
const BACKFILL_BATCH: usize = 100;

/// A schedule, as the database has it. As JSON the fields have these names and times are RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ScheduleInfo {
    /// Its name: that of the workflow, for one in the code.
    pub name: String,
    /// The workflow that it starts.
    pub workflow: String,
    /// The name of the instance, if the workflow is a method.
    pub instance: Option<String>,
    /// The crontab expression.
    pub cron: String,
    /// The time zone in which it is read.
    pub timezone: String,
    /// Whether it is declared in the code, with `#[scheduled]`.
    pub in_code: bool,
    /// Whether it is paused.
    pub paused: bool,
    /// The last tick that was handled, or when the schedule was created.
    pub last_tick: DateTime<Utc>,
    /// The next tick; `None` if the schedule is paused, or has no tick before 2101.
    pub next_tick: Option<DateTime<Utc>>,
}

impl ScheduleInfo {
    /// The next `count` ticks; none if the schedule is paused.
    #[must_use]
    pub fn next_ticks(&self, count: usize) -> Vec<DateTime<Utc>> {
        let times = CronSchedule::parse(&self.cron, &self.timezone).ok();
        let after = |tick: &DateTime<Utc>| times.as_ref()?.next_after(*tick);
        std::iter::successors(self.next_tick, after).take(count).collect()
    }
}

/// All schedules, those in the code and those created at run time, by name.
///
/// In a workflow's body the answer is recorded, at a position that is reserved when this is called.
///
/// # Errors
/// No engine runs; it was called in a transaction; the database cannot be reached (in a body the workflow
/// waits for it).
pub fn list_schedules() -> impl Future<Output = Result<Vec<ScheduleInfo>>> + Send {
    list(None)
}

pub(crate) fn list(engine: Option<&Arc<Runtime>>) -> impl Future<Output = Result<Vec<ScheduleInfo>>> + Send + use<> {
    let look = Look::through(engine);
    look.ask(Operation::once("list_schedules"), "read the schedules", |runtime| async move {
        let rows = runtime.store.schedules().await?;
        let now = runtime.timers.clock.lower_bound();
        Ok(Ok(rows.into_iter().map(|row| schedule_info(row, now)).collect()))
    })
}

/// Stops a schedule from starting workflows until it is [resumed](resume_schedule). Ticks that are
/// missed meanwhile are not made up for.
///
/// # Errors
/// There is no schedule of this name; it is called in the body of a workflow, where it is not
/// recorded: move it into a step. No engine runs, or the database cannot be reached.
pub async fn pause_schedule(name: impl AsRef<str>) -> Result<()> {
    change(&current_engine::engine()?, name.as_ref(), ScheduleChange::Pause).await
}

/// Resumes a paused schedule: the next tick is the first one after this call.
///
/// # Errors
/// There is no schedule of this name; it is called in the body of a workflow, where it is not
/// recorded: move it into a step. No engine runs, or the database cannot be reached.
pub async fn resume_schedule(name: impl AsRef<str>) -> Result<()> {
    change(&current_engine::engine()?, name.as_ref(), ScheduleChange::Resume).await
}

/// Deletes a schedule. The next launch makes one that is in the code again: pause it instead.
///
/// # Errors
/// There is no schedule of this name; it is called in the body of a workflow, where it is not
/// recorded: move it into a step. No engine runs, or the database cannot be reached.
pub async fn delete_schedule(name: impl AsRef<str>) -> Result<()> {
    change(&current_engine::engine()?, name.as_ref(), ScheduleChange::Delete).await
}

/// Starts a schedule's workflow now, also if the schedule is paused, and returns the workflow's id.
///
/// # Errors
/// The schedule has [`Overlap::Skip`](crate::Overlap::Skip) and the workflow of another tick has not ended; it is called in
/// the body of a workflow, where it is not recorded: move it into a step. There is no schedule of this
/// name, or this program does not have its workflow; no engine runs, or the database cannot be reached.
pub async fn trigger_schedule(name: impl AsRef<str>) -> Result<String> {
    trigger(&current_engine::engine()?, name.as_ref()).await
}

pub(crate) async fn trigger(runtime: &Arc<Runtime>, name: &str) -> Result<String> {
    Here::refuse_unrecorded("trigger_schedule")?;
    let runtime = current_engine::accepting(Arc::clone(runtime))?;
    let spec = schedule_spec(&runtime, name).await?;
    start_now(&runtime, &spec).await
}

/// Starts every tick of a schedule from `from` (inclusive) to `to` (exclusive), and returns how many of
/// them have a workflow now. A tick that was started already is not started again. With
/// [`Overlap::Skip`](crate::Overlap::Skip) a tick is left out, and not counted, while the workflow of another one has not
/// ended: call this again later. The schedule itself goes on as before; a tick in the future that is
/// started here is not started again when it is due.
///
/// # Errors
/// The schedule is deleted meanwhile; it is called in the body of a workflow, where it is not recorded:
/// move it into a step. There is no schedule of this name, or this program does not have its workflow;
/// no engine runs, or the database cannot be reached.
pub async fn backfill_schedule(name: impl AsRef<str>, from: DateTime<Utc>, to: DateTime<Utc>) -> Result<u64> {
    backfill(&current_engine::engine()?, name.as_ref(), from, to).await
}

pub(crate) async fn backfill(
    runtime: &Arc<Runtime>,
    name: &str,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Result<u64> {
    Here::refuse_unrecorded("backfill_schedule")?;
    let mut count = 0;
    let mut from = Timestamp::from_date(from);
    loop {
        // The schedule is read again for each batch, so that deleting it ends the backfill.
        let runtime = current_engine::accepting(Arc::clone(runtime))?;
        let spec = schedule_spec(&runtime, name).await?;
        let ticks = std::iter::successors(spec.next_after(from.saturating_sub(Timestamp::RESOLUTION)), |tick| {
            spec.next_after(*tick)
        });
        let batch: Vec<Timestamp> =
            ticks.take_while(|tick| *tick < Timestamp::from_date(to)).take(BACKFILL_BATCH).collect();
        for tick in &batch {
            count += u64::from(start_tick(&runtime, &spec, *tick).await? != TickStart::Skipped);
        }
        match batch.last() {
            Some(last) => from = last.saturating_add(Timestamp::RESOLUTION),
            None => return Ok(count),
        }
    }
}

async fn rows(runtime: &Runtime) -> Result<Vec<ScheduleRow>> {
    runtime.store.schedules().await.map_err(|error| failed_to(runtime, "read the schedules", &error))
}

async fn schedule_spec(runtime: &Arc<Runtime>, name: &str) -> Result<ScheduleSpec> {
    let mut rows = rows(runtime).await?;
    let Some(index) = rows.iter().position(|it| it.name == name) else { return Err(unknown(name, rows)) };
    let row = rows.swap_remove(index);
    let workflow = row.workflow.clone();
    ScheduleSpec::from_row(runtime, row)?.ok_or_else(|| {
        let missing = match runtime.registry.get(&workflow) {
            None => "which this program does not have",
            Some(_) => "which has no #[scheduled] in this program; if no other version has one, delete the schedule",
        };
        Error::new(ErrorKind::Registry, format!("the schedule {name:?} starts the workflow `{workflow}`, {missing}"))
    })
}

pub(crate) async fn change(runtime: &Arc<Runtime>, name: &str, change: ScheduleChange) -> Result<()> {
    Here::refuse_unrecorded("a change of a schedule")?;
    let (task_runtime, name) = (Arc::clone(runtime), name.to_owned());
    let call = async move {
        let changed = task_runtime.store.change_schedule(&name, change).await;
        if !changed.map_err(|error| failed_to(&task_runtime, "change a schedule", &error))? {
            return Err(unknown(&name, task_runtime.store.schedules().await.unwrap_or_default()));
        }
        notify_schedulers(&task_runtime);
        Ok(())
    };
    runtime.finish_call(call).await
}

/// Notifies the schedulers of all processes that the schedules have changed.
pub(super) fn notify_schedulers(runtime: &Runtime) {
    runtime.schedules.wake();
    runtime.notify_others(Hint::for_queue(SCHEDULES));
}

fn unknown(name: &str, known: Vec<ScheduleRow>) -> Error {
    unknown_name("schedule", name, known.into_iter().map(|it| it.name))
}

fn schedule_info(row: ScheduleRow, now: Timestamp) -> ScheduleInfo {
    let last_tick = row.last_tick.to_date();
    let next = || {
        let times = CronSchedule::parse(&row.cron, &row.timezone).ok()?;
        let next = times.next_after(last_tick)?;
        // Missed ticks are not started later, unless the policy is `All`.
        let is_missed =
            row.misfire != Misfire::All.as_str() && Timestamp::from_date(next) < now.saturating_sub(MISFIRE_GRACE);
        if is_missed { times.next_after(now.to_date()) } else { Some(next) }
    };
    ScheduleInfo {
        next_tick: next().filter(|_| !row.paused),
        last_tick,
        name: row.name,
        workflow: row.workflow,
        instance: row.instance,
        cron: row.cron,
        timezone: row.timezone,
        in_code: row.in_code,
        paused: row.paused,
    }
}
