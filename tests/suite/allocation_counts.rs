//! The number of allocations of a step.

use durable::prelude::*;
use tokio::runtime::{Builder, Runtime};

use crate::commit_counts::steps_in_a_row;

/// The allocations of a workflow on the thread of the runtime, which is everything but SQLite's own.
fn allocations(runtime: &Runtime, app: &Durable, many: u32) -> u64 {
    let work = || assert_eq!(runtime.block_on(app.scope(steps_in_a_row(many))).unwrap(), (0..many).sum::<u32>());
    allocation_counter::measure(work).count_total
}

#[test]
fn a_step_of_a_lone_workflow_allocates_at_most_36_times() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("allocations.sqlite").display());
    let app = runtime.block_on(Durable::builder("allocations").system_database(url).launch()).unwrap();
    // The least of a few: tasks of the engine, such as the heartbeat, may run during one of them.
    let least = |many| (0..5).map(|_| allocations(&runtime, &app, many)).min().unwrap();
    least(10); // caches are filled
    let each = (least(210) - least(10)) / 200;
    assert!((1..=36).contains(&each), "a step allocates {each} times");
    runtime.block_on(app.shutdown());
}
