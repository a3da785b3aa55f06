//! The launch: open, migrate, sign on, start the tasks, recover. What fails undoes what was begun.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore};

use super::{listener, notifier, poller};
use crate::engine::app::{Durable, config_error};
use crate::engine::builder::Builder;
use crate::engine::heartbeat::{Application, ExecutorIdentity};
use crate::engine::lock_file::{self, LockFile};
use crate::engine::tasks::Background;
use crate::engine::teardown::{ShutdownOptions, ShutdownReason, Teardown};
use crate::engine::{dispatcher, heartbeat, recovery, scheduler, tokio_check};
use crate::journal::current_engine;
use crate::registry::{INTERNAL_QUEUE, Registry};
use crate::runtime::blocking_steps::BlockingSteps;
use crate::runtime::pending_notifications::PendingNotifications;
use crate::runtime::running_workflows::RunningWorkflows;
use crate::runtime::{Runtime, Settings};
use crate::store::{self, NewExecutor, NewQueue, Store, StoreError, StoredLimits};
use crate::types::error::{Error, ErrorKind, Result};
use crate::types::id::KeyMaker;
use crate::types::keys::ExecutorKey;
use crate::wait::clock::Clock;
use crate::wait::shutdown_phase::{EnginePhase, ShutdownSignal};
use crate::wait::timers::{self, Timers};
use crate::wait::waiters::Waiters;
use crate::wait::wakeup::Wakeup;
use crate::writer::{self, Writer};

pub(super) async fn launch(builder: Builder) -> Result<Durable> {
    let tokio = tokio_check::runtime()?;
    let registry = Registry::collect()?;
    let store = if let Some(store) = &builder.store {
        Arc::clone(store)
    } else {
        let opened = store::open(&builder.url()?, &builder.schema).await;
        opened.map_err(|error| Error::new(ErrorKind::Database, error.message))?
    };
    let launched = match is_free(&builder, &*store) {
        Ok(()) => begin(&builder, tokio, registry, Arc::clone(&store)).await,
        Err(error) => Err(error),
    };
    if launched.is_err() {
        store.close_work_pool();
        // A database that does not answer does not answer to a goodbye either.
        let _ = tokio::time::timeout(PATIENCE, store.close()).await;
    }
    launched
}

/// How long a launch that failed waits for its connections to close.
const PATIENCE: Duration = Duration::from_secs(3);

/// Refuses a launch while an engine of the same application is still going down in this process: two
/// of them would fight over what the first one still runs.
fn is_free(builder: &Builder, store: &dyn Store) -> Result<()> {
    if !current_engine::is_closing(&builder.name, &store.location(), &builder.schema) {
        return Ok(());
    }
    let message = format!(
        "`{}` is still shutting down in this process; wait for its `shutdown().await` before the next launch",
        builder.name
    );
    Err(Error::new(ErrorKind::ShuttingDown, message))
}

async fn begin(
    builder: &Builder,
    tokio: tokio::runtime::Handle,
    registry: Registry,
    store: Arc<dyn Store>,
) -> Result<Durable> {
    let shown = store.location().to_string();
    store.migrate().await.map_err(|error| cannot("prepare", &shown, &error))?;

    for (name, database) in &builder.databases {
        database.0.prepare().await.map_err(|error| cannot("prepare", name, &error))?;
    }

    let queues = declared(builder, &registry)?;
    store.declare_queues(&queues).await.map_err(|error| cannot("write to", &shown, &error))?;

    let keys = KeyMaker::new();
    let signing = sign_as(builder, &*store);
    let (executor, lock_file) = signing.executor(keys.next());
    heartbeat::restarts(&Application {
        name: builder.name.clone(),
        location: store.location(),
        schema: builder.schema.clone(),
    });
    // Who was here before is asked before this executor adds itself.
    let earlier = store.executors().await.map_err(|error| cannot("read", &shown, &error))?;
    let fence = store.register_executor(&executor).await.map_err(|error| cannot("write to", &shown, &error))?;
    let clock = read_clock(&*store).await.map_err(|error| cannot("read", &shown, &error))?;

    let (writer, inbox) = Writer::new();
    let runtime = Arc::new(Runtime {
        settings: Settings {
            name: builder.name.clone(),
            executor: executor.name.clone(),
            version: executor.version.clone(),
            schema: builder.schema.clone(),
            max_payload: builder.max_payload,
            lease: builder.lease,
        },
        store,
        databases: builder.databases.clone(),
        resources: builder.objects.clone(),
        registry,
        shutdown: ShutdownSignal::new(),
        keys,
        writer,
        fence: Mutex::new(fence),
        running: RunningWorkflows::new(),
        waiters: Waiters::default(),
        notifications: PendingNotifications::default(),
        queues: Arc::default(),
        schedules: Wakeup::default(),
        released: Notify::new(),
        blocking_steps: BlockingSteps::default(),
        panics: Mutex::default(),
        timers: Timers::new(clock),
        tokio,
        permits: builder.max_concurrent.map(|most| Arc::new(Semaphore::new(most))),
    });
    let names = runtime.registry.names();
    tracing::info!(target: "durable", app = %builder.name, database = %shown, executor = %executor.name, workflows = names.len(), "launched: {}", names.join(", "));

    let background = Arc::new(Background::default());
    let presence = Arc::new(heartbeat::LockFileKeeper::new(signing, lock_file));
    let teardown = Teardown::new(Arc::clone(&runtime), Arc::clone(&background), Arc::clone(&presence));
    let scheduled = scheduler::schedules_in_code(&runtime);
    runtime.store.upsert_schedules(&scheduled).await.map_err(|error| cannot("write to", &shown, &error))?;
    open_lines(builder, &runtime, &queues);
    spawn_tasks(&runtime, &background, inbox);
    // From here on the handle's guard undoes everything if the launch fails or is dropped.
    let app = Durable::new(Arc::clone(&runtime), teardown);

    if let Err(error) = recovery::recover_at_launch(&runtime, &earlier).await {
        // What was recovered until then is given back.
        app.shutdown_with(ShutdownOptions::immediate().reason(ShutdownReason::Dropped)).await;
        return Err(cannot("recover workflows from", &shown, &error));
    }
    let findings = Arc::new(recovery::ExpiredExecutors::default());
    let quiesced = EnginePhase::Quiesced;
    background.spawn("durable-recovery", quiesced, recovery::run(Arc::clone(&runtime), Arc::clone(&findings)));
    background.spawn("durable-scheduler", quiesced, scheduler::run(Arc::clone(&runtime)));
    background.spawn("durable-queues", quiesced, dispatcher::run(Arc::clone(&runtime)));
    background.spawn(
        "durable-presence",
        EnginePhase::Closing,
        heartbeat::run(Arc::clone(&runtime), presence, findings),
    );
    current_engine::register(&runtime);
    Ok(app)
}

fn spawn_tasks(runtime: &Arc<Runtime>, background: &Background, inbox: writer::WriterInbox) {
    let of_writer = Arc::clone(runtime);
    background.spawn("durable-writer", EnginePhase::Stopping, async move {
        writer::run(inbox, &*of_writer.store, &of_writer.shutdown).await;
    });
    let of_timers = Arc::clone(runtime);
    background.spawn("durable-timers", EnginePhase::Stopping, async move {
        timers::run(&of_timers.timers, &of_timers.shutdown).await
    });
    let of_waits = Arc::clone(runtime);
    background.spawn("durable-waits", EnginePhase::Stopping, async move { poller::run(&of_waits).await });
    let of_listener = Arc::clone(runtime);
    background.spawn("durable-listener", EnginePhase::Stopping, async move { listener::run(&of_listener).await });
    if runtime.store.has_others() {
        let of_notifier = Arc::clone(runtime);
        background.spawn("durable-notifier", EnginePhase::Closing, async move { notifier::run(&of_notifier).await });
    }
}

/// The queues that the program has.
///
/// # Errors
/// The builder names one that it has not.
fn declared(builder: &Builder, registry: &Registry) -> Result<Vec<NewQueue>> {
    let queues = registry.queues();
    for named in builder.listen_to.iter().flatten() {
        if !queues.iter().any(|it| it.name() == named) {
            let names: Vec<_> = queues.iter().map(|it| it.name()).collect();
            return Err(config_error(format!(
                "`listen_to` names the queue {named:?}, which this program does not have; it has: {}",
                names.join(", ")
            )));
        }
    }
    Ok(queues.iter().map(|it| NewQueue { name: it.name().to_owned(), limits: it.limits() }).collect())
}

/// Says from which queues this process takes work.
fn open_lines(builder: &Builder, runtime: &Runtime, queues: &[NewQueue]) {
    let listened = |it: &&NewQueue| builder.listen_to.as_ref().is_none_or(|names| names.contains(&it.name));
    for queue in queues.iter().filter(listened) {
        runtime.queues.register(&queue.name, queue.limits);
    }
    runtime.queues.register(INTERNAL_QUEUE, StoredLimits::default());
}

/// The database's clock. It is read twice: the first time a connection may have to be made, and the
/// shorter the answer takes, the better the clock is known.
async fn read_clock(store: &dyn Store) -> Result<Clock, StoreError> {
    store.now().await?;
    let asked = Instant::now();
    let shown = store.now().await?;
    let clock = Clock::new(shown);
    clock.reset(shown, asked);
    Ok(clock)
}

/// How this executor signs on, now and whenever it was deposed.
fn sign_as(builder: &Builder, store: &dyn Store) -> ExecutorIdentity {
    let host = lock_file::host();
    // Two executors that were given the same name are one that was restarted. A name that nobody
    // gave must never look like that, and hosts and process numbers repeat in containers.
    let chance = uuid::Uuid::new_v4().as_fields().1;
    let unique = || format!("{host}:{}:{chance:04x}", std::process::id());
    let name = builder.executor_id.clone().unwrap_or_else(unique);
    let version = builder.version.clone().unwrap_or_else(lock_file::version_of_executable);
    ExecutorIdentity { name, host, version, lease: builder.lease, location: store.location() }
}

impl ExecutorIdentity {
    /// An executor's row with a fresh key, and its lock file. Without a lock file everything works,
    /// and others wait for the lease.
    pub(super) fn executor(&self, key: ExecutorKey) -> (NewExecutor, Option<LockFile>) {
        let lock_file = if self.location.in_memory { None } else { LockFile::create(&self.location, key).ok() };
        let executor = NewExecutor {
            key,
            name: self.name.clone(),
            host: self.host.clone(),
            lock_file: lock_file.as_ref().map(LockFile::path),
            version: self.version.clone(),
            lease: self.lease,
        };
        (executor, lock_file)
    }
}

fn cannot(what: &str, database: &str, error: &StoreError) -> Error {
    let shown = store::shown_without_password(database);
    Error::new(ErrorKind::Database, format!("cannot {what} the database {shown}: {error}"))
}
