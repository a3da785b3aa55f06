//! A schedule that this program can carry out: when its ticks are, and how one is started.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use uuid::Uuid;

use crate::operations::admin::failed_to;
use crate::operations::enqueue_call::EnqueueCall;
use crate::operations::start::{Limit, StartRequest, internal, of_queue};
use crate::registry::{Misfire, Overlap, Schedule, Workflow};
use crate::runtime::Runtime;
use crate::store::{ScheduleChange, ScheduleRow};
use crate::types::cron::CronSchedule;
use crate::types::error::{Error, ErrorKind, Result};
use crate::types::id::check_id;
use crate::types::time::Timestamp;

/// How late a tick may be and still count as on time: a process that is launched just after a tick has not
/// missed it.
pub(crate) const MISFIRE_GRACE: Duration = Duration::from_secs(10);

/// A schedule that this program can carry out.
#[derive(Debug)]
pub(crate) struct ScheduleSpec {
    row: ScheduleRow,
    /// The workflow; `None` in a client, which starts it by its name.
    workflow: Option<&'static Workflow>,
    /// The schedule in the code, if it is one: its workflow takes the two times.
    in_code: Option<&'static Schedule>,
    times: CronSchedule,
    misfire: Misfire,
    overlap: Overlap,
}

impl ScheduleSpec {
    /// Refuses what could not be carried out.
    pub(crate) fn check(row: &ScheduleRow) -> Result<CronSchedule> {
        check_id("the schedule's name", &row.name)?;
        // The ids of its workflows begin with the name: see `start_tick` and `started_by_hand`.
        let longest = format!("{}@{}+{}", row.name, tick_text(Timestamp::UNIX_EPOCH), Uuid::nil().simple());
        check_id("an id of the schedule's workflows (its name, `@`, the tick, and more)", &longest)?;
        CronSchedule::parse(&row.cron, &row.timezone).map_err(|error| {
            Error::new(ErrorKind::Config, format!("the schedule {:?} cannot be kept: {error}", row.name))
        })
    }

    /// The schedule of a row; `None` if this program does not have its workflow.
    pub(crate) fn from_row(runtime: &Runtime, row: ScheduleRow) -> Result<Option<Self>> {
        let times = Self::check(&row)?;
        let workflow = runtime.registry.get(&row.workflow);
        if workflow.is_none() && !runtime.settings.is_client {
            return Ok(None);
        }
        let in_code =
            runtime.registry.schedules().iter().copied().find(|it| row.in_code && it.workflow.name == row.workflow);
        if row.in_code && in_code.is_none() && !runtime.settings.is_client {
            return Ok(None); // another version of the program has it
        }
        let misfire = Misfire::parse(&row.misfire).unwrap_or_default();
        let overlap = Overlap::parse(&row.overlap).unwrap_or_default();
        Ok(Some(Self { row, workflow, in_code, times, misfire, overlap }))
    }

    pub(crate) fn name(&self) -> &str {
        &self.row.name
    }

    /// Keeps a tick from being started while the workflow of another one has not ended.
    fn deduplication_id(&self) -> String {
        format!("schedule:{}", self.row.name)
    }

    /// The last tick that was handled.
    pub(crate) fn last_tick(&self) -> Timestamp {
        self.row.last_tick
    }

    /// Whether it has the same ticks.
    pub(crate) fn has_same_ticks(&self, other: &Self) -> bool {
        let of = |row: &ScheduleRow| (row.name.clone(), row.cron.clone(), row.timezone.clone());
        of(&self.row) == of(&other.row)
    }

    /// The policy for missed ticks.
    pub(crate) fn misfire(&self) -> Misfire {
        self.misfire
    }

    /// The first tick after a moment.
    pub(crate) fn next_after(&self, moment: Timestamp) -> Option<Timestamp> {
        self.times.next_after(moment.to_date()).map(Timestamp::from_date)
    }
}

/// Every schedule that this program can carry out and that is not paused.
pub(crate) async fn load_specs(runtime: &Runtime) -> Result<Vec<ScheduleSpec>> {
    let rows = runtime.store.schedules().await.map_err(|error| failed_to(runtime, "read the schedules", &error))?;
    let mut specs = Vec::new();
    for row in rows.into_iter().filter(|it| !it.paused) {
        match ScheduleSpec::from_row(runtime, row) {
            Ok(spec) => specs.extend(spec),
            Err(error) => tracing::error!(target: "durable", %error, "a schedule is left out"),
        }
    }
    Ok(specs)
}

/// What a start of a tick has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TickStart {
    /// This call has started its workflow.
    Started,
    /// Its workflow was started before.
    Existed,
    /// It has no workflow: the schedule skips ticks while the workflow of another one has not ended.
    Skipped,
}

/// Starts a tick, unless it was started already.
pub(crate) async fn start_tick(runtime: &Arc<Runtime>, spec: &ScheduleSpec, tick: Timestamp) -> Result<TickStart> {
    let id = format!("{}@{}", spec.row.name, tick_text(tick));
    match start(runtime, spec, id, tick.to_date()).await {
        Ok((_, true)) => Ok(TickStart::Started),
        Ok((_, false)) => Ok(TickStart::Existed),
        Err(error) if error.kind() == ErrorKind::Duplicate => Ok(TickStart::Skipped),
        Err(error) => Err(error),
    }
}

/// Records that a tick was handled.
pub(crate) async fn record_tick(runtime: &Runtime, spec: &ScheduleSpec, tick: Timestamp) -> Result<()> {
    let fired = runtime.store.change_schedule(&spec.row.name, ScheduleChange::Fired(tick)).await;
    fired.map(drop).map_err(|error| failed_to(runtime, "note a tick", &error))
}

/// Starts the workflow now, in addition to the ticks of the schedule.
pub(super) async fn start_now(runtime: &Arc<Runtime>, spec: &ScheduleSpec) -> Result<String> {
    let now = runtime.timers.clock.now();
    let id = format!("{}@{}+{}", spec.row.name, tick_text(Timestamp::from_date(now)), Uuid::now_v7().simple());
    start(runtime, spec, id, now).await.map(|(id, _)| id).map_err(|error| {
        if error.kind() != ErrorKind::Duplicate {
            return error;
        }
        let earlier = error.workflow_id().unwrap_or_default();
        let message = format!(
            "the schedule {:?} was not triggered: it has `overlap = \"skip\"`, and its workflow {earlier:?} has not ended",
            spec.row.name
        );
        Error::new(ErrorKind::Duplicate, message).with_workflow(earlier)
    })
}

/// Gives the id, and whether this call has started the workflow.
async fn start(
    runtime: &Arc<Runtime>,
    spec: &ScheduleSpec,
    id: String,
    scheduled: DateTime<Utc>,
) -> Result<(String, bool)> {
    let Some(workflow) = spec.workflow else {
        return start_by_name(runtime, spec, id, scheduled).await.map(|id| (id, true));
    };
    let input = match (spec.in_code, &spec.row.input) {
        (Some(schedule), _) => (schedule.arguments)(&scheduled, &runtime.timers.clock.now()).into_text(),
        (None, Some(input)) => Ok(input.clone()),
        (None, None) => Ok("{}".to_owned()),
    };
    let mut placement = workflow.options.queue.map(of_queue);
    if spec.overlap == Overlap::Skip {
        placement.get_or_insert_with(internal).deduplication_id = Some(spec.deduplication_id());
    }
    let request = StartRequest {
        workflow,
        input,
        id: Some(id),
        instance: spec.row.instance.clone(),
        limit: Limit::Inherited,
        placement,
        needs_partition: false, // a schedule of a workflow on such a queue is refused
        or_existing: false,
        labels: BTreeMap::new(),
        started_by: None,
    };
    request.start_outside(Arc::clone(runtime)).await.map(|it| (it.id, it.is_new))
}

/// Starts the workflow from a client, which has neither its function nor its attribute.
async fn start_by_name(
    runtime: &Arc<Runtime>,
    spec: &ScheduleSpec,
    id: String,
    scheduled: DateTime<Utc>,
) -> Result<String> {
    let row = &spec.row;
    let mut input = row.input.clone().unwrap_or_else(|| "{}".to_owned());
    if row.in_code {
        for (placeholder, time) in [(ScheduleRow::TICK, scheduled), (ScheduleRow::START, runtime.timers.clock.now())] {
            let text = |time: &DateTime<Utc>| serde_json::json!(time).to_string();
            input = input.replace(&text(&placeholder.to_date()), &text(&time));
        }
    }
    let mut call = EnqueueCall::with_input(runtime, row.workflow.clone(), input).id(id);
    if let Some(queue) = &row.queue {
        call = call.queue(queue);
    }
    if let Some(timeout) = row.timeout.and_then(|it| u64::try_from(it).ok()) {
        call = call.timeout(Duration::from_micros(timeout));
    }
    if let Some(instance) = &row.instance {
        call = call.instance(instance);
    }
    if spec.overlap == Overlap::Skip {
        call = call.deduplicate(spec.deduplication_id());
    }
    call.await.map(|handle| handle.id().to_owned())
}

/// A tick as a part of a workflow id.
fn tick_text(tick: Timestamp) -> String {
    tick.to_date().to_rfc3339_opts(SecondsFormat::Secs, true)
}
