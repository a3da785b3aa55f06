//! Schedules: workflows that are started by the calendar, from the code and at run time.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use crate::journal::context::Context as Here;
use crate::journal::current_engine;
use crate::operations::admin::failed_to;
use crate::operations::call::{Call, CallOptions, delegate_to_call};
use crate::operations::schedule_spec::{MISFIRE_GRACE, ScheduleSpec, start_now, start_tick};
use crate::operations::workflow_call::WorkflowCall;
use crate::registry::{Misfire, Overlap};
use crate::runtime::Runtime;
use crate::runtime::pending_notifications::SCHEDULES;
use crate::store::{Hint, ScheduleChange, ScheduleRow};
use crate::types::cron::CronSchedule;
use crate::types::error::{Error, ErrorKind, Result};
use crate::types::payload::PayloadError;
use crate::wait::clock::{from_date, to_date};

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
    /// Whether it stands in the code.
    pub in_code: bool,
    /// Whether it does not fire for the time being.
    pub paused: bool,
    /// The last tick that was dealt with, or when the schedule was made.
    pub last_tick: DateTime<Utc>,
    /// The next tick to come; `None` if it is paused, or there is none before 2101.
    pub next_tick: Option<DateTime<Utc>>,
}

impl<T, E> WorkflowCall<T, E>
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    /// Makes a schedule that starts this workflow, with these arguments (and on this instance, if it is
    /// a method), whenever the crontab expression says so. One of the same name is replaced; if its
    /// expression or its zone is another one, the new one counts from now on.
    ///
    /// Five fields as in crontab(5), or six with seconds first, in UTC unless
    /// [`timezone`](ScheduleCall::timezone) says otherwise. The options of the call (queue, timeout)
    /// are not part of the schedule; those of the workflow's attribute count.
    ///
    /// # Errors
    /// The expression or the zone does not read, or is never due; the name is that of a schedule in the
    /// code, or too long for the ids of its workflows (`<name>@<moment>`); the arguments cannot be
    /// written, or are too large; it is awaited in the body of a workflow, where it is not recorded: move
    /// it into a step. No engine runs, or the database cannot be reached.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # use durable_core as durable;
    /// # use durable::WorkflowCall;
    /// # fn report(of: &str) -> WorkflowCall<String> { unimplemented!() }
    /// # async fn example() -> durable::Result<()> {
    /// report("sales").schedule("nightly-sales", "30 2 * * MON-FRI").timezone("Europe/Warsaw").await?;
    /// durable::pause_schedule("nightly-sales").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn schedule(self, name: impl Into<String>, cron: impl Into<String>) -> ScheduleCall {
        let target = self.call.into_options().map(|options| {
            let request = options.request;
            ScheduleTarget { workflow: request.workflow.name, input: request.input, instance: request.instance }
        });
        let options = ScheduleOptions {
            name: name.into(),
            cron: cron.into(),
            target,
            timezone: "UTC".to_owned(),
            misfire: Misfire::Skip,
            overlap: Overlap::Allow,
        };
        ScheduleCall { call: Call::new(options) }
    }
}

/// A schedule that is to be made. Given by [`WorkflowCall::schedule`].
#[must_use = "no schedule is made until it is awaited"]
pub struct ScheduleCall {
    call: Call<'static, ScheduleOptions, Result<()>>,
}

struct ScheduleOptions {
    name: String,
    cron: String,
    /// `None` if the workflow's call had been awaited before.
    target: Option<ScheduleTarget>,
    timezone: String,
    misfire: Misfire,
    overlap: Overlap,
}

/// The workflow that is started, with its arguments.
struct ScheduleTarget {
    workflow: &'static str,
    input: std::result::Result<String, PayloadError>,
    instance: Option<String>,
}

impl ScheduleCall {
    /// The time zone in which the expression is read, by its name in the tz database: `Europe/Warsaw`.
    pub fn timezone(self, timezone: impl Into<String>) -> Self {
        let timezone = timezone.into();
        self.with(|options| options.timezone = timezone)
    }

    /// What becomes of ticks at which no process was there. They are skipped without this.
    pub fn misfire(self, misfire: Misfire) -> Self {
        self.with(|options| options.misfire = misfire)
    }

    /// Whether a tick is started while the one before still runs. It is without this.
    pub fn overlap(self, overlap: Overlap) -> Self {
        self.with(|options| options.overlap = overlap)
    }

    fn with(mut self, change: impl FnOnce(&mut ScheduleOptions)) -> Self {
        self.call.set(change);
        self
    }
}

impl CallOptions<'static> for ScheduleOptions {
    type Output = Result<()>;

    async fn run(self: Box<Self>) -> Result<()> {
        Here::refuse_unrecorded("a schedule")?;
        let runtime = current_engine::engine()?;
        let Some(ScheduleTarget { workflow, input, instance }) = self.target else {
            return Err(Error::new(
                ErrorKind::Misuse,
                "this call was awaited already, and has no arguments left to schedule",
            ));
        };
        let input = input.map_err(|fault| {
            Error::new(ErrorKind::Payload, format!("the workflow `{workflow}` cannot be scheduled: {fault}"))
        })?;
        runtime.check_size(|| format!("the arguments of the workflow `{workflow}`"), input.len())?;
        let row = ScheduleRow {
            name: self.name,
            workflow: workflow.to_owned(),
            cron: self.cron,
            timezone: self.timezone,
            misfire: self.misfire.as_str().to_owned(),
            overlap: self.overlap.as_str().to_owned(),
            input: Some(input),
            instance,
            in_code: false,
            paused: false,
            last_tick: 0,
        };
        ScheduleSpec::check(&row)?;
        let rows = [row];
        let stored = runtime.store.upsert_schedules(&rows).await;
        if stored.map_err(|error| failed_to(&runtime, "make a schedule", &error))? == 0 {
            return Err(in_code(&runtime, &rows[0].name));
        }
        notify_schedulers(&runtime);
        Ok(())
    }
}

/// All schedules, those in the code and those made at run time, by name.
///
/// # Errors
/// No engine runs, or the database cannot be reached.
pub async fn list_schedules() -> Result<Vec<ScheduleInfo>> {
    list(&*current_engine::engine()?).await
}

pub(crate) async fn list(runtime: &Runtime) -> Result<Vec<ScheduleInfo>> {
    let now = runtime.timers.clock.lower_bound();
    Ok(rows(runtime).await?.into_iter().map(|row| schedule_info(row, now)).collect())
}

/// Stops a schedule from starting workflows until it is [resumed](resume_schedule). Ticks that are
/// missed meanwhile are not made up for.
///
/// # Errors
/// There is no schedule of this name; it is called in the body of a workflow, where it is not
/// recorded: move it into a step. No engine runs, or the database cannot be reached.
pub async fn pause_schedule(name: impl AsRef<str>) -> Result<()> {
    change(&*current_engine::engine()?, name.as_ref(), ScheduleChange::Pause).await
}

/// Resumes a paused schedule: the next tick is the first one after this call.
///
/// # Errors
/// There is no schedule of this name; it is called in the body of a workflow, where it is not
/// recorded: move it into a step. No engine runs, or the database cannot be reached.
pub async fn resume_schedule(name: impl AsRef<str>) -> Result<()> {
    change(&*current_engine::engine()?, name.as_ref(), ScheduleChange::Resume).await
}

/// Deletes a schedule. The next launch makes one that is in the code again: pause it instead.
///
/// # Errors
/// There is no schedule of this name; it is called in the body of a workflow, where it is not
/// recorded: move it into a step. No engine runs, or the database cannot be reached.
pub async fn delete_schedule(name: impl AsRef<str>) -> Result<()> {
    change(&*current_engine::engine()?, name.as_ref(), ScheduleChange::Delete).await
}

/// Starts a schedule's workflow now, also if the schedule is paused, and returns the workflow's id.
///
/// # Errors
/// The schedule has [`Overlap::Skip`] and the workflow of another tick has not ended; it is called in
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
/// [`Overlap::Skip`] a tick is left out, and not counted, while the workflow of another one has not
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
    let mut from = from_date(from);
    loop {
        // The schedule is read again for each batch, so that deleting it ends the backfill.
        let runtime = current_engine::accepting(Arc::clone(runtime))?;
        let spec = schedule_spec(&runtime, name).await?;
        let ticks = std::iter::successors(spec.next_after(from - 1), |tick| spec.next_after(*tick));
        let batch: Vec<i64> = ticks.take_while(|tick| *tick < from_date(to)).take(BACKFILL_BATCH).collect();
        for tick in &batch {
            count += u64::from(start_tick(&runtime, &spec, *tick).await?);
        }
        match batch.last() {
            Some(last) => from = last + 1,
            None => return Ok(count),
        }
    }
}

/// A name that stands in the code: the next launch would take the place back.
fn in_code(runtime: &Runtime, name: &str) -> Error {
    let is_here = runtime.registry.schedules().iter().any(|it| it.workflow.name == name);
    let or = if is_here { "" } else { ", or delete it if no version of the program has it any more" };
    Error::new(
        ErrorKind::Config,
        format!("the schedule {name:?} is one in the code, with #[scheduled]; choose another name{or}"),
    )
}

async fn rows(runtime: &Runtime) -> Result<Vec<ScheduleRow>> {
    runtime.store.schedules().await.map_err(|error| failed_to(runtime, "read the schedules", &error))
}

async fn schedule_spec(runtime: &Arc<Runtime>, name: &str) -> Result<ScheduleSpec> {
    let row = rows(runtime).await?.into_iter().find(|it| it.name == name).ok_or_else(|| unknown(name))?;
    let workflow = row.workflow.clone();
    ScheduleSpec::from_row(runtime, row)?.ok_or_else(|| {
        let missing = match runtime.registry.get(&workflow) {
            None => "which this program does not have",
            Some(_) => "which has no #[scheduled] in this program; if no other version has one, delete the schedule",
        };
        Error::new(ErrorKind::Registry, format!("the schedule {name:?} starts the workflow `{workflow}`, {missing}"))
    })
}

pub(crate) async fn change(runtime: &Runtime, name: &str, change: ScheduleChange) -> Result<()> {
    Here::refuse_unrecorded("a change of a schedule")?;
    let changed = runtime.store.change_schedule(name, change).await;
    if !changed.map_err(|error| failed_to(runtime, "change a schedule", &error))? {
        return Err(unknown(name));
    }
    notify_schedulers(runtime);
    Ok(())
}

/// Notifies the schedulers of all processes that the schedules have changed.
fn notify_schedulers(runtime: &Runtime) {
    runtime.schedules.wake();
    runtime.notify_others(Hint::for_queue(SCHEDULES));
}

fn unknown(name: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("no schedule has the name {name:?}"))
}

fn schedule_info(row: ScheduleRow, now: i64) -> ScheduleInfo {
    let last_tick = to_date(row.last_tick);
    let next = || {
        let times = CronSchedule::parse(&row.cron, &row.timezone).ok()?;
        let next = times.next_after(last_tick)?;
        // What was missed is not to come, unless all of it is made up for.
        let is_missed = row.misfire != Misfire::All.as_str() && from_date(next) < now - MISFIRE_GRACE;
        if is_missed { times.next_after(to_date(now)) } else { Some(next) }
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

/// A tick as it stands in an id.
pub(super) fn tick_text(tick: i64) -> String {
    to_date(tick).to_rfc3339_opts(SecondsFormat::Secs, true)
}

impl fmt::Debug for ScheduleOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, {:?}", self.name, self.cron)
    }
}

delegate_to_call!("ScheduleCall", [] ScheduleCall => Result<()>, [] ScheduleCall);
