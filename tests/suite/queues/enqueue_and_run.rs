//! Enqueueing: order, priorities, delays, deduplication, children, many at once.

use durable::prelude::*;
use durable::{ErrorKind, queue};

use crate::support::{TestDatabase, arrived, count, database_tests, fresh, gate};

database_tests! {
an_enqueued_workflow_runs_and_returns_its_result,
workflows_run_by_priority_and_then_in_enqueue_order,
a_delayed_workflow_starts_after_its_delay,
a_duplicate_is_an_error_or_attaches_if_asked_to,
a_workflow_can_enqueue_children_and_await_them,
many_are_enqueued_with_few_commits,
a_workflow_with_a_queue_in_its_attribute_is_enqueued_there,
the_timeout_of_a_queued_workflow_starts_when_it_runs,
enqueueing_a_known_id_attaches_to_its_workflow,
queue_info_shows_depth_and_oldest_workflow,
a_paused_queue_starts_nothing_until_it_is_resumed,
a_process_takes_only_from_the_queues_it_listens_to,
}

#[queue]
static PLAIN: Queue = Queue::new("places-plain");
#[queue]
static SINGLE: Queue = Queue::new("places-single").worker_concurrency(1);
#[queue]
static OTHER: Queue = Queue::new("places-other");

#[step]
async fn noted(key: &str, value: u32) -> u32 {
    order(key).push(value);
    value
}

/// The values in the order in which they were noted under a key.
fn order(key: &str) -> std::sync::MutexGuard<'static, Vec<u32>> {
    use std::collections::HashMap;
    use std::sync::Mutex;
    type Lists = HashMap<String, &'static Mutex<Vec<u32>>>;
    static ALL: Mutex<Option<Lists>> = Mutex::new(None);
    let mut all = ALL.lock().unwrap();
    let list = all.get_or_insert_default().entry(key.to_owned()).or_insert_with(|| Box::leak(Box::default()));
    list.lock().unwrap()
}

#[step]
async fn held(key: &str) {
    count(key);
    gate(key).acquire().await.unwrap().forget();
}

#[workflow]
async fn notes(key: String, value: u32) -> Result<u32> {
    Ok(noted(&key, value).await)
}

#[workflow]
async fn holds_its_slot(key: String) -> Result<()> {
    held(&key).await;
    Ok(())
}

async fn an_enqueued_workflow_runs_and_returns_its_result(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        let handle = notes(fresh("runs"), 7).enqueue(&PLAIN).await.unwrap();
        assert_eq!(handle.clone().await.unwrap(), 7);
        let info = &app.list_workflows(Filter::new()).await.unwrap()[0];
        assert_eq!((info.queue.as_deref(), info.attempts), (Some("places-plain"), 1));
    })
    .await;
    app.shutdown().await;
}

async fn workflows_run_by_priority_and_then_in_enqueue_order(database: &TestDatabase) {
    let key = fresh("order");
    let app = database.launch().await;
    app.scope(async {
        let first = holds_its_slot(key.clone()).enqueue(&SINGLE).await.unwrap();
        arrived(&key, 1).await;
        let mut handles = Vec::new();
        for (value, priority) in [(5, 2), (3, 1), (1, -1), (4, 1), (2, 0)] {
            handles.push(notes(key.clone(), value).queue(&SINGLE).priority(priority).start().await.unwrap());
        }
        gate(&key).add_permits(1);
        first.await.unwrap();
        for result in durable::wait_all(handles).await {
            result.unwrap();
        }
    })
    .await;
    assert_eq!(*order(&key), [1, 2, 3, 4, 5]);
    app.shutdown().await;
}

async fn a_delayed_workflow_starts_after_its_delay(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        let handle = notes(fresh("delayed"), 1).delay(Duration::from_millis(300)).id("d").start().await.unwrap();
        assert_eq!(handle.status().await.unwrap(), Status::Delayed);
        assert_eq!(handle.await.unwrap(), 1);
    })
    .await;
    let info = database.workflows().await.remove(0);
    let waited = info.started_at.unwrap() - info.created_at;
    assert!(waited >= chrono_of(Duration::from_millis(300)), "{waited:?}");
    app.shutdown().await;
}

fn chrono_of(duration: Duration) -> <DateTime<Utc> as std::ops::Sub>::Output {
    let now = Utc::now();
    (now + duration) - now
}

async fn a_duplicate_is_an_error_or_attaches_if_asked_to(database: &TestDatabase) {
    let key = fresh("duplicate");
    let app = database.launch().await;
    app.scope(async {
        let call = || holds_its_slot(key.clone()).queue(&PLAIN).deduplicate("cart-9");
        let first = call().start().await.unwrap();
        let error = call().start().await.expect_err("the first one is still there");
        assert_eq!(error.kind(), ErrorKind::Duplicate);
        assert!(error.to_string().contains("cart-9") && error.to_string().contains("or_existing"), "{error}");
        assert_eq!(call().or_existing().start().await.unwrap().id(), first.id());
        gate(&key).add_permits(2);
        first.clone().await.unwrap();
        let second = call().start().await.expect("the first one has ended");
        assert_ne!(second.id(), first.id());
        second.await.unwrap();
    })
    .await;
    app.shutdown().await;
}

#[workflow]
async fn parent_of_many(key: String, many: u32) -> Result<u32> {
    let mut handles = Vec::new();
    for value in 0..many {
        handles.push(notes(key.clone(), value).enqueue(&PLAIN).await?);
    }
    let mut sum = 0;
    for result in durable::wait_all(handles).await {
        sum += result?;
    }
    held(&key).await;
    Ok(sum)
}

async fn a_workflow_can_enqueue_children_and_await_them(database: &TestDatabase) {
    let key = fresh("children");
    let app = database.launch().await;
    app.scope(async { parent_of_many(key.clone(), 20).id("p").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    database.crash(app).await;

    let app = database.launch().await;
    gate(&key).add_permits(2);
    assert_eq!(app.retrieve_workflow::<u32>("p").await.unwrap().await.unwrap(), 190);
    assert_eq!(order(&key).len(), 20, "no child ran twice");
    app.shutdown().await;
}

async fn many_are_enqueued_with_few_commits(database: &TestDatabase) {
    let key = fresh("bulk");
    let app = database.builder("bulk").listen_to::<&str>([]).launch().await.unwrap();
    app.listening().await;
    let before = app.store().statement_counts();
    let handles = app.scope(PLAIN.enqueue_all((0..1_000).map(|value| notes(key.clone(), value)))).await.unwrap();
    let costs = app.store().statement_counts() - before;
    assert_eq!(handles.len(), 1_000);
    // It is two or three, and more where the machine is busy and the calls are slower than the commits.
    assert!(costs.commits <= 50, "{costs:?}");
    app.shutdown().await;
}

#[workflow(queue = OTHER)]
async fn waits_by_itself(value: u32) -> Result<u32> {
    Ok(value)
}

async fn a_workflow_with_a_queue_in_its_attribute_is_enqueued_there(database: &TestDatabase) {
    let app = database.launch().await;
    assert_eq!(app.scope(async { waits_by_itself(3).await }).await.unwrap(), 3);
    assert_eq!(database.workflows().await[0].queue.as_deref(), Some("places-other"));
    app.shutdown().await;
}

async fn the_timeout_of_a_queued_workflow_starts_when_it_runs(database: &TestDatabase) {
    let key = fresh("timeout");
    let app = database.launch().await;
    let hour = Duration::from_hours(1);
    app.scope(async {
        let first = holds_its_slot(key.clone()).enqueue(&SINGLE).await.unwrap();
        arrived(&key, 1).await;
        let second = holds_its_slot(key.clone()).queue(&SINGLE).timeout(hour).start().await.unwrap();
        let waiting = database.workflows().await.remove(1);
        assert_eq!(
            (waiting.status, waiting.deadline),
            (Status::Enqueued, None),
            "the time in the queue does not count"
        );
        gate(&key).add_permits(1);
        first.await.unwrap();
        arrived(&key, 2).await;
        app.skip_time(2 * hour);
        assert!(second.await.expect_err("its time was up").to_string().ends_with("timeout"));
    })
    .await;
    app.shutdown().await;
}

async fn enqueueing_a_known_id_attaches_to_its_workflow(database: &TestDatabase) {
    let key = fresh("attached");
    let app = database.launch().await;
    app.scope(async {
        for value in [1, 2, 3] {
            let handle = notes(key.clone(), value).queue(&PLAIN).id("same").start().await.unwrap();
            assert_eq!(handle.await.unwrap(), 1, "the first one counts");
        }
    })
    .await;
    app.shutdown().await;
}

async fn queue_info_shows_depth_and_oldest_workflow(database: &TestDatabase) {
    let app = database.builder("shows").listen_to::<&str>([]).launch().await.unwrap();
    app.scope(async {
        PLAIN.enqueue_all((0..3).map(|value| notes(String::new(), value))).await.unwrap();
        notes(String::new(), 4).queue(&PLAIN).delay(Duration::from_hours(1)).start().await.unwrap();
        let info = PLAIN.info().await.unwrap();
        assert_eq!((info.depth, info.delayed, info.running, info.paused), (3, 1, 0, false));
        assert!(info.oldest.is_some());
        let names: Vec<_> = app.list_queues().await.unwrap().into_iter().map(|it| it.name).collect();
        assert!(names.contains(&"places-single".to_owned()), "{names:?}");
    })
    .await;
    app.shutdown().await;
}

async fn a_paused_queue_starts_nothing_until_it_is_resumed(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        OTHER.pause().await.unwrap();
        let handle = waits_by_itself(1).start().await.unwrap();
        // The workflows of another queue run meanwhile, so the dispatcher has made a round.
        notes(fresh("beside"), 1).enqueue(&PLAIN).await.unwrap().await.unwrap();
        assert_eq!(handle.status().await.unwrap(), Status::Enqueued);
        assert!(OTHER.info().await.unwrap().paused);
        OTHER.resume().await.unwrap();
        assert_eq!(handle.await.unwrap(), 1);
    })
    .await;
    app.shutdown().await;
}

async fn a_process_takes_only_from_the_queues_it_listens_to(database: &TestDatabase) {
    let picky = database.builder("picky").listen_to([&OTHER]).launch().await.unwrap();
    let handle = picky.scope(async { notes(fresh("left"), 1).enqueue(&PLAIN).await.unwrap() }).await;
    picky.scope(async { waits_by_itself(1).await.unwrap() }).await;
    assert_eq!(handle.status().await.unwrap(), Status::Enqueued);
    let other = database.builder("other").launch().await.unwrap();
    assert_eq!(handle.await.unwrap(), 1);
    picky.shutdown().await;
    other.shutdown().await;
    let error = database.builder("wrong").listen_to(["no such queue"]).launch().await.expect_err("it is a mistake");
    assert!(error.to_string().contains("no such queue") && error.to_string().contains("places-plain"), "{error}");
}
