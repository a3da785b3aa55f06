//! Errors of the database that are not about the data of a workflow: the workflow waits, and none is parked.

use durable::prelude::*;
use durable::queue;
use durable::testing::server;
use durable::{Durable, EnginePhase};

use crate::support::{LogCapture, ProcessDatabase, TestDatabase, arrived, count, database_tests, fresh, gate, until};

database_tests! {
a_shutdown_does_not_wait_for_a_missing_table,
}

/// On one thread, so that all of the log is recorded.
mod on_one_thread {
    use crate::support::TestDatabase;

    #[tokio::test]
    async fn a_missing_table_delays_workflows_on_sqlite_and_parks_none() {
        let database = TestDatabase::sqlite();
        super::a_missing_table_delays_workflows_and_parks_none(&database).await;
        database.clear().await;
    }

    #[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
    #[tokio::test]
    async fn a_missing_table_delays_workflows_on_postgres_and_parks_none() {
        let database = TestDatabase::postgres();
        super::a_missing_table_delays_workflows_and_parks_none(&database).await;
        database.clear().await;
    }
}

#[step]
async fn returns(value: String) -> String {
    value
}

#[workflow]
async fn returns_it_twice(value: String) -> Result<String> {
    returns(value.clone()).await;
    Ok(returns(value).await)
}

#[step]
async fn gated(key: &str) {
    count(key);
    gate(key).acquire().await.unwrap().forget();
}

#[workflow]
async fn ends_after_a_gate(key: String) -> Result<u32> {
    gated(&key).await;
    Ok(7)
}

async fn a_missing_table_delays_workflows_and_parks_none(database: &TestDatabase) {
    let key = fresh("missing");
    let log = LogCapture::default();
    let app = database.launch().await;
    let workflow = app.scope(async { ends_after_a_gate(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let mut direct = database.direct_connection().await;
    let recording = log.record();
    let (here, away) = if database.is_postgres() { ("steps", "away") } else { ("durable_steps", "durable_away") };
    direct
        .execute(&format!("alter table durable.{here} rename to {away}").replace("durable.durable_", "durable_"))
        .await;
    gate(&key).add_permits(1);
    until("the write has failed", async || log.text().contains("cannot carry out some writes")).await;
    assert_eq!(app.phase(), EnginePhase::Running);
    direct
        .execute(&format!("alter table durable.{away} rename to {here}").replace("durable.durable_", "durable_"))
        .await;
    assert_eq!(workflow.await.unwrap(), 7);
    drop(recording);
    if database.is_postgres() {
        assert!(log.text().contains("restore it, or launch again"), "{}", log.text());
    }
    app.shutdown().await;
}

async fn a_shutdown_does_not_wait_for_a_missing_table(database: &TestDatabase) {
    let key = fresh("missing");
    let app = database.launch().await;
    app.scope(async { ends_after_a_gate(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let mut direct = database.direct_connection().await;
    let (here, away) = if database.is_postgres() { ("steps", "away") } else { ("durable_steps", "durable_away") };
    direct
        .execute(&format!("alter table durable.{here} rename to {away}").replace("durable.durable_", "durable_"))
        .await;
    gate(&key).add_permits(1);
    let report = app.shutdown_with(ShutdownOptions::immediate()).await;
    assert_eq!((report.suspended_total, report.killed_total), (1, 0), "{report}");
    direct
        .execute(&format!("alter table durable.{away} rename to {here}").replace("durable.durable_", "durable_"))
        .await;
    gate(&key).add_permits(1); // the step runs again if its record was lost
    let app = database.launch().await;
    assert_eq!(app.retrieve_workflow::<u32>("w").await.unwrap().result().await.unwrap(), 7);
    app.shutdown().await;
}

/// What a trigger on the table of steps raises for a step that returns such a code.
const CODES: [&str; 24] = [
    "08006", "0A000", "25006", "25P02", "26000", "28000", "28P01", "40001", "40P01", "42501", "42P01", "42P05",
    "53100", "53200", "54000", "55000", "57014", "57P01", "57P05", "58030", "F0000", "P0001", "XX000", "XX002",
];
const DATA_CODES: [&str; 2] = ["22021", "23514"];

#[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_errors_about_the_data_park_a_workflow_and_other_workflows_continue() {
    let database = TestDatabase::postgres();
    let app = database.launch().await;
    let mut direct = database.direct_connection().await;
    direct
        .execute(
            "create table durable.faults (code text); create sequence durable.hits;
             create function durable.fail() returns trigger language plpgsql as $$ begin
                 if new.output ~ '^\"[0-9A-Z]{5}\"$' and exists (select 1 from durable.faults) then
                     perform nextval('durable.hits');
                     raise exception using errcode = trim(both '\"' from new.output), message = 'injected';
                 end if;
                 return new;
             end $$;
             insert into durable.faults values ('all');
             create trigger fail before insert on durable.steps for each row execute function durable.fail()",
        )
        .await;
    let mut handles = Vec::new();
    for code in CODES.into_iter().chain(DATA_CODES) {
        handles.push((code, app.scope(returns_it_twice(code.to_owned()).id(code).start()).await.unwrap()));
    }
    // It shares commits with those that fail.
    for number in 0..3 {
        let healthy = app.scope(returns_it_twice(format!("fine {number}")).start()).await.unwrap();
        assert_eq!(healthy.await.unwrap(), format!("fine {number}"), "it does not wait for the others");
    }
    for code in DATA_CODES {
        until("what cannot be stored is parked", async || status(&app, code).await == Status::Parked).await;
    }
    for code in CODES {
        assert_eq!(status(&app, code).await, Status::Pending, "{code}");
    }
    direct.execute("delete from durable.faults").await;
    for (code, handle) in handles {
        if !DATA_CODES.contains(&code) {
            assert_eq!(handle.await.unwrap(), code);
        }
    }
    app.shutdown().await;
    database.clear().await;
}

#[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_go_on_beside_others_that_fail_each_time() {
    let database = TestDatabase::postgres();
    let app = database.launch().await;
    let mut direct = database.direct_connection().await;
    direct
        .execute(
            "create sequence durable.hits;
             create function durable.fail() returns trigger language plpgsql as $$ begin
                 if new.output = '\"fails\"' then
                     perform nextval('durable.hits');
                     raise exception using errcode = '55000', message = 'injected';
                 end if;
                 return new;
             end $$;
             create trigger fail before insert on durable.steps for each row execute function durable.fail()",
        )
        .await;
    for number in 0..40 {
        app.scope(returns_it_twice("fails".to_owned()).id(format!("fails-{number}")).start()).await.unwrap();
    }
    // Some of these come to the writer with all those that fail, and are tried in one commit with them.
    while direct.number("select last_value from durable.hits").await < 200 {
        let fine = tokio::time::timeout(Duration::from_mins(1), app.scope(returns_it_twice("fine".to_owned())));
        assert_eq!(fine.await.expect("it does not wait for the others").unwrap(), "fine");
    }
    for number in 0..40 {
        assert_eq!(status(&app, &format!("fails-{number}")).await, Status::Pending);
    }
    direct.execute("drop trigger fail on durable.steps").await;
    for number in 0..40 {
        let handle = app.retrieve_workflow::<String>(&format!("fails-{number}")).await.unwrap();
        assert_eq!(handle.await.unwrap(), "fails", "it goes on once its writes succeed");
    }
    app.shutdown().await;
    database.clear().await;
}

async fn status(app: &Durable, id: &str) -> Status {
    app.retrieve_workflow::<String>(id).await.unwrap().status().await.unwrap()
}

#[workflow]
async fn rests_between_steps(pause: Duration) -> Result<String> {
    returns("one".to_owned()).await;
    durable::sleep(pause).await;
    Ok(returns("two".to_owned()).await)
}

/// Launches an engine on a database of its own, for settings of the whole database.
async fn launch_on(database: &ProcessDatabase) -> Durable {
    Durable::builder("own").system_database(database.url()).launch().await.unwrap()
}

#[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workflows_survive_sessions_that_the_server_ends_when_idle() {
    use durable::sqlx::{AssertSqlSafe, Connection, PgConnection, raw_sql};
    let database = ProcessDatabase::postgres().await;
    let name = database.url().rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
    let mut direct = PgConnection::connect(&server::url()).await.unwrap();
    let idle = format!("alter database {name} set idle_session_timeout = '150ms'");
    raw_sql(AssertSqlSafe(idle)).execute(&mut direct).await.unwrap();
    let app = launch_on(&database).await;
    for _ in 0..3 {
        let ended = app.scope(rests_between_steps(Duration::from_millis(400))).await;
        assert_eq!(ended.unwrap(), "two");
    }
    app.list_workflows(Filter::new()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1_200)).await; // all sessions are ended meanwhile
    assert_eq!(app.list_workflows(Filter::new()).await.unwrap().len(), 3, "a caller does not notice it");
    app.shutdown().await;
    direct.close().await.unwrap();
    database.clear().await;
}

#[queue]
static ALTERED: Queue = Queue::new("altered");

#[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_column_altered_under_a_running_engine_stops_no_queue() {
    let database = TestDatabase::postgres();
    let app = database.launch().await;
    let mut direct = database.direct_connection().await;
    let queued = async || {
        let handle = app.scope(async { returns_it_twice("x".to_owned()).queue(&ALTERED).start().await }).await;
        handle.unwrap().await.unwrap()
    };
    assert_eq!(queued().await, "x");
    direct.execute("alter table durable.workflows alter column name type varchar").await;
    let ended = tokio::time::timeout(Duration::from_secs(10), queued()).await;
    assert_eq!(ended.expect("the queue goes on"), "x");
    app.shutdown().await;
    database.clear().await;
}
