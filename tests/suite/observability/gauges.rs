//! Gauges: read from the database when a scrape asks, and only then.

use std::time::Instant;

use durable::prelude::*;
use durable::sqlx::{self, PgConnection, SqliteConnection};

use crate::support::{Recorder, TestDatabase, arrived, count, fresh, gate, one_thread_tests, until};

one_thread_tests! {
    gauges_show_queues_executors_messages_and_connections,
    gauges_are_read_only_when_asked_for_and_not_twice_in_a_row,
    workflows_of_functions_that_this_program_does_not_have_are_counted,
    an_unreachable_database_is_shown_and_does_not_delay_the_scrape,
    a_scrape_does_not_wait_for_a_transaction,
}

#[queue]
static GAUGED: Queue = Queue::new("gauged");

#[workflow]
async fn gauged_workflow() -> Result<()> {
    Ok(())
}

#[workflow]
async fn gauged_receiver() -> Result<()> {
    durable::sleep(Duration::from_hours(1)).await;
    Ok(())
}

async fn gauges_show_queues_executors_messages_and_connections(database: &TestDatabase, recorder: &Recorder) {
    let app = database.builder("app").listen_to::<&str>([]).launch().await.unwrap();
    app.scope(async {
        gauged_workflow().enqueue(&GAUGED).await.unwrap();
        gauged_workflow().queue(&GAUGED).priority(5).start().await.unwrap();
        gauged_workflow().queue(&GAUGED).delay(Duration::from_hours(1)).start().await.unwrap();
        GAUGED.pause().await.unwrap();
        gauged_receiver().id("receiver").start().await.unwrap();
        durable::send("receiver", "topic", &1).await.unwrap();
        durable::send("receiver", "topic", &2).await.unwrap();
    })
    .await;
    recorder.read_gauges(&app).await;
    recorder.assert(&[
        (r#"durable_queue_depth{queue="gauged"}"#, 2.0),
        (r#"durable_queue_paused{queue="gauged"}"#, 1.0),
        (r#"durable_queue_running{queue="gauged"}"#, 0.0),
        (r#"durable_queue_depth{queue="metered"}"#, 0.0),
        (r#"durable_queue_oldest_age_seconds{queue="metered"}"#, 0.0),
        (r#"durable_executors{status="live"}"#, 1.0),
        (r#"durable_executors{status="dead"}"#, 0.0),
        ("durable_messages_waiting", 2.0),
        ("durable_workflows_running", 1.0),
        ("durable_workflows_unknown", 0.0),
        ("durable_database_up", 1.0),
        ("durable_lease_seconds", 3600.0),
    ]);
    assert!(recorder.value(r#"durable_queue_oldest_age_seconds{queue="gauged"}"#) > 0.0, "{}", recorder.text());
    let pool = if database.is_postgres() { "writing" } else { "reading" };
    assert!(recorder.value(&format!(r#"durable_pool_size{{pool="{pool}"}}"#)) >= 1.0, "{}", recorder.text());
    assert!(recorder.value("durable_heartbeat_age_seconds") < 3600.0);
    app.shutdown().await;
}

async fn gauges_are_read_only_when_asked_for_and_not_twice_in_a_row(database: &TestDatabase, recorder: &Recorder) {
    let app = database.builder("app").listen_to::<&str>([]).launch().await.unwrap();
    app.listening().await;
    assert!(!recorder.text().contains("\ndurable_queue_depth"), "nothing was read yet");
    let depth = || recorder.value(r#"durable_queue_depth{queue="gauged"}"#);
    let asked_at = recorder.read_gauges(&app).await;
    assert!(depth() < 0.5);
    app.scope(async { gauged_workflow().enqueue(&GAUGED).await.unwrap() }).await;
    app.update_gauges().await;
    // What was read is shown for 5 s. On a machine that is so slow that they are over it is read again.
    assert!(depth() < 0.5 || asked_at.elapsed() >= Duration::from_secs(5), "it was read again");
    until("the database is read again", async || {
        app.update_gauges().await;
        depth() > 0.5
    })
    .await;
    app.shutdown().await;
}

async fn workflows_of_functions_that_this_program_does_not_have_are_counted(
    database: &TestDatabase,
    recorder: &Recorder,
) {
    let app = database.launch().await;
    let client = durable::Client::builder(database.url()).schema(database.schema()).connect().await.unwrap();
    client.enqueue("gauged_removed", serde_json::json!({})).queue("gauged").await.unwrap();
    recorder.read_gauges(&app).await;
    recorder.assert(&[("durable_workflows_unknown", 1.0), (r#"durable_queue_depth{queue="gauged"}"#, 1.0)]);
    assert!(!recorder.text().contains("gauged_removed"), "it is no name of this program");
    client.close().await;
    app.shutdown().await;
}

async fn an_unreachable_database_is_shown_and_does_not_delay_the_scrape(database: &TestDatabase, recorder: &Recorder) {
    use durable_core::store::Store;
    let inner = durable_core::store::open(database.url(), database.schema()).await.unwrap();
    let faulty = std::sync::Arc::new(crate::support::FaultyStore::owning(&inner, crate::support::FaultPlan::default()));
    let app = database.builder("app").store(std::sync::Arc::clone(&faulty) as std::sync::Arc<dyn Store>);
    let app = app.launch().await.unwrap();
    faulty.set_unreachable(true);
    let asked_at = Instant::now();
    app.update_gauges().await;
    recorder.assert(&[("durable_database_up", 0.0), ("durable_lease_seconds", 3600.0)]);
    faulty.set_unreachable(false);
    // That there was no answer is also shown for 5 s: scrapes that come meanwhile do not wait for the database.
    app.update_gauges().await;
    let shown = recorder.value("durable_database_up");
    assert!(shown < 0.5 || asked_at.elapsed() >= Duration::from_secs(5), "it was asked again");
    until("the database answers", async || {
        app.update_gauges().await;
        recorder.value("durable_database_up") > 0.5
    })
    .await;
    app.shutdown().await;
}

#[transaction]
async fn gauged_on_sqlite(tx: &mut SqliteConnection, key: String) -> Result<()> {
    sqlx::query("select 1").execute(tx).await?;
    count(&key);
    gate(&key).acquire().await?.forget();
    Ok(())
}

#[transaction]
async fn gauged_on_postgres(tx: &mut PgConnection, key: String) -> Result<()> {
    sqlx::query("select 1").execute(tx).await?;
    count(&key);
    gate(&key).acquire().await?.forget();
    Ok(())
}

/// On SQLite it has the one connection that writes. A scrape has no use for it, nor for the connections of the lease.
async fn a_scrape_does_not_wait_for_a_transaction(database: &TestDatabase, recorder: &Recorder) {
    let (app, key) = (database.launch().await, fresh("gauged"));
    let transaction = if database.is_postgres() {
        app.spawn_scoped(gauged_on_postgres(key.clone()))
    } else {
        app.spawn_scoped(gauged_on_sqlite(key.clone()))
    };
    arrived(&key, 1).await;
    recorder.read_gauges(&app).await;
    gate(&key).add_permits(1);
    transaction.await.unwrap().unwrap();
    app.shutdown().await;
}
