//! Timeouts, cancellation, and waiting for several workflows.

use durable::prelude::*;

use crate::support::{TestDatabase, arrived, count, database_tests, fresh, gate};

database_tests! {
a_timeout_cancels_the_workflow_with_its_reason,
a_timeout_holds_across_restarts_and_fires_when_an_engine_is_back,
a_child_inherits_the_deadline_unless_it_has_its_own,
cancelling_from_another_process_takes_effect_within_a_second,
cancel_children_cancels_the_descendants_too,
a_workflow_timeout_cancels_its_running_step,
the_winner_of_wait_first_is_recorded,
wait_all_waits_for_every_workflow,
}

#[step]
async fn hold(key: &str) {
    count(key);
    gate(key).acquire().await.expect("it is never closed").forget();
}

#[workflow]
async fn blocks_in_step(key: String) -> Result<()> {
    let _dropped = Counted(format!("{key} dropped"));
    hold(&key).await;
    Ok(())
}

/// Counts its end.
struct Counted(String);

impl Drop for Counted {
    fn drop(&mut self) {
        count(self.0.clone());
    }
}

const HOUR: Duration = Duration::from_hours(1);

async fn a_timeout_cancels_the_workflow_with_its_reason(database: &TestDatabase) {
    let key = fresh("timeout");
    let app = database.launch().await;
    let handle = app.scope(async { blocks_in_step(key.clone()).id("w").timeout(HOUR).start().await.unwrap() }).await;
    arrived(&key, 1).await;
    app.skip_time(Duration::from_mins(59));
    assert_eq!(handle.status().await.unwrap(), Status::Pending);
    app.skip_time(Duration::from_mins(1));
    let error = handle.await.expect_err("its time was up");
    assert!(error.is_cancelled() && error.to_string().ends_with("timeout"), "{error}");
    arrived(&format!("{key} dropped"), 1).await;
    let info = &database.workflows().await[0];
    assert_eq!((info.status, info.reason.as_deref()), (Status::Cancelled, Some("timeout")));
    app.shutdown().await;
}

async fn a_timeout_holds_across_restarts_and_fires_when_an_engine_is_back(database: &TestDatabase) {
    let key = fresh("outage");
    let app = database.launch().await;
    app.scope(async { blocks_in_step(key.clone()).id("w").timeout(Duration::from_millis(400)).start().await.unwrap() })
        .await;
    arrived(&key, 1).await;
    database.crash(app).await;
    tokio::time::sleep(Duration::from_millis(500)).await; // the timeout passes while no engine runs

    let app = database.launch().await;
    let error = app.retrieve_workflow::<()>("w").await.unwrap().await.expect_err("its time was up");
    assert!(error.to_string().ends_with("timeout"), "{error}");
    arrived(&key, 1).await; // its step did not begin again
    app.shutdown().await;
}

#[workflow]
async fn starts_children(key: String) -> Result<()> {
    let inherits = blocks_in_step(key.clone()).id("inherits").start().await?;
    blocks_in_step(key.clone()).id("own").timeout(4 * HOUR).start().await?;
    blocks_in_step(key.clone()).id("none").no_timeout().start().await?;
    inherits.await
}

async fn a_child_inherits_the_deadline_unless_it_has_its_own(database: &TestDatabase) {
    let key = fresh("inherits");
    let app = database.launch().await;
    app.scope(async { starts_children(key.clone()).id("parent").timeout(HOUR).start().await.unwrap() }).await;
    arrived(&key, 3).await;
    let ended = async |id: &str| app.retrieve_workflow::<()>(id).await.unwrap().await.map_err(|it| it.to_string());
    let pending = async |id: &str| app.retrieve_workflow::<()>(id).await.unwrap().status().await.unwrap();
    app.skip_time(HOUR);
    assert!(ended("inherits").await.unwrap_err().ends_with("timeout"));
    assert!(ended("parent").await.unwrap_err().ends_with("timeout"));
    assert_eq!(pending("own").await, Status::Pending);
    app.skip_time(3 * HOUR);
    assert!(ended("own").await.unwrap_err().ends_with("timeout"));
    assert_eq!(pending("none").await, Status::Pending);
    gate(&key).add_permits(1);
    ended("none").await.expect("it may take as long as it takes");
    app.shutdown().await;
}

async fn cancelling_from_another_process_takes_effect_within_a_second(database: &TestDatabase) {
    let key = fresh("elsewhere");
    let here = database.builder("here").launch().await.unwrap();
    let there = database.builder("there").launch().await.unwrap();
    here.scope(async { blocks_in_step(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    there.cancel_workflow("w").await.unwrap();
    let dropped = format!("{key} dropped");
    // It takes less than a second. Without its wake-up it would be found by the poll for safety, every 10 s.
    tokio::time::timeout(Duration::from_secs(8), arrived(&dropped, 1))
        .await
        .expect("the lease of an hour does not matter");
    here.shutdown().await;
    there.shutdown().await;
}

async fn cancel_children_cancels_the_descendants_too(database: &TestDatabase) {
    let key = fresh("family");
    let app = database.launch().await;
    app.scope(async { starts_children(key.clone()).id("parent").start().await.unwrap() }).await;
    arrived(&key, 3).await;
    app.cancel_workflow("parent").await.unwrap();
    let status = async |id: &str| app.retrieve_workflow::<()>(id).await.unwrap().status().await.unwrap();
    assert_eq!((status("parent").await, status("own").await), (Status::Cancelled, Status::Pending));
    app.cancel_workflow("parent").cancel_children().await.unwrap();
    for id in ["inherits", "own", "none"] {
        assert_eq!(status(id).await, Status::Cancelled, "{id}");
    }
    arrived(&format!("{key} dropped"), 3).await;
    app.shutdown().await;
}

#[step]
fn blocks_until_cancelled(key: String) {
    count(key.clone());
    let cancellation = durable::cancellation();
    while !cancellation.is_cancelled() {
        std::thread::sleep(Duration::from_millis(1)); // it blocks its thread, as the work that it stands for does
    }
    count(format!("{key} cancelled"));
}

#[workflow]
async fn blocked(key: String) -> Result<()> {
    blocks_until_cancelled(key).await;
    Ok(())
}

async fn a_workflow_timeout_cancels_its_running_step(database: &TestDatabase) {
    let key = fresh("cancelled");
    let app = database.launch().await;
    let handle = app.scope(async { blocked(key.clone()).timeout(HOUR).start().await.unwrap() }).await;
    arrived(&key, 1).await;
    app.skip_time(HOUR);
    assert!(handle.await.expect_err("its time was up").is_cancelled());
    arrived(&format!("{key} cancelled"), 1).await;
    app.shutdown().await;
}

#[workflow]
async fn returns_when_opened(key: String, value: u32) -> Result<u32> {
    hold(&key).await;
    Ok(value)
}

#[workflow]
async fn waits_for_first(keys: Vec<String>, own: String) -> Result<usize> {
    let mut handles = Vec::new();
    for (value, key) in (0..).zip(keys) {
        handles.push(returns_when_opened(key, value).start().await?);
    }
    let first = durable::wait_first(&handles).await?;
    hold(&own).await;
    Ok(first)
}

async fn the_winner_of_wait_first_is_recorded(database: &TestDatabase) {
    let (keys, own) = (vec![fresh("a"), fresh("b")], fresh("own"));
    let app = database.launch().await;
    app.scope(async { waits_for_first(keys.clone(), own.clone()).id("w").start().await.unwrap() }).await;
    arrived(&keys[0], 1).await;
    gate(&keys[1]).add_permits(1);
    arrived(&own, 1).await;
    database.crash(app).await;

    gate(&keys[0]).add_permits(2);
    let app = database.launch().await;
    app.retrieve_workflow::<u32>("w-1").await.unwrap().await.unwrap();
    gate(&own).add_permits(2);
    let first = app.retrieve_workflow::<usize>("w").await.unwrap().await.unwrap();
    assert_eq!(first, 1, "although both have ended by now");
    app.shutdown().await;
}

async fn wait_all_waits_for_every_workflow(database: &TestDatabase) {
    let key = fresh("all");
    let app = database.launch().await;
    gate(&key).add_permits(5);
    app.scope(async {
        let mut handles = Vec::new();
        for value in 0..5 {
            handles.push(returns_when_opened(key.clone(), value).start().await.unwrap());
        }
        let first = durable::wait_first(&handles).await.unwrap();
        assert!(first < 5);
        let results: Vec<u32> = durable::wait_all(handles).await.into_iter().map(Result::unwrap).collect();
        assert_eq!(results, [0, 1, 2, 3, 4]);
        let none: [WorkflowHandle<u32>; 0] = [];
        assert!(durable::wait_first(&none).await.is_err());
    })
    .await;
    app.shutdown().await;
}
