//! SQLite has one writer: a transaction that runs gives way to a cancellation.

use std::sync::atomic::{AtomicBool, Ordering};

use durable::prelude::*;
use durable::sqlx::{SqliteConnection, query, query_scalar};

use crate::support::{TestDatabase, arrived, count, counted, fresh, gate};

macro_rules! sqlite_tests {
    ($($case:ident),+ $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let database = crate::support::TestDatabase::sqlite();
                    super::$case(&database).await;
                    database.clear().await;
                }
            )+
        }
    };
}

sqlite_tests! {
    a_workflow_is_cancelled_while_its_transaction_runs,
    a_workflow_is_cancelled_while_the_transaction_of_another_runs,
    a_transaction_that_gave_way_often_is_not_interrupted_again,
    a_transaction_outside_workflows_gives_way_and_runs_again,
}

/// Writes a row and holds the writer until the gate of `key` opens.
#[transaction]
async fn writes_and_waits(tx: &mut SqliteConnection, key: &str) -> Result<i64> {
    query("create table if not exists noted (key text)").execute(&mut *tx).await?;
    query("insert into noted (key) values ($1)").bind(key).execute(&mut *tx).await?;
    count(key);
    gate(key).acquire().await.unwrap().forget();
    Ok(query_scalar("select count(*) from noted where key = $1").bind(key).fetch_one(&mut *tx).await?)
}

#[workflow]
async fn holds_the_writer(key: String) -> Result<i64> {
    writes_and_waits(&key).await
}

#[workflow]
async fn waits_long() -> Result<()> {
    durable::recv::<u32>("never", Duration::from_hours(1)).await?;
    Ok(())
}

/// Longer than any cancellation takes, and no transaction of these tests ends by itself.
const PATIENCE: Duration = Duration::from_secs(20);

async fn cancel<T: Send + Sync>(handle: &WorkflowHandle<T>) {
    tokio::time::timeout(PATIENCE, handle.cancel()).await.expect("the transaction gives way").unwrap();
    assert_eq!(handle.status().await.unwrap(), Status::Cancelled);
}

async fn a_workflow_is_cancelled_while_its_transaction_runs(database: &TestDatabase) {
    let key = fresh("own");
    let app = database.launch().await;
    app.scope(async {
        let handle = holds_the_writer(key.clone()).start().await.unwrap();
        arrived(&key, 1).await;
        cancel(&handle).await;
        gate(&key).add_permits(1);
        assert_eq!(writes_and_waits(&key).await.unwrap(), 1, "nothing of the cancelled transaction is left");
        assert_eq!(app.list_steps(handle.id()).await.unwrap().len(), 0);
    })
    .await;
    app.shutdown().await;
}

async fn a_workflow_is_cancelled_while_the_transaction_of_another_runs(database: &TestDatabase) {
    let key = fresh("other");
    let app = database.launch().await;
    app.scope(async {
        let waits = waits_long().start().await.unwrap();
        let holds = holds_the_writer(key.clone()).start().await.unwrap();
        arrived(&key, 1).await;
        cancel(&waits).await;
        arrived(&key, 2).await; // it runs again
        gate(&key).add_permits(1);
        assert_eq!(holds.await.unwrap(), 1, "the attempt that gave way was rolled back");
    })
    .await;
    app.shutdown().await;
}

async fn a_transaction_that_gave_way_often_is_not_interrupted_again(database: &TestDatabase) {
    let key = fresh("often");
    let app = database.launch().await;
    app.scope(async {
        let mut others = Vec::new();
        for _ in 0..4 {
            others.push(waits_long().start().await.unwrap());
        }
        let holds = holds_the_writer(key.clone()).start().await.unwrap();
        for (attempt, other) in (1..).zip(&others[..3]) {
            arrived(&key, attempt).await;
            cancel(other).await;
        }
        arrived(&key, 4).await;
        let (was_cancelled, last) = (AtomicBool::new(false), &others[3]);
        let cancelled = async {
            last.cancel().await.unwrap();
            was_cancelled.store(true, Ordering::SeqCst);
        };
        let opened = async {
            tokio::time::sleep(Duration::from_millis(300)).await; // longer than a transaction is given to end by itself
            assert!(!was_cancelled.load(Ordering::SeqCst));
            gate(&key).add_permits(1);
        };
        tokio::join!(cancelled, opened);
        assert_eq!((holds.await.unwrap(), counted(&key)), (1, 4));
    })
    .await;
    app.shutdown().await;
}

async fn a_transaction_outside_workflows_gives_way_and_runs_again(database: &TestDatabase) {
    let key = fresh("outside");
    let app = database.launch().await;
    app.scope(async {
        let waits = waits_long().start().await.unwrap();
        let others = async {
            arrived(&key, 1).await;
            cancel(&waits).await;
            arrived(&key, 2).await;
            gate(&key).add_permits(1);
        };
        let (written, ()) = tokio::join!(async { writes_and_waits(&key).await }, others);
        assert_eq!(written.unwrap(), 1);
    })
    .await;
    app.shutdown().await;
}
