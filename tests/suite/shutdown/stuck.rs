//! What cannot be dropped, and what others may do about it: nothing before the lease has run out.

use std::sync::mpsc;
use std::time::Instant;

use durable::StuckKind;
use durable::prelude::*;

use super::{budgets, patient};
use crate::counter::{count, counted, fresh};
use crate::stage::{Stage, on_every_stage};
use crate::workflows::arrived;

on_every_stage! {
    what_is_stuck_is_nobody_elses_before_its_lease_has_run_out,
    a_body_that_hangs_in_its_destructor_is_shown_where_it_is,
}

/// Where a thread hangs until the test lets it go on.
static HELD: std::sync::Mutex<Vec<(String, mpsc::Receiver<()>)>> = std::sync::Mutex::new(Vec::new());

/// Lets everything with this key hang. It goes on when what is given is dropped.
fn hold(key: &str) -> mpsc::Sender<()> {
    let (release, held) = mpsc::channel();
    HELD.lock().unwrap().push((key.to_owned(), held));
    release
}

fn hang(key: &str) {
    let held = {
        let mut all = HELD.lock().unwrap();
        let place = all.iter().position(|it| it.0 == key);
        place.map(|place| all.swap_remove(place).1)
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

async fn what_is_stuck_is_nobody_elses_before_its_lease_has_run_out(stage: &Stage) {
    let key = fresh("stuck for long");
    let release = hold(&key);
    // Under one name, as a process is restarted.
    let builder = || stage.builder("stage").executor_id("pod-1");
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

async fn a_body_that_hangs_in_its_destructor_is_shown_where_it_is(stage: &Stage) {
    let key = fresh("hangs when dropped");
    let release = hold(&key);
    let app = stage.launch().await;
    app.scope(async { hangs_in_a_destructor(key.clone()).id("w").start().await.unwrap() }).await;
    let mut options = patient();
    options = options.drain(Duration::from_millis(500)).stop(Duration::from_millis(500));
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
    assert!(text.contains("code of its own") && !text.contains("sleeping") && !text.contains("after 0.0ns"), "{text}");
    drop(release);
}
