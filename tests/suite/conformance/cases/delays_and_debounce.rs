//! Delayed workflows, and debounced calls that become one workflow.

use std::time::Duration;

use durable_core::Status;
use durable_core::store::{NewWorkflow, Promoted, QueuePlacement, Store, Timestamp, Verdict};

use crate::support::store_database::StoreDatabase;
use crate::support::store_queues::{
    QUEUE, claim, claim_ids, enqueue, enqueue_together, on_queue, queued_workflow, with_debounce, with_delay,
};
use crate::support::store_rows::{
    begin, cancel, child, commit, fence_out, outcomes, record, records, register_executor, start_running, status,
    store_record, workflow,
};

const HOUR: Duration = Duration::from_hours(1);
const SOON: Duration = Duration::from_millis(120);

/// When a delayed workflow is due.
async fn due(store: &dyn Store, id: &str) -> Timestamp {
    let info = store.show(id).await.unwrap().expect("it is there");
    Timestamp::from_date(info.due_at.expect("it is delayed"))
}

/// Promotes when the next one is due.
async fn promoted_in_time(store: &dyn Store) -> Promoted {
    loop {
        let promoted = store.promote().await.unwrap();
        match promoted.next_due {
            Some(due) if promoted.queues.is_empty() => {
                tokio::time::sleep(due.saturating_duration_since(promoted.now)).await; // until it is due
            }
            _ => return promoted,
        }
    }
}

pub(crate) async fn a_delayed_workflow_waits_until_it_is_due(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let before = store.now().await.unwrap();
    enqueue(&*store, me, "soon", with_delay(SOON)).await;
    let late = QueuePlacement { queue: "letters".to_owned(), ..with_delay(HOUR) };
    let two = [queued_workflow("late", late), queued_workflow("soon-2", with_delay(SOON))];
    enqueue_together(&*store, me, &two).await;
    enqueue(&*store, me, "now", with_delay(Duration::ZERO)).await;
    assert_eq!(status(&*store, "soon").await, Some(Status::Delayed));
    assert!(due(&*store, "soon").await >= before.saturating_add(SOON));
    assert_eq!(claim_ids(&*store, me, 10).await, ["now"], "a delay of nothing is none");

    let early = store.promote().await.unwrap();
    assert_eq!((early.queues.len(), early.next_due), (0, Some(due(&*store, "soon").await)));
    let promoted = promoted_in_time(&*store).await;
    assert!(promoted.now >= due(&*store, "soon").await);
    assert_eq!(promoted.queues, [QUEUE], "each queue once");
    promoted_in_time_of(&*store, "soon-2").await;
    assert_eq!(store.promote().await.unwrap().next_due, Some(due(&*store, "late").await));
    assert_eq!(claim_ids(&*store, me, 10).await, ["soon", "soon-2"]);
    assert_eq!(status(&*store, "late").await, Some(Status::Delayed));
}

/// Promotes until this one is on its queue.
async fn promoted_in_time_of(store: &dyn Store, id: &str) {
    while status(store, id).await == Some(Status::Delayed) {
        store.promote().await.unwrap();
    }
}

pub(crate) async fn many_delayed_workflows_can_become_due_at_once(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let many: Vec<_> =
        (0..2_500).map(|it| queued_workflow(&format!("w-{it}"), with_delay(Duration::from_micros(1)))).collect();
    enqueue_together(&*store, me, &many).await;
    let mut calls = 0;
    while let Some(due) = store.promote().await.unwrap().next_due {
        calls += 1;
        assert!(due <= store.now().await.unwrap(), "there is more to do at once");
        assert!(calls < 10);
    }
    assert_eq!(claim_ids(&*store, me, 5_000).await.len(), 2_500);
}

pub(crate) async fn a_delayed_workflow_keeps_the_position_of_its_enqueue_time(
    StoreDatabase { store, .. }: StoreDatabase,
) {
    let me = register_executor(&*store, "a").await;
    enqueue(&*store, me, "first", with_delay(Duration::from_millis(1))).await;
    enqueue(&*store, me, "second", on_queue()).await;
    promoted_in_time_of(&*store, "first").await;
    assert_eq!(claim_ids(&*store, me, 10).await, ["first", "second"]);
}

pub(crate) async fn a_debounced_call_replaces_the_arguments_of_the_waiting_one(
    StoreDatabase { store, .. }: StoreDatabase,
) {
    let me = register_executor(&*store, "a").await;
    let call = |id: &str, size: usize| {
        let input = format!(r#"{{"text":"{}"}}"#, "x".repeat(size));
        NewWorkflow { input, ..queued_workflow(id, with_debounce("cart", HOUR, None)) }
    };
    assert_eq!(commit(&*store, me, begin(&call("first", 1))).await, Verdict::Stored);
    let held = store.find("first").await.unwrap().expect("it waits");
    let mut last = due(&*store, "first").await;
    for (number, size) in [5_000, 2, 3_000, 4_000, 7].into_iter().enumerate() {
        let new = call(&format!("again-{number}"), size);
        let entries = match number % 3 {
            0 => vec![begin(&new)],
            1 => vec![begin(&queued_workflow(&format!("beside-{number}"), on_queue())), begin(&new)],
            _ => vec![begin(&new), begin(&workflow(&format!("direct-{number}")))],
        };
        let verdicts = store.commit(me, &entries, false).await.unwrap();
        assert!(verdicts.contains(&Verdict::Debounced(held.clone())), "{verdicts:?}");
        let info = store.show("first").await.unwrap().expect("it waits");
        assert_eq!((info.status, info.input.as_ref()), (Status::Delayed, Some(&new.input)));
        let next = due(&*store, "first").await;
        assert!(next > last, "it is put off");
        last = next;
        assert_eq!(status(&*store, &new.id).await, None);
    }
    let other = NewWorkflow { name: "refund".to_owned(), ..call("of another function", 1) };
    assert_eq!(commit(&*store, me, begin(&other)).await, Verdict::Stored);
    let existing = commit(&*store, me, begin(&call("first", 9))).await;
    assert!(matches!(&existing, Verdict::Existing(it) if *it == held), "{existing:?}");
}

pub(crate) async fn a_debounce_is_postponed_no_longer_than_its_limit(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    enqueue(&*store, me, "first", with_debounce("cart", 2 * HOUR, Some(HOUR))).await;
    let first = due(&*store, "first").await;
    let begun = Timestamp::from_date(store.show("first").await.unwrap().expect("it waits").created_at);
    assert_eq!(first, begun.saturating_add(HOUR), "no later than the longest");
    let verdict =
        commit(&*store, me, begin(&queued_workflow("second", with_debounce("cart", 3 * HOUR, Some(9 * HOUR))))).await;
    assert!(matches!(verdict, Verdict::Debounced(_)));
    assert_eq!(due(&*store, "first").await, first, "the limit of the first call applies");
    commit(&*store, me, begin(&queued_workflow("third", with_debounce("cart", SOON, None)))).await;
    assert!(due(&*store, "first").await < first, "a shorter period makes it due sooner");
}

pub(crate) async fn a_debounce_starts_over_once_it_was_due(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let soon = || with_debounce("cart", Duration::from_millis(1), None);
    enqueue(&*store, me, "first", soon()).await;
    promoted_in_time_of(&*store, "first").await;
    enqueue(&*store, me, "second", with_debounce("cart", HOUR, None)).await;
    cancel(&*store, "second", "by hand").await;
    enqueue(&*store, me, "third", soon()).await;
    promoted_in_time_of(&*store, "third").await;
    assert_eq!(claim_ids(&*store, me, 10).await, ["first", "third"]);
}

pub(crate) async fn the_record_of_a_debounced_child_names_the_waiting_workflow(
    StoreDatabase { store, .. }: StoreDatabase,
) {
    let me = register_executor(&*store, "a").await;
    let (one, two) = (start_running(&*store, me, "one").await, start_running(&*store, me, "two").await);
    let new = |id: &str| queued_workflow(id, with_debounce("cart", HOUR, None));
    assert_eq!(commit(&*store, me, child(one, 1, &new("one-1"))).await, Verdict::Stored);
    let held = store.find("one-1").await.unwrap().expect("it waits");
    let entry = child(two, 1, &new("two-1"));
    assert_eq!(commit(&*store, me, entry.clone()).await, Verdict::Debounced(held.clone()));
    let text = store.steps("two").await.unwrap();
    assert_eq!(text[0].child.as_deref(), Some("one-1"));

    // The answer was lost, and it has begun to run meanwhile.
    assert_eq!(store.commit(me, std::slice::from_ref(&entry), true).await.unwrap(), [Verdict::Debounced(held.clone())]);
    cancel(&*store, "one-1", "by hand").await;
    let after = store.commit(me, &[entry], true).await.unwrap().remove(0);
    assert!(matches!(&after, Verdict::Debounced(it) if it.id == held.id), "{after:?}");
    assert_eq!(status(&*store, "two-1").await, None, "no second one is begun for the same call");
}

pub(crate) async fn a_debounced_child_that_lost_the_race_changes_nothing(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let parent = start_running(&*store, me, "parent").await;
    enqueue(&*store, me, "waits", with_debounce("cart", HOUR, None)).await;
    let before = store.show("waits").await.unwrap().expect("it waits");
    store_record(&*store, me, record(parent, 1, "first")).await;
    let new = NewWorkflow {
        input: r#"{"order":2}"#.to_owned(),
        ..queued_workflow("late", with_debounce("cart", HOUR, None))
    };
    let entries = [child(parent, 1, &new), records([record(parent, 2, "2")])];
    assert_eq!(store.commit(me, &entries, false).await.unwrap(), [Verdict::Superseded, Verdict::Stored]);
    let after = store.show("waits").await.unwrap().expect("it waits");
    assert_eq!((after.input, after.due_at), (before.input, before.due_at));
    assert_eq!(outcomes(&*store, parent).await.len(), 2);
}

pub(crate) async fn a_delayed_workflow_survives_the_executor_that_enqueued_it(
    StoreDatabase { store, .. }: StoreDatabase,
) {
    let dead = register_executor(&*store, "dead").await;
    enqueue(&*store, dead, "w", with_delay(Duration::from_millis(1))).await;
    fence_out(&*store, dead).await;
    promoted_in_time_of(&*store, "w").await;
    let me = register_executor(&*store, "a").await;
    let runs = claim(&*store, me, 1).await.runs;
    assert_eq!((runs[0].attempt, runs[0].recoveries), (1, 0));
}

pub(crate) async fn debounce_and_deduplication_can_be_combined(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let both = || QueuePlacement { deduplication_id: Some("sole".to_owned()), ..with_debounce("cart", HOUR, None) };
    enqueue(&*store, me, "first", both()).await;
    let verdict = commit(&*store, me, begin(&queued_workflow("second", both()))).await;
    assert!(matches!(&verdict, Verdict::Debounced(held) if held.id == "first"), "{verdict:?}");
    cancel(&*store, "first", "by hand").await;
    enqueue(&*store, me, "in the way", crate::support::store_queues::with_deduplication("sole")).await;
    for entries in [
        vec![begin(&queued_workflow("third", both()))],
        vec![begin(&queued_workflow("third", both())), begin(&workflow("d"))],
    ] {
        let verdict = store.commit(me, &entries, false).await.unwrap().remove(0);
        assert!(matches!(&verdict, Verdict::Duplicate(held) if held.id == "in the way"), "{verdict:?}");
    }
    assert_eq!(status(&*store, "third").await, None);
}

pub(crate) async fn debounced_calls_of_two_instances_stay_separate(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let both = || QueuePlacement { deduplication_id: Some("sole".to_owned()), ..with_debounce("cart", HOUR, None) };
    let on = |instance: &str, id: &str, placement: QueuePlacement| NewWorkflow {
        instance: Some(instance.to_owned()),
        input: format!(r#"{{"of":"{instance}"}}"#),
        ..queued_workflow(id, placement)
    };
    enqueue(&*store, me, "of nobody", with_debounce("cart", HOUR, None)).await;
    assert_eq!(commit(&*store, me, begin(&on("ada", "ada-1", both()))).await, Verdict::Stored);
    let bob = on("bob", "bob-1", with_debounce("cart", HOUR, None));
    let entries = [begin(&bob), begin(&workflow("beside"))];
    assert_eq!(store.commit(me, &entries, false).await.unwrap(), [Verdict::Stored, Verdict::Stored]);
    for name in ["ada", "bob"] {
        let again = on(name, "again", with_debounce("cart", HOUR, None));
        let verdict = commit(&*store, me, begin(&again)).await;
        let Verdict::Debounced(held) = verdict else { panic!("{verdict:?}") };
        assert_eq!((&*held.id, held.instance.as_deref()), (&*format!("{name}-1"), Some(name)));
        assert_eq!(store.show(&held.id).await.unwrap().expect("it waits").input, Some(again.input));
    }
    let verdict = commit(&*store, me, begin(&on("bob", "bob-2", both()))).await;
    assert!(matches!(&verdict, Verdict::Duplicate(held) if held.id == "ada-1"), "{verdict:?}");
}

pub(crate) async fn the_last_debounced_call_sets_priority_and_timeout(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let call = |id: &str, priority: i32, timeout: Option<Duration>| NewWorkflow {
        timeout,
        ..queued_workflow(id, QueuePlacement { priority, ..with_debounce("cart", Duration::from_millis(1), None) })
    };
    commit(&*store, me, begin(&call("first", 5, None))).await;
    let verdict = commit(&*store, me, begin(&call("second", -3, Some(HOUR)))).await;
    assert!(matches!(verdict, Verdict::Debounced(_)), "{verdict:?}");
    promoted_in_time_of(&*store, "first").await;
    let run = claim(&*store, me, 1).await.runs.remove(0);
    let info = store.show("first").await.unwrap().expect("it runs");
    let began = Timestamp::from_date(info.started_at.expect("it runs"));
    assert_eq!((info.priority, run.deadline), (-3, Some(began.saturating_add(HOUR))));
}
