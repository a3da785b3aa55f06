//! How many workflows ended, by stretch of time, and what no executor takes.

use durable::prelude::*;
use durable::{Client, ThroughputBucket, queue};

use crate::support::{TestDatabase, app_tests, database_tests, until};

app_tests! {
    ends_are_counted_by_stretch_of_time_and_status,
    too_many_stretches_of_time_are_refused,
    what_waits_and_no_executor_takes_is_listed,
}

mod large {
    use super::*;

    database_tests! {
        the_count_of_a_stretch_stops_at_its_limit,
    }
}

#[queue]
static THROUGHPUT: Queue = Queue::new("throughput-taken");

#[workflow]
async fn counted_end(number: u32) -> Result<u32> {
    match number {
        0 => Err(Error::msg("it failed")),
        1 => durable::recv::<u32>("never", Duration::from_hours(99)).await.map(Option::unwrap_or_default),
        _ => Ok(number),
    }
}

const MINUTE: Duration = Duration::from_mins(1);

fn sums(buckets: &[ThroughputBucket]) -> Vec<(u64, u64, u64)> {
    buckets.iter().map(|it| (it.success, it.error, it.cancelled)).collect()
}

async fn ends_are_counted_by_stretch_of_time_and_status(app: TestApp) {
    let from = app.database_time().await.unwrap();
    counted_end(2).await.unwrap();
    counted_end(0).await.unwrap_err();
    app.advance(MINUTE).await;
    counted_end(3).await.unwrap();
    counted_end(4).await.unwrap();
    let waits = counted_end(1).start().await.unwrap();
    app.cancel_workflow(waits.id()).await.unwrap();
    let minutes = app.throughput(from, MINUTE, 3).await.unwrap();
    assert_eq!(sums(&minutes), [(1, 1, 0), (2, 0, 1), (0, 0, 0)]);
    assert_eq!((minutes[0].from, minutes[1].from, minutes[2].until), (from, from + MINUTE, from + 3 * MINUTE));
    assert!(minutes.iter().all(|it| !it.capped));
    let before = durable::throughput(from - MINUTE, MINUTE, 1).await.unwrap();
    assert_eq!(sums(&before), [(0, 0, 0)]);
    assert_eq!(app.throughput(from, MINUTE, 0).await.unwrap(), []);
}

async fn too_many_stretches_of_time_are_refused(app: TestApp) {
    let error = app.throughput(DateTime::UNIX_EPOCH, MINUTE, 1_001).await.unwrap_err();
    assert!(error.to_string().contains("take longer ones"), "{error}");
}

async fn what_waits_and_no_executor_takes_is_listed(app: TestApp) {
    assert_eq!(app.list_untaken_work().await.unwrap(), []);
    let handle = counted_end(2).enqueue(&THROUGHPUT).await.unwrap();
    handle.result().await.unwrap();
    counted_end(3).queue(&THROUGHPUT).delay(Duration::from_hours(1)).start().await.unwrap();
    assert_eq!(app.list_untaken_work().await.unwrap(), [], "it is delayed, and has an executor then");
    app.move_to_queue(handle.id(), "throughput-left").await.unwrap_err();
    let undeclared = Queue::new("throughput-left");
    let waits = counted_end(4).queue(&undeclared).delay(Duration::from_hours(1)).start().await.unwrap();
    app.set_delay(waits.id(), Duration::ZERO).await.unwrap();
    until("no executor listens to that queue", async || {
        let untaken = app.list_untaken_work().await.unwrap();
        untaken
            .iter()
            .any(|it| it.queue.as_deref() == Some("throughput-left") && it.name == "counted_end" && it.workflows == 1)
    })
    .await;
}

async fn the_count_of_a_stretch_stops_at_its_limit(database: &TestDatabase) {
    let client = || Client::builder(database.url()).schema(database.schema());
    client().migrate().await.unwrap();
    let numbers = if database.is_postgres() {
        "(select generate_series(1, 10100) as n) numbers"
    } else {
        "(with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < 10100) select n from numbers)"
    };
    let mut connection = database.direct_connection().await;
    connection
        .execute(&format!(
            "insert into durable.workflows (key, id, name, status, attempt, created_at, started_at, completed_at, input, output)
             select n, 'many-' || n, 'many', 'SUCCESS', 1, 1, 1, 60000000 + n, '{{}}', '1' from {numbers}"
        ))
        .await;
    let client = client().connect().await.unwrap();
    let minutes = client.throughput(DateTime::UNIX_EPOCH, MINUTE, 3).await.unwrap();
    let counted: Vec<_> = minutes.iter().map(|it| (it.success, it.capped)).collect();
    assert_eq!(counted.iter().map(|it| it.1).collect::<Vec<_>>(), [false, true, false]);
    assert!((10_000..=10_001).contains(&counted[1].0), "{counted:?}");
    client.close().await;
}
