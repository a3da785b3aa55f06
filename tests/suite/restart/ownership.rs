//! Which executor owns a workflow: leases, epochs, names.

use durable::prelude::*;

use crate::support::{TestDatabase, arrived, count, counted, database_tests, fresh, gate};

database_tests! {
workflows_of_a_live_executor_are_not_taken_over,
a_launch_under_the_same_name_takes_over_at_once,
workflows_of_an_expired_lease_are_taken_over,
a_fenced_executor_drops_its_workflows_and_registers_again,
many_executors_start_the_same_ids_and_each_runs_once,
}

#[step]
async fn held(key: &str) -> u32 {
    let run = count(key);
    gate(key).acquire().await.unwrap().forget();
    run
}

#[workflow]
async fn owned(key: String) -> Result<u32> {
    Ok(held(&key).await)
}

async fn workflows_of_a_live_executor_are_not_taken_over(database: &TestDatabase) {
    let key = fresh("owned");
    let a = database.builder("a").launch().await.unwrap();
    let handle = a.scope(async { owned(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let b = database.builder("b").launch().await.unwrap();
    assert_eq!(b.list_workflows(Filter::new()).await.unwrap()[0].attempts, 1);

    gate(&key).add_permits(1);
    assert_eq!(handle.await.unwrap(), 1);
    // The other engine gets the result, although it has not run the workflow.
    assert_eq!(b.retrieve_workflow::<u32>("w").await.unwrap().await.unwrap(), 1);
    a.shutdown().await;
    b.shutdown().await;
}

async fn a_launch_under_the_same_name_takes_over_at_once(database: &TestDatabase) {
    let key = fresh("same name");
    let a = database.builder("a").executor_id("pod-1").launch().await.unwrap();
    a.scope(async { owned(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;

    // The first engine is alive and has not noticed the takeover; its results are not recorded any more.
    let b = database.builder("b").executor_id("pod-1").launch().await.unwrap();
    arrived(&key, 2).await;
    gate(&key).add_permits(2);
    assert_eq!(b.retrieve_workflow::<u32>("w").await.unwrap().await.unwrap(), 2);
    a.shutdown().await;
    b.shutdown().await;
    assert_eq!(counted(&key), 2);
}

async fn workflows_of_an_expired_lease_are_taken_over(database: &TestDatabase) {
    let key = fresh("expired");
    let a = database.builder("a").lease(Duration::from_millis(300)).launch().await.unwrap();
    let b = database.builder("b").lease(Duration::from_millis(1_500)).launch().await.unwrap();
    a.scope(async { owned(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    // As on another host: without a lock file only the lease shows that the process has ended.
    for executor in b.store().executors().await.unwrap() {
        let _ = std::fs::remove_file(executor.lock_file.expect("it has one")); // on a busy machine it may be gone
    }
    database.crash(a).await;

    arrived(&key, 2).await;
    gate(&key).add_permits(1);
    // On a busy machine the lease may also expire before.
    assert!(b.retrieve_workflow::<u32>("w").await.unwrap().await.unwrap() >= 2);
    b.shutdown().await;
}

async fn a_fenced_executor_drops_its_workflows_and_registers_again(database: &TestDatabase) {
    let key = fresh("deposed");
    let app = database.builder("a").lease(Duration::from_millis(300)).launch().await.unwrap();
    let handle = app.scope(async { owned(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;

    let store = app.store();
    let executor = store.executors().await.unwrap().pop().unwrap();
    assert!(store.fence_out(executor.key, executor.epoch).await.unwrap());
    // It notices at its next heartbeat, registers again, and takes the workflow over from its earlier executor.
    arrived(&key, 2).await;
    gate(&key).add_permits(1);
    assert_eq!(handle.await.unwrap(), 2);
    app.shutdown().await;
}

async fn many_executors_start_the_same_ids_and_each_runs_once(database: &TestDatabase) {
    let key = fresh("race");
    let mut apps = Vec::new();
    for name in ["a", "b", "c"] {
        apps.push(database.builder(name).launch().await.unwrap());
    }
    gate(&key).add_permits(1000);
    let mut calls = Vec::new();
    for number in 0..50 {
        for app in &apps {
            calls.push(app.spawn_scoped(owned(format!("{key} {number}")).id(format!("id-{number}"))));
        }
        gate(&format!("{key} {number}")).add_permits(10);
    }
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap(), 1);
    }
    for app in apps {
        app.shutdown().await;
    }
}
