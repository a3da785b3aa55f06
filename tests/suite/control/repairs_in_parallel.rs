//! Repairs beside other runs: one that was not stopped yet, earlier resumes, and workflows in the same place.

use durable::prelude::*;
use durable::{ErrorKind, queue};

use crate::support::{TestDatabase, count, counted, database_tests, fresh, until};

database_tests! {
    a_run_that_missed_its_cancellation_gives_way_to_the_resumed_one,
    a_time_limit_stays_as_long_over_several_resumes,
    of_two_workflows_with_one_deduplication_id_one_is_resumed,
    of_two_workflows_with_one_deduplication_id_one_is_moved,
}

#[queue]
static PARALLEL_REPAIRS: Queue = Queue::new("parallel_repairs");
#[queue]
static OTHER_REPAIRS: Queue = Queue::new("other_repairs");
#[queue]
static THIRD_REPAIRS: Queue = Queue::new("third_repairs");

#[step]
async fn note(key: String) -> u32 {
    count(&key)
}

#[workflow]
async fn waits_beside(key: String) -> Result<u32> {
    note(key).await;
    Ok(durable::recv::<u32>("go", Duration::from_hours(1)).await?.unwrap_or_default())
}

/// A cancellation and a resume of another process, between two looks of the process that runs it.
const CANCEL_AND_RESUME: &str =
    "update durable.workflows set executor = null, recoveries = 0 where id = 'w' and status = 'PENDING'";

/// Wakes the recovery.
async fn resumed(app: &Durable, id: &str) {
    waits_beside(fresh("other")).id(id).start().await.unwrap().cancel().await.unwrap();
    app.resume_workflow(id).await.unwrap();
    until("it runs again", async || app.workflow(id).await.unwrap().unwrap().attempts == 2).await;
}

async fn a_run_that_missed_its_cancellation_gives_way_to_the_resumed_one(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        let key = fresh("missed");
        let handle = waits_beside(key.clone()).id("w").start().await.unwrap();
        until("the step is recorded", async || !app.list_steps("w").await.unwrap().is_empty()).await;
        database.direct_connection().await.execute(CANCEL_AND_RESUME).await;
        resumed(&app, "a").await;
        until("it is taken over", async || app.workflow("w").await.unwrap().unwrap().attempts == 2).await;
        resumed(&app, "b").await; // the recovery goes on
        durable::send("w", "go", &2).await.unwrap();
        assert_eq!(handle.result().await.unwrap(), 2);
        assert_eq!(counted(&key), 1);
        for id in ["a", "b"] {
            app.cancel_workflow(id).await.unwrap();
        }
    })
    .await;
    app.shutdown().await;
}

async fn a_time_limit_stays_as_long_over_several_resumes(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        let limit = Duration::from_mins(10);
        let handle = waits_beside(fresh("limited")).id("w").timeout(limit).start().await.unwrap();
        handle.cancel().await.unwrap();
        let mut direct = database.direct_connection().await;
        let day = 86_400_000_000_u64;
        let shift = format!(
            "update durable.workflows set created_at = created_at - {day}, deadline = deadline - {day} where id = 'w'"
        );
        direct.execute(&shift).await;
        for _ in 0..2 {
            app.resume_workflow("w").await.unwrap();
            app.cancel_workflow("w").await.unwrap();
        }
        let deadline = app.workflow("w").await.unwrap().unwrap().deadline.unwrap();
        let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap();
        let minutes = |deadline: i64| (deadline - now) / 60;
        assert!((8..=11).contains(&minutes(deadline.timestamp())), "{deadline}");
        let fork = app.restart_workflow("w").await.unwrap();
        let deadline = app.workflow(fork.id()).await.unwrap().unwrap().deadline.unwrap();
        assert!((8..=11).contains(&minutes(deadline.timestamp())), "{deadline}");
        fork.cancel().await.unwrap();
    })
    .await;
    app.shutdown().await;
}

async fn two_with_one_deduplication_id(app: &Durable, other_queue: bool) {
    let mut clients = Vec::new();
    for id in ["a", "b"] {
        let call = waits_beside(fresh("dedup")).id(id).deduplicate("same").delay(Duration::from_hours(1));
        let queue = if other_queue && id == "b" { &OTHER_REPAIRS } else { &PARALLEL_REPAIRS };
        let handle = call.enqueue(queue).await.unwrap();
        if !other_queue {
            handle.cancel().await.unwrap();
        }
        clients.push(handle);
    }
    assert_eq!(app.list_workflows(Filter::new()).await.unwrap().len(), 2);
}

async fn of_two_workflows_with_one_deduplication_id_one_is_resumed(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        two_with_one_deduplication_id(&app, false).await;
        let call = app.bulk(Filter::new().name("waits_beside")).resume();
        let report = tokio::time::timeout(Duration::from_secs(20), call.run(|_| {})).await;
        let report = report.expect("the bulk change ends").unwrap();
        assert_eq!((report.matched, report.changed, report.refused), (2, 1, 1), "{report:?}");
        assert!(report.reasons["b"].contains("\"a\" has its deduplication id"), "{report:?}");
        assert_eq!(app.resume_workflow("b").await.unwrap_err().kind(), ErrorKind::Refused);
        app.bulk(Filter::new().ids(["a", "b"])).cancel().run(|_| {}).await.unwrap();
    })
    .await;
    app.shutdown().await;
}

async fn of_two_workflows_with_one_deduplication_id_one_is_moved(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        two_with_one_deduplication_id(&app, true).await;
        let call = app.bulk(Filter::new().name("waits_beside")).move_to_queue(&THIRD_REPAIRS);
        let report = tokio::time::timeout(Duration::from_secs(20), call.run(|_| {})).await;
        let report = report.expect("the bulk change ends").unwrap();
        assert_eq!((report.matched, report.changed, report.refused), (2, 1, 1), "{report:?}");
        assert!(report.reasons["b"].contains("\"a\" has its deduplication id"), "{report:?}");
        app.bulk(Filter::new().ids(["a", "b"])).cancel().run(|_| {}).await.unwrap();
    })
    .await;
    app.shutdown().await;
}
