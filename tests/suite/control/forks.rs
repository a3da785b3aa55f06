//! `fork_workflow` and `restart_workflow`: a new workflow with a part of the records.

use durable::prelude::*;
use durable::{ErrorKind, ForkFrom, queue};

use crate::support::{app_tests, count, counted, fresh};

app_tests! {
    a_fork_keeps_what_is_before_its_position,
    a_fork_takes_branches_events_and_stream_items_along,
    a_fork_from_the_failure_runs_the_failed_call_again,
    a_fork_from_the_last_step_runs_that_step_again,
    results_and_arguments_can_be_replaced,
    a_fork_with_the_same_id_is_the_same_fork,
    a_fork_goes_to_its_queue_or_another_one,
    a_restart_begins_from_the_beginning,
    what_cannot_be_forked_is_refused,
    large_arguments_are_copied,
}

#[queue]
static FORKS: Queue = Queue::new("forks");
#[queue]
static OTHERS: Queue = Queue::new("other_forks");
#[queue]
static KEYED: Queue = Queue::new("keyed_forks").partitioned();

#[step]
async fn add(key: String, to: u32) -> u32 {
    count(&key);
    to + 1
}

#[step]
async fn check(key: String, works: String, value: u32) -> Result<u32> {
    count(&key);
    if counted(&works) == 0 { Err(Error::msg("refused")) } else { Ok(value) }
}

#[workflow]
async fn forked_sum(key: String, works: String, begin: u32) -> Result<u32> {
    let one = add(format!("{key}-1"), begin).await;
    let two = add(format!("{key}-2"), one).await;
    check(format!("{key}-3"), works, two).await
}

fn ran(key: &str) -> [u32; 3] {
    [1, 2, 3].map(|number| counted(&format!("{key}-{number}")))
}

async fn a_fork_keeps_what_is_before_its_position(app: TestApp) {
    let (key, works) = (fresh("forked"), fresh("works"));
    count(&works);
    forked_sum(key.clone(), works, 1).id("w").label("tenant", "acme").await.unwrap();
    let fork = app.fork_workflow("w", 2).await.unwrap();
    assert_eq!(fork.result().await.unwrap(), 3);
    assert_eq!(ran(&key), [1, 2, 2]);

    let info = app.workflow(fork.id()).await.unwrap().unwrap();
    assert_eq!((info.forked_from.as_deref(), info.status, info.attempts), (Some("w"), Status::Success, 1));
    let forks = app.list_workflows(Filter::new().forked_from("w")).await.unwrap();
    assert_eq!(forks.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(), [fork.id()]);
    assert_eq!(info.labels["tenant"], "acme");
    assert_eq!(app.list_steps("w").await.unwrap().len(), 3, "the other one is as it was");
}

#[workflow]
async fn publishes_in_branches(key: String) -> Result<u32> {
    let (one, two) = durable::join!(
        async {
            durable::write_stream("items", &"a").await?;
            Ok::<_, Error>(add(format!("{key}-1"), 1).await)
        },
        async { Ok::<_, Error>(add(format!("{key}-1"), 10).await) },
    );
    durable::set_event("state", &"joined").await?;
    let sum = one? + two?;
    durable::write_stream("items", &"b").await?;
    durable::set_event("state", &"done").await?;
    Ok(add(format!("{key}-2"), sum).await)
}

async fn a_fork_takes_branches_events_and_stream_items_along(app: TestApp) {
    let key = fresh("branches");
    publishes_in_branches(key.clone()).id("w").await.unwrap();
    let fork = app.fork_workflow("w", 3).id("f").await.unwrap(); // behind the first event
    assert_eq!(fork.result().await.unwrap(), 14);
    assert_eq!(ran(&key), [2, 2, 0], "the branches did not run again");
    let items = async |id: &str| -> Vec<String> {
        app.list_stream_items(id, None, 9, 0).await.unwrap().into_iter().filter_map(|it| it.value).collect()
    };
    assert_eq!(items("f").await, items("w").await);
    let history = app.event_history::<String>("f", "state").await.unwrap();
    assert_eq!(history.into_iter().map(|it| it.value).collect::<Vec<_>>(), ["joined", "done"]);
}

async fn a_fork_from_the_failure_runs_the_failed_call_again(app: TestApp) {
    let (key, works) = (fresh("failure"), fresh("works"));
    forked_sum(key.clone(), works.clone(), 1).id("w").await.unwrap_err();
    count(&works);
    assert_eq!(app.fork_workflow("w", ForkFrom::Failure).await.unwrap().result().await.unwrap(), 3);
    assert_eq!(ran(&key), [1, 1, 2]);
    assert_eq!(app.workflow("w").await.unwrap().unwrap().status, Status::Error);
}

async fn a_fork_from_the_last_step_runs_that_step_again(app: TestApp) {
    let (key, works) = (fresh("last"), fresh("works"));
    count(&works);
    forked_sum(key.clone(), works, 1).id("w").await.unwrap();
    app.fork_workflow("w", ForkFrom::LastStep).await.unwrap().result().await.unwrap();
    assert_eq!(ran(&key), [1, 1, 2]);
}

async fn results_and_arguments_can_be_replaced(app: TestApp) {
    let (key, works) = (fresh("replaced"), fresh("works"));
    forked_sum(key.clone(), works.clone(), 1).id("w").await.unwrap_err();
    let fork = app.fork_workflow("w", 4).replace_output(3, &70).await.unwrap();
    assert_eq!(fork.result().await.unwrap(), 70, "the recorded error became a success");
    count(&works);
    let fork = app.restart_workflow("w").replace_argument("begin", &100).await.unwrap();
    assert_eq!(fork.result().await.unwrap(), 102);
    let fork = app.fork_workflow("w", 3).replace_output(2, &40).await.unwrap();
    assert_eq!(fork.result().await.unwrap(), 40);
    let all = serde_json::json!({ "key": key, "works": works, "begin": 5 });
    let fork = app.restart_workflow("w").replace_arguments(&all).replace_argument("begin", &200).await.unwrap();
    assert_eq!(fork.result().await.unwrap(), 202);
}

async fn a_fork_with_the_same_id_is_the_same_fork(app: TestApp) {
    let (key, works) = (fresh("same"), fresh("works"));
    count(&works);
    forked_sum(key.clone(), works, 1).id("w").await.unwrap();
    for _ in 0..2 {
        assert_eq!(app.fork_workflow("w", 2).id("f").await.unwrap().result().await.unwrap(), 3);
    }
    assert_eq!(ran(&key), [1, 2, 2]);
    let taken = app.fork_workflow("f", 2).id("w").await.unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::IdConflict, "{taken}");
}

async fn a_fork_goes_to_its_queue_or_another_one(app: TestApp) {
    let (key, works) = (fresh("queues"), fresh("works"));
    count(&works);
    forked_sum(key, works, 1).id("w").queue(&FORKS).await.unwrap();
    let same = app.fork_workflow("w", 1).await.unwrap();
    let other = app.fork_workflow("w", 1).queue(&OTHERS).await.unwrap();
    for (fork, queue) in [(same, "forks"), (other, "other_forks")] {
        assert_eq!(fork.result().await.unwrap(), 3);
        assert_eq!(app.workflow(fork.id()).await.unwrap().unwrap().queue.as_deref(), Some(queue));
    }
}

async fn a_restart_begins_from_the_beginning(app: TestApp) {
    let (key, works) = (fresh("restarted"), fresh("works"));
    forked_sum(key.clone(), works.clone(), 1).id("w").await.unwrap_err();
    count(&works);
    assert_eq!(app.restart_workflow("w").await.unwrap().result().await.unwrap(), 3);
    assert_eq!(ran(&key), [2, 2, 2]);
}

async fn what_cannot_be_forked_is_refused(app: TestApp) {
    let (key, works) = (fresh("refused"), fresh("works"));
    forked_sum(key, works, 1).id("w").await.unwrap_err();
    let kind = |it: Result<WorkflowHandle<serde_json::Value>>| {
        let error = it.unwrap_err();
        (error.kind(), error.to_string())
    };
    assert_eq!(kind(app.fork_workflow("missing", 1).await).0, ErrorKind::NotFound);
    assert_eq!(kind(app.fork_workflow("w", 0).await).0, ErrorKind::Misuse);
    let (behind, text) = kind(app.fork_workflow("w", 5).await);
    assert!(behind == ErrorKind::NotFound && text.contains("position 3"), "{text}");
    let (no_record, text) = kind(app.fork_workflow("w", 2).replace_output(2, &1).await);
    assert!(no_record == ErrorKind::NotFound && text.contains("durable show w"), "{text}");
    let (no_argument, text) = kind(app.fork_workflow("w", 2).replace_argument("begn", &1).await);
    assert!(no_argument == ErrorKind::NotFound && text.contains("did you mean `begin`?"), "{text}");
    let (no_argument, text) = kind(app.fork_workflow("w", 2).replace_argument("currency", &1).await);
    assert!(no_argument == ErrorKind::NotFound && text.contains(".replace_arguments(..)"), "{text}");
    let (no_object, text) = kind(app.fork_workflow("w", 2).replace_arguments(&[1, 2]).await);
    assert!(no_object == ErrorKind::Payload && text.contains("no JSON object"), "{text}");
    let (no_queue, text) = kind(app.fork_workflow("w", 2).queue("other_fork").await);
    assert!(no_queue == ErrorKind::NotFound && text.contains(r#"did you mean "other_forks"?"#), "{text}");
    let (no_key, text) = kind(app.fork_workflow("w", 2).queue(&KEYED).await);
    assert!(no_key == ErrorKind::Refused && text.contains("needs partition keys"), "{text}");
    assert_eq!(app.list_workflows(Filter::new()).await.unwrap().len(), 1, "nothing was written");
}

#[workflow]
async fn long_argument(text: String) -> Result<usize> {
    Ok(text.len())
}

async fn large_arguments_are_copied(app: TestApp) {
    long_argument("x".repeat(5_000)).id("w").await.unwrap();
    assert_eq!(app.restart_workflow("w").await.unwrap().result().await.unwrap(), 5_000);
    let long = "y".repeat(7_000);
    let fork = app.restart_workflow("w").replace_argument("text", &long).await.unwrap();
    assert_eq!(fork.result().await.unwrap(), 7_000);
    assert_eq!(app.restart_workflow(fork.id()).await.unwrap().result().await.unwrap(), 7_000);
}
