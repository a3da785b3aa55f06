//! The launch: opens the database, migrates it, registers the executor, starts the tasks and recovers. A
//! launch that fails leaves no task and no connection.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, RwLock, Semaphore};

use crate::engine::builder::Builder;
use crate::engine::durable::Durable;
use crate::engine::executor_identity::ExecutorIdentity;
use crate::engine::heartbeat::Heartbeat;
use crate::engine::lock_file::{self, Application, LockFileKeeper};
use crate::engine::recovery::{self, RecoveryRequests};
use crate::engine::tasks::Background;
use crate::engine::teardown::{ShutdownOptions, ShutdownReason, Teardown};
use crate::engine::{dispatcher, listener, notifier, poller, scheduler, tokio_check, transaction_check};
use crate::journal::current_engine;
use crate::registry::{INTERNAL_QUEUE, Registry};
use crate::runtime::blocking_steps::BlockingSteps;
use crate::runtime::call_tasks::CallTasks;
use crate::runtime::late_records::LateRecords;
use crate::runtime::pending_notifications::PendingNotifications;
use crate::runtime::running_workflows::RunningWorkflows;
use crate::runtime::{Runtime, Settings};
use crate::store::{self, Fence, NewExecutor, NewQueue, Store, StoreError, StoredLimits};
use crate::types::error::config_error;
use crate::types::error::{Error, ErrorKind, Result};
use crate::types::id::KeyMaker;
use crate::wait::clock::Clock;
use crate::wait::shutdown_phase::{EnginePhase, ShutdownSignal};
use crate::wait::timers::{self, Timers};
use crate::wait::waiters::Waiters;
use crate::wait::wakeup::Wakeup;
use crate::writer::{self, Writer};

/// How long a launch that failed waits for its connections to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

pub(super) async fn launch(builder: Builder) -> Result<Durable> {
    let tokio = tokio_check::runtime()?;
    let registry = Registry::collect()?;
    let store = if let Some(store) = &builder.store {
        Arc::clone(store)
    } else {
        let opened = store::open(&builder.url()?, &builder.schema).await;
        opened.map_err(|error| Error::new(ErrorKind::Database, error.message))?
    };
    let launched = match check_not_closing(&builder, &*store) {
        Ok(()) => launch_on(&builder, tokio, registry, Arc::clone(&store)).await,
        Err(error) => Err(error),
    };
    if launched.is_err() {
        store.close_work_pool();
        // Closing takes a round trip to the database, which may be what does not answer.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, store.close()).await;
    }
    launched
}

/// Refuses a launch while an engine of the same application is still shutting down in this process: the
/// new one would take over what the old one still runs.
fn check_not_closing(builder: &Builder, store: &dyn Store) -> Result<()> {
    if !current_engine::is_closing(&builder.name, &store.location(), &builder.schema) {
        return Ok(());
    }
    let message = format!(
        "`{}` is still shutting down in this process; wait for its `shutdown().await` before the next launch",
        builder.name
    );
    Err(Error::new(ErrorKind::ShuttingDown, message))
}

async fn launch_on(
    builder: &Builder,
    tokio: tokio::runtime::Handle,
    registry: Registry,
    store: Arc<dyn Store>,
) -> Result<Durable> {
    let shown = store.location().to_string();
    if builder.checks_transactions {
        transaction_check::check(&*store, &builder.databases)?;
    }
    store.migrate().await.map_err(|error| cannot("prepare", &shown, &error))?;

    for (name, database) in &builder.databases {
        database.0.prepare().await.map_err(|error| cannot("prepare", name, &error))?;
    }

    let queues = declared_queues(builder, &registry)?;
    store.declare_queues(&queues).await.map_err(|error| cannot("write to", &shown, &error))?;

    let keys = KeyMaker::new();
    let identity =
        ExecutorIdentity::new(builder.executor_id.as_deref(), builder.version.as_deref(), builder.lease, &*store);
    let (executor, lock_file) = identity.executor(keys.next());
    lock_file::unlock_for_restart(&Application {
        name: builder.name.clone(),
        location: store.location(),
        schema: builder.schema.clone(),
    });
    // Read before this executor registers itself.
    let earlier = store.executors().await.map_err(|error| cannot("read", &shown, &error))?;
    let fence = store.register_executor(&executor).await.map_err(|error| cannot("write to", &shown, &error))?;
    let clock = read_clock(&*store).await.map_err(|error| cannot("read", &shown, &error))?;

    let (writer, inbox) = Writer::new();
    let parts = RuntimeParts { tokio, registry, store, keys, executor: &executor, fence, clock, writer };
    let runtime = Arc::new(parts.into_runtime(builder));
    let names = runtime.registry.names();
    tracing::info!(target: "durable", app = %builder.name, database = %shown, executor_id = %executor.name, functions = names.len(), "launched with the workflows: {}", names.join(", "));

    let background = Arc::new(Background::default());
    let lock_file = Arc::new(LockFileKeeper::new(lock_file));
    let teardown = Teardown::new(Arc::clone(&runtime), Arc::clone(&background), Arc::clone(&lock_file));
    let schedules = scheduler::schedules_in_code(&runtime);
    runtime.store.upsert_schedules(&schedules).await.map_err(|error| cannot("write to", &shown, &error))?;
    register_queues(builder, &runtime, &queues);
    spawn_tasks(&runtime, &background, inbox);
    // From here on dropping the handle undoes everything, if the launch fails or is dropped.
    let app = Durable::new(Arc::clone(&runtime), teardown);

    if let Err(error) = recovery::recover_at_launch(&runtime, &earlier).await {
        // Releases the workflows that were recovered until then.
        app.shutdown_with(ShutdownOptions::immediate().reason(ShutdownReason::Dropped)).await;
        return Err(cannot("recover workflows from", &shown, &error));
    }
    let recovery = Arc::new(RecoveryRequests::default());
    let heartbeat = Heartbeat { runtime: Arc::clone(&runtime), identity, lock_file, recovery: Arc::clone(&recovery) };
    let quiesced = EnginePhase::Quiesced;
    background.spawn("durable-recovery", quiesced, recovery::run(Arc::clone(&runtime), recovery));
    background.spawn("durable-scheduler", quiesced, scheduler::run(Arc::clone(&runtime)));
    background.spawn("durable-dispatcher", quiesced, dispatcher::run(Arc::clone(&runtime)));
    background.spawn("durable-heartbeat", EnginePhase::Closing, heartbeat.run());
    current_engine::register(&runtime);
    Ok(app)
}

/// What a launch has made before the runtime.
struct RuntimeParts<'a> {
    tokio: tokio::runtime::Handle,
    registry: Registry,
    store: Arc<dyn Store>,
    keys: KeyMaker,
    executor: &'a NewExecutor,
    fence: Fence,
    clock: Clock,
    writer: Writer,
}

impl RuntimeParts<'_> {
    fn into_runtime(self, builder: &Builder) -> Runtime {
        Runtime {
            settings: Settings {
                name: builder.name.clone(),
                executor: self.executor.name.clone(),
                version: self.executor.version.clone(),
                schema: builder.schema.clone(),
                max_payload: builder.max_payload,
                lease: builder.lease,
            },
            store: self.store,
            databases: builder.databases.clone(),
            resources: builder.resources.clone(),
            registry: self.registry,
            shutdown: ShutdownSignal::new(),
            keys: self.keys,
            writer: self.writer,
            fence: Mutex::new(self.fence),
            running: RunningWorkflows::new(),
            waiters: Waiters::default(),
            notifications: PendingNotifications::default(),
            queues: Arc::default(),
            schedules: Wakeup::default(),
            released: Notify::new(),
            calls: CallTasks::default(),
            claims: RwLock::default(),
            late_records: LateRecords::new(builder.record_delay),
            blocking_steps: BlockingSteps::new(builder.max_blocking_steps),
            panics: Mutex::default(),
            timers: Timers::new(self.clock),
            tokio: self.tokio,
            permits: builder.max_concurrent.map(|max| Arc::new(Semaphore::new(max))),
        }
    }
}

/// Starts the tasks that workflow bodies need.
fn spawn_tasks(runtime: &Arc<Runtime>, background: &Background, inbox: writer::WriterInbox) {
    let stopping = EnginePhase::Stopping;
    let of_writer = Arc::clone(runtime);
    background.spawn("durable-writer", stopping, async move {
        writer::run(inbox, &*of_writer.store, &of_writer.shutdown).await;
    });
    let of_timers = Arc::clone(runtime);
    background.spawn("durable-timers", stopping, async move {
        timers::run(&of_timers.timers, &of_timers.shutdown).await;
    });
    let of_poller = Arc::clone(runtime);
    background.spawn("durable-poller", stopping, async move { poller::run(&of_poller).await });
    let of_listener = Arc::clone(runtime);
    background.spawn("durable-listener", stopping, async move { listener::run(&of_listener).await });
    if runtime.store.has_others() {
        let of_notifier = Arc::clone(runtime);
        background.spawn("durable-notifier", EnginePhase::Closing, async move { notifier::run(&of_notifier).await });
    }
}

/// The queues that the program declares.
///
/// # Errors
/// The builder's `listen_to` names another one.
fn declared_queues(builder: &Builder, registry: &Registry) -> Result<Vec<NewQueue>> {
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

/// Registers the queues that this process takes work from.
fn register_queues(builder: &Builder, runtime: &Runtime, queues: &[NewQueue]) {
    let listened = |it: &&NewQueue| builder.listen_to.as_ref().is_none_or(|names| names.contains(&it.name));
    for queue in queues.iter().filter(listened) {
        runtime.queues.register(&queue.name, queue.limits);
    }
    runtime.queues.register(INTERNAL_QUEUE, StoredLimits::default());
}

/// Reads the database's clock, twice: the first read may have to open a connection, and the shorter the
/// round trip, the more precisely the clock is known.
async fn read_clock(store: &dyn Store) -> Result<Clock, StoreError> {
    store.now().await?;
    let sent = Instant::now();
    let now = store.now().await?;
    let clock = Clock::new(now);
    clock.reset(now, sent);
    Ok(clock)
}

fn cannot(what: &str, database: &str, error: &StoreError) -> Error {
    let shown = store::shown_without_password(database);
    Error::new(ErrorKind::Database, format!("cannot {what} the database {shown}: {error}"))
}
