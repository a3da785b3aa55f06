//! How much work a queue has, for autoscalers.

use durable::prelude::*;
use durable::queue;

use crate::support::{TestDatabase, database_tests, until};

database_tests! {
    a_backlog_counts_what_waits_and_what_runs,
    a_delayed_workflow_counts_once_it_is_due,
    the_oldest_is_found_among_all_priorities,
    a_backlog_stops_at_its_limit_and_says_so,
    an_unknown_queue_is_empty,
}

#[queue]
static WORK: Queue = Queue::new("work").worker_concurrency(1);
#[queue]
static OTHER_WORK: Queue = Queue::new("other-work");

#[workflow]
async fn works(number: u32) -> Result<u32> {
    durable::recv::<u32>("go", Duration::from_hours(1)).await?;
    Ok(number)
}

async fn a_backlog_counts_what_waits_and_what_runs(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        for number in 0..4 {
            works(number).enqueue(&WORK).await.unwrap();
        }
        works(4).enqueue(&OTHER_WORK).await.unwrap();
        until("one runs", async || app.queue_backlog(&WORK).await.unwrap().running == 1).await;
        let backlog = app.queue_backlog(&WORK).await.unwrap();
        assert_eq!((backlog.waiting, backlog.running, backlog.capped, backlog.paused), (3, 1, false, false));
        assert!(backlog.oldest.is_some() && backlog.lag < Duration::from_mins(1), "{backlog:?}");
        let info = WORK.info().await.unwrap();
        assert_eq!((info.depth, info.running), (3, 1), "as the exact count has it");
        WORK.pause().await.unwrap();
        assert!(durable::queue_backlog("work").await.unwrap().paused);
    })
    .await;
    app.shutdown().await;
}

/// Nothing promotes it while no process runs, and then an autoscaler would start none.
async fn a_delayed_workflow_counts_once_it_is_due(database: &TestDatabase) {
    let app = database.builder("app").listen_to([""; 0]).launch().await.unwrap();
    app.scope(async {
        works(1).queue(&WORK).delay(Duration::from_hours(1)).start().await.unwrap();
        assert_eq!(app.queue_backlog(&WORK).await.unwrap().waiting, 0);
        database.direct_connection().await.execute("update durable.workflows set due_at = 1").await;
        assert_eq!(app.queue_backlog(&WORK).await.unwrap().waiting, 1);
        assert_eq!(app.queue_backlog(&OTHER_WORK).await.unwrap().waiting, 0);
    })
    .await;
    app.shutdown().await;
}

async fn the_oldest_is_found_among_all_priorities(database: &TestDatabase) {
    let app = database.builder("app").listen_to([""; 0]).launch().await.unwrap();
    app.scope(async {
        for (id, priority) in [("old", 9), ("young", -3), ("middle", 0)] {
            works(1).id(id).queue(&WORK).priority(priority).start().await.unwrap();
        }
        let hour = Duration::from_hours(1).as_micros();
        let age = format!("update durable.workflows set created_at = created_at - {hour} where id = 'old'");
        database.direct_connection().await.execute(&age).await;
        let backlog = app.queue_backlog(&WORK).await.unwrap();
        assert_eq!(backlog.oldest, app.workflow("old").await.unwrap().map(|it| it.created_at));
        assert!(backlog.lag >= Duration::from_mins(59), "{backlog:?}");
    })
    .await;
    app.shutdown().await;
}

async fn a_backlog_stops_at_its_limit_and_says_so(database: &TestDatabase) {
    let app = database.builder("app").listen_to([""; 0]).launch().await.unwrap();
    let sql = "insert into durable.workflows (key, id, name, status, attempt, queue, created_at, input)
         with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < 10050)
         select n, 'w-' || n, 'works', 'ENQUEUED', 0, 'work', 7, '{}' from numbers";
    database.direct_connection().await.execute(sql).await;
    let backlog = app.queue_backlog(&WORK).await.unwrap();
    assert_eq!((backlog.waiting, backlog.capped), (10_000, true));
    assert_eq!(app.store().queue_backlog("work", 70).await.unwrap().waiting, 70);
    app.shutdown().await;
}

async fn an_unknown_queue_is_empty(database: &TestDatabase) {
    let app = database.launch().await;
    let backlog = app.queue_backlog("unknown").await.unwrap();
    assert_eq!((backlog.waiting, backlog.running, backlog.oldest, backlog.lag), (0, 0, None, Duration::ZERO));
    app.shutdown().await;
}
