//! Queued workflows when their executor leaves or dies.

use std::time::Duration;

use durable_core::Status;
use durable_core::store::{NewWorkflow, ReleaseRequest, Verdict};

use crate::support::store_database::StoreDatabase;
use crate::support::store_rows::{
    begin, cancel, commit, finish, inbox, message, register_executor, send, start_running, success, workflow,
};

pub(crate) async fn a_released_queued_workflow_goes_back_to_its_queue(database: StoreDatabase) {
    let store = &*database.store;
    let me = register_executor(store, "a").await;
    let queued = start_running(store, me, "queued").await;
    start_running(store, me, "direct").await;
    let stuck = start_running(store, me, "stuck").await;
    database
        .direct_connection()
        .await
        .execute("update durable.workflows set queue = 'mail' where id <> 'direct'")
        .await;

    let released = store.release(me, ReleaseRequest::AllExcept(&[stuck])).await.unwrap();
    assert_eq!((released.direct, released.queued), (1, 1));
    let info = store.show("queued").await.unwrap().expect("it was begun");
    assert_eq!((info.status, info.executor, info.started_at), (Status::Enqueued, None, None));
    assert_eq!((info.attempts, info.recoveries, info.queue.as_deref()), (1, 0, Some("mail")));
    let info = store.show("direct").await.unwrap().expect("it was begun");
    assert_eq!((info.status, info.executor, info.attempts), (Status::Pending, None, 1));
    let info = store.show("stuck").await.unwrap().expect("it was begun");
    assert_eq!((info.status, info.executor.as_deref()), (Status::Pending, Some("a")));

    assert_eq!(commit(store, me, finish(success(queued, "1"))).await, Verdict::Superseded);
    assert_eq!(cancel(store, "queued", "by hand").await, Some(Status::Enqueued));
    assert_eq!(store.release(me, ReleaseRequest::AllExcept(&[])).await.unwrap().queued, 1, "the stuck one after all");
}

pub(crate) async fn a_queued_workflow_receives_messages(database: StoreDatabase) {
    let me = register_executor(&*database.store, "a").await;
    for status in ["ENQUEUED", "DELAYED"] {
        let run = start_running(&*database.store, me, status).await;
        let change = format!("update durable.workflows set status = '{status}', executor = null where key = {run}");
        database.direct_connection().await.execute(&change).await;
        for entries in [vec![send(message(status, "1"))], vec![send(message(status, "1")), send(message(status, "1"))]]
        {
            let verdicts = database.store.commit(me, &entries, false).await.unwrap();
            assert_eq!(verdicts, vec![Verdict::Stored; entries.len()]);
        }
        assert_eq!(inbox(&*database.store, me, run).await.len(), 3);
    }
}

pub(crate) async fn a_queued_workflow_keeps_its_timeout(database: StoreDatabase) {
    let me = register_executor(&*database.store, "a").await;
    let limited = |id| NewWorkflow { timeout: Some(Duration::from_millis(1_500)), ..workflow(id) };
    commit(&*database.store, me, begin(&limited("lone"))).await;
    database.store.commit(me, &[begin(&limited("one")), begin(&limited("two"))], false).await.unwrap();
    commit(&*database.store, me, begin(&workflow("unlimited"))).await;
    let mut direct = database.direct_connection().await;
    assert_eq!(direct.number("select count(*) from durable.workflows where timeout = 1500000").await, 3);
    assert_eq!(direct.number("select count(*) from durable.workflows where timeout is null").await, 1);
    assert_eq!(direct.number("select count(*) from durable.workflows where deadline is not null").await, 0);
}
