//! Repairs that wait for locks of other writers, which SQLite has not: there a transaction that writes is alone.

use durable::ErrorKind;
use durable::prelude::*;

use crate::support::{TestDatabase, count, counted, fresh, until};

#[step]
async fn noted(key: String) -> u32 {
    count(&key)
}

#[workflow]
async fn racing_leaf(key: String) -> Result<u32> {
    noted(key).await;
    Ok(durable::recv::<u32>("go", Duration::from_hours(1)).await?.unwrap_or_default())
}

#[workflow]
async fn racing_root(leaf: String) -> Result<u32> {
    racing_leaf(fresh("leaf")).id(leaf).await
}

/// Waits until so many sessions wait for a lock in a statement with this text.
async fn blocked(database: &TestDatabase, text: &str, many: i64) {
    let query = format!(
        "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%{}%{text}%'
            and pid <> pg_backend_pid()",
        database.schema()
    );
    let mut direct = database.direct_connection().await;
    until("a statement waits for a lock", async || direct.number(&query).await >= many).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
async fn a_child_that_is_started_during_a_deletion_keeps_its_family() {
    let database = TestDatabase::postgres();
    let app = database.launch().await;
    app.scope(async {
        let handle = racing_root("leaf".to_owned()).id("root").start().await.unwrap();
        until("the child waits", async || !app.list_steps("leaf").await.unwrap().is_empty()).await;
        handle.cancel().await.unwrap();
        let mut direct = database.direct_connection().await;
        direct.execute("begin; select 1 from durable.workflows where id = 'leaf' for update").await;
        let deletion = app.spawn_scoped(durable::delete_workflow("root"));
        blocked(&database, "order by w.key for update", 1).await;
        let late = "insert into durable.workflows (key, id, name, status, parent, created_at, queue, input)
                    select key + 1, 'late', 'unknown', 'ENQUEUED', key, created_at, 'nowhere', '{}'
                      from durable.workflows where id = 'leaf';
                    update durable.workflows set status = 'SUCCESS', output = '1', completed_at = created_at where id = 'leaf';
                    commit";
        direct.execute(late).await;
        let refused = deletion.await.unwrap().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Refused);
        assert!(refused.to_string().contains("durable cancel late"), "{refused}");
        assert_eq!(app.list_workflows(Filter::new()).await.unwrap().len(), 3);
        app.cancel_workflow("late").await.unwrap();
        assert_eq!(app.delete_workflow("root").await.unwrap(), 3);
    })
    .await;
    app.shutdown().await;
    database.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
async fn a_workflow_that_is_deleted_during_a_fork_leaves_a_complete_fork() {
    let database = TestDatabase::postgres();
    let app = database.launch().await;
    app.scope(async {
        let key = fresh("source");
        let handle = racing_leaf(key.clone()).id("source").start().await.unwrap();
        until("the step is recorded", async || !app.list_steps("source").await.unwrap().is_empty()).await;
        handle.cancel().await.unwrap();
        let mut direct = database.direct_connection().await;
        let taken = "begin;
             insert into durable.workflows (key, id, name, status, created_at, input)
             values (1, 'fork', 'unknown', 'PARKED', 0, '{}')";
        direct.execute(taken).await;
        let fork = app.spawn_scoped(durable::fork_workflow("source", 2).id("fork"));
        blocked(&database, "forked_from", 1).await;
        let deletion = app.spawn_scoped(durable::delete_workflow("source"));
        let waiting = async || {
            let query = format!(
                "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%{}%'",
                database.schema()
            );
            database.direct_connection().await.number(&query).await >= 2
        };
        until("the deletion is over or waits", async || deletion.is_finished() || waiting().await).await;
        direct.execute("rollback").await;
        fork.await.unwrap().unwrap();
        assert_eq!(deletion.await.unwrap().unwrap(), 1);
        durable::send("fork", "go", &7).await.unwrap();
        let handle = durable::retrieve_workflow::<u32>("fork").await.unwrap();
        assert_eq!(handle.result().await.unwrap(), 7);
        assert_eq!(counted(&key), 1, "the fork has the record of the step");
    })
    .await;
    app.shutdown().await;
    database.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
async fn a_duplicate_that_is_enqueued_during_a_resume_is_found() {
    static RACING: Queue = Queue::new("racing_duplicates");
    let database = TestDatabase::postgres();
    let app = database.launch().await;
    app.scope(async {
        let call = racing_leaf(fresh("first")).id("first").deduplicate("same").delay(Duration::from_hours(1));
        call.enqueue(&RACING).await.unwrap().cancel().await.unwrap();
        let mut direct = database.direct_connection().await;
        let other = "begin;
             insert into durable.workflows (key, id, name, status, created_at, queue, deduplication_id, input)
             values (1, 'other', 'unknown', 'ENQUEUED', 0, 'racing_duplicates', 'same', '{}')";
        direct.execute(other).await;
        let resume = app.spawn_scoped(durable::resume_workflow("first"));
        blocked(&database, "set status = case when queue is null", 1).await;
        direct.execute("commit").await;
        let refused = resume.await.unwrap().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Refused, "{refused}");
        assert!(refused.to_string().contains("\"other\" has its deduplication id"), "{refused}");
        app.cancel_workflow("other").await.unwrap();
    })
    .await;
    app.shutdown().await;
    database.clear().await;
}
