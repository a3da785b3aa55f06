//! At the end every connection is closed and every task is gone, however the engine ended.

use std::sync::Arc;
use std::time::Instant;

use durable::prelude::*;
use durable::sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, SqliteConnection, query, query_scalar};
use durable::{EnginePhase, ShutdownOutcome, TaskOutcome};
use durable_core::store::Store;
use tokio::runtime::Handle;

use super::shutdown_calls::{busy, stay};
use crate::support::{
    FaultPlan, FaultyStore, HoldAt, LogCapture, TestDatabase, arrived, budgets, count, counted, database_tests, fresh,
    gate, on_dropped_runtime, patient, start_shutdown, until,
};

database_tests! {
an_engine_can_be_launched_20_times_in_one_process,
a_failed_launch_leaves_nothing_behind,
a_launch_dropped_at_any_call_leaves_nothing_behind,
dropping_the_engine_without_a_shutdown_warns_and_drops_its_workflows,
a_clean_shutdown_leaves_one_sqlite_file,
a_panic_in_a_destructor_does_not_stop_the_shutdown,
panics_in_workflows_tasks_and_phases_do_not_stop_the_shutdown,
pools_are_closed_after_their_last_use,
closing_is_bounded_while_the_program_holds_a_connection,
an_engine_shuts_down_on_a_current_thread_runtime,
the_log_shows_the_phases_and_what_they_wait_for,
}

/// An engine's settings with a name by which the server knows its connections.
fn named(database: &TestDatabase, name: &str) -> durable::Builder {
    database.builder("app").system_database(named_url(database, name))
}

fn named_url(database: &TestDatabase, name: &str) -> String {
    if !database.is_postgres() {
        return database.url().to_owned();
    }
    let mut url = url::Url::parse(database.url()).expect("it is a URL");
    url.query_pairs_mut().append_pair("application_name", name);
    url.into()
}

/// How many connections are open under a name, or to the database's file.
async fn connections(database: &TestDatabase, name: &str) -> usize {
    if database.is_postgres() {
        let mut door = PgConnection::connect(database.url()).await.unwrap();
        let count = "select count(*) from pg_stat_activity where application_name = $1";
        let count: i64 = query_scalar(count).bind(name).fetch_one(&mut door).await.unwrap();
        return usize::try_from(count).unwrap();
    }
    let open = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|it| std::fs::read_link(it.ok()?.path()).ok());
    open.filter(|it| it.starts_with(database.folder())).count()
}

/// Returns once there are so few tasks again, and no connections. The server may take a moment to see one go.
async fn nothing_is_left(database: &TestDatabase, name: &str, tasks: usize) {
    let nothing =
        async || Handle::current().metrics().num_alive_tasks() <= tasks && connections(database, name).await == 0;
    until("all tasks and connections are gone", nothing).await;
}

async fn an_engine_can_be_launched_20_times_in_one_process(database: &TestDatabase) {
    let name = fresh("x20");
    let tasks = Handle::current().metrics().num_alive_tasks();
    for round in 0..20 {
        let app = named(database, &name).launch().await.unwrap();
        let key = format!("{name} {round}");
        gate(&key).add_permits(1);
        app.scope(async { stay(&key).await }).await;
        app.scope(async { super::shutdown_calls::stays(key.clone()).start().await.unwrap() }).await;
        assert!(connections(database, &name).await > 0);
        let report = app.shutdown_with(budgets(0, 0)).await;
        assert!(report.is_closed() && report.unfinished_tasks().is_empty(), "{report}");
        drop(app);
        nothing_is_left(database, &name, tasks).await;
    }
}

async fn a_failed_launch_leaves_nothing_behind(database: &TestDatabase) {
    let (name, key) = (fresh("failed"), fresh("failed"));
    let app = busy(database, &key).await;
    app.shutdown_with(budgets(0, 0)).await;
    nothing_is_left(database, &name, 0).await;

    let early = named(database, &name).listen_to(["no-such-queue"]).launch().await.unwrap_err();
    assert_eq!(early.kind(), durable::ErrorKind::Config, "{early}");
    nothing_is_left(database, &name, 0).await;

    // Late in the launch: a workflow is taken over, and the reply is lost.
    let inner = durable_core::store::open(&named_url(database, &name), database.schema()).await.unwrap();
    let faulty = Arc::new(FaultyStore::owning(&inner, FaultPlan::default()));
    faulty.lose_next_answer("take_over");
    let builder = database.builder("app").store(Arc::clone(&faulty) as Arc<dyn Store>);
    let late = builder.launch_timeout(Duration::ZERO).launch().await.unwrap_err();
    assert_eq!(late.kind(), durable::ErrorKind::Database, "{late}");
    drop((inner, faulty));
    nothing_is_left(database, &name, 0).await;
    assert_eq!(database.workflows().await[0].executor, None, "what it had taken over was given back");

    gate(&key).add_permits(2);
    let app = named(database, &name).launch().await.unwrap();
    let ended = app.retrieve_workflow::<u32>("w").await.unwrap().result();
    let ended = tokio::time::timeout(Duration::from_secs(10), ended).await;
    ended.expect("it goes on").unwrap();
    assert!(app.shutdown().await.is_clean());
    nothing_is_left(database, &name, 0).await;
}

/// There is no handle before the launch is done, so the only way to end it is to drop it.
async fn a_launch_dropped_at_any_call_leaves_nothing_behind(database: &TestDatabase) {
    let key = fresh("launching");
    let app = busy(database, &key).await;
    app.shutdown_with(budgets(0, 0)).await;
    let calls = [
        "migrate",
        "declare_queues",
        "executors",
        "register_executor",
        "now",
        "upsert_schedules",
        "take_over",
        "records",
        "count_unknown",
    ];
    for call in calls {
        let name = fresh(call);
        let inner = durable_core::store::open(&named_url(database, &name), database.schema()).await.unwrap();
        let faulty = Arc::new(FaultyStore::owning(&inner, FaultPlan::default()));
        faulty.hold_next(call, HoldAt::Before);
        let launch = tokio::spawn(database.builder("app").store(Arc::clone(&faulty) as Arc<dyn Store>).launch());
        let held = tokio::time::timeout(Duration::from_secs(10), faulty.wait_for_held_call()).await;
        held.unwrap_or_else(|_| panic!("the launch calls `{call}`"));
        launch.abort();
        assert!(launch.await.unwrap_err().is_cancelled());
        drop((inner, faulty));
        nothing_is_left(database, &name, 0).await;
    }
    gate(&key).add_permits(10);
    // A launch that was dropped has not removed its executor.
    let app = database.builder("app").launch().await.unwrap();
    let ended = app.retrieve_workflow::<u32>("w").await.unwrap().result();
    tokio::time::timeout(Duration::from_secs(10), ended).await.expect("it goes on").unwrap();
    app.shutdown().await;
}

struct CountsItsEnd(String);

impl Drop for CountsItsEnd {
    fn drop(&mut self) {
        count(format!("{} dropped", self.0));
    }
}

#[step]
async fn guarded(key: &str) -> u32 {
    let _guard = CountsItsEnd(key.to_owned());
    let run = count(key);
    gate(key).acquire().await.unwrap().forget();
    run
}

#[workflow]
pub(super) async fn guards(key: String) -> Result<u32> {
    Ok(guarded(&key).await)
}

async fn dropping_the_engine_without_a_shutdown_warns_and_drops_its_workflows(database: &TestDatabase) {
    let key = fresh("dropped");
    let app = database.launch().await;
    app.scope(async { guards(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let log = LogCapture::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let store = app.store();
    let begun = Instant::now();
    tracing::subscriber::with_default(subscriber, || drop(app));
    arrived(&format!("{key} dropped"), 1).await;
    assert!(begun.elapsed() < Duration::from_secs(20), "its body is dropped at once");
    let lines = log.text();
    assert!(
        lines.contains("WARN") && lines.contains("without `shutdown().await`") && lines.contains("workflows=1"),
        "{lines}"
    );
    store.close().await;
    assert_eq!(database.workflows().await[0].status, Status::Pending);

    let app = database.launch().await;
    arrived(&key, 2).await;
    gate(&key).add_permits(1);
    assert_eq!(app.retrieve_workflow::<u32>("w").await.unwrap().await.unwrap(), 2);
    app.shutdown().await;
}

async fn a_clean_shutdown_leaves_one_sqlite_file(database: &TestDatabase) {
    let key = fresh("wal");
    let app = database.launch().await;
    gate(&key).add_permits(1);
    app.scope(async { super::shutdown_calls::stays(key.clone()).await.unwrap() }).await;
    assert!(app.shutdown().await.is_clean());
    let mut files: Vec<_> = std::fs::read_dir(database.folder())
        .unwrap()
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    let expected: &[&str] = if database.is_postgres() { &[] } else { &["app.sqlite"] };
    assert_eq!(files, expected, "one file is left, which can be copied or deleted");
    if !database.is_postgres() {
        std::fs::remove_file(database.folder().join("app.sqlite")).unwrap();
        let app = database.launch().await;
        assert!(app.list_workflows(Filter::new()).await.unwrap().is_empty(), "a new file");
        app.shutdown().await;
    }
}

struct PanicsOnDrop(String);

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        count(format!("{} dropped", self.0));
        panic!("a destructor that panics");
    }
}

#[workflow]
async fn panics_when_dropped(key: String) -> Result<u32> {
    let _mine = PanicsOnDrop(key.clone());
    Ok(stay(&key).await)
}

async fn a_panic_in_a_destructor_does_not_stop_the_shutdown(database: &TestDatabase) {
    let key = fresh("mine");
    let app = database.launch().await;
    app.scope(async { panics_when_dropped(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let report = app.shutdown_with(ShutdownOptions::immediate()).await;
    assert!(report.is_closed() && report.outcome == ShutdownOutcome::Closed, "{report}");
    assert_eq!(counted(&format!("{key} dropped")), 1);
    assert!(report.panics.iter().any(|it| it.contains("\"w\"") && it.contains("a destructor that panics")), "{report}");

    assert_eq!(database.workflows().await[0].status, Status::Pending);
}

async fn panics_in_workflows_tasks_and_phases_do_not_stop_the_shutdown(database: &TestDatabase) {
    let inner = durable_core::store::open(database.url(), database.schema()).await.unwrap();
    let faulty = Arc::new(FaultyStore::owning(&inner, FaultPlan::default()));
    let app = database.builder("app").store(Arc::clone(&faulty) as Arc<dyn Store>).launch().await.unwrap();
    app.listening().await;
    // A task of the engine, while everything works: the next poll.
    faulty.hold_next("poll", HoldAt::Panics);
    let key = fresh("panics");
    app.scope(async { panics_when_dropped(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let asks = app.spawn_scoped(durable::get_event::<u32>("w", "nothing", Duration::from_mins(1)));
    faulty.wait_for_held_call().await;
    // And a phase of the shutdown.
    faulty.hold_next("release", HoldAt::Panics);
    let report = app.shutdown_with(budgets(0, 0)).await;
    assert!(asks.await.unwrap().unwrap_err().is_interrupted());
    let waits = report.background.iter().find(|it| it.name == "durable-poller").unwrap();
    assert!(matches!(waits.outcome, TaskOutcome::Panicked(_)), "{report}");
    let phases: Vec<_> = report.phases.iter().filter(|it| it.panicked).map(|it| &*it.phase).collect();
    assert_eq!((phases, report.phases.len()), (vec!["hand-off"], 7), "{report}");
    for what in ["destructor", "durable-poller", "hand-off"] {
        assert!(report.panics.iter().any(|it| it.contains(what)), "{what}: {:?}", report.panics);
    }
    assert!(report.is_closed() && !report.is_clean() && report.released.is_err(), "{report}");
    assert_eq!(database.workflows().await[0].status, Status::Pending);
}

#[transaction]
async fn keeps_in_postgres(tx: &mut PgConnection, key: &str) -> Result<()> {
    query("select 1").execute(tx).await?;
    count(key);
    gate(key).acquire().await.unwrap().forget();
    Ok(())
}

#[transaction]
async fn keeps_in_sqlite(tx: &mut SqliteConnection, key: &str) -> Result<()> {
    query("select 1").execute(tx).await?;
    count(key);
    gate(key).acquire().await.unwrap().forget();
    Ok(())
}

/// Everything that needs a connection during a shutdown succeeds: the record of a step that ends during the
/// abort, the hand-off of what was dropped after that, and the removal of the executor's row.
async fn pools_are_closed_after_their_last_use(database: &TestDatabase) {
    let (ends, dropped) = (fresh("ends"), fresh("dropped"));
    let inner = durable_core::store::open(database.url(), database.schema()).await.unwrap();
    let faulty = Arc::new(FaultyStore::owning(&inner, FaultPlan::default()));
    let app = database.builder("app").store(Arc::clone(&faulty) as Arc<dyn Store>).launch().await.unwrap();
    app.scope(async {
        guards(ends.clone()).id("ends").start().await.unwrap();
        guards(dropped.clone()).id("dropped").start().await.unwrap();
    })
    .await;
    arrived(&ends, 1).await;
    arrived(&dropped, 1).await;
    faulty.hold_next("remove_executor", HoldAt::Before); // the last statement
    let down = start_shutdown(&app, budgets(0, 400));
    app.wait_for_phase(EnginePhase::Aborting).await;
    gate(&ends).add_permits(1);
    tokio::time::timeout(Duration::from_secs(20), faulty.wait_for_held_call())
        .await
        .expect("the executor's row is removed");
    assert!(inner.pools().iter().any(|it| it.open > 0), "a connection is left for it: {:?}", inner.pools());
    faulty.release_held_call();
    let report = down.await.unwrap();
    assert_eq!((report.completed, report.killed_total), (1, 1), "{report}");
    let released = report.released.as_ref().map(|it| it.direct);
    assert_eq!(released, Ok(1), "{report}");
    assert!(report.is_closed() && report.pools.iter().all(|it| it.closed && it.outstanding == 0), "{report}");
    assert_eq!(report.phases.last().unwrap().phase, "close");

    let store = durable_core::store::open(database.url(), database.schema()).await.unwrap();
    assert!(store.executors().await.unwrap().is_empty(), "its row is gone");
    let of = async |id: &str| store.show(id).await.unwrap().map(|it| (it.status, it.executor));
    assert_eq!(of("ends").await, Some((Status::Success, None)));
    assert_eq!(of("dropped").await, Some((Status::Pending, None)), "it belongs to no executor");
    store.close().await;
}

async fn closing_is_bounded_while_the_program_holds_a_connection(database: &TestDatabase) {
    let key = fresh("keeps");
    let own = PgPool::connect_lazy(database.url()).ok().filter(|_| database.is_postgres());
    let mut builder = database.builder("app");
    if let Some(own) = &own {
        builder = builder.database("own", own.clone());
    }
    let app = builder.launch().await.unwrap();
    // A transaction outside any workflow: the engine cannot end it.
    let of_program = key.clone();
    let postgres = database.is_postgres();
    let keeps = app.spawn_scoped(async move {
        if postgres { keeps_in_postgres(&of_program).await } else { keeps_in_sqlite(&of_program).await }
    });
    arrived(&key, 1).await;
    let options = budgets(0, 0).close(Duration::from_millis(600));
    let report = tokio::time::timeout(Duration::from_secs(8), app.shutdown_with(options)).await;
    let report = report.expect("the shutdown does not wait for the connection");
    let close = report.phases.last().unwrap();
    assert!(close.phase == "close" && close.timed_out && close.elapsed < Duration::from_secs(7), "{report}");
    let open: Vec<_> = report.pools.iter().filter(|it| !it.closed).map(|it| (&*it.name, it.outstanding)).collect();
    assert_eq!(open, [(if postgres { "transactions" } else { "writing" }, 1)], "{report}");
    assert!(!report.is_clean(), "{report}");
    if let Some(own) = &own {
        let one: i32 = query_scalar(AssertSqlSafe("select 1")).fetch_one(own).await.expect("the program closes it");
        assert_eq!(one, 1);
        own.close().await;
    }
    gate(&key).add_permits(1);
    let _ = keeps.await.unwrap();
}

async fn an_engine_shuts_down_on_a_current_thread_runtime(database: &TestDatabase) {
    let (url, schema) = (database.url().to_owned(), database.schema().to_owned());
    let key = fresh("one thread");
    on_dropped_runtime(move |runtime| {
        runtime.block_on(async move {
            let launch = || async {
                let builder = Durable::builder("app").system_database(&url).schema(&schema);
                builder.lease(Duration::from_hours(1)).launch().await.unwrap()
            };
            // It drains.
            let app = launch().await;
            app.scope(async { guards(key.clone()).id("drains").start().await.unwrap() }).await;
            arrived(&key, 1).await;
            let down = start_shutdown(&app, patient());
            app.wait_for_phase(EnginePhase::Draining).await;
            gate(&key).add_permits(1);
            let report = down.await.unwrap();
            assert!(report.is_clean() && report.completed == 1, "{report}");
            assert!(Arc::ptr_eq(&report, &app.shutdown().await));

            // It suspends waits, and lets a step finish.
            let app = launch().await;
            app.scope(async {
                super::suspended_waits::sleeps_once(key.clone(), 3_600_000).id("naps").start().await.unwrap();
                guards(key.clone()).id("step").start().await.unwrap();
            })
            .await;
            arrived(&key, 2).await;
            arrived(&format!("{key} before"), 1).await;
            let down = start_shutdown(&app, budgets(0, 30_000));
            app.wait_for_phase(EnginePhase::Aborting).await;
            gate(&key).add_permits(1);
            let report = down.await.unwrap();
            assert!(report.is_clean() && (report.completed, report.suspended_total) == (1, 1), "{report}");
        });
    })
    .await;
}

async fn the_log_shows_the_phases_and_what_they_wait_for(database: &TestDatabase) {
    let builder = database.builder("app");
    let key = fresh("log");
    let log = LogCapture::default();
    let (captured, of_thread) = (log.clone(), key.clone());
    on_dropped_runtime(move |runtime| {
        // All of this engine runs on this thread, so all of its log is recorded.
        let _said = captured.record();
        runtime.block_on(async move {
            let app = builder.launch().await.unwrap();
            app.scope(async { guards(of_thread.clone()).id("w").start().await.unwrap() }).await;
            arrived(&of_thread, 1).await;
            app.shutdown_with(budgets(5_500, 0)).await
        });
    })
    .await;
    let lines: Vec<String> =
        log.text().lines().filter(|it| it.contains("durable::shutdown")).map(str::to_owned).collect();
    let has = |words: &[&str]| lines.iter().any(|line| words.iter().all(|word| line.contains(word)));
    for phase in ["quiesce", "drain", "abort", "stop", "hand-off", "background", "close"] {
        assert!(has(&["INFO", "phase ended", &format!("phase=\"{phase}\"")]), "{phase}: {lines:#?}");
    }
    assert!(has(&["INFO", "workflows=1", "waiting for: guards \"w\": step `guarded`"]), "{lines:#?}");
    assert!(has(&["WARN", "a running step was dropped", "workflow_id=\"w\""]), "{lines:#?}");
    assert!(has(&["INFO", "shut down in", "1 killed", "1 handed over"]), "{lines:#?}");
    assert!(!log.text().contains(&key), "no argument is in the log");
}

/// A step that waits for the server is dropped, and the close does not wait for the server's answer.
#[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_of_a_dropped_step_does_not_delay_the_close() {
    let database = TestDatabase::postgres();
    let key = fresh("sleeps in the server");
    let app = database.launch().await;
    app.scope(async { sleeps_in_the_server(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let mut direct = PgConnection::connect(database.url()).await.unwrap();
    let sleeping = "select count(*) from pg_stat_activity where state = 'active' and query = 'select pg_sleep(30)'";
    until("the server executes the statement", async || {
        query_scalar::<_, i64>(sleeping).fetch_one(&mut direct).await.unwrap() > 0
    })
    .await;
    let report = app.shutdown_with(budgets(0, 0)).await;
    let close = report.phases.last().unwrap();
    assert!(close.phase == "close" && close.elapsed < Duration::from_secs(20), "{close:?}");
    assert!(report.is_closed() && report.killed_total == 1, "{report}");
    database.clear().await;
}

#[transaction]
async fn sleeps_there(tx: &mut PgConnection, key: &str) -> Result<()> {
    count(key);
    query("select pg_sleep(30)").execute(tx).await?;
    Ok(())
}

#[workflow]
async fn sleeps_in_the_server(key: String) -> Result<()> {
    sleeps_there(&key).await
}
