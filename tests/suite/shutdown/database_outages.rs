//! The database fails, stops responding and returns while the engine shuts down.

use std::sync::Arc;
use std::time::Instant;

use durable::EnginePhase;
use durable::prelude::*;
use durable::sqlx::{Connection, PgConnection, query_scalar};
use durable::testing::server::Server;
use durable_core::store::Store;

use crate::support::{
    FaultPlan, FaultyStore, TestDatabase, arrived, budgets, count, counted, database_tests, fresh, gate, patient,
    set_frozen, start_shutdown,
};

database_tests! {
the_abort_ends_retries_against_an_unreachable_database,
}

#[step]
async fn numbered(key: &str, number: u32) -> u32 {
    count(format!("{key} {number}"));
    count(key);
    gate(key).acquire().await.unwrap().forget();
    number
}

#[workflow]
async fn numbers(key: String, many: u32) -> Result<u32> {
    let mut sum = 0;
    for number in 1..=many {
        sum += numbered(&key, number).await;
    }
    Ok(sum)
}

async fn the_abort_ends_retries_against_an_unreachable_database(database: &TestDatabase) {
    let key = fresh("away");
    let inner = durable_core::store::open(database.url(), database.schema()).await.unwrap();
    let faulty = Arc::new(FaultyStore::over(&inner, FaultPlan::default()));
    let app = database.builder("away").store(Arc::clone(&faulty) as Arc<dyn Store>).launch().await.unwrap();
    app.scope(async { numbers(key.clone(), 3).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    faulty.set_unresponsive(true);
    gate(&key).add_permits(1); // its record cannot be written, and is retried
    faulty.wait_for_rejected_commit().await;
    let begun = Instant::now();
    let report = app.shutdown_with(budgets(0, 30_000)).await;
    assert!(begun.elapsed() < Duration::from_secs(20), "a database that is away is not waited for: {report}");
    assert!(abort(&report) < Duration::from_secs(10), "nor is a try that does not come back: {report}");
    assert_eq!((report.suspended_total, report.killed_total), (1, 0), "{report}");
    let why = report.released.as_ref().expect_err("nothing can be handed over");
    assert!(why.contains("away") && report.exit_code() == 1, "{report}");
    faulty.set_unresponsive(false);
    assert_eq!(inner.show("w").await.unwrap().unwrap().status, Status::Pending, "never an error");
    inner.close().await;

    // The executor was not removed, but its lock file is unlocked, or the next one has its name.
    gate(&key).add_permits(3);
    let app = database.builder("next").launch().await.unwrap();
    let ended = app.retrieve_workflow::<u32>("w").await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(20), ended.result()).await;
    assert_eq!(ended.expect("it goes on").unwrap(), 6);
    app.shutdown().await;
}

/// How long the steps were waited for.
fn abort(report: &durable::ShutdownReport) -> Duration {
    report.phases.iter().find(|it| it.phase == "abort").unwrap().elapsed
}

/// A server of this test's own, and a database for it.
fn server() -> Server {
    Server::start().expect("a server can be started where there is one for the other tests")
}

fn builder(server: &Server) -> durable::Builder {
    // An engine without a database cannot remove its executor: the next one has the same id.
    Durable::builder("outage").system_database(server.url()).executor_id("outage").lease(Duration::from_hours(1))
}

async fn off_thread<R: Send + 'static>(server: &Arc<Server>, work: impl FnOnce(&Server) -> R + Send + 'static) -> R {
    let server = Arc::clone(server);
    tokio::task::spawn_blocking(move || work(&server)).await.unwrap()
}

/// Checks that the workflow completes, and that each recorded step ran once.
async fn goes_on(server: &Server, key: &str, many: u32, most_again: u32) {
    gate(key).add_permits(many as usize * 2);
    let app = builder(server).launch().await.unwrap();
    let ended = app.retrieve_workflow::<u32>("w").await.unwrap().result();
    let sum = tokio::time::timeout(Duration::from_secs(20), ended).await.expect("it goes on").unwrap();
    assert_eq!(sum, (1..=many).sum::<u32>());
    let again: u32 = (1..=many).map(|number| counted(&format!("{key} {number}")) - 1).sum();
    assert!(again <= most_again, "{again} steps ran again");
    let steps = app.list_steps("w").await.unwrap();
    assert_eq!(steps.len(), many as usize, "each step is recorded once");
    assert!(app.shutdown().await.is_clean());
}

macro_rules! on_a_server_of_its_own {
($($case:ident),+ $(,)?) => {
mod on_a_server_of_its_own {
$(
#[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn $case() {
let server = std::sync::Arc::new(tokio::task::spawn_blocking(super::server).await.unwrap());
super::$case(&server).await;
tokio::task::spawn_blocking(move || drop(server)).await.unwrap();
}
)+
}
};
}

on_a_server_of_its_own! {
a_shutdown_is_bounded_while_the_server_is_stopped,
a_shutdown_is_bounded_while_the_server_is_frozen,
a_drain_waits_for_a_restarting_server,
a_drain_survives_terminated_server_connections,
}

async fn a_shutdown_is_bounded_while_the_server_is_stopped(server: &Arc<Server>) {
    let key = fresh("stopped");
    let app = builder(server).launch().await.unwrap();
    app.scope(async { numbers(key.clone(), 5).id("w").start().await.unwrap() }).await;
    gate(&key).add_permits(2);
    arrived(&key, 3).await;
    let begun = Instant::now();
    let down = start_shutdown(&app, ShutdownOptions::within(Duration::from_secs(6)));
    app.wait_for_phase(EnginePhase::Draining).await;
    off_thread(server, |it| it.set_running(false)).await;
    gate(&key).add_permits(1);
    let report = down.await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(20), "{report}");
    assert!(report.released.is_err() && report.exit_code() == 1 && report.stuck_total == 0, "{report}");
    assert!(abort(&report) < Duration::from_millis(850), "whose record cannot be written leaves at once: {report}");
    assert_eq!((report.suspended_total, report.killed_total), (1, 0), "no step was running: {report}");
    off_thread(server, |it| it.set_running(true)).await;
    // The third step had run, and could not be recorded.
    goes_on(server, &key, 5, 1).await;
}

async fn a_shutdown_is_bounded_while_the_server_is_frozen(server: &Arc<Server>) {
    let key = fresh("frozen");
    let app = builder(server).launch().await.unwrap();
    app.scope(async { numbers(key.clone(), 5).id("w").start().await.unwrap() }).await;
    gate(&key).add_permits(2);
    arrived(&key, 3).await;
    let begun = Instant::now();
    let down = start_shutdown(&app, ShutdownOptions::within(Duration::from_secs(6)));
    app.wait_for_phase(EnginePhase::Draining).await;
    off_thread(server, |it| set_frozen(it.process_id(), true)).await;
    gate(&key).add_permits(1); // its record is never answered
    let report = down.await.unwrap();
    let took = begun.elapsed();
    off_thread(server, |it| set_frozen(it.process_id(), false)).await;
    assert!(took < Duration::from_secs(20), "{report}");
    assert!(report.released.is_err() && report.stuck_total == 0, "{report}");
    assert_eq!((report.suspended_total, report.killed_total), (1, 0), "no step was running: {report}");
    goes_on(server, &key, 5, 1).await;
}

async fn a_drain_waits_for_a_restarting_server(server: &Arc<Server>) {
    let key = fresh("restarted");
    let app = builder(server).launch().await.unwrap();
    app.scope(async { numbers(key.clone(), 5).id("w").start().await.unwrap() }).await;
    gate(&key).add_permits(2);
    arrived(&key, 3).await;
    let down = start_shutdown(&app, patient());
    app.wait_for_phase(EnginePhase::Draining).await;
    off_thread(server, |it| it.set_running(false)).await;
    gate(&key).add_permits(3);
    tokio::time::sleep(Duration::from_millis(300)).await; // nothing may happen in it
    assert_eq!(app.phase(), EnginePhase::Draining, "the database is waited for as long as the drain lasts");
    off_thread(server, |it| it.set_running(true)).await;
    let report = down.await.unwrap();
    assert!(report.completed == 1 && report.suspended_total == 0, "{report}");
    goes_on(server, &key, 5, 0).await;
}

async fn a_drain_survives_terminated_server_connections(server: &Arc<Server>) {
    const MANY: u32 = 30;
    let key = fresh("terminated");
    let app = builder(server).launch().await.unwrap();
    app.scope(async { numbers(key.clone(), MANY).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let down = start_shutdown(&app, patient());
    app.wait_for_phase(EnginePhase::Draining).await;
    let mut door = PgConnection::connect(&server.url()).await.unwrap();
    let mut ended = 0;
    for done in 1..MANY {
        gate(&key).add_permits(1);
        let end = "select count(pg_terminate_backend(pid)) from pg_stat_activity
where application_name = 'durable' and pid <> pg_backend_pid()";
        ended += query_scalar::<_, i64>(end).fetch_one(&mut door).await.unwrap();
        // The next step begins when the record of this one is written, on a connection that is left alone.
        let next = tokio::time::timeout(Duration::from_secs(20), arrived(&key, done + 1)).await;
        next.expect("a connection that ends is no reason to stop");
    }
    gate(&key).add_permits(1);
    let report = down.await.unwrap();
    assert!(report.completed == 1 && ended > 10, "{ended} connections were ended: {report}");
    door.close().await.unwrap();
    goes_on(server, &key, MANY, 0).await;
}
