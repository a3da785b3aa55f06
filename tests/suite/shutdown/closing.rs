//! The end: every connection closed, every task gone, and nothing left behind, however it came about.

use std::sync::Arc;
use std::time::Instant;

use durable::prelude::*;
use durable::sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, SqliteConnection, query, query_scalar};
use durable::{EnginePhase, ShutdownOutcome, TaskOutcome};
use durable_core::store::Store;
use tokio::runtime::Handle;

use super::lifecycle::{busy, stay};
use super::runtimes::on_a_runtime_that_is_dropped;
use super::{arrive_at, budgets, go_down, patient};
use crate::counter::{count, counted, fresh};
use crate::restart::faulty::{Faulty, Hold};
use crate::stage::{Stage, on_every_stage};
use crate::workflows::{arrived, gate};

on_every_stage! {
    relaunch_in_same_process_x20,
    shutdown_before_launch_and_after_failed_launch,
    shutdown_during_launch,
    drop_without_shutdown,
    sqlite_wal_gone_after_clean_shutdown,
    panic_in_a_destructor_does_not_stop_the_teardown,
    panic_in_workflow_drop_background_and_admin,
    pools_closed_last_and_bounded,
    current_thread_runtime,
    the_log_says_what_is_waited_for_and_what_has_become_of_it,
}

/// An engine's settings with a name by which the server knows its connections.
fn named(stage: &Stage, name: &str) -> durable::Builder {
    stage.builder("stage").system_database(named_url(stage, name))
}

fn named_url(stage: &Stage, name: &str) -> String {
    if !stage.is_postgres() {
        return stage.url().to_owned();
    }
    let mut url = url::Url::parse(stage.url()).expect("it is a URL");
    url.query_pairs_mut().append_pair("application_name", name);
    url.into()
}

/// How many connections are open under a name, or to the stage's file.
async fn connections(stage: &Stage, name: &str) -> usize {
    if stage.is_postgres() {
        let mut door = PgConnection::connect(stage.url()).await.unwrap();
        let count = "select count(*) from pg_stat_activity where application_name = $1";
        let count: i64 = query_scalar(count).bind(name).fetch_one(&mut door).await.unwrap();
        return usize::try_from(count).unwrap();
    }
    let open = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|it| std::fs::read_link(it.ok()?.path()).ok());
    open.filter(|it| it.starts_with(stage.folder())).count()
}

/// Returns once there are so few tasks again, and no connections. The server may take a moment to see one go.
async fn nothing_is_left(stage: &Stage, name: &str, tasks: usize) {
    let patience = Instant::now() + Duration::from_secs(5);
    loop {
        let (left, open) = (Handle::current().metrics().num_alive_tasks(), connections(stage, name).await);
        if left <= tasks && open == 0 {
            return;
        }
        assert!(Instant::now() < patience, "{left} tasks and {open} connections are left, of {tasks} and none");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn relaunch_in_same_process_x20(stage: &Stage) {
    let name = fresh("x20");
    let tasks = Handle::current().metrics().num_alive_tasks();
    for round in 0..20 {
        let app = named(stage, &name).launch().await.unwrap();
        let key = format!("{name} {round}");
        gate(&key).add_permits(1);
        app.scope(async { stay(&key).await }).await;
        app.scope(async { super::lifecycle::stays(key.clone()).start().await.unwrap() }).await;
        assert!(connections(stage, &name).await > 0);
        let report = app.shutdown_with(budgets(0, 0)).await;
        assert!(report.is_closed() && report.unfinished_tasks().is_empty(), "{report}");
        drop(app);
        nothing_is_left(stage, &name, tasks).await;
    }
}

async fn shutdown_before_launch_and_after_failed_launch(stage: &Stage) {
    let (name, key) = (fresh("failed"), fresh("failed"));
    let app = busy(stage, &key).await;
    app.shutdown_with(budgets(0, 0)).await;
    nothing_is_left(stage, &name, 0).await;

    let early = named(stage, &name).listen_to(["no-such-queue"]).launch().await.unwrap_err();
    assert_eq!(early.kind(), durable::ErrorKind::Config, "{early}");
    nothing_is_left(stage, &name, 0).await;

    // Late: everything is there, a workflow is taken over, and the answer to that is lost.
    let inner = durable_core::store::open(&named_url(stage, &name), stage.schema()).await.unwrap();
    let faulty = Arc::new(Faulty::owning(&inner));
    faulty.lose_next("adopt");
    let late = stage.builder("stage").store(Arc::clone(&faulty) as Arc<dyn Store>).launch().await.unwrap_err();
    assert_eq!(late.kind(), durable::ErrorKind::Database, "{late}");
    drop((inner, faulty));
    nothing_is_left(stage, &name, 0).await;
    assert_eq!(stage.poll().await[0].executor, None, "what it had taken over was given back");

    gate(&key).add_permits(2);
    let app = named(stage, &name).launch().await.unwrap();
    let ended = app.retrieve_workflow::<u32>("w").await.unwrap().result();
    let ended = tokio::time::timeout(Duration::from_secs(10), ended).await;
    ended.expect("it goes on").unwrap();
    assert!(app.shutdown().await.is_clean());
    nothing_is_left(stage, &name, 0).await;
}

/// Nobody has a handle before the launch is over, so the one way to end it before is to drop it.
async fn shutdown_during_launch(stage: &Stage) {
    let key = fresh("launching");
    let app = busy(stage, &key).await;
    app.shutdown_with(budgets(0, 0)).await;
    let calls =
        ["migrate", "declare", "executors", "sign_on", "now", "put_schedules", "adopt", "records", "count_unknown"];
    for call in calls {
        let name = fresh(call);
        let inner = durable_core::store::open(&named_url(stage, &name), stage.schema()).await.unwrap();
        let faulty = Arc::new(Faulty::owning(&inner));
        faulty.hold_next(call, Hold::Before);
        let launch = tokio::spawn(stage.builder("stage").store(Arc::clone(&faulty) as Arc<dyn Store>).launch());
        let held = tokio::time::timeout(Duration::from_secs(10), faulty.holds()).await;
        held.unwrap_or_else(|_| panic!("the launch calls `{call}`"));
        launch.abort();
        assert!(launch.await.unwrap_err().is_cancelled());
        drop((inner, faulty));
        nothing_is_left(stage, &name, 0).await;
    }
    gate(&key).add_permits(10);
    // Whoever was cut off has not said goodbye.
    let app = stage.builder("stage").launch().await.unwrap();
    let ended = app.retrieve_workflow::<u32>("w").await.unwrap().result();
    tokio::time::timeout(Duration::from_secs(10), ended).await.expect("it goes on").unwrap();
    app.shutdown().await;
}

#[derive(Clone, Default)]
pub(crate) struct Log(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// Writes down what is said on this thread, for as long as what it gives lives.
    ///
    /// There are two subscribers, because with a single one in the process a line of code is silent
    /// for ever that another thread was the first to reach.
    pub(crate) fn hears(&self) -> impl Sized {
        let subscriber = || {
            let writer = self.clone();
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish()
        };
        let another = tracing::Dispatch::new(subscriber());
        (tracing::subscriber::set_default(subscriber()), another)
    }
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

async fn drop_without_shutdown(stage: &Stage) {
    let key = fresh("dropped");
    let app = stage.launch().await;
    app.scope(async { guards(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let store = app.store();
    let begun = Instant::now();
    tracing::subscriber::with_default(subscriber, || drop(app));
    arrived(&format!("{key} dropped"), 1).await;
    assert!(begun.elapsed() < Duration::from_secs(2), "its body is dropped at once");
    let said = log.text();
    assert!(
        said.contains("WARN") && said.contains("without `shutdown().await`") && said.contains("workflows=1"),
        "{said}"
    );
    store.close().await;
    assert_eq!(stage.poll().await[0].status, Status::Pending);

    let app = stage.launch().await;
    arrived(&key, 2).await;
    gate(&key).add_permits(1);
    assert_eq!(app.retrieve_workflow::<u32>("w").await.unwrap().await.unwrap(), 2);
    app.shutdown().await;
}

async fn sqlite_wal_gone_after_clean_shutdown(stage: &Stage) {
    let key = fresh("wal");
    let app = stage.launch().await;
    gate(&key).add_permits(1);
    app.scope(async { super::lifecycle::stays(key.clone()).await.unwrap() }).await;
    assert!(app.shutdown().await.is_clean());
    let mut files: Vec<_> =
        std::fs::read_dir(stage.folder()).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    let expected: &[&str] = if stage.is_postgres() { &[] } else { &["stage.sqlite"] };
    assert_eq!(files, expected, "one file is left, which can be copied or deleted");
    if !stage.is_postgres() {
        std::fs::remove_file(stage.folder().join("stage.sqlite")).unwrap();
        let app = stage.launch().await;
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
async fn holds_a_mine(key: String) -> Result<u32> {
    let _mine = PanicsOnDrop(key.clone());
    Ok(stay(&key).await)
}

async fn panic_in_a_destructor_does_not_stop_the_teardown(stage: &Stage) {
    let key = fresh("mine");
    let app = stage.launch().await;
    app.scope(async { holds_a_mine(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let report = app.shutdown_with(ShutdownOptions::immediate()).await;
    assert!(report.is_closed() && report.outcome == ShutdownOutcome::Closed, "{report}");
    assert_eq!(counted(&format!("{key} dropped")), 1);
    assert!(report.panics.iter().any(|it| it.contains("\"w\"") && it.contains("a destructor that panics")), "{report}");

    assert_eq!(stage.poll().await[0].status, Status::Pending);
}

async fn panic_in_workflow_drop_background_and_admin(stage: &Stage) {
    let inner = durable_core::store::open(stage.url(), stage.schema()).await.unwrap();
    let faulty = Arc::new(Faulty::owning(&inner));
    let app = stage.builder("stage").store(Arc::clone(&faulty) as Arc<dyn Store>).launch().await.unwrap();
    app.listening().await;
    // A task of the engine, while everything works: the next look for news.
    faulty.hold_next("look", Hold::Panics);
    let key = fresh("panics");
    app.scope(async { holds_a_mine(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let asks = app.spawn(durable::get_event::<u32>("w", "nothing", Duration::from_mins(1)));
    faulty.holds().await;
    // And a phase of the shutdown.
    faulty.hold_next("release", Hold::Panics);
    let report = app.shutdown_with(budgets(0, 0)).await;
    assert!(asks.await.unwrap().unwrap_err().is_interrupted());
    let waits = report.background.iter().find(|it| it.name == "durable-waits").unwrap();
    assert!(matches!(waits.outcome, TaskOutcome::Panicked(_)), "{report}");
    let phases: Vec<_> = report.phases.iter().filter(|it| it.panicked).map(|it| it.phase).collect();
    assert_eq!((phases, report.phases.len()), (vec!["hand-off"], 7), "{report}");
    for what in ["destructor", "durable-waits", "hand-off"] {
        assert!(report.panics.iter().any(|it| it.contains(what)), "{what}: {:?}", report.panics);
    }
    assert!(report.is_closed() && !report.is_clean() && report.released.is_err(), "{report}");
    assert_eq!(stage.poll().await[0].status, Status::Pending);
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

async fn pools_closed_last_and_bounded(stage: &Stage) {
    let key = fresh("keeps");
    let own = PgPool::connect_lazy(stage.url()).ok().filter(|_| stage.is_postgres());
    let mut builder = stage.builder("stage");
    if let Some(own) = &own {
        builder = builder.database("own", own.clone());
    }
    let app = builder.launch().await.unwrap();
    // A transaction of the program's, outside any workflow: nobody but the program can end it.
    let of_program = key.clone();
    let postgres = stage.is_postgres();
    let keeps = app.spawn(async move {
        if postgres { keeps_in_postgres(&of_program).await } else { keeps_in_sqlite(&of_program).await }
    });
    arrived(&key, 1).await;
    let mut options = budgets(0, 0);
    options = options.close(Duration::from_millis(600));
    let begun = Instant::now();
    let report = app.shutdown_with(options).await;
    assert!(begun.elapsed() < Duration::from_secs(8), "{report}");
    let close = report.phases.last().unwrap();
    assert!(close.phase == "close" && close.timed_out, "{report}");
    let open: Vec<_> = report.pools.iter().filter(|it| !it.closed).map(|it| (it.name, it.outstanding)).collect();
    assert_eq!(open, [(if postgres { "work" } else { "writing" }, 1)], "{report}");
    assert!(!report.is_clean(), "{report}");
    if let Some(own) = &own {
        let one: i32 = query_scalar(AssertSqlSafe("select 1")).fetch_one(own).await.expect("it is the program's own");
        assert_eq!(one, 1);
        own.close().await;
    }
    gate(&key).add_permits(1);
    let _ = keeps.await.unwrap();
}

async fn current_thread_runtime(stage: &Stage) {
    let (url, schema) = (stage.url().to_owned(), stage.schema().to_owned());
    let key = fresh("one thread");
    on_a_runtime_that_is_dropped(move |runtime| {
        runtime.block_on(async move {
            let launch = || async {
                let builder = Durable::builder("stage").system_database(&url).schema(&schema);
                builder.lease(Duration::from_hours(1)).launch().await.unwrap()
            };
            // It drains.
            let app = launch().await;
            app.scope(async { guards(key.clone()).id("drains").start().await.unwrap() }).await;
            arrived(&key, 1).await;
            let down = go_down(&app, patient());
            arrive_at(&app, EnginePhase::Draining).await;
            gate(&key).add_permits(1);
            let report = down.await.unwrap();
            assert!(report.is_clean() && report.completed == 1, "{report}");
            assert!(Arc::ptr_eq(&report, &app.shutdown().await));

            // It lets go of waits, and of steps that come to their end.
            let app = launch().await;
            app.scope(async {
                super::waits::naps_once(key.clone(), 3_600_000).id("naps").start().await.unwrap();
                guards(key.clone()).id("step").start().await.unwrap();
            })
            .await;
            arrived(&key, 2).await;
            arrived(&format!("{key} before"), 1).await;
            let down = go_down(&app, budgets(0, 30_000));
            arrive_at(&app, EnginePhase::Aborting).await;
            gate(&key).add_permits(1);
            let report = down.await.unwrap();
            assert!(report.is_clean() && (report.completed, report.suspended_total) == (1, 1), "{report}");
        });
    })
    .await;
}

async fn the_log_says_what_is_waited_for_and_what_has_become_of_it(stage: &Stage) {
    let builder = stage.builder("stage");
    let key = fresh("said");
    let log = Log::default();
    let (hearing, of_thread) = (log.clone(), key.clone());
    on_a_runtime_that_is_dropped(move |runtime| {
        // All of this engine is on this thread, and so is all that it says.
        let _said = hearing.hears();
        runtime.block_on(async move {
            let app = builder.launch().await.unwrap();
            app.scope(async { guards(of_thread.clone()).id("w").start().await.unwrap() }).await;
            arrived(&of_thread, 1).await;
            app.shutdown_with(budgets(5_500, 0)).await
        });
    })
    .await;
    let said: Vec<String> =
        log.text().lines().filter(|it| it.contains("durable::shutdown")).map(str::to_owned).collect();
    let has = |words: &[&str]| said.iter().any(|line| words.iter().all(|word| line.contains(word)));
    for phase in ["quiesce", "drain", "abort", "stop", "hand-off", "background", "close"] {
        assert!(has(&["INFO", "a phase has ended", &format!("phase=\"{phase}\"")]), "{phase}: {said:#?}");
    }
    assert!(has(&["INFO", "running=1", "waiting for: guards \"w\": step `guarded`"]), "{said:#?}");
    assert!(has(&["WARN", "a running step was dropped", "id=\"w\""]), "{said:#?}");
    assert!(has(&["INFO", "shut down in", "1 killed", "handed over 1"]), "{said:#?}");
    assert!(!log.text().contains(&key), "no argument is in the log");
}

/// A step that waits for the server is cut off, and nobody waits for the server's answer.
#[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aborted_query_does_not_delay_close() {
    let stage = Stage::postgres();
    let key = fresh("sleeps in the server");
    let app = stage.launch().await;
    app.scope(async { sleeps_in_the_server(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    tokio::time::sleep(Duration::from_millis(200)).await; // the statement is on its way
    let report = app.shutdown_with(budgets(0, 0)).await;
    let close = report.phases.last().unwrap();
    assert!(close.phase == "close" && close.elapsed < Duration::from_secs(2), "{close:?}");
    assert!(report.is_closed() && report.killed_total == 1, "{report}");
    stage.clear().await;
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
