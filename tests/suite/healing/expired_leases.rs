//! A process whose lease has expired: it begins nothing before the lease is confirmed.

use std::sync::Arc;

use durable::prelude::*;
use durable_core::store::Store;
use sqlx::{ConnectOptions, Connection};

use crate::support::{
    FaultPlan, FaultyStore, HoldAt, ProcessDatabase, TestDatabase, WatchedProcess, arrived, count, counted,
    database_tests, fresh, gate, ledger, process_tests, set_frozen, until, wait_for_steps,
};

database_tests! {
    no_step_begins_on_an_expired_lease,
    no_second_attempt_of_a_step_begins_on_an_expired_lease,
    no_transaction_begins_on_an_expired_lease,
    no_message_is_sent_on_an_expired_lease,
    a_step_begins_once_the_lease_is_confirmed,
}

mod processes {
    super::process_tests! {
        a_stopped_process_runs_no_step_again_that_another_one_has_recorded,
    }
    use super::a_stopped_process_runs_no_step_again_that_another_one_has_recorded;
}

/// Heartbeats are a third of it apart.
const SHORT_LEASE: Duration = Duration::from_millis(600);
/// After this time nothing more is expected to happen.
const QUIET: Duration = Duration::from_millis(100);

#[step]
async fn waits(key: &str) {
    count(key);
    gate(key).acquire().await.expect("it is never closed").forget();
}

#[step]
async fn charges(key: &str) {
    count(format!("{key} charged"));
}

#[workflow]
async fn waits_and_charges(key: String) -> Result<()> {
    waits(&key).await;
    charges(&key).await;
    Ok(())
}

#[step(retries = 1, backoff = "1ms")]
async fn fails_once(key: &str) -> Result<()> {
    if count(key) > 1 {
        count(format!("{key} charged"));
        return Ok(());
    }
    gate(key).acquire().await.expect("it is never closed").forget();
    Err(std::io::Error::other("the first attempt").into())
}

#[workflow]
async fn tries_twice(key: String) -> Result<()> {
    fails_once(&key).await
}

#[transaction]
async fn charges_in_sqlite(tx: &mut sqlx::SqliteConnection, key: &str) -> Result<()> {
    count(format!("{key} charged"));
    sqlx::query("select 1").execute(tx).await?;
    Ok(())
}

#[transaction]
async fn charges_in_postgres(tx: &mut sqlx::PgConnection, key: &str) -> Result<()> {
    count(format!("{key} charged"));
    sqlx::query("select 1").execute(tx).await?;
    Ok(())
}

#[workflow]
async fn waits_and_transacts(key: String, postgres: bool) -> Result<()> {
    waits(&key).await;
    if postgres { charges_in_postgres(&key).await } else { charges_in_sqlite(&key).await }
}

#[workflow]
async fn waits_and_sends(key: String) -> Result<()> {
    waits(&key).await;
    durable::send("receiver", "charged", &key).await?;
    count(format!("{key} charged"));
    Ok(())
}

#[workflow]
async fn receives_the_charge(key: String) -> Result<Option<String>> {
    count(format!("{key} receives_the_charge"));
    durable::recv("charged", Duration::from_mins(1)).await
}

/// An engine with a workflow in its first operation, whose heartbeats get no answer for longer than its lease.
struct Expired {
    app: Durable,
    faulty: Arc<FaultyStore>,
    key: String,
}

impl Expired {
    async fn new<S: Future<Output = ()> + Send>(
        database: &TestDatabase,
        start: impl FnOnce(String) -> S + Send,
    ) -> Self {
        let key = fresh("expired");
        let inner = durable_core::store::open(database.url(), database.schema()).await.unwrap();
        let faulty = Arc::new(FaultyStore::owning(&inner, FaultPlan::default()));
        let store = Arc::clone(&faulty) as Arc<dyn Store>;
        let app = database.builder("a").lease(SHORT_LEASE).store(store).launch().await.unwrap();
        app.scope(start(key.clone())).await;
        arrived(&key, 1).await;
        faulty.hold_next("heartbeat", HoldAt::Before);
        faulty.wait_for_held_call().await;
        tokio::time::sleep(SHORT_LEASE).await; // the lease expires
        gate(&key).add_permits(10);
        Self { app, faulty, key }
    }

    fn charged(&self) -> u32 {
        counted(&format!("{} charged", self.key))
    }

    /// Another executor takes over, and that is found out: the second operation is begun by the next run alone.
    async fn until_taken_over(self) {
        tokio::time::sleep(QUIET).await;
        assert_eq!(self.charged(), 0, "nothing begins on an expired lease");
        let store = self.app.store();
        for executor in store.executors().await.unwrap() {
            assert!(store.fence_out(executor.key, executor.epoch).await.unwrap());
        }
        self.faulty.release_held_call();
        arrived(&format!("{} charged", self.key), 1).await;
        until("it has ended", async || {
            let status = self.app.retrieve_workflow::<()>("w").await.unwrap().status().await.unwrap();
            status == Status::Success
        })
        .await;
        assert_eq!(self.charged(), 1, "the earlier run never begins it");
        self.app.shutdown().await;
    }
}

async fn no_step_begins_on_an_expired_lease(database: &TestDatabase) {
    let start = async |key: String| drop(waits_and_charges(key).id("w").start().await.unwrap());
    let expired = Expired::new(database, start).await;
    wait_for_steps(&expired.app, "w", 1).await;
    expired.until_taken_over().await;
}

async fn no_second_attempt_of_a_step_begins_on_an_expired_lease(database: &TestDatabase) {
    let start = async |key: String| drop(tries_twice(key).id("w").start().await.unwrap());
    Expired::new(database, start).await.until_taken_over().await;
}

async fn no_transaction_begins_on_an_expired_lease(database: &TestDatabase) {
    let postgres = database.is_postgres();
    let start = async |key: String| drop(waits_and_transacts(key, postgres).id("w").start().await.unwrap());
    Expired::new(database, start).await.until_taken_over().await;
}

async fn no_message_is_sent_on_an_expired_lease(database: &TestDatabase) {
    let start = async |key: String| {
        receives_the_charge(key.clone()).id("receiver").start().await.unwrap();
        waits_and_sends(key).id("w").start().await.unwrap();
    };
    let expired = Expired::new(database, start).await;
    let app = expired.app.clone();
    assert_eq!(
        app.retrieve_workflow::<Option<String>>("receiver").await.unwrap().status().await.unwrap(),
        Status::Pending
    );
    expired.until_taken_over().await;
}

async fn a_step_begins_once_the_lease_is_confirmed(database: &TestDatabase) {
    let start = async |key: String| drop(waits_and_charges(key).id("w").start().await.unwrap());
    let expired = Expired::new(database, start).await;
    wait_for_steps(&expired.app, "w", 1).await;
    tokio::time::sleep(QUIET).await;
    assert_eq!(expired.charged(), 0, "nothing begins on an expired lease");
    expired.faulty.release_held_call();
    let app = expired.app.clone();
    app.retrieve_workflow::<()>("w").await.unwrap().await.unwrap();
    let info = &app.list_workflows(Filter::new()).await.unwrap()[0];
    assert_eq!((expired.charged(), info.attempts), (1, 1), "the same run continues");
    app.shutdown().await;
}

/// Stops a process. On SQLite one that is stopped while it writes keeps the lock of the file, so that no other
/// process can write: then it continues, and is stopped again.
async fn freeze_outside_of_writes(process: &WatchedProcess, database: &ProcessDatabase) {
    until("it is stopped outside of a write", async || {
        set_frozen(process.pid(), true);
        if database.is_postgres() || is_writable(database.url()).await {
            return true;
        }
        set_frozen(process.pid(), false);
        false
    })
    .await;
}

async fn is_writable(url: &str) -> bool {
    let options: sqlx::sqlite::SqliteConnectOptions = url.parse().unwrap();
    let mut connection = options.busy_timeout(Duration::from_millis(100)).connect().await.unwrap();
    let locked = sqlx::query("begin immediate").execute(&mut connection).await;
    connection.close().await.unwrap();
    locked.is_ok()
}

async fn a_stopped_process_runs_no_step_again_that_another_one_has_recorded(database: &ProcessDatabase) {
    let folder = database.folder().display().to_string();
    let stopped = WatchedProcess::start("lease_worker", &[folder.as_str(), "10", "600"], database);
    stopped.wait_for_line("STARTED").await;
    freeze_outside_of_writes(&stopped, database).await;
    let heir = WatchedProcess::start("lease_worker", &[folder.as_str(), "0", "600"], database);
    let all_ended = async || database.workflows().await.iter().all(|it| it.status == Status::Success);
    until("the other process has run them", all_ended).await;
    set_frozen(stopped.pid(), false);
    stopped.wait_for_line("lease lost").await;
    tokio::time::sleep(QUIET).await;
    for (line, runs) in ledger(database.folder()) {
        assert_eq!(runs.len(), 1, "{line} was charged by {runs:?}");
    }
    let workflows = database.workflows().await;
    assert!(workflows.iter().all(|it| it.recoveries == 0), "its process has not crashed: {workflows:?}");
    drop(heir);
}
