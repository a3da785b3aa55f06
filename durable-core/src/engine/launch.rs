//! The launch: opens the database, migrates it, registers the executor, starts the tasks and recovers. A
//! launch that fails leaves no task and no connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{RwLock, Semaphore, watch};

use crate::engine::build_version::build_version;
use crate::engine::builder::Builder;
use crate::engine::durable::Durable;
use crate::engine::executor_identity::{ExecutorIdentity, TakenWork};
use crate::engine::heartbeat::Heartbeat;
use crate::engine::launch_patience::LaunchPatience;
use crate::engine::lock_file::{self, Application, LockFileKeeper};
use crate::engine::recovery::{self, RecoveryRequests};
use crate::engine::tasks::Background;
use crate::engine::teardown::{ShutdownOptions, ShutdownReason, Teardown};
#[cfg(feature = "testing")]
use crate::engine::virtual_time;
use crate::engine::{
    deploy_check, dispatcher, listener, lock_file_watch, notifier, poller, retention_task, scheduler, tokio_check,
    transaction_check,
};
use crate::journal::current_engine;
use crate::registry::{INTERNAL_QUEUE, Registry};
use crate::runtime::blocking_steps::BlockingSteps;
use crate::runtime::call_tasks::CallTasks;
use crate::runtime::late_records::LateRecords;
use crate::runtime::lease::Lease;
use crate::runtime::pending_notifications::PendingNotifications;
use crate::runtime::running_workflows::RunningWorkflows;
use crate::runtime::{Runtime, Settings};
use crate::store::{self, Fence, NewExecutor, NewQueue, Store, StoreError, StoredLimits};
use crate::types::boot_time::boot_time;
use crate::types::error::config_error;
use crate::types::error::{Error, ErrorKind, Result};
use crate::types::id::KeyMaker;
#[cfg(feature = "metrics")]
use crate::types::metrics::metric_list::describe_metrics;
use crate::types::sync::{Mutex, lock};
use crate::types::version_policy::VersionPolicy;
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
    let patience = LaunchPatience::new(builder.launch_timeout, builder.store_settings.connections);
    let store = if let Some(store) = &builder.store {
        Arc::clone(store)
    } else {
        let url = builder.url()?;
        let opened = patience.call(|| Box::pin(store::open_with(&url, &builder.schema, builder.store_settings))).await;
        opened.map_err(|error| Error::new(ErrorKind::Database, error.message))?
    };
    let launched = match check_not_closing(&builder, &*store) {
        Ok(()) => launch_on(&builder, patience, tokio, registry, Arc::clone(&store)).await,
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
    patience: LaunchPatience,
    tokio: tokio::runtime::Handle,
    registry: Registry,
    store: Arc<dyn Store>,
) -> Result<Durable> {
    let shown = store.location().to_string();
    if builder.checks_transactions {
        transaction_check::check(&*store, &builder.databases)?;
    }
    patience.call(|| store.migrate()).await.map_err(|error| cannot("prepare", &shown, &error))?;

    check_owner(builder, &patience, &*store, &shown).await?;

    for (name, database) in &builder.databases {
        patience.call(|| database.0.prepare()).await.map_err(|error| cannot("prepare", name, &error))?;
    }

    let queues = declared_queues(builder, &registry)?;
    patience.call(|| store.declare_queues(&queues)).await.map_err(|error| cannot("write to", &shown, &error))?;

    let keys = KeyMaker::new();
    let version = version(builder).await;
    let takes = taken_work(builder, &registry, &queues, &version);
    let (name, lease, schema) = (builder.executor_id.as_deref(), builder.lease, &*builder.schema);
    let mut identity = ExecutorIdentity::new(name, version, takes, lease, schema, &*store);
    if builder.store_settings.moves_clock {
        identity = identity.without_lock_files();
    }
    let identity = Arc::new(identity);
    let (executor, lock_file) = identity.executor(keys.next());
    lock_file::unlock_for_restart(&Application {
        name: builder.name.clone(),
        location: store.location(),
        schema: builder.schema.clone(),
    });
    // Read before this executor registers itself.
    let earlier = patience.call(|| store.executors()).await.map_err(|error| cannot("read", &shown, &error))?;
    let sent = Mutex::new(boot_time());
    let register = || {
        *lock(&sent) = boot_time();
        store.register_executor(&executor)
    };
    let fence = patience.call(register).await.map_err(|error| cannot("write to", &shown, &error))?;
    let lease = Lease::new(builder.lease, fence.executor, *lock(&sent));
    let clock =
        patience.call(|| Box::pin(read_clock(&*store))).await.map_err(|error| cannot("read", &shown, &error))?;

    #[cfg(feature = "metrics")]
    describe_metrics();
    let (writer, inbox) = Writer::new();
    let parts = RuntimeParts { tokio, registry, store, keys, executor: &executor, fence, lease, clock, writer };
    let runtime = Arc::new(parts.into_runtime(builder));
    let names = runtime.registry.names();
    tracing::info!(target: "durable", app = %builder.name, database = %shown, executor_id = %executor.name, functions = names.len(), "launched with the workflows: {}", names.join(", "));

    let background = Arc::new(Background::of(&runtime));
    let lock_file = Arc::new(LockFileKeeper::new(lock_file));
    let teardown = Teardown::new(Arc::clone(&runtime), Arc::clone(&background), Arc::clone(&lock_file));
    let schedules = runtime.registry.schedule_rows();
    patience
        .call(|| runtime.store.upsert_schedules(&schedules))
        .await
        .map_err(|error| cannot("write to", &shown, &error))?;
    register_queues(builder, &runtime, &queues);
    spawn_tasks(&runtime, &background, inbox);
    // From here on dropping the handle undoes everything, if the launch fails or is dropped.
    let app = Durable::new(Arc::clone(&runtime), teardown);

    let changed = deploy_check::find(&runtime).await;
    let tried = AtomicBool::new(false);
    let recover = || recovery::recover_at_launch(&runtime, &identity, &earlier, tried.swap(true, Ordering::Relaxed));
    let recovered = patience.call(|| Box::pin(recover())).await;
    if let Err(error) = recovered {
        // Releases the workflows that were recovered until then.
        app.shutdown_with(ShutdownOptions::immediate().reason(ShutdownReason::Dropped)).await;
        return Err(cannot("recover workflows from", &shown, &error));
    }
    let recovery = Arc::new(RecoveryRequests::default());
    let quiesced = EnginePhase::Quiesced;
    let of_recovery = recovery::run(Arc::clone(&runtime), Arc::clone(&identity), Arc::clone(&recovery));
    background.spawn("durable-recovery", quiesced, of_recovery);
    if identity.lock_folder().exists() {
        let watch = lock_file_watch::run(Arc::clone(&runtime), Arc::clone(&identity), Arc::clone(&recovery));
        background.spawn("durable-lock-files", quiesced, watch);
    }
    background.spawn("durable-deploy-check", quiesced, deploy_check::run(Arc::clone(&runtime), changed));
    let heartbeat = Heartbeat { runtime: Arc::clone(&runtime), identity, lock_file, recovery };
    background.spawn("durable-scheduler", quiesced, scheduler::run(Arc::clone(&runtime)));
    background.spawn("durable-dispatcher", quiesced, dispatcher::run(Arc::clone(&runtime)));
    background.spawn("durable-heartbeat", EnginePhase::Closing, heartbeat.run());
    #[cfg(feature = "testing")]
    if builder.store_settings.moves_clock {
        virtual_time::start(&runtime, &background);
    }
    if let Some(policy) = runtime.settings.retention.clone() {
        background.spawn("durable-retention", quiesced, retention_task::run(Arc::clone(&runtime), policy));
    } else {
        retention_task::warn_if_large(&runtime).await;
    }
    current_engine::register(&runtime);
    Ok(app)
}

/// The program's version. The default is read from the executable, on a thread that may wait for the disk.
async fn version(builder: &Builder) -> String {
    match &builder.version {
        Some(version) => version.clone(),
        None => tokio::task::spawn_blocking(build_version).await.unwrap_or_else(|_| "unknown".to_owned()),
    }
}

/// Refuses the schema of another application: each would run the other's workflows.
async fn check_owner(builder: &Builder, patience: &LaunchPatience, store: &dyn Store, shown: &str) -> Result<()> {
    let owner =
        patience.call(|| store.claim_schema(&builder.name)).await.map_err(|error| cannot("prepare", shown, &error))?;
    if owner == builder.name || builder.share_schema {
        return Ok(());
    }
    let (place, own) = if store.location().file.is_some() {
        ("the file".to_owned(), "a file of its own with `.system_database(..)`".to_owned())
    } else {
        (format!("the schema {:?} of", builder.schema), "a schema of its own with `.schema(..)`".to_owned())
    };
    Err(config_error(format!(
        "{place} {} belongs to the application {owner:?}, and this one is {:?}: they would run each other's workflows; give this one {own}, use the name {owner:?} for both, or add `.share_schema()` if they are parts of one application",
        store::shown_without_password(shown),
        builder.name
    )))
}

/// What a launch, or the connection of a client, has made before the runtime.
pub(super) struct RuntimeParts<'a> {
    pub(super) tokio: tokio::runtime::Handle,
    pub(super) registry: Registry,
    pub(super) store: Arc<dyn Store>,
    pub(super) keys: KeyMaker,
    pub(super) executor: &'a NewExecutor,
    pub(super) fence: Fence,
    pub(super) lease: Lease,
    pub(super) clock: Clock,
    pub(super) writer: Writer,
}

impl RuntimeParts<'_> {
    pub(super) fn into_runtime(self, builder: &Builder) -> Runtime {
        Runtime {
            settings: Settings {
                name: builder.name.clone(),
                executor: self.executor.name.clone(),
                version: self.executor.version.clone(),
                version_policy: builder.version_policy,
                is_client: builder.store_settings.for_client,
                schema: builder.schema.clone(),
                max_payload: builder.max_payload,
                lease: builder.lease,
                transaction_retry_limit: builder.transaction_retry_limit,
                retention: builder.retention.clone(),
                allow_reset: builder.allow_reset,
                traces: builder.traces.clone(),
            },
            store: self.store,
            databases: builder.databases.clone(),
            resources: builder.resources.clone(),
            registry: self.registry,
            shutdown: ShutdownSignal::new(),
            keys: self.keys,
            writer: self.writer,
            fence: Mutex::new(self.fence),
            lease: self.lease,
            running: RunningWorkflows::new(),
            waiters: Waiters::default(),
            notifications: PendingNotifications::default(),
            queues: Arc::default(),
            schedules: Wakeup::default(),
            released: Wakeup::default(),
            calls: CallTasks::default(),
            claims: RwLock::default(),
            late_records: LateRecords::new(builder.record_delay),
            blocking_steps: BlockingSteps::new(builder.max_blocking_steps),
            panics: Mutex::default(),
            timers: Timers::new(self.clock, builder.store_settings.moves_clock),
            deploy_report: watch::Sender::new(None),
            tokio: self.tokio,
            #[cfg(feature = "testing")]
            rest: Arc::clone(&builder.rest),
            permits: builder.max_concurrent.map(|max| Arc::new(Semaphore::new(max))),
            #[cfg(feature = "metrics")]
            gauges_read_at: tokio::sync::Mutex::default(),
            #[cfg(feature = "testing")]
            mocks: builder.mocks.clone(),
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
    spawn_tasks_of_waits(runtime, background);
}

/// Starts the tasks that waits need, also those of a client.
pub(super) fn spawn_tasks_of_waits(runtime: &Arc<Runtime>, background: &Background) {
    let stopping = EnginePhase::Stopping;
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
    Ok(registry.queue_rows())
}

/// The queues that this process takes work from.
fn listened<'a>(builder: &'a Builder, queues: &'a [NewQueue]) -> impl Iterator<Item = &'a NewQueue> {
    queues.iter().filter(|it| builder.listen_to.as_ref().is_none_or(|names| names.contains(&it.name)))
}

/// What this process takes, for diagnoses.
fn taken_work(builder: &Builder, registry: &Registry, queues: &[NewQueue], version: &str) -> TakenWork {
    let mut workflows: Vec<String> = registry.all().iter().map(|it| it.name.to_owned()).collect();
    workflows.sort_unstable();
    let queues = listened(builder, queues).map(|it| it.name.clone()).chain([INTERNAL_QUEUE.to_owned()]);
    let is_pinned = builder.version_policy == VersionPolicy::Pin;
    let pinned = is_pinned.then(|| registry.known(Some(version)).into_iter().map(|it| it.name).collect());
    TakenWork { workflows, queues: queues.collect(), pinned }
}

/// Registers the queues that this process takes work from.
fn register_queues(builder: &Builder, runtime: &Runtime, queues: &[NewQueue]) {
    for queue in listened(builder, queues) {
        runtime.queues.register(&queue.name, queue.limits);
    }
    runtime.queues.register(INTERNAL_QUEUE, StoredLimits::default());
}

/// Reads the database's clock, twice: the first read may have to open a connection, and the shorter the
/// round trip, the more precisely the clock is known.
pub(super) async fn read_clock(store: &dyn Store) -> Result<Clock, StoreError> {
    store.now().await?;
    let sent = Instant::now();
    let now = store.now().await?;
    let clock = Clock::new(now);
    clock.reset(now, sent);
    Ok(clock)
}

pub(super) fn cannot(what: &str, database: &str, error: &StoreError) -> Error {
    let shown = store::shown_without_password(database);
    Error::new(ErrorKind::Database, format!("cannot {what} the database {shown}: {error}"))
}
