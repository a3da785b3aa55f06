//! A database that is silent, and sessions that hold locks forever.

use durable::prelude::*;
use durable::sqlx::{PgConnection, raw_sql};
use durable::testing::server::Server;
use durable::{Durable, Readiness};

use crate::support::tcp_proxy::{Link, tcp_proxy};
use crate::support::{TestDatabase, arrived, count, counted, fresh, gate, until, url_of};

macro_rules! postgres_tests {
    ($($case:ident),+ $(,)?) => {
        mod postgres {
            $(
                #[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let database = crate::support::TestDatabase::postgres();
                    super::$case(&database).await;
                    database.clear().await;
                }
            )+
        }
    };
}

postgres_tests! {
silent_connections_are_replaced_and_every_start_is_answered,
readiness_ends_when_the_lease_is_not_confirmed_and_returns,
a_forgotten_transaction_does_not_stop_a_takeover,
a_transaction_that_idles_for_too_long_is_ended_and_runs_again,
a_transaction_whose_connection_falls_silent_runs_again,
a_takeover_ends_the_transactions_of_silent_connections,
}

#[step]
async fn noted(key: &str) -> u32 {
    count(key);
    1
}

#[workflow]
async fn one_note(key: String) -> Result<u32> {
    Ok(noted(&key).await)
}

/// An engine behind a proxy, and the proxy's switch.
async fn behind_a_proxy(database: &TestDatabase, lease: Duration) -> (Durable, tokio::sync::watch::Sender<Link>) {
    let (url, link) = tcp_proxy(&url_of(database.url())).await;
    let builder = database.builder("app").system_database(url.as_str()).lease(lease);
    (builder.statement_timeout(Duration::from_millis(300)).launch().await.unwrap(), link)
}

async fn silent_connections_are_replaced_and_every_start_is_answered(database: &TestDatabase) {
    let key = fresh("silent");
    let (app, link) = behind_a_proxy(database, Duration::from_hours(1)).await;
    assert_eq!(app.scope(one_note(key.clone())).await.unwrap(), 1);
    link.send_replace(Link::Frozen); // what is open now stays silent forever
    let start = |key: String| {
        let app = app.clone();
        tokio::spawn(async move { app.scope(one_note(key)).await })
    };
    let starts: Vec<_> = (0..8).map(|_| start(key.clone())).collect();
    tokio::time::sleep(Duration::from_millis(50)).await; // they are sent into the silence
    link.send_replace(Link::Open);
    for start in starts {
        let ended = tokio::time::timeout(Duration::from_mins(1), start).await.expect("each is answered");
        assert_eq!(ended.unwrap().unwrap(), 1);
    }
    // A read on a connection that has fallen silent is an error for its caller; each such connection is replaced.
    until("reading works, too", async || app.list_workflows(Filter::new()).await.is_ok_and(|it| it.len() == 9)).await;
    let report = tokio::time::timeout(Duration::from_mins(1), app.shutdown()).await.expect("it ends");
    assert!(report.released.is_ok(), "{report}");
}

async fn readiness_ends_when_the_lease_is_not_confirmed_and_returns(database: &TestDatabase) {
    // A lease that a busy machine confirms in time.
    let (app, link) = behind_a_proxy(database, Duration::from_secs(5)).await;
    assert_eq!(app.readiness(), Readiness::Ready);
    link.send_replace(Link::Frozen);
    until("it is not ready", async || !app.readiness().is_ready()).await;
    assert!(app.readiness().reason().unwrap().contains("lease"), "{}", app.readiness());
    link.send_replace(Link::Open);
    until("it is ready again", async || app.readiness().is_ready()).await;
    app.shutdown().await;
}

#[step]
async fn waits_here(key: &str) -> u32 {
    count(key);
    gate(key).acquire().await.unwrap().forget();
    2
}

#[workflow]
async fn waits_until_taken_over(key: String) -> Result<u32> {
    Ok(waits_here(&key).await)
}

async fn a_forgotten_transaction_does_not_stop_a_takeover(database: &TestDatabase) {
    let key = fresh("forgotten");
    let app = database.builder("app").executor_id("same").launch().await.unwrap();
    app.scope(async { waits_until_taken_over(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let mut forgotten = database.direct_connection().await;
    forgotten.execute("begin; select 1 from durable.executors where name = 'same' for key share").await;
    database.crash(app).await;
    gate(&key).add_permits(2);
    let launch = database.builder("app").executor_id("same").launch();
    let app = tokio::time::timeout(Duration::from_secs(15), launch).await.expect("it takes over").unwrap();
    assert_eq!(app.retrieve_workflow::<u32>("w").await.unwrap().result().await.unwrap(), 2);
    app.shutdown().await;
}

#[transaction]
async fn idles_once(tx: &mut PgConnection, key: &str) -> Result<u32> {
    count(key);
    raw_sql("select 1").execute(&mut *tx).await?;
    if counted(key) == 1 {
        tokio::time::sleep(Duration::from_millis(300)).await; // longer than the timeout
    }
    raw_sql("select 1").execute(&mut *tx).await?;
    Ok(counted(key))
}

#[workflow]
async fn idles_in_a_transaction(key: String) -> Result<u32> {
    idles_once(&key).await
}

async fn a_transaction_that_idles_for_too_long_is_ended_and_runs_again(database: &TestDatabase) {
    let app = database.builder("app").transaction_idle_timeout(Duration::from_millis(50)).launch().await.unwrap();
    assert_eq!(app.scope(idles_in_a_transaction(fresh("idles"))).await.unwrap(), 2);
    app.shutdown().await;
}

#[transaction]
async fn asks_into_silence(tx: &mut PgConnection, key: &str) -> Result<u32> {
    raw_sql("select 1").execute(&mut *tx).await?;
    let attempt = count(key);
    if attempt == 1 {
        gate(key).acquire().await.unwrap().forget();
    }
    raw_sql("select 1").execute(&mut *tx).await?;
    Ok(attempt)
}

#[workflow]
async fn asks_in_a_transaction(key: String) -> Result<u32> {
    asks_into_silence(&key).await
}

async fn a_transaction_whose_connection_falls_silent_runs_again(database: &TestDatabase) {
    let key = fresh("silent transaction");
    let (url, link) = tcp_proxy(&url_of(database.url())).await;
    let builder = database.builder("app").system_database(url.as_str()).lease(Duration::from_hours(1));
    let builder = builder.statement_timeout(Duration::from_millis(300));
    let app = builder.transaction_idle_timeout(Duration::from_millis(500)).launch().await.unwrap();
    let handle = app.scope(async { asks_in_a_transaction(key.clone()).start().await.unwrap() }).await;
    arrived(&key, 1).await;
    link.send_replace(Link::Frozen); // the connections that are open now stay silent
    tokio::time::sleep(Duration::from_millis(20)).await; // the proxy has stopped to pass on
    link.send_replace(Link::Open);
    gate(&key).add_permits(1);
    let ended = tokio::time::timeout(Duration::from_secs(30), handle.result()).await.expect("it does not hang");
    assert_eq!(ended.unwrap(), 2);
    app.shutdown().await;
}

#[transaction]
async fn locks_a_row(tx: &mut PgConnection, table: &str, key: &str) -> Result<u32> {
    let lock = sqlx::AssertSqlSafe(format!("update {table} set value = value + 1"));
    raw_sql(lock).execute(&mut *tx).await?;
    let attempt = count(key);
    if attempt <= 3 {
        gate(key).acquire().await.unwrap().forget(); // the first has the lock; the others wait for it, one after the other
    }
    Ok(attempt)
}

#[workflow]
async fn locks_in_a_transaction(table: String, key: String) -> Result<u32> {
    locks_a_row(&table, &key).await
}

/// With the default timeout the server would end them after a minute, one after the other.
async fn a_takeover_ends_the_transactions_of_silent_connections(database: &TestDatabase) {
    let (key, lease) = (fresh("silent locks"), Duration::from_secs(1));
    let (silent, link) = behind_a_proxy(database, lease).await;
    let table = format!("{}.locked", database.schema());
    let mut direct = database.direct_connection().await;
    direct.execute(&format!("create table {table} (value bigint not null); insert into {table} values (0)")).await;
    for number in 1..=3 {
        let start = locks_in_a_transaction(table.clone(), key.clone()).id(format!("locks-{number}"));
        silent.scope(async { start.start().await.unwrap() }).await;
    }
    arrived(&key, 1).await;
    let waiting =
        format!("select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%{table}%'");
    until("two wait for the lock", async || direct.number(&waiting).await >= 2).await;
    link.send_replace(Link::Frozen);
    let other = database.builder("app").lease(lease).launch().await.unwrap();
    gate(&key).add_permits(100);
    for number in 1..=3 {
        let handle = other.retrieve_workflow::<u32>(&format!("locks-{number}")).await.unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(40), handle.result()).await;
        ended.expect("it does not wait for silent sessions").unwrap();
    }
    assert_eq!(direct.number(&format!("select value from {table}")).await, 3);
    other.shutdown().await;
    database.crash(silent).await;
}

#[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_launch_waits_for_a_server_that_starts() {
    let server = std::sync::Arc::new(tokio::task::spawn_blocking(|| Server::start().unwrap()).await.unwrap());
    let set_running = async |running: bool| {
        let server = std::sync::Arc::clone(&server);
        tokio::task::spawn_blocking(move || server.set_running(running)).await.unwrap();
    };
    set_running(false).await;
    let launch = tokio::spawn(Durable::builder("starting").system_database(server.url()).launch());
    tokio::time::sleep(Duration::from_millis(100)).await; // the first try has failed
    assert!(!launch.is_finished());
    set_running(true).await;
    let app = launch.await.unwrap().expect("the server is there now");
    app.shutdown().await;
    tokio::task::spawn_blocking(move || drop(server)).await.unwrap();
}
