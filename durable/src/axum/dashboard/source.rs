//! What a dashboard shows: the database of an engine, or that of a client.

use chrono::{DateTime, Utc};
use durable_core::Result;

use crate::{
    Bulk, Client, CurrentActivity, Durable, EnginePhase, EventInfo, Filter, ForkCall, ForkFrom, GroupBy, History,
    ListedExecutor, MessageInfo, Page, Position, QueueInfo, QueueLimits, ScheduleInfo, StepInfo, StreamItemInfo,
    ThroughputBucket, UntakenWork, VersionInfo, WorkflowCounts, WorkflowInfo,
};

/// What a [dashboard](super::dashboard) shows: the database of a [`Durable`] or of a [`Client`]. It is made from either.
#[derive(Debug, Clone)]
pub struct DashboardSource(Handle);

#[derive(Debug, Clone)]
enum Handle {
    Engine(Durable),
    Client(Client),
}

macro_rules! from_handle {
    ($handle:ident => $variant:ident) => {
        impl From<$handle> for DashboardSource {
            fn from(handle: $handle) -> Self {
                Self(Handle::$variant(handle))
            }
        }

        impl From<&$handle> for DashboardSource {
            fn from(handle: &$handle) -> Self {
                Self(Handle::$variant(handle.clone()))
            }
        }
    };
}

from_handle!(Durable => Engine);
from_handle!(Client => Client);

/// Declares methods that both handles have.
macro_rules! of_both {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $answer:ty;)*) => {
        $(pub(super) async fn $name(&self, $($argument: $kind),*) -> Result<$answer> {
            match &self.0 {
                Handle::Engine(it) => it.$name($($argument),*).await,
                Handle::Client(it) => it.$name($($argument),*).await,
            }
        })*
    };
}

impl DashboardSource {
    /// What a workflow does now, if the engine of this process runs it.
    pub(super) fn activities(&self, id: &str) -> Vec<CurrentActivity> {
        match &self.0 {
            Handle::Engine(it) => it.activities(id),
            Handle::Client(_) => Vec::new(),
        }
    }

    of_both! {
        list_workflows(filter: Filter) -> Page<WorkflowInfo>;
        count_workflows(filter: Filter, group: GroupBy) -> WorkflowCounts;
        workflow(id: &str) -> Option<WorkflowInfo>;
        list_step_positions(id: &str) -> Vec<Position>;
        list_steps_at(id: &str, positions: &[Position]) -> Vec<StepInfo>;
        list_events(id: &str) -> Vec<EventInfo>;
        list_messages(id: &str) -> Vec<MessageInfo>;
        list_stream_items(id: &str, stream: Option<&str>, limit: u32, offset: u32) -> Vec<StreamItemInfo>;
        export_workflow(id: &str) -> History;
        list_queues() -> Vec<QueueInfo>;
        list_schedules() -> Vec<ScheduleInfo>;
        list_executors() -> Vec<ListedExecutor>;
        list_untaken_work() -> Vec<UntakenWork>;
        versions() -> Vec<VersionInfo>;
        database_time() -> DateTime<Utc>;
        throughput(from: DateTime<Utc>, length: std::time::Duration, stretches: u32) -> Vec<ThroughputBucket>;
        resume_workflow(id: &str) -> ();
        delete_workflow(id: &str) -> u64;
        set_labels(id: &str, labels: Vec<(String, String)>) -> ();
        set_priority(id: &str, priority: i32) -> ();
        set_delay(id: &str, delay: std::time::Duration) -> ();
        move_to_queue(id: &str, queue: &str) -> ();
        pause_queue(name: &str) -> ();
        resume_queue(name: &str) -> ();
        set_queue_limits(name: &str, limits: QueueLimits) -> ();
        pause_schedule(name: &str) -> ();
        resume_schedule(name: &str) -> ();
        trigger_schedule(name: &str) -> String;
        backfill_schedule(name: &str, from: DateTime<Utc>, to: DateTime<Utc>) -> u64;
    }

    pub(super) async fn cancel_workflow(&self, id: &str, children: bool) -> Result<()> {
        let call = match &self.0 {
            Handle::Engine(it) => it.cancel_workflow(id),
            Handle::Client(it) => it.cancel_workflow(id),
        };
        if children { call.cancel_children().await } else { call.await }
    }

    pub(super) fn restart_workflow(&self, id: &str) -> ForkCall {
        match &self.0 {
            Handle::Engine(it) => it.restart_workflow(id),
            Handle::Client(it) => it.restart_workflow(id),
        }
    }

    pub(super) fn fork_workflow(&self, id: &str, from: ForkFrom) -> ForkCall {
        match &self.0 {
            Handle::Engine(it) => it.fork_workflow(id, from),
            Handle::Client(it) => it.fork_workflow(id, from),
        }
    }

    pub(super) fn bulk(&self, filter: Filter) -> Bulk {
        match &self.0 {
            Handle::Engine(it) => it.bulk(filter),
            Handle::Client(it) => it.bulk(filter),
        }
    }

    /// The name of the application, of an engine.
    pub(super) fn application(&self) -> Option<&str> {
        match &self.0 {
            Handle::Engine(it) => Some(it.name()),
            Handle::Client(_) => None,
        }
    }

    /// Where the database is, without the password.
    pub(super) fn location(&self) -> String {
        match &self.0 {
            Handle::Engine(it) => it.location().to_string(),
            Handle::Client(it) => it.location().to_string(),
        }
    }

    pub(super) fn schema_version(&self) -> i64 {
        match &self.0 {
            Handle::Engine(it) => it.schema_version(),
            Handle::Client(it) => it.schema_version(),
        }
    }

    /// How this process learns of what others write.
    pub(super) fn notifications(&self) -> &'static str {
        let is_listening = match &self.0 {
            Handle::Engine(it) => it.is_listening(),
            Handle::Client(it) => it.is_listening(),
        };
        if is_listening { "listen" } else { "poll" }
    }

    /// Whether the engine is shutting down.
    pub(super) fn is_ending(&self) -> bool {
        matches!(&self.0, Handle::Engine(it) if it.phase() > EnginePhase::Running)
    }

    /// Returns once the engine begins to shut down. That of a client does not return.
    pub(super) async fn ending(&self) {
        match &self.0 {
            Handle::Engine(it) => it.wait_for_phase(EnginePhase::Quiesced).await,
            Handle::Client(_) => std::future::pending().await,
        }
    }
}
