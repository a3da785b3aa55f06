//! Schedules: workflows that are started by the calendar, from the code and at run time.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use chrono::{DateTime, SecondsFormat, Utc};

use crate::journal::context::Context as Here;
use crate::journal::current_engine;
use crate::operations::admin::failed_to;
use crate::operations::call_state::CallState;
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

/// How many ticks a backfill starts before it looks whether the schedule is still there.
const AT_A_TIME: usize = 100;

/// A schedule, as the database has it.
#[derive(Debug, Clone)]
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
    pub fn schedule(mut self, name: impl Into<String>, cron: impl Into<String>) -> ScheduleCall {
        let made = self.state.made().map(|made| {
            let request = &made.request;
            ScheduledCall {
                workflow: request.workflow.name,
                input: request.input.clone(),
                instance: request.instance.clone(),
            }
        });
        let (name, cron) = (name.into(), cron.into());
        let made = ScheduleRequest {
            name,
            cron,
            call: made,
            timezone: "UTC".to_owned(),
            misfire: Misfire::Skip,
            overlap: Overlap::Allow,
        };
        ScheduleCall { state: CallState::new(made) }
    }
}

/// A schedule that is to be made. Given by [`WorkflowCall::schedule`].
#[must_use = "no schedule is made until it is awaited"]
pub struct ScheduleCall {
    state: CallState<'static, ScheduleRequest, Result<()>>,
}

struct ScheduleRequest {
    name: String,
    cron: String,
    call: Option<ScheduledCall>,
    timezone: String,
    misfire: Misfire,
    overlap: Overlap,
}

/// What is to be called.
struct ScheduledCall {
    workflow: &'static str,
    input: std::result::Result<String, PayloadError>,
    instance: Option<String>,
}

impl ScheduleCall {
    /// The time zone in which the expression is read, by its name in the tz database: `Europe/Warsaw`.
    pub fn timezone(self, timezone: impl Into<String>) -> Self {
        let timezone = timezone.into();
        self.with(|made| made.timezone = timezone)
    }

    /// What becomes of ticks at which no process was there. They are skipped without this.
    pub fn misfire(self, misfire: Misfire) -> Self {
        self.with(|made| made.misfire = misfire)
    }

    /// Whether a tick is started while the one before still runs. It is without this.
    pub fn overlap(self, overlap: Overlap) -> Self {
        self.with(|made| made.overlap = overlap)
    }

    fn with(mut self, change: impl FnOnce(&mut ScheduleRequest)) -> Self {
        if let Some(made) = self.state.made() {
            change(made);
        }
        self
    }
}

impl ScheduleRequest {
    async fn run(self: Box<Self>) -> Result<()> {
        Here::refuse_unrecorded("a schedule")?;
        let runtime = current_engine::engine()?;
        let Some(ScheduledCall { workflow, input, instance }) = self.call else {
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
        tell(&runtime);
        Ok(())
    }
}

impl Future for ScheduleCall {
    type Output = Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.state.poll(cx, |made| Box::pin(made.run()))
    }
}

impl fmt::Debug for ScheduleCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScheduleCall")
    }
}

/// All schedules, those of the code and those made at run time, by name.
///
/// # Errors
/// No engine runs, or the database cannot be reached.
pub async fn list_schedules() -> Result<Vec<ScheduleInfo>> {
    let runtime = current_engine::engine()?;
    let now = runtime.timers.clock.lower_bound();
    Ok(rows(&runtime).await?.into_iter().map(|row| shown(row, now)).collect())
}

/// Lets a schedule not fire until it is resumed. What is missed meanwhile stays missed.
///
/// # Errors
/// There is no schedule of this name; no engine runs, or the database cannot be reached.
pub async fn pause_schedule(name: impl AsRef<str>) -> Result<()> {
    change(name.as_ref(), ScheduleChange::Pause).await
}

/// Lets a paused schedule fire again, from now on.
///
/// # Errors
/// There is no schedule of this name; no engine runs, or the database cannot be reached.
pub async fn resume_schedule(name: impl AsRef<str>) -> Result<()> {
    change(name.as_ref(), ScheduleChange::Resume).await
}

/// Deletes a schedule. One that stands in the code is there again after the next launch: pause it instead.
///
/// # Errors
/// There is no schedule of this name; no engine runs, or the database cannot be reached.
pub async fn delete_schedule(name: impl AsRef<str>) -> Result<()> {
    change(name.as_ref(), ScheduleChange::Delete).await
}

/// Starts a schedule's workflow now, whatever the calendar says and also if it is paused, and gives
/// the workflow's id.
///
/// # Errors
/// The schedule leaves out ticks while another one is not over ([`Overlap::Skip`]), and one is not;
/// it is called in the body of a workflow, where it is not recorded: move it into a step. There is no schedule of this name, or this program does not have its workflow; no engine runs, or
/// the database cannot be reached.
pub async fn trigger_schedule(name: impl AsRef<str>) -> Result<String> {
    Here::refuse_unrecorded("trigger_schedule")?;
    let runtime = current_engine::accepting_engine()?;
    let plan = plan(&runtime, name.as_ref()).await?;
    start_now(&runtime, &plan).await
}

/// Starts every tick of a schedule from one moment (inclusive) to another (exclusive), and gives how
/// many of them have a workflow now. A tick that was started already is not started again; with
/// [`Overlap::Skip`] those are left out, and not counted, that come while another one is not over: call
/// it again when that has ended. The calendar goes on as before: what lies in the future is started now,
/// and not once more when its time has come.
///
/// # Errors
/// The schedule is deleted meanwhile; it is called in the body of a workflow, where it is not recorded:
/// move it into a step. There is no schedule of this name, or this program does not have its workflow; no engine runs, or
/// the database cannot be reached.
pub async fn backfill_schedule(name: impl AsRef<str>, from: DateTime<Utc>, to: DateTime<Utc>) -> Result<u64> {
    Here::refuse_unrecorded("backfill_schedule")?;
    let mut count = 0;
    let mut from = from_date(from);
    loop {
        // It is asked for now and then: whoever has deleted it does not want the rest.
        let runtime = current_engine::accepting_engine()?;
        let plan = plan(&runtime, name.as_ref()).await?;
        let ticks = std::iter::successors(plan.next_after(from - 1), |tick| plan.next_after(*tick));
        let some: Vec<i64> = ticks.take_while(|tick| *tick < from_date(to)).take(AT_A_TIME).collect();
        for tick in &some {
            count += u64::from(start_tick(&runtime, &plan, *tick).await?);
        }
        match some.last() {
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

async fn plan(runtime: &Arc<Runtime>, name: &str) -> Result<ScheduleSpec> {
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

async fn change(name: &str, change: ScheduleChange) -> Result<()> {
    Here::refuse_unrecorded("a change of a schedule")?;
    let runtime = current_engine::engine()?;
    let changed = runtime.store.change_schedule(name, change).await;
    if !changed.map_err(|error| failed_to(&runtime, "change a schedule", &error))? {
        return Err(unknown(name));
    }
    tell(&runtime);
    Ok(())
}

/// Tells every scheduler that the schedules have changed.
fn tell(runtime: &Runtime) {
    runtime.schedules.wake();
    runtime.notify_others(Hint::for_queue(SCHEDULES));
}

fn unknown(name: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("no schedule has the name {name:?}"))
}

fn shown(row: ScheduleRow, now: i64) -> ScheduleInfo {
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
