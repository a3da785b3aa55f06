//! Steps that cannot be dropped: their workflows are not taken over before the lease expires.

use std::sync::mpsc;
use std::time::Instant;

use durable::StuckKind;
use durable::prelude::*;

use crate::support::{TestDatabase, arrived, budgets, count, counted, database_tests, fresh, patient};

database_tests! {
a_stuck_workflow_is_not_taken_over_before_its_lease_expires,
a_body_blocked_in_its_destructor_is_reported_as_stuck,
}

/// Where a thread blocks until the test releases it.
static HELD: std::sync::Mutex<Vec<(String, mpsc::Receiver<()>)>> = std::sync::Mutex::new(Vec::new());

/// Blocks everything with this key, until the returned value is dropped.
fn hold(key: &str) -> mpsc::Sender<()> {
    let (release, held) = mpsc::channel();
    HELD.lock().unwrap().push((key.to_owned(), held));
    release
}

fn hang(key: &str) {
    let held = {
        let mut all = HELD.lock().unwrap();
        let index = all.iter().position(|it| it.0 == key);
        index.map(|index| all.swap_remove(index).1)
    };
    if let Some(held) = held {
        let _ = held.recv_timeout(Duration::from_mins(1));
    }
}

#[step]
fn hangs(key: String) -> u32 {
    let run = count(&key);
    hang(&key);
    run
}

#[workflow]
async fn hangs_in_a_step(key: String) -> Result<u32> {
    Ok(hangs(key).await)
}

async fn a_stuck_workflow_is_not_taken_over_before_its_lease_expires(database: &TestDatabase) {
    let key = fresh("stuck for long");
    let release = hold(&key);
    // Under one name, as a process is restarted.
    let builder = || database.builder("app").executor_id("pod-1");
    let app = builder().launch().await.unwrap();
    app.scope(async { hangs_in_a_step(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let report = app.shutdown_with(budgets(0, 0)).await;
    assert_eq!((report.stuck_total, report.suspended_total), (1, 0), "{report}");
    drop(app);

    let app = builder().launch().await.unwrap();
    let stands = app.list_workflows(Filter::new()).await.unwrap().remove(0);
    assert_eq!(
        (stands.status, stands.attempts, counted(&key)),
        (Status::Pending, 1, 1),
        "it may still be doing something"
    );
    let executors = app.store().executors().await.unwrap();
    assert_eq!(executors.len(), 2, "the one that is stuck is not taken for dead: {executors:?}");
    app.shutdown().await;
    drop(release);
}

struct HangsWhenDropped(String);

impl Drop for HangsWhenDropped {
    fn drop(&mut self) {
        count(&self.0);
        hang(&self.0);
    }
}

#[workflow]
async fn hangs_in_a_destructor(key: String) -> Result<()> {
    let _guard = HangsWhenDropped(key);
    durable::sleep(Duration::from_hours(1)).await;
    Ok(())
}

async fn a_body_blocked_in_its_destructor_is_reported_as_stuck(database: &TestDatabase) {
    let key = fresh("hangs when dropped");
    let release = hold(&key);
    let app = database.launch().await;
    app.scope(async { hangs_in_a_destructor(key.clone()).id("w").start().await.unwrap() }).await;
    let options = patient().drain(Duration::from_millis(500)).stop(Duration::from_millis(500));
    let begun = Instant::now();
    let report = app.shutdown_with(options).await;
    assert!(begun.elapsed() < Duration::from_secs(30), "{report}");
    let [stuck] = &report.stuck[..] else { panic!("{report}") };
    assert_eq!(
        (stuck.kind, &stuck.at, stuck.running_for),
        (StuckKind::Task, &None, Duration::ZERO),
        "it sleeps no more"
    );
    let text = report.to_string();
    assert!(text.contains("its own code") && !text.contains("sleeping") && !text.contains("after 0.0ns"), "{text}");
    drop(release);
}
