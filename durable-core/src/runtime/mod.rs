//! What every part of one running engine shares. No behavior: the floors above have it.

pub(crate) mod activity;
pub(crate) mod blocking_steps;
pub(crate) mod call_tasks;
pub(crate) mod changes;
pub(crate) mod panics;
pub(crate) mod pending_notifications;
pub(crate) mod running_workflows;
pub(crate) mod stop_reason;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Notify, RwLock, Semaphore};

use crate::queue_state::LocalQueues;
use crate::registry::{Registry, Resources};
use crate::runtime::blocking_steps::BlockingSteps;
use crate::runtime::call_tasks::CallTasks;
use crate::runtime::pending_notifications::PendingNotifications;
use crate::runtime::running_workflows::RunningWorkflows;
use crate::store::{ApplicationDatabase, Fence, Hint, Store};
use crate::types::error::{Error, ErrorKind};
use crate::types::id::KeyMaker;
use crate::types::sync::lock;
use crate::wait::shutdown_phase::ShutdownSignal;
use crate::wait::timers::Timers;
use crate::wait::waiters::Waiters;
use crate::wait::wakeup::Wakeup;
use crate::writer::Writer;

/// How many panics are noted.
const MAX_PANICS: usize = 1_000;

/// What every part of one running engine shares.
#[derive(Debug)]
pub(crate) struct Runtime {
    /// The application's name and the numbers it was launched with.
    pub(crate) settings: Settings,
    /// The database. Executions do not write here themselves; the writer does.
    pub(crate) store: Arc<dyn Store>,
    /// The application's databases by name, for transactions.
    pub(crate) databases: HashMap<String, ApplicationDatabase>,
    /// What the builder was given for workflows and steps to find.
    pub(crate) resources: Resources,
    /// The workflows of this program.
    pub(crate) registry: Registry,
    /// How far the engine is on its way down.
    pub(crate) shutdown: ShutdownSignal,
    /// Makes the internal keys.
    pub(crate) keys: KeyMaker,
    /// The one door for writing.
    pub(crate) writer: Writer,
    /// The right to write that new runs begin with. It changes when the engine was deposed and
    /// signed on anew; runs of the old fence are dropped then.
    pub(crate) fence: Mutex<Fence>,
    /// What runs in this process.
    pub(crate) running: RunningWorkflows,
    /// Who waits for something that the database will show.
    pub(crate) waiters: Waiters,
    /// Notifications that are yet to be sent to other processes.
    pub(crate) notifications: PendingNotifications,
    /// The queues that it takes work from.
    pub(crate) queues: Arc<LocalQueues>,
    /// Pokes the scheduler: the schedules have changed.
    pub(crate) schedules: Wakeup,
    /// Held by a claim until its workflows run, so that none of them is taken for one without a task.
    pub(crate) claims: RwLock<()>,
    /// Wakes the recovery: an executor may have released workflows.
    pub(crate) released: Notify,
    /// Calls that are finished also if their caller is gone.
    pub(crate) calls: CallTasks,
    /// Steps on threads that cannot be stopped.
    pub(crate) blocking_steps: BlockingSteps,
    /// Panics in places where nobody else hears of them, for the report of the shutdown.
    pub(crate) panics: Mutex<Vec<String>>,
    /// Who waits for a time, and the database's clock.
    pub(crate) timers: Timers,
    /// The runtime that `launch` was called on; executions run there, whoever starts them.
    pub(crate) tokio: Handle,
    /// One permit for each workflow that may run at once of those that were started directly; `None`
    /// is no limit. A child runs without one: its parent holds one, and would wait for ever. So does
    /// what comes from a queue, which has slots of its own.
    pub(crate) permits: Option<Arc<Semaphore>>,
}

/// The numbers and names that the builder was given.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The application's name.
    pub(crate) name: String,
    /// The executor's name, for people.
    pub(crate) executor: String,
    /// The program's version.
    pub(crate) version: String,
    /// The schema of its tables, where the database has schemas.
    pub(crate) schema: String,
    /// The largest payload in bytes.
    pub(crate) max_payload: usize,
    /// How long the executor counts as alive without a heartbeat.
    pub(crate) lease: Duration,
}

impl Runtime {
    /// The right to write that a new run begins with.
    pub(crate) fn fence(&self) -> Fence {
        *lock(&self.fence)
    }

    /// There is news of a workflow in the database: tells whoever waits for it, here and elsewhere.
    pub(crate) fn announce_workflow(&self, workflow: &str) {
        let hint = Hint::for_workflow(workflow);
        self.waiters.notify(hint);
        self.notify_others(hint);
    }

    /// There is more to do in a queue, or room for more: tells whoever takes from it, here and elsewhere.
    pub(crate) fn announce_queue(&self, name: &str) {
        let hint = Hint::for_queue(name);
        self.queues.notify(hint);
        self.notify_others(hint);
    }

    /// Notes a panic for the report of the shutdown. Of very many the first ones do.
    pub(crate) fn note_panic(&self, what: String) {
        let mut panics = lock(&self.panics);
        if panics.len() < MAX_PANICS {
            panics.push(what);
        }
    }

    /// Tells other processes.
    pub(crate) fn notify_others(&self, hint: Hint) {
        if self.store.has_others() {
            self.notifications.add(hint);
        }
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
