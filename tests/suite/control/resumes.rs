//! `resume_workflow`: a stopped workflow goes on from where it stands.

use std::sync::atomic::{AtomicBool, Ordering};

use durable::prelude::*;
use durable::{ErrorKind, queue};

use crate::support::{app_tests, count, counted, fresh};

app_tests! {
    a_cancelled_workflow_goes_on_behind_its_records,
    a_failed_workflow_runs_the_failed_step_again_and_no_other,
    a_handle_gives_the_result_of_the_resumed_workflow,
    an_error_that_the_code_handled_stays_recorded,
    a_parked_workflow_goes_on,
    a_queued_workflow_goes_back_to_its_queue,
    a_workflow_that_timed_out_gets_its_whole_time_again,
    a_second_resume_changes_nothing,
    a_complete_or_missing_workflow_is_refused,
    a_parent_goes_on_once_its_failed_child_was_resumed,
    a_waiting_duplicate_keeps_a_workflow_from_being_resumed,
}

#[queue]
static REPAIRS: Queue = Queue::new("repairs");

static BROKEN: AtomicBool = AtomicBool::new(false);

#[step]
async fn first(key: String) -> u32 {
    count(&key)
}

#[step]
async fn fragile(key: String, works: String) -> Result<u32> {
    let attempts = count(&key);
    if counted(&works) == 0 { Err(Error::msg("not yet")) } else { Ok(attempts) }
}

#[workflow]
async fn one_fragile_step(key: String, works: String) -> Result<u32> {
    first(format!("{key}-first")).await;
    fragile(format!("{key}-fragile"), works).await
}

#[workflow]
async fn waits_to_go_on(key: String) -> Result<u32> {
    first(key).await;
    Ok(durable::recv::<u32>("go", Duration::from_hours(1)).await?.unwrap_or_default())
}

async fn a_cancelled_workflow_goes_on_behind_its_records(app: TestApp) {
    let key = fresh("resumed");
    let handle = waits_to_go_on(key.clone()).id("w").start().await.unwrap();
    crate::support::until("the step is recorded", async || !app.list_steps("w").await.unwrap().is_empty()).await;
    handle.cancel().await.unwrap();
    assert_eq!(handle.result().await.unwrap_err().kind(), ErrorKind::Cancelled);

    app.resume_workflow("w").await.unwrap();
    durable::send("w", "go", &7).await.unwrap();
    assert_eq!(durable::retrieve_workflow::<u32>("w").await.unwrap().result().await.unwrap(), 7);
    assert_eq!(counted(&key), 1, "the recorded step did not run again");
    let info = app.workflow("w").await.unwrap().unwrap();
    assert_eq!((info.reason, info.recoveries), (None, 0));
}

async fn a_failed_workflow_runs_the_failed_step_again_and_no_other(app: TestApp) {
    let (key, works) = (fresh("failed"), fresh("works"));
    one_fragile_step(key.clone(), works.clone()).id("w").await.unwrap_err();
    app.resume_workflow("w").await.unwrap();
    let handle = durable::retrieve_workflow::<u32>("w").await.unwrap();
    handle.result().await.unwrap_err();

    count(&works);
    app.resume_workflow("w").await.unwrap();
    assert_eq!(handle.result().await.unwrap(), 3);
    assert_eq!(counted(&format!("{key}-first")), 1);
    assert_eq!(app.list_steps("w").await.unwrap().len(), 2);
}

async fn a_handle_gives_the_result_of_the_resumed_workflow(app: TestApp) {
    let (key, works) = (fresh("handle"), fresh("works"));
    let handle = one_fragile_step(key, works.clone()).id("w").start().await.unwrap();
    handle.result().await.unwrap_err();
    count(&works);
    app.resume_workflow("w").await.unwrap();
    let ended = async || app.workflow("w").await.unwrap().is_some_and(|it| it.status == Status::Success);
    crate::support::until("it has ended again", ended).await;
    assert_eq!(handle.result().await.unwrap(), 2);
}

#[workflow]
async fn goes_on_after_an_error(key: String, works: String) -> Result<u32> {
    let handled = fragile(format!("{key}-handled"), works.clone()).await.is_err();
    first(format!("{key}-first")).await;
    fragile(format!("{key}-fragile"), works).await?;
    Ok(u32::from(handled))
}

async fn an_error_that_the_code_handled_stays_recorded(app: TestApp) {
    let (key, works) = (fresh("handled"), fresh("works"));
    goes_on_after_an_error(key.clone(), works.clone()).id("w").await.unwrap_err();
    count(&works);
    app.resume_workflow("w").await.unwrap();
    assert_eq!(durable::retrieve_workflow::<u32>("w").await.unwrap().result().await.unwrap(), 1);
    assert_eq!(counted(&format!("{key}-handled")), 1);
}

#[workflow]
async fn replaced_step(key: String) -> Result<u32> {
    if BROKEN.load(Ordering::SeqCst) {
        durable::step("other", async { Ok::<_, Error>(0) }).await?;
    } else {
        first(key).await;
    }
    Ok(durable::recv::<u32>("go", Duration::from_hours(1)).await?.unwrap_or_default())
}

async fn a_parked_workflow_goes_on(app: TestApp) {
    let key = fresh("parked");
    let handle = replaced_step(key.clone()).id("w").start().await.unwrap();
    crate::support::until("the step is recorded", async || !app.list_steps("w").await.unwrap().is_empty()).await;
    handle.cancel().await.unwrap();
    BROKEN.store(true, Ordering::SeqCst);
    app.resume_workflow("w").await.unwrap();
    let parked = durable::retrieve_workflow::<u32>("w").await.unwrap().result().await.unwrap_err();
    assert_eq!(parked.kind(), ErrorKind::Parked, "{parked}");
    for part in ["position 1", "`first`", "`other`", "durable resume w"] {
        assert!(parked.to_string().contains(part), "{part} is missing in: {parked}");
    }

    BROKEN.store(false, Ordering::SeqCst);
    app.resume_workflow("w").await.unwrap();
    durable::send("w", "go", &7).await.unwrap();
    assert_eq!(durable::retrieve_workflow::<u32>("w").await.unwrap().result().await.unwrap(), 7);
    assert_eq!(counted(&key), 1);
}

async fn a_queued_workflow_goes_back_to_its_queue(app: TestApp) {
    let (key, works) = (fresh("queued"), fresh("works"));
    let handle = one_fragile_step(key, works.clone()).id("w").enqueue(&REPAIRS).await.unwrap();
    handle.result().await.unwrap_err();
    count(&works);
    app.resume_workflow("w").await.unwrap();
    assert_eq!(handle.result().await.unwrap(), 2);
    assert_eq!(app.workflow("w").await.unwrap().unwrap().queue.as_deref(), Some("repairs"));
}

async fn a_workflow_that_timed_out_gets_its_whole_time_again(app: TestApp) {
    let handle = waits_to_go_on(fresh("timed")).id("w").timeout(Duration::from_mins(10)).start().await.unwrap();
    app.advance(Duration::from_mins(11)).await;
    assert_eq!(handle.result().await.unwrap_err().kind(), ErrorKind::Cancelled);
    let first = app.workflow("w").await.unwrap().unwrap().deadline.unwrap();
    app.resume_workflow("w").await.unwrap();
    let second = app.workflow("w").await.unwrap().unwrap().deadline.unwrap();
    assert!(second > first, "{second} is not behind {first}");
}

async fn a_second_resume_changes_nothing(app: TestApp) {
    let handle = waits_to_go_on(fresh("twice")).id("w").start().await.unwrap();
    app.resume_workflow("w").await.unwrap();
    handle.cancel().await.unwrap();
    app.resume_workflow("w").await.unwrap();
    app.resume_workflow("w").await.unwrap();
    handle.send("go", &1).await.unwrap();
    assert_eq!(durable::retrieve_workflow::<u32>("w").await.unwrap().result().await.unwrap(), 1);
}

async fn a_complete_or_missing_workflow_is_refused(app: TestApp) {
    let works = fresh("works");
    count(&works);
    one_fragile_step(fresh("complete"), works).id("done").await.unwrap();
    let refused = app.resume_workflow("done").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused);
    assert!(refused.to_string().contains("durable restart done"), "{refused}");
    assert_eq!(app.resume_workflow("missing").await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[workflow]
async fn parent_of_two_steps(key: String, works: String) -> Result<u32> {
    first(format!("{key}-parent")).await;
    one_fragile_step(key, works).id("child").await
}

async fn a_parent_goes_on_once_its_failed_child_was_resumed(app: TestApp) {
    let (key, works) = (fresh("family"), fresh("works"));
    parent_of_two_steps(key.clone(), works.clone()).id("parent").await.unwrap_err();
    count(&works);
    app.resume_workflow("child").await.unwrap();
    durable::retrieve_workflow::<u32>("child").await.unwrap().result().await.unwrap();
    app.resume_workflow("parent").await.unwrap();
    assert_eq!(durable::retrieve_workflow::<u32>("parent").await.unwrap().result().await.unwrap(), 2);
    assert_eq!(counted(&format!("{key}-parent")), 1);
}

async fn a_waiting_duplicate_keeps_a_workflow_from_being_resumed(app: TestApp) {
    let key = fresh("duplicate");
    let one = waits_to_go_on(key.clone()).id("one").queue(&REPAIRS).deduplicate("cart-9").start().await.unwrap();
    one.cancel().await.unwrap();
    let two = waits_to_go_on(key).id("two").queue(&REPAIRS).deduplicate("cart-9").start().await.unwrap();
    let refused = app.resume_workflow("one").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Refused);
    assert!(refused.to_string().contains("\"two\""), "{refused}");
    two.cancel().await.unwrap();
    app.resume_workflow("one").await.unwrap();
}
