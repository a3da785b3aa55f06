//! Workflows started in the user's own transaction.

use durable::prelude::*;
use durable::sqlx::{Connection, PgConnection, SqliteConnection};
use durable::{ErrorKind, Outbox};

use crate::support::{TestDatabase, database_tests};

database_tests! {
a_workflow_started_in_the_users_transaction_commits_with_it,
}

#[queue]
static POSTED: Queue = Queue::new("queues-outbox");

#[workflow]
async fn confirms(order: u32) -> Result<u32> {
    Ok(order)
}

#[workflow]
async fn rejects(order: u32) -> Result<u32> {
    Ok(order)
}

/// Starts one in a transaction that stays open.
async fn send_in(app: &Durable, tx: &mut impl Outbox, order: u32) -> Result<WorkflowHandle<u32>> {
    app.scope(async { confirms(order).queue(&POSTED).id(format!("w{order}")).deduplicate("one").start_in(tx).await })
        .await
}

async fn a_workflow_started_in_the_users_transaction_commits_with_it(database: &TestDatabase) {
    let app = database.launch().await;
    let mut elsewhere = SqliteConnection::connect("sqlite::memory:").await.unwrap();
    macro_rules! in_transactions {
        ($connection:ident) => {{
            let mut connection = $connection::connect(database.url()).await.unwrap();
            let mut undone = connection.begin().await.unwrap();
            send_in(&app, &mut *undone, 1).await.unwrap();
            undone.rollback().await.unwrap();

            let mut kept = connection.begin().await.unwrap();
            let handle = send_in(&app, &mut *kept, 2).await.unwrap();
            let again = send_in(&app, &mut *kept, 2).await.unwrap();
            assert_eq!((handle.id(), again.id()), ("w2", "w2"));
            let error = send_in(&app, &mut *kept, 3).await.expect_err("one waits already");
            assert_eq!(error.kind(), ErrorKind::Duplicate);
            assert!(database.workflows().await.is_empty(), "it is not visible yet");
            let before = handle.clone();
            let mut waiting = Box::pin(async move { before.await });
            // Long enough for a poll of the database.
            let early = tokio::time::timeout(Duration::from_millis(300), &mut waiting).await;
            assert!(early.is_err(), "it waits for the commit: {early:?}");
            kept.commit().await.unwrap();
            assert_eq!(waiting.await.unwrap(), 2);
            assert_eq!(handle.await.unwrap(), 2);
            assert_eq!(again.await.unwrap(), 2);

            let taken = app.scope(async { rejects(2).id("w2").start_in(&mut connection).await }).await;
            assert_eq!(taken.expect_err("the id is taken").kind(), ErrorKind::IdConflict);
            connection.close().await.unwrap();
        }};
    }
    if database.is_postgres() {
        in_transactions!(PgConnection);
        let error = send_in(&app, &mut elsewhere, 4).await.expect_err("it is another database");
        assert_eq!(error.kind(), ErrorKind::Misuse);
    } else {
        in_transactions!(SqliteConnection);
        send_in(&app, &mut elsewhere, 4).await.expect_err("it has no tables of ours");
    }
    app.shutdown().await;
    assert_eq!(database.workflows().await.len(), 1, "what was undone or refused was never there");
}
