//! The state that all parts of a running engine share. The behavior is in the modules above.

pub(crate) mod activity;
pub(crate) mod blocking_steps;
pub(crate) mod call_tasks;
pub(crate) mod changes;
pub(crate) mod late_records;
pub(crate) mod lease;
#[cfg_attr(not(feature = "testing"), allow(dead_code, reason = "only tests have mocks"))]
pub(crate) mod mocks;
pub(crate) mod panics;
pub(crate) mod pending_notifications;
#[cfg(feature = "testing")]
pub(crate) mod rest;
pub(crate) mod running_workflows;
pub(crate) mod spawned_tasks;
pub(crate) mod step_threads;
pub(crate) mod stop_reason;

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{RwLock, Semaphore, watch};
use tokio::task::JoinHandle;

use crate::queue_state::LocalQueues;
use crate::registry::{Registry, Resources};
use crate::runtime::blocking_steps::BlockingSteps;
use crate::runtime::call_tasks::CallTasks;
use crate::runtime::late_records::LateRecords;
use crate::runtime::lease::Lease;
#[cfg(feature = "testing")]
use crate::runtime::mocks::Mocks;
use crate::runtime::pending_notifications::PendingNotifications;
#[cfg(feature = "testing")]
use crate::runtime::rest::Rest;
use crate::runtime::running_workflows::RunningWorkflows;
use crate::store::{ApplicationDatabase, Fence, Hint, KnownWorkflow, Store};
use crate::types::error::{Error, ErrorKind};
use crate::types::id::KeyMaker;
use crate::types::retention::Retention;
use crate::types::sync::{Mutex, lock};
use crate::types::trace_settings::TraceSettings;
use crate::types::version_policy::{DeployReport, VersionPolicy};
use crate::wait::shutdown_phase::ShutdownSignal;
use crate::wait::timers::Timers;
use crate::wait::waiters::Waiters;
use crate::wait::wakeup::Wakeup;
use crate::writer::Writer;

/// The largest number of panics that are kept for the report.
const MAX_PANICS: usize = 1_000;

/// The state that all parts of a running engine share.
#[derive(Debug)]
pub(crate) struct Runtime {
    /// The names and numbers that the builder was given.
    pub(crate) settings: Settings,
    /// The database. Executions write through the writer only.
    pub(crate) store: Arc<dyn Store>,
    /// The application's databases by name, for transactions.
    pub(crate) databases: HashMap<String, ApplicationDatabase>,
    /// The builder's `state` and instances, for workflows and steps.
    pub(crate) resources: Resources,
    /// The workflows of this program.
    pub(crate) registry: Registry,
    /// The phase of the engine.
    pub(crate) shutdown: ShutdownSignal,
    /// Makes the internal keys.
    pub(crate) keys: KeyMaker,
    /// Commits all entries, in batches.
    pub(crate) writer: Writer,
    /// The fence of new runs. It changes when the engine lost its lease and registered again;
    /// runs of the old fence are dropped then.
    pub(crate) fence: Mutex<Fence>,
    /// The lease of that fence, as this process knows it. No operation begins without it.
    pub(crate) lease: Lease,
    /// The workflows that run in this process.
    pub(crate) running: RunningWorkflows,
    /// The waits for messages, events, stream items and ends of workflows.
    pub(crate) waiters: Waiters,
    /// Notifications to send to other processes.
    pub(crate) notifications: PendingNotifications,
    /// The queues from which this engine claims workflows.
    pub(crate) queues: Arc<LocalQueues>,
    /// Wakes the scheduler after the schedules have changed.
    pub(crate) schedules: Wakeup,
    /// Held by a claim until its workflows run, so that none of them is taken for one without a task.
    pub(crate) claims: RwLock<()>,
    /// Wakes the recovery: an executor may have released workflows.
    pub(crate) released: Wakeup,
    /// Calls that are finished also if their caller is gone.
    pub(crate) calls: CallTasks,
    /// The runs with records that are not sent yet, for those whose body does not wait.
    pub(crate) late_records: LateRecords,
    /// Blocking steps, which run on threads that cannot be stopped.
    pub(crate) blocking_steps: BlockingSteps,
    /// Panics that are reported nowhere else, for the report of the shutdown.
    pub(crate) panics: Mutex<Vec<String>>,
    /// The waits for a time, and the database's clock.
    pub(crate) timers: Timers,
    /// How what is in flight matches the present code, once that is known.
    pub(crate) deploy_report: watch::Sender<Option<DeployReport>>,
    /// The tokio runtime on which `launch` was called. All executions run there.
    pub(crate) tokio: Handle,
    /// Whether its tasks have anything to do.
    #[cfg(feature = "testing")]
    pub(crate) rest: Arc<Rest>,
    /// One permit for each directly started workflow that may run at once; `None` is no limit. A
    /// child takes none, because its parent holds one while it waits. A workflow from a queue takes
    /// none either: its queue limits it.
    pub(crate) permits: Option<Arc<Semaphore>>,
    /// When the gauges were last read from the database.
    #[cfg(feature = "metrics")]
    pub(crate) gauges_read_at: tokio::sync::Mutex<Option<tokio::time::Instant>>,
    /// What a test has put in the place of steps.
    #[cfg(feature = "testing")]
    pub(crate) mocks: Mocks,
}

/// The numbers and names that the builder was given.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The application's name.
    pub(crate) name: String,
    /// The executor's name, for logs.
    pub(crate) executor: String,
    /// The program's version.
    pub(crate) version: String,
    /// Which workflows of other versions it runs.
    pub(crate) version_policy: VersionPolicy,
    /// Whether this is a client: it runs no workflows, has no row of an executor, and writes without a fence.
    pub(crate) is_client: bool,
    /// The schema of durable's tables, where the database has schemas.
    pub(crate) schema: String,
    /// The largest payload in bytes.
    pub(crate) max_payload: usize,
    /// How long the executor counts as alive after a heartbeat.
    pub(crate) lease: Duration,
    /// After how long a transaction whose attempts are interrupted is given up.
    pub(crate) transaction_retry_limit: Duration,
    /// How long workflows are kept after their end; `None` keeps them.
    pub(crate) retention: Option<Retention>,
    /// Whether the database may be reset.
    pub(crate) allow_reset: bool,
    /// What it does about traces.
    pub(crate) traces: TraceSettings,
}

impl Runtime {
    /// Spawns the task of a workflow or of a call.
    pub(crate) fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        #[cfg(feature = "testing")]
        if self.rest.is_watched() {
            return self.tokio.spawn(self.rest.of_work(task));
        }
        self.tokio.spawn(task)
    }

    /// The fence of new runs.
    pub(crate) fn fence(&self) -> Fence {
        *lock(&self.fence)
    }

    /// Whether the database has confirmed the lease recently enough to rely on it.
    pub(crate) fn is_lease_fresh(&self) -> bool {
        self.lease.confirmed_within(self.settings.lease / 2)
    }

    /// Wakes the waits on this workflow, in this process and in others.
    pub(crate) fn announce_workflow(&self, workflow: &str) {
        let hash = Hint::hash_of(workflow);
        self.waiters.notify(hash);
        self.notify_others(Hint::Workflow(hash));
    }

    /// Wakes the dispatchers of a queue, in this process and in others: it has more workflows, or free slots.
    pub(crate) fn announce_queue(&self, name: &str) {
        let hint = Hint::for_queue(name);
        self.queues.notify(hint);
        self.notify_others(hint);
    }

    /// Adds a panic to the report of the shutdown. Only the first [`MAX_PANICS`] are kept.
    pub(crate) fn note_panic(&self, panic: String) {
        let mut panics = lock(&self.panics);
        if panics.len() < MAX_PANICS {
            panics.push(panic);
        }
    }

    /// Notifies other processes.
    pub(crate) fn notify_others(&self, hint: Hint) {
        if self.store.has_others() {
            self.notifications.add(hint);
        }
    }

    /// The workflows that this executor runs, for the database.
    pub(crate) fn known(&self) -> Vec<KnownWorkflow> {
        let is_pinned = self.settings.version_policy == VersionPolicy::Pin;
        self.registry.known(is_pinned.then_some(&self.settings.version))
    }

    /// Refuses a payload that is too large, before anything is written.
    pub(crate) fn check_size(&self, what: impl FnOnce() -> String, size: usize) -> Result<(), Error> {
        let most = self.settings.max_payload;
        if size <= most {
            return Ok(());
        }
        let message = format!(
            "{} would take {size} bytes, and at most {most} are stored; store the value elsewhere and record its place, or raise `max_payload` in the builder",
            what()
        );
        Err(Error::new(ErrorKind::Payload, message))
    }
}
