//! Limits of queues, observed from within the workflows.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Instant;

use durable::prelude::*;
use durable::queue;

use crate::support::{TestDatabase, database_tests, fresh};

database_tests! {
    worker_concurrency_limits_each_process,
    concurrency_limits_the_whole_fleet,
    the_rate_limit_holds_in_every_window,
    each_partition_runs_one_workflow_at_a_time_and_in_order,
    a_partition_key_means_order_on_every_queue,
    limits_can_be_changed_while_workflows_run,
    an_engine_launched_later_uses_the_changed_limits,
}

#[queue]
static WORKER: Queue = Queue::new("limits-worker").worker_concurrency(3);
#[queue]
static FLEET: Queue = Queue::new("limits-fleet").concurrency(2);
#[queue]
static RATED: Queue = Queue::new("limits-rated").rate_limit(5, Duration::from_millis(400));
#[queue]
static PARTED: Queue = Queue::new("limits-parted").partitioned().worker_concurrency(4);
#[queue]
static USERS: Queue = Queue::new("limits-users").worker_concurrency(10);
#[queue]
static CHANGED: Queue = Queue::new("limits-changed").concurrency(1);
#[queue]
static TIGHTENED: Queue = Queue::new("limits-tightened").worker_concurrency(4);

/// What was observed: how many run now, the most that ever ran at once, when they started, and
/// the values in order.
#[derive(Default)]
struct Log {
    running: u32,
    most: u32,
    starts: Vec<Instant>,
    values: Vec<u32>,
}

static LOGS: Mutex<Option<HashMap<String, Log>>> = Mutex::new(None);

fn log<R>(key: &str, work: impl FnOnce(&mut Log) -> R) -> R {
    work(LOGS.lock().unwrap().get_or_insert_default().entry(key.to_owned()).or_default())
}

#[step]
async fn logged(keys: Vec<String>, value: u32) {
    for key in &keys {
        log(key, |log| {
            log.running += 1;
            log.most = log.most.max(log.running);
            log.starts.push(Instant::now());
            log.values.push(value);
        });
    }
    tokio::time::sleep(Duration::from_millis(2)).await; // the work
    for key in &keys {
        log(key, |log| log.running -= 1);
    }
}

#[workflow]
async fn logs(keys: Vec<String>, value: u32) -> Result<()> {
    logged(keys, value).await;
    Ok(())
}

async fn all_done(handles: Vec<WorkflowHandle<()>>) {
    for result in durable::wait_all(handles).await {
        result.unwrap();
    }
}

async fn worker_concurrency_limits_each_process(database: &TestDatabase) {
    let key = fresh("worker");
    let app = database.launch().await;
    app.scope(async {
        all_done(WORKER.enqueue_all((0..40).map(|value| logs(vec![key.clone()], value))).await.unwrap()).await;
    })
    .await;
    assert_eq!(log(&key, |log| (log.most, log.values.len())), (3, 40));
    app.shutdown().await;
}

async fn concurrency_limits_the_whole_fleet(database: &TestDatabase) {
    let key = fresh("fleet");
    let (one, two) = (database.builder("one").launch().await.unwrap(), database.builder("two").launch().await.unwrap());
    one.scope(async {
        all_done(FLEET.enqueue_all((0..40).map(|value| logs(vec![key.clone()], value))).await.unwrap()).await;
    })
    .await;
    assert_eq!(log(&key, |log| (log.most, log.values.len())), (2, 40));
    one.shutdown().await;
    two.shutdown().await;
}

async fn the_rate_limit_holds_in_every_window(database: &TestDatabase) {
    let key = fresh("rated");
    let app = database.launch().await;
    app.scope(async {
        all_done(RATED.enqueue_all((0..15).map(|value| logs(vec![key.clone()], value))).await.unwrap()).await;
    })
    .await;
    let infos = app.list_workflows(Filter::new().limit(100)).await.unwrap();
    let mut starts: Vec<_> = infos.iter().map(|it| it.started_at.unwrap()).collect();
    starts.sort_unstable();
    for window in starts.windows(6) {
        let passed = (window[5] - window[0]).to_std().unwrap();
        assert!(passed >= Duration::from_millis(400), "six were started within {passed:?}");
    }
    app.shutdown().await;
}

async fn each_partition_runs_one_workflow_at_a_time_and_in_order(database: &TestDatabase) {
    runs_each_key_in_order(database, &PARTED, "user").await;
}

/// Also on one that has no limits for keys.
async fn a_partition_key_means_order_on_every_queue(database: &TestDatabase) {
    runs_each_key_in_order(database, &USERS, "customer").await;
}

async fn runs_each_key_in_order(database: &TestDatabase, queue: &Queue, kind: &str) {
    let all = fresh("parted");
    let (one, two) = (database.builder("one").launch().await.unwrap(), database.builder("two").launch().await.unwrap());
    let of = |user: u32| format!("{all}-{user}");
    one.scope(async {
        let calls = (0..60)
            .map(|value| logs(vec![all.clone(), of(value % 5)], value).partition(format!("{kind}-{}", value % 5)));
        all_done(queue.enqueue_all(calls).await.unwrap()).await;
    })
    .await;
    for user in 0..5 {
        let (most, values) = log(&of(user), |log| (log.most, log.values.clone()));
        assert_eq!(most, 1, "one at a time");
        assert_eq!(values, (0..12).map(|round| round * 5 + user).collect::<Vec<_>>(), "in order");
    }
    assert!(log(&all, |log| log.most) > 1, "different users run side by side");
    one.shutdown().await;
    two.shutdown().await;
}

async fn limits_can_be_changed_while_workflows_run(database: &TestDatabase) {
    let key = fresh("changed");
    let app = database.launch().await;
    app.scope(async {
        CHANGED.set_limits(&Queue::new("limits-changed").concurrency(4)).await.unwrap();
        all_done(CHANGED.enqueue_all((0..40).map(|value| logs(vec![key.clone()], value))).await.unwrap()).await;
        let most = log(&key, |log| std::mem::take(log).most);
        assert!((2..=4).contains(&most), "{most}");
        assert!(CHANGED.info().await.unwrap().changed);
        assert!(CHANGED.set_limits(&Queue::new("limits-changed").concurrency(0)).await.is_err());

        CHANGED.set_limits(&CHANGED).await.unwrap();
        all_done(CHANGED.enqueue_all((0..10).map(|value| logs(vec![key.clone()], value))).await.unwrap()).await;
        assert_eq!(log(&key, |log| log.most), 1, "as in the code again");
        assert!(!CHANGED.info().await.unwrap().changed);
    })
    .await;
    app.shutdown().await;
}

async fn an_engine_launched_later_uses_the_changed_limits(database: &TestDatabase) {
    let key = fresh("tightened");
    let first = database.builder("first").listen_to::<&str>([]).launch().await.unwrap();
    let handles = first
        .scope(async {
            TIGHTENED.set_limits(&Queue::new("limits-tightened").worker_concurrency(1)).await.unwrap();
            TIGHTENED.enqueue_all((0..10).map(|value| logs(vec![key.clone()], value))).await.unwrap()
        })
        .await;
    let later = database.builder("later").listen_to([&TIGHTENED]).launch().await.unwrap();
    all_done(handles).await;
    assert_eq!(log(&key, |log| (log.most, log.values.clone())), (1, (0..10).collect()), "one at a time, in order");
    later.shutdown().await;
    first.shutdown().await;
}
