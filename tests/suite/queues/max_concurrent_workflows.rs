//! `max_concurrent_workflows` limits direct starts, and never the workflows that these wait for.

use durable::prelude::*;

use crate::support::{TestDatabase, arrived, count, database_tests, fresh, gate};

database_tests! {
    a_process_at_its_workflow_limit_still_runs_queued_children,
    a_claimed_workflow_does_not_wait_for_a_permit,
    a_process_at_its_workflow_limit_keeps_no_slot_from_the_fleet,
    a_recovered_child_runs_while_its_parent_takes_the_only_permit,
}

#[queue]
static CHILDREN: Queue = Queue::new("permits-children").concurrency(3);
#[queue]
static SINGLE: Queue = Queue::new("permits-single").concurrency(1);

/// Longer than anything here takes that does not hang.
const PATIENCE: Duration = Duration::from_secs(20);

#[step]
async fn fills(key: &str) {
    count(key);
    gate(key).acquire().await.unwrap().forget();
}

#[workflow]
async fn fills_permit(key: String) -> Result<u32> {
    fills(&key).await;
    Ok(1)
}

#[step]
async fn half(number: u32) -> u32 {
    number / 2
}

#[workflow]
async fn halves(number: u32) -> Result<u32> {
    Ok(half(number).await)
}

#[workflow]
async fn parent_of_two(number: u32) -> Result<u32> {
    let mut handles = Vec::new();
    for _ in 0..2 {
        handles.push(halves(number).queue(&CHILDREN).start().await?);
    }
    let mut sum = 0;
    for handle in handles {
        sum += handle.await?;
    }
    Ok(sum)
}

async fn a_process_at_its_workflow_limit_still_runs_queued_children(database: &TestDatabase) {
    let app = database.builder("two").max_concurrent_workflows(2).launch().await.unwrap();
    app.scope(async {
        let parents = [parent_of_two(2).start().await.unwrap(), parent_of_two(4).start().await.unwrap()];
        for (parent, sum) in parents.into_iter().zip([2, 4]) {
            let ended = tokio::time::timeout(PATIENCE, parent.result()).await;
            assert_eq!(ended.expect("the parents have the permits, and their children run").unwrap(), sum);
        }
    })
    .await;
    app.shutdown().await;
}

async fn a_claimed_workflow_does_not_wait_for_a_permit(database: &TestDatabase) {
    let key = fresh("full");
    let app = database.builder("one").max_concurrent_workflows(1).launch().await.unwrap();
    app.scope(async {
        let direct = fills_permit(key.clone()).start().await.unwrap();
        arrived(&key, 1).await;
        let queued = halves(8).queue(&SINGLE).timeout(Duration::from_millis(500)).start().await.unwrap();
        let ended = tokio::time::timeout(PATIENCE, queued.result()).await;
        assert_eq!(ended.expect("it runs").expect("and does not use up its time waiting"), 4);
        gate(&key).add_permits(1);
        direct.await.unwrap();
    })
    .await;
    app.shutdown().await;
}

async fn a_process_at_its_workflow_limit_keeps_no_slot_from_the_fleet(database: &TestDatabase) {
    let key = fresh("full");
    let full = database.builder("full").max_concurrent_workflows(1).launch().await.unwrap();
    let direct = full.scope(async { fills_permit(key.clone()).start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let idle = database.builder("idle").launch().await.unwrap();
    // The engine that enqueues claims first.
    let handles = full.scope(SINGLE.enqueue_all((0..4).map(|it| halves(2 * it)))).await.unwrap();
    for (handle, expected) in handles.into_iter().zip(0..) {
        let ended = tokio::time::timeout(PATIENCE, handle.result()).await;
        assert_eq!(ended.expect("what is claimed runs").unwrap(), expected);
    }
    gate(&key).add_permits(1);
    direct.await.unwrap();
    full.shutdown().await;
    idle.shutdown().await;
}

#[workflow]
async fn parent_of_one(key: String) -> Result<u32> {
    fills_permit(key).await
}

async fn a_recovered_child_runs_while_its_parent_takes_the_only_permit(database: &TestDatabase) {
    let key = fresh("recovered");
    let launch = async || database.builder("one").max_concurrent_workflows(1).launch().await.unwrap();
    let app = launch().await;
    app.scope(async { parent_of_one(key.clone()).id("p").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    database.crash(app).await;

    let app = launch().await;
    gate(&key).add_permits(2);
    let parent = app.retrieve_workflow::<u32>("p").await.unwrap();
    let ended = tokio::time::timeout(PATIENCE, parent.result()).await;
    assert_eq!(ended.expect("it does not wait for its own permit").unwrap(), 1);
    app.shutdown().await;
}
