//! The conditions of a filter, the pages of a listing, and counts.

use std::collections::BTreeSet;

use durable::prelude::*;
use durable::{GroupBy, queue};

use crate::support::app_tests;

app_tests! {
    every_condition_selects_what_it_names,
    conditions_of_different_kinds_must_all_hold,
    pages_hold_every_workflow_once_in_both_orders,
    a_page_of_ended_workflows_is_in_the_order_of_their_ends,
    payloads_are_read_only_when_asked_for,
    counts_are_by_group_and_stop_at_the_limit,
    events_messages_and_stream_items_are_listed,
    labels_that_cannot_be_stored_are_refused,
}

#[queue]
static LISTED: Queue = Queue::new("listed").worker_concurrency(1);

#[workflow]
async fn listed_child(number: u32) -> Result<u32> {
    Ok(number)
}

#[workflow]
async fn listed(number: u32) -> Result<u32> {
    match number {
        0 => Err(Error::msg("the card was Declined")),
        1 => listed_child(1).id("child").await,
        2 => durable::recv::<u32>("go", Duration::from_hours(1)).await.map(Option::unwrap_or_default),
        _ => Ok(number),
    }
}

async fn ids(app: &TestApp, filter: Filter) -> Vec<String> {
    app.list_workflows(filter).await.unwrap().into_iter().map(|it| it.id).collect()
}

/// One workflow of each kind.
async fn some_workflows() {
    listed(0).id("failed").label("tenant", "acme").await.unwrap_err();
    listed(1).id("parent").label("tenant", "acme").label("region", "eu").started_by("ada").await.unwrap();
    listed(2).id("waits").start().await.unwrap();
    listed(3).id("on-queue").enqueue(&LISTED).await.unwrap().result().await.unwrap();
    listed(4).id("keyed").queue(&LISTED).partition("user-7").await.unwrap();
    listed(5).id("delayed").queue(&LISTED).delay(Duration::from_hours(1)).start().await.unwrap();
}

async fn every_condition_selects_what_it_names(app: TestApp) {
    some_workflows().await;
    let parent = app.workflow("parent").await.unwrap().unwrap();
    let (version, executor) = (parent.version.clone().unwrap(), parent.executor.clone().unwrap());

    let cases: [(&str, Filter, &[&str]); 15] = [
        ("an id", Filter::new().id("waits").id("keyed"), &["waits", "keyed"]),
        ("no id", Filter::new().ids([""; 0]), &[]),
        ("a prefix", Filter::new().id_prefix("de"), &["delayed"]),
        ("a status", Filter::new().status(Status::Error), &["failed"]),
        ("statuses", Filter::new().status(Status::Error).status(Status::Delayed), &["failed", "delayed"]),
        ("a name", Filter::new().name("listed_child"), &["child"]),
        ("a queue", Filter::new().queue(&LISTED), &["on-queue", "keyed", "delayed"]),
        ("a partition key", Filter::new().partition_key("user-7"), &["keyed"]),
        ("a parent", Filter::new().parent("parent"), &["child"]),
        ("a label", Filter::new().label("tenant", "acme"), &["failed", "parent"]),
        ("two labels", Filter::new().label("tenant", "acme").label("region", "eu"), &["parent"]),
        ("a user", Filter::new().started_by("ada"), &["parent"]),
        ("an error", Filter::new().error_contains("card was declined"), &["failed"]),
        ("another error", Filter::new().error_contains("card%declined"), &[]),
        ("an unknown version", Filter::new().version("none"), &[]),
    ];
    for (what, filter, expected) in cases {
        assert_eq!(ids(&app, filter).await, expected, "{what}");
    }
    assert_eq!(ids(&app, Filter::new().version(version)).await.len(), 7);
    assert!(ids(&app, Filter::new().executor(executor)).await.contains(&"parent".to_owned()));
    assert_eq!(ids(&app, Filter::new().executor("unknown")).await, [""; 0]);

    let (before, after) = (parent.created_at - Duration::from_secs(1), parent.created_at + Duration::from_hours(1));
    assert_eq!(ids(&app, Filter::new().created_after(before).created_before(after)).await.len(), 7);
    assert_eq!(ids(&app, Filter::new().created_after(after)).await, [""; 0]);
    assert_eq!(ids(&app, Filter::new().created_before(before)).await, [""; 0]);
    assert_eq!(ids(&app, Filter::new().started_after(before).started_before(after)).await.len(), 6);
    assert_eq!(ids(&app, Filter::new().completed_after(before)).await.len(), 5);
    assert_eq!(ids(&app, Filter::new().completed_before(before)).await, [""; 0]);
}

async fn conditions_of_different_kinds_must_all_hold(app: TestApp) {
    some_workflows().await;
    let filter = Filter::new().label("tenant", "acme").status(Status::Success).name("listed").newest_first();
    assert_eq!(ids(&app, filter).await, ["parent"]);
    let filter = Filter::new().queue(&LISTED).status(Status::Success).id_prefix("k");
    assert_eq!(ids(&app, filter).await, ["keyed"]);
}

async fn pages_hold_every_workflow_once_in_both_orders(app: TestApp) {
    for number in 10..33 {
        listed(number).label("kind", if number % 2 == 0 { "even" } else { "odd" }).await.unwrap();
    }
    for filter in [Filter::new(), Filter::new().newest_first(), Filter::new().label("kind", "odd")] {
        let all = ids(&app, filter.clone()).await;
        let mut paged = Vec::new();
        let mut page = app.list_workflows(filter.clone().limit(5)).await.unwrap();
        loop {
            assert!(page.len() <= 5);
            paged.extend(page.iter().map(|it| it.id.clone()));
            let Some(next) = page.next else { break };
            let next = next.to_string().parse().unwrap(); // as a link would hand it on
            page = app.list_workflows(filter.clone().limit(5).after(next)).await.unwrap();
        }
        assert_eq!(paged, all, "{filter:?}");
        assert_eq!(paged.iter().collect::<BTreeSet<_>>().len(), paged.len());
    }
}

async fn a_page_of_ended_workflows_is_in_the_order_of_their_ends(app: TestApp) {
    let first = listed(2).id("first").start().await.unwrap();
    let second = listed(2).id("second").start().await.unwrap();
    for handle in [&second, &first] {
        handle.send("go", &7).await.unwrap();
        handle.result().await.unwrap();
    }
    let since = app.workflow("first").await.unwrap().unwrap().created_at;
    let filter = Filter::new().completed_after(since);
    assert_eq!(ids(&app, filter.clone()).await, ["second", "first"]);
    assert_eq!(ids(&app, filter.clone().newest_first()).await, ["first", "second"]);
    let page = app.list_workflows(filter.clone().limit(1)).await.unwrap();
    assert_eq!(ids(&app, filter.after(page.next.unwrap())).await, ["first"]);
}

async fn payloads_are_read_only_when_asked_for(app: TestApp) {
    listed(7).id("w").await.unwrap();
    let without = app.list_workflows(Filter::new()).await.unwrap().remove(0);
    assert_eq!((without.input, without.output), (None, None));
    let with = app.list_workflows(Filter::new().with_payloads()).await.unwrap().remove(0);
    assert_eq!((with.input.as_deref(), with.output.as_deref()), (Some(r#"{"number":7}"#), Some("7")));
    let one = app.workflow("w").await.unwrap().unwrap();
    assert_eq!((one.input, one.output), (with.input, with.output));
    assert_eq!(app.workflow("missing").await.unwrap(), None);
}

async fn counts_are_by_group_and_stop_at_the_limit(app: TestApp) {
    some_workflows().await;
    let by_status = app.count_workflows(Filter::new(), GroupBy::Status).await.unwrap();
    let groups: Vec<_> = by_status.groups.iter().map(|it| (it.value.as_deref().unwrap(), it.count)).collect();
    assert_eq!(groups, [("SUCCESS", 4), ("DELAYED", 1), ("ERROR", 1), ("PENDING", 1)]);
    assert_eq!((by_status.total, by_status.capped), (7, false));

    let by_queue = app.count_workflows(Filter::new().status(Status::Success), GroupBy::Queue).await.unwrap();
    let groups: Vec<_> = by_queue.groups.iter().map(|it| (it.value.as_deref(), it.count)).collect();
    assert_eq!(groups, [(None, 2), (Some("listed"), 2)]);

    for (group, groups) in [(GroupBy::Name, 2), (GroupBy::Version, 1), (GroupBy::Executor, 2)] {
        assert_eq!(app.count_workflows(Filter::new(), group).await.unwrap().groups.len(), groups, "{group:?}");
    }
    let some = app.count_workflows(Filter::new().limit(3), GroupBy::Status).await.unwrap();
    assert_eq!((some.total, some.capped), (3, true));
}

#[workflow]
async fn publishes() -> Result<()> {
    durable::set_event("state", &"begun").await?;
    durable::set_event("other", &1).await?;
    durable::set_event("state", &"done").await?;
    for number in 0..4 {
        durable::write_stream("numbers", &number).await?;
    }
    durable::close_stream("numbers").await?;
    durable::recv::<u32>("first", Duration::from_hours(1)).await?;
    durable::recv::<u32>("never", Duration::from_hours(1)).await?;
    Ok(())
}

async fn events_messages_and_stream_items_are_listed(app: TestApp) {
    let handle = publishes().id("p").start().await.unwrap();
    handle.send("first", &1).idempotency_key("k-1").await.unwrap();
    handle.send("other", &2).await.unwrap();
    crate::support::until("the first message is received", async || {
        app.list_messages("p").await.unwrap().iter().any(|it| it.received_at.is_some())
    })
    .await;
    let messages = app.list_messages("p").await.unwrap();
    let shown =
        messages.iter().map(|it| (&*it.topic, &*it.payload, it.idempotency_key.as_deref(), it.received_at.is_some()));
    assert_eq!(shown.collect::<Vec<_>>(), [("first", "1", Some("k-1"), true), ("other", "2", None, false)]);

    let events = app.list_events("p").await.unwrap();
    let shown: Vec<_> = events.iter().map(|it| (&*it.name, &*it.value, it.position.to_string())).collect();
    assert_eq!(shown, [("other", "1", "2".to_owned()), ("state", "\"done\"", "3".to_owned())]);

    let items = app.list_stream_items("p", Some("numbers"), 3, 2).await.unwrap();
    let shown: Vec<_> = items.iter().map(|it| it.value.as_deref()).collect();
    assert_eq!(shown, [Some("2"), Some("3"), None], "the end of the stream is an item without a value");
    assert_eq!(app.list_stream_items("p", None, 100, 0).await.unwrap().len(), 5);
    assert_eq!(app.list_stream_items("p", Some("missing"), 100, 0).await.unwrap(), []);
}

async fn labels_that_cannot_be_stored_are_refused(app: TestApp) {
    let long = "x".repeat(256);
    for (name, value) in [("", "a"), ("a\n", "a"), ("a", &*long)] {
        let refused = listed(9).id("refused").label(name, value).start().await.unwrap_err();
        assert!(refused.to_string().contains("the label's"), "{refused}");
    }
    assert_eq!(app.workflow("refused").await.unwrap(), None);
}
