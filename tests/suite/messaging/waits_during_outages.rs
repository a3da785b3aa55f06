//! Waits while the database is unreachable and while connections break.

use std::sync::Arc;
use std::time::Instant;

use durable::prelude::*;
use durable_core::store::Store;

use crate::support::tcp_proxy::{Link, tcp_proxy};
use crate::support::{FaultPlan, FaultyStore, TestDatabase, arrived, count, database_tests, fresh};

database_tests! {
    a_timeout_during_an_outage_takes_effect_and_other_workflows_continue,
}

const HOUR: Duration = Duration::from_hours(1);

/// Counts its end.
struct Counted(String);

impl Drop for Counted {
    fn drop(&mut self) {
        count(self.0.clone());
    }
}

#[step]
async fn here(key: &str) {
    count(key);
}

#[workflow]
async fn takes_its_time(key: String) -> Result<Option<u32>> {
    let _dropped = Counted(format!("{key} dropped"));
    here(&key).await;
    durable::recv("n", Duration::MAX).await
}

async fn a_timeout_during_an_outage_takes_effect_and_other_workflows_continue(database: &TestDatabase) {
    let (short, long) = (fresh("short"), fresh("long"));
    let inner = durable_core::store::open(database.url(), database.schema()).await.unwrap();
    let faulty = Arc::new(FaultyStore::over(&inner, FaultPlan::default()));
    let app = database.builder("outage").store(Arc::clone(&faulty) as Arc<dyn Store>).launch().await.unwrap();
    app.scope(async {
        let late = takes_its_time(short.clone()).id("short").timeout(HOUR).start().await.unwrap();
        let neighbour = takes_its_time(long.clone()).id("long").timeout(3 * HOUR).start().await.unwrap();
        arrived(&short, 1).await;
        arrived(&long, 1).await;
        faulty.set_unreachable(true);
        app.skip_time(HOUR);
        arrived(&format!("{short} dropped"), 1).await;
        assert_eq!(inner.show("short").await.unwrap().unwrap().status, Status::Pending, "nothing can be written");
        faulty.set_unreachable(false);
        let error = late.await.expect_err("its time was up");
        assert!(error.is_cancelled() && error.to_string().ends_with("timeout"), "{error}");
        let info = inner.show("short").await.unwrap().unwrap();
        assert_eq!((info.status, info.reason.as_deref()), (Status::Cancelled, Some("timeout")));
        assert_eq!(neighbour.status().await.unwrap(), Status::Pending);
        durable::send("long", "n", &7).await.unwrap();
        assert_eq!(neighbour.await.unwrap(), Some(7));
    })
    .await;
    app.shutdown().await;
    inner.close().await;
}

macro_rules! on_a_server {
    ($($case:ident),+ $(,)?) => {
        mod on_a_server {
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

on_a_server! {
    a_timeout_during_a_connection_loss_takes_effect_on_return,
    messages_arrive_in_order_while_the_listener_is_terminated_repeatedly,
}

async fn a_timeout_during_a_connection_loss_takes_effect_on_return(database: &TestDatabase) {
    let (short, long) = (fresh("short"), fresh("long"));
    let (url, link) = tcp_proxy(&url::Url::parse(database.url()).expect("it is a URL")).await;
    let app = database.builder("cut off").system_database(url.as_str()).launch().await.unwrap();
    app.scope(async {
        let limit = Duration::from_millis(800);
        let late = takes_its_time(short.clone()).id("short").timeout(limit).start().await.unwrap();
        let neighbour = takes_its_time(long.clone()).id("long").timeout(HOUR).start().await.unwrap();
        arrived(&short, 1).await;
        arrived(&long, 1).await;
        link.send_replace(Link::Cut);
        arrived(&format!("{short} dropped"), 1).await; // its timeout passes while the server is unreachable
        let steps = app.list_steps("short").await;
        assert!(steps.is_err(), "the server is cut off");
        let begun = Instant::now();
        link.send_replace(Link::Open);
        let error = late.await.expect_err("its time was up");
        assert!(error.is_cancelled() && error.to_string().ends_with("timeout"), "{error}");
        println!("known {:?} after the return", begun.elapsed());
        durable::send("long", "n", &7).await.unwrap();
        assert_eq!(neighbour.await.unwrap(), Some(7));
    })
    .await;
    let info = app.list_workflows(Filter::new().id_prefix("short")).await.unwrap().remove(0);
    assert_eq!((info.status, info.reason.as_deref()), (Status::Cancelled, Some("timeout")));
    app.shutdown().await;
}

#[workflow]
async fn receives_during_outages(many: u32) -> Result<Vec<u32>> {
    let mut all = Vec::new();
    for _ in 0..many {
        all.extend(durable::recv::<u32>("n", HOUR).await?);
    }
    Ok(all)
}

async fn messages_arrive_in_order_while_the_listener_is_terminated_repeatedly(database: &TestDatabase) {
    use durable::sqlx::{AssertSqlSafe, Connection, PgConnection, query_scalar};
    const MANY: u32 = 300;
    let name = format!("listener_{}", database.schema());
    let mut url = url::Url::parse(database.url()).expect("it is a URL");
    url.query_pairs_mut().append_pair("application_name", &name);
    let receiver = database.builder("receiver").system_database(url.as_str()).launch().await.unwrap();
    let sender = database.builder("sender").launch().await.unwrap();
    let mut door = PgConnection::connect(database.url()).await.unwrap();
    let handle = receiver.scope(async { receives_during_outages(MANY).id("w").start().await.unwrap() }).await;
    receiver.listening().await;
    let (begun, mut ended) = (Instant::now(), 0);
    for n in 0..MANY {
        sender.scope(async { durable::send("w", "n", &n).await.unwrap() }).await;
        if n % 60 == 30 {
            let end = format!(
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name = '{name}' and query like 'LISTEN%'"
            );
            // The engine may be about to listen again: then there is no connection to terminate.
            let found = query_scalar::<_, bool>(AssertSqlSafe(end)).fetch_all(&mut door).await.unwrap();
            ended += found.len();
        }
        if n % 60 == 45 {
            tokio::time::sleep(Duration::from_millis(300)).await; // so that there is a listener to end again
        }
    }
    let received = tokio::time::timeout(Duration::from_secs(15), handle.result()).await.expect("they arrive").unwrap();
    assert_eq!(received, (0..MANY).collect::<Vec<_>>());
    let listens = tokio::time::timeout(Duration::from_secs(15), receiver.listening()).await;
    listens.expect("it listens again");
    assert!(ended >= 3, "{ended} listeners were ended");
    println!("{MANY} messages in {:?}, {ended} listeners ended", begun.elapsed());
    door.close().await.unwrap();
    receiver.shutdown().await;
    sender.shutdown().await;
}
