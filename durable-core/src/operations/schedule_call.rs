//! `WorkflowCall::schedule`: creating a schedule at run time.

use std::fmt;
use std::sync::Arc;

use crate::journal::context::Context as Here;
use crate::journal::current_engine;
use crate::operations::admin::failed_to;
use crate::operations::call::{Call, CallOptions, delegate_to_call};
use crate::operations::schedule_admin::notify_schedulers;
use crate::operations::schedule_spec::ScheduleSpec;
use crate::operations::workflow_call::WorkflowCall;
use crate::registry::{Misfire, Overlap, Workflow};
use crate::runtime::Runtime;
use crate::store::ScheduleRow;
use crate::types::error::{Error, ErrorKind, Result};
use crate::types::payload::PayloadError;
use crate::types::time::{Timestamp, micros};

impl<T, E> WorkflowCall<T, E>
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    /// Creates a schedule that starts this workflow, with these arguments (and on this instance, if it is
    /// a method), at the times of the crontab expression. A schedule of the same name is replaced; if its
    /// expression or time zone changes, the first tick is the first one after this call.
    ///
    /// The expression has five fields as in crontab(5), or six with seconds first. It is read in UTC, or
    /// in the zone of [`timezone`](ScheduleCall::timezone). The options of the call (queue, timeout)
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

/// A schedule that is to be created. Given by [`WorkflowCall::schedule`].
#[must_use = "no schedule is created until it is awaited"]
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

    /// What to do about ticks at which no process was running. They are skipped by default.
    pub fn misfire(self, misfire: Misfire) -> Self {
        self.with(|options| options.misfire = misfire)
    }

    /// Whether a tick starts while the workflow of an earlier one still runs. It does by default.
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
        let input = input.map_err(|error| {
            Error::new(ErrorKind::Payload, format!("the workflow `{workflow}` cannot be scheduled: {error}"))
        })?;
        runtime.check_size(|| format!("the arguments of the workflow `{workflow}`"), input.len())?;
        runtime.registry.get(workflow).map_or(Ok(()), Workflow::check_schedulable)?;
        let options = runtime.registry.get(workflow).map(|it| it.options);
        let row = ScheduleRow {
            name: self.name,
            workflow: workflow.to_owned(),
            cron: self.cron,
            timezone: self.timezone,
            misfire: self.misfire.as_str().to_owned(),
            overlap: self.overlap.as_str().to_owned(),
            input: Some(input),
            queue: options.and_then(|it| it.queue).map(|it| it.name().to_owned()),
            timeout: options.and_then(|it| it.timeout).map(micros),
            instance,
            in_code: false,
            paused: false,
            last_tick: Timestamp::UNIX_EPOCH,
        };
        ScheduleSpec::check(&row)?;
        let task_runtime = Arc::clone(&runtime);
        let call = async move {
            let rows = [row];
            let stored = task_runtime.store.upsert_schedules(&rows).await;
            if stored.map_err(|error| failed_to(&task_runtime, "make a schedule", &error))? == 0 {
                return Err(in_code(&task_runtime, &rows[0].name));
            }
            notify_schedulers(&task_runtime);
            Ok(())
        };
        runtime.finish_call(call).await
    }
}

/// The name of a schedule in the code, which the next launch would create again.
fn in_code(runtime: &Runtime, name: &str) -> Error {
    let is_here = runtime.registry.schedules().iter().any(|it| it.workflow.name == name);
    let or = if is_here { "" } else { ", or delete it if no version of the program has it any more" };
    Error::new(
        ErrorKind::Config,
        format!("the schedule {name:?} is one in the code, with #[scheduled]; choose another name{or}"),
    )
}

impl fmt::Debug for ScheduleOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, {:?}", self.name, self.cron)
    }
}

delegate_to_call!("ScheduleCall", [] ScheduleCall => Result<()>, [] ScheduleCall);
