//! `set_priority`, `set_delay`, `move_to_queue` and `set_labels`.

use durable::prelude::*;
use durable::{ErrorKind, queue};

use crate::support::{app_tests, arrived, count, fresh, gate};

app_tests! {
    a_waiting_workflow_gets_another_priority,
    a_waiting_workflow_is_delayed_and_released,
    a_waiting_workflow_moves_to_another_queue,
    what_does_not_wait_is_refused,
    labels_are_added_replaced_and_removed,
}

#[queue]
static ONE_AT_A_TIME: Queue = Queue::new("changed_one").worker_concurrency(1);
#[queue]
static FREE: Queue = Queue::new("changed_free");
#[queue]
static KEYED: Queue = Queue::new("changed_keyed").partitioned();

#[step]
async fn pass(key: String) {
    count(&key);
    gate(&key).acquire().await.unwrap().forget();
}

#[workflow]
async fn waits_at(key: String) -> Result<()> {
    pass(key).await;
    Ok(())
}

/// A workflow that keeps the queue busy until its gate opens.
async fn busy() -> (String, WorkflowHandle<()>) {
    let key = fresh("busy");
    let handle = waits_at(key.clone()).id("busy").enqueue(&ONE_AT_A_TIME).await.unwrap();
    arrived(&key, 1).await;
    (key, handle)
}

async fn started_order(app: &TestApp, ids: &[&str]) -> Vec<String> {
    let mut all = app.list_workflows(Filter::new().ids(ids.iter().copied())).await.unwrap().items;
    all.sort_by_key(|it| it.started_at);
    all.into_iter().map(|it| it.id).collect()
}

async fn a_waiting_workflow_gets_another_priority(app: TestApp) {
    let (key, busy) = busy().await;
    let open = fresh("open");
    gate(&open).add_permits(9);
    let mut handles = Vec::new();
    for id in ["a", "b", "c"] {
        handles.push(waits_at(open.clone()).id(id).enqueue(&ONE_AT_A_TIME).await.unwrap());
    }
    app.set_priority("c", -1).await.unwrap();
    gate(&key).add_permits(9);
    for handle in [busy].into_iter().chain(handles) {
        handle.result().await.unwrap();
    }
    assert_eq!(started_order(&app, &["a", "b", "c"]).await, ["c", "a", "b"]);
}

async fn a_waiting_workflow_is_delayed_and_released(app: TestApp) {
    let open = fresh("open");
    gate(&open).add_permits(9);
    let handle = waits_at(open).id("w").queue(&FREE).delay(Duration::from_hours(9)).start().await.unwrap();
    app.set_delay("w", Duration::from_hours(20)).await.unwrap();
    let info = app.workflow("w").await.unwrap().unwrap();
    assert!(info.status == Status::Delayed && info.due_at.unwrap() > info.created_at + Duration::from_hours(19));
    app.set_delay("w", Duration::ZERO).await.unwrap();
    handle.result().await.unwrap();
}

async fn a_waiting_workflow_moves_to_another_queue(app: TestApp) {
    let (key, busy) = busy().await;
    let open = fresh("open");
    gate(&open).add_permits(9);
    let handle = waits_at(open).id("w").enqueue(&ONE_AT_A_TIME).await.unwrap();
    let refused = app.move_to_queue("w", &KEYED).await.unwrap_err();
    assert!(refused.to_string().contains("partition keys"), "{refused}");
    let unknown = app.move_to_queue("w", "changed_fre").await.unwrap_err();
    assert_eq!((unknown.kind(), unknown.workflow_id()), (ErrorKind::NotFound, Some("w")));
    assert!(
        unknown.to_string().contains(r#"no queue has the name "changed_fre"; did you mean "changed_free"?"#),
        "{unknown}"
    );
    app.move_to_queue("w", &FREE).await.unwrap();
    handle.result().await.unwrap();
    gate(&key).add_permits(9);
    busy.result().await.unwrap();
}

async fn what_does_not_wait_is_refused(app: TestApp) {
    let (key, busy) = busy().await;
    for refused in [
        app.set_priority("busy", 1).await,
        app.set_delay("busy", Duration::from_secs(1)).await,
        app.move_to_queue("busy", &FREE).await,
    ] {
        let refused = refused.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Refused);
        assert!(refused.to_string().contains("PENDING"), "{refused}");
    }
    assert_eq!(app.set_priority("missing", 1).await.unwrap_err().kind(), ErrorKind::NotFound);
    gate(&key).add_permits(9);
    busy.result().await.unwrap();
}

async fn labels_are_added_replaced_and_removed(app: TestApp) {
    let open = fresh("open");
    gate(&open).add_permits(9);
    waits_at(open).id("w").label("tenant", "acme").await.unwrap();
    app.set_labels("w", [("region", "eu"), ("tenant", "globex")]).await.unwrap();
    let labels = app.workflow("w").await.unwrap().unwrap().labels;
    assert_eq!(
        labels.into_iter().collect::<Vec<_>>(),
        [("region".to_owned(), "eu".to_owned()), ("tenant".to_owned(), "globex".to_owned())]
    );
    app.set_labels("w", [("region", "")]).await.unwrap();
    assert_eq!(app.list_workflows(Filter::new().label("region", "eu")).await.unwrap().len(), 0);
    assert_eq!(app.list_workflows(Filter::new().label("tenant", "acme")).await.unwrap().len(), 0);
    assert_eq!(app.list_workflows(Filter::new().label("tenant", "globex")).await.unwrap().len(), 1);
    assert_eq!(app.set_labels("missing", [("a", "b")]).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(app.set_labels("w", [("", "b")]).await.unwrap_err().kind(), ErrorKind::InvalidId);
}
