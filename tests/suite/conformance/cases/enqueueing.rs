//! Enqueueing workflows.

use durable_core::Status;
use durable_core::store::{NewWorkflow, QueuePlacement, StatementCounts, StoreErrorKind, Verdict};

use crate::support::store_database::StoreDatabase;
use crate::support::store_queues::{
    QUEUE, claim, claim_ids, end_run, enqueue, on_queue, queued_workflow, with_debounce, with_deduplication,
    with_delay, with_partition, with_priority,
};
use crate::support::store_rows::{
    begin, cancel, child, commit, fence_out, inbox, message, outcomes, record, records, register_executor, send,
    start_running, status, workflow,
};

pub(crate) async fn an_enqueued_workflow_has_no_executor(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let placement = QueuePlacement {
        partition: Some("ada".to_owned()),
        ..QueuePlacement { priority: -3, ..with_deduplication("cart-9") }
    };
    commit(&*store, me, begin(&queued_workflow("lone", placement.clone()))).await;
    let two = [begin(&queued_workflow("one", with_partition("k"))), begin(&queued_workflow("other", with_priority(7)))];
    assert_eq!(store.commit(me, &two, false).await.unwrap(), [Verdict::Stored, Verdict::Stored]);
    assert_eq!(
        store.commit(me, &[begin(&queued_workflow("careful", on_queue()))], true).await.unwrap(),
        [Verdict::Stored]
    );
    for id in ["lone", "one", "other", "careful"] {
        let info = store.show(id).await.unwrap().expect("it is there");
        assert_eq!((info.status, info.queue.as_deref()), (Status::Enqueued, Some(QUEUE)), "{id}");
        assert_eq!((info.executor, info.started_at, info.due_at, info.deadline), (None, None, None, None), "{id}");
        assert_eq!((info.attempts, info.recoveries, info.input.as_deref()), (0, 0, Some(r#"{"order":1}"#)), "{id}");
    }
    let info = store.show("lone").await.unwrap().expect("it is there");
    let text = (info.priority, info.partition_key.as_deref(), info.deduplication_id.as_deref());
    assert_eq!(text, (-3, Some("ada"), Some("cart-9")));
    assert_eq!(store.show("one").await.unwrap().expect("it is there").partition_key.as_deref(), Some("k"));
    let info = store.show("other").await.unwrap().expect("it is there");
    assert_eq!((info.priority, info.partition_key, info.deduplication_id), (7, None, None));
}

pub(crate) async fn inputs_of_every_size_can_be_enqueued(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let sized = |id: &str, size: usize| {
        let input = format!(r#"{{"text":"{}"}}"#, "x".repeat(size));
        NewWorkflow { input, ..queued_workflow(id, on_queue()) }
    };
    let all = [sized("small", 1), sized("large", 100_000), sized("small-2", 900), sized("large-2", 2_000)];
    commit(&*store, me, begin(&all[0])).await;
    commit(&*store, me, begin(&all[1])).await;
    store.commit(me, &[begin(&all[2]), begin(&all[3])], false).await.unwrap();
    let careful = sized("careful", 3_000);
    store.commit(me, &[begin(&careful)], true).await.unwrap();
    let runs = claim(&*store, me, 10).await.runs;
    assert_eq!(runs.len(), 5);
    for (run, given) in runs.iter().zip(all.iter().chain([&careful])) {
        assert_eq!((&*run.id, &*run.input), (&*given.id, &*given.input));
    }
}

pub(crate) async fn queued_and_direct_workflows_can_share_a_commit(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let parent = start_running(&*store, me, "parent").await;
    let entries = [
        begin(&workflow("direct")),
        begin(&queued_workflow("queued", on_queue())),
        child(parent, 1, &queued_workflow("child", on_queue())),
        records([record(parent, 2, "2")]),
        child(parent, 3, &workflow("direct-child")),
    ];
    assert_eq!(store.commit(me, &entries, false).await.unwrap(), vec![Verdict::Stored; 5]);
    for (id, expected) in [
        ("direct", Status::Pending),
        ("queued", Status::Enqueued),
        ("child", Status::Enqueued),
        ("direct-child", Status::Pending),
    ] {
        assert_eq!(status(&*store, id).await, Some(expected), "{id}");
    }
    assert_eq!(outcomes(&*store, parent).await.len(), 3);
    assert_eq!(store.show("child").await.unwrap().expect("it is there").parent.as_deref(), Some("parent"));
}

pub(crate) async fn enqueueing_an_existing_id_attaches_to_it(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    start_running(&*store, me, "direct").await;
    enqueue(&*store, me, "queued", on_queue()).await;
    for (id, new) in [
        ("direct", queued_workflow("direct", on_queue())),
        ("queued", queued_workflow("queued", with_deduplication("k"))),
    ] {
        let held = store.find(id).await.unwrap().expect("it is there");
        let existing = Verdict::Existing(held);
        assert_eq!(commit(&*store, me, begin(&new)).await, existing);
        let parent = start_running(&*store, me, &format!("parent of {id}")).await;
        let several = [begin(&new), begin(&queued_workflow(&format!("new-{id}"), on_queue())), child(parent, 1, &new)];
        let verdicts = store.commit(me, &several, false).await.unwrap();
        assert_eq!(verdicts, [existing.clone(), Verdict::Stored, existing]);
        assert_eq!(outcomes(&*store, parent).await.len(), 1, "the record is stored");
    }
    let held = store.find("queued").await.unwrap().expect("it is there");
    assert_eq!(commit(&*store, me, begin(&workflow("queued"))).await, Verdict::Existing(held));
    assert_eq!(status(&*store, "queued").await, Some(Status::Enqueued));
}

pub(crate) async fn a_duplicate_is_refused_and_the_rest_of_the_batch_stored(
    StoreDatabase { store, .. }: StoreDatabase,
) {
    let me = register_executor(&*store, "a").await;
    let parent = start_running(&*store, me, "parent").await;
    enqueue(&*store, me, "first", with_deduplication("cart")).await;
    let held = store.find("first").await.unwrap().expect("it is there");
    let duplicate = Verdict::Duplicate(held);
    assert_eq!(commit(&*store, me, begin(&queued_workflow("second", with_deduplication("cart")))).await, duplicate);
    let entries = [
        begin(&queued_workflow("third", with_deduplication("cart"))),
        begin(&queued_workflow("free", with_deduplication("other cart"))),
        child(parent, 1, &queued_workflow("fourth", with_deduplication("cart"))),
        records([record(parent, 2, "2")]),
        begin(&workflow("direct")),
    ];
    let [stored, twin] = [Verdict::Stored, duplicate.clone()];
    let expected = vec![twin.clone(), stored.clone(), twin, stored.clone(), stored];
    assert_eq!(store.commit(me, &entries, false).await.unwrap(), expected);
    for id in ["second", "third", "fourth"] {
        assert_eq!(status(&*store, id).await, None, "{id}");
    }
    assert_eq!(outcomes(&*store, parent).await.iter().map(|it| it.0).collect::<Vec<_>>(), [2]);
    let two =
        [begin(&queued_workflow("fifth", with_deduplication("cart"))), begin(&queued_workflow("sixth", on_queue()))];
    assert_eq!(store.commit(me, &two, true).await.unwrap(), [duplicate, Verdict::Stored]);
}

pub(crate) async fn a_deduplication_id_can_be_reused_after_its_workflow_ended(
    StoreDatabase { store, .. }: StoreDatabase,
) {
    let me = register_executor(&*store, "a").await;
    let elsewhere = QueuePlacement { queue: "letters".to_owned(), ..with_deduplication("cart") };
    enqueue(&*store, me, "of another queue", elsewhere).await;
    let waits =
        QueuePlacement { deduplication_id: Some("cart".to_owned()), ..with_delay(std::time::Duration::from_hours(1)) };
    enqueue(&*store, me, "delayed", waits).await;
    let is_held = async |by: &str| {
        let verdict = commit(&*store, me, begin(&queued_workflow("another", with_deduplication("cart")))).await;
        assert!(matches!(&verdict, Verdict::Duplicate(held) if held.id == by), "{verdict:?}");
    };
    is_held("delayed").await;
    cancel(&*store, "delayed", "by hand").await;
    enqueue(&*store, me, "enqueued", with_deduplication("cart")).await;
    is_held("enqueued").await;
    let run = claim(&*store, me, 1).await.runs.remove(0);
    is_held("enqueued").await;
    end_run(&*store, me, &run).await;
    enqueue(&*store, me, "last", with_deduplication("cart")).await;
    is_held("last").await;
}

pub(crate) async fn of_two_duplicates_in_one_commit_the_first_call_wins(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    // In both orders of the ids, alone and between other entries, and as the retry of a commit.
    for (number, again) in [(0, false), (1, true), (2, false), (3, true)] {
        for ids in [["a", "z"], ["z", "a"]] {
            let id = format!("{number}-{}-{}", ids[0], ids[1]);
            let duplicate =
                |which: usize| queued_workflow(&format!("{id}-{}-{which}", ids[which % 2]), with_deduplication(&id));
            let (first, second, third) = (duplicate(0), duplicate(1), duplicate(2));
            let other = queued_workflow(&format!("{id}-other"), on_queue());
            let entries = match number {
                0 | 1 => vec![begin(&first), begin(&second)],
                _ => vec![
                    begin(&first),
                    begin(&other),
                    begin(&second),
                    begin(&workflow(&format!("{id}-w"))),
                    begin(&third),
                ],
            };
            let verdicts = store.commit(me, &entries, again).await.unwrap();
            let is_duplicate = |it: &Verdict| matches!(it, Verdict::Duplicate(of) if of.key == first.key);
            for (entry, verdict) in entries.iter().zip(&verdicts) {
                let started = entry.start.as_ref().expect("every entry starts a workflow");
                let expected = started.key == second.key || started.key == third.key;
                assert_eq!(is_duplicate(verdict), expected, "{id}: {verdicts:?}");
                assert_eq!(*verdict == Verdict::Stored, !expected, "{id}: {verdicts:?}");
            }
            assert_eq!(status(&*store, &first.id).await, Some(Status::Enqueued));
            assert_eq!((status(&*store, &second.id).await, status(&*store, &third.id).await), (None, None));
        }
    }
}

/// Also where the later one has the lesser key, and where only one of them goes on a queue.
pub(crate) async fn of_two_equal_ids_or_debounce_keys_in_one_commit_the_first_call_wins(
    StoreDatabase { store, .. }: StoreDatabase,
) {
    let me = register_executor(&*store, "a").await;
    let later = |first: &NewWorkflow, placement: Option<QueuePlacement>, id: &str| {
        let key = (first.key.get() - 100_000).into();
        NewWorkflow { key, placement, ..workflow(id) }
    };
    let debounced = || with_debounce("cart", std::time::Duration::from_hours(1), None);
    let (same_id, same_key) = (workflow("w"), queued_workflow("y", debounced()));
    let (direct, queued) = (workflow("v"), queued_workflow("u", on_queue()));
    let entries = [
        begin(&same_id),
        begin(&same_key),
        begin(&direct),
        begin(&queued),
        begin(&workflow("beside")),
        begin(&later(&same_id, None, "w")),
        begin(&later(&same_key, Some(debounced()), "b")),
        begin(&later(&direct, Some(on_queue()), "v")),
        begin(&later(&queued, None, "u")),
    ];
    let verdicts = store.commit(me, &entries, false).await.unwrap();
    assert_eq!(verdicts[..5], [const { Verdict::Stored }; 5], "{verdicts:?}");
    assert!(matches!(&verdicts[6], Verdict::Debounced(it) if it.key == same_key.key), "{verdicts:?}");
    for (verdict, first) in [(&verdicts[5], same_id), (&verdicts[7], direct), (&verdicts[8], queued)] {
        assert!(matches!(verdict, Verdict::Existing(it) if it.key == first.key), "{verdicts:?}");
    }
}

pub(crate) async fn a_retried_enqueue_finds_its_own_rows_stored(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let parent = start_running(&*store, me, "parent").await;
    let entries = [
        begin(&queued_workflow("one", with_deduplication("k"))),
        child(parent, 1, &queued_workflow("two", with_deduplication("l"))),
        begin(&queued_workflow("three", with_delay(std::time::Duration::from_hours(1)))),
    ];
    for again in [false, true, true] {
        assert_eq!(store.commit(me, &entries, again).await.unwrap(), vec![Verdict::Stored; 3]);
    }
    assert_eq!(claim_ids(&*store, me, 10).await, ["one", "two"]);
    assert_eq!(store.commit(me, &entries, true).await.unwrap(), vec![Verdict::Stored; 3], "also while they run");
}

pub(crate) async fn a_fenced_executor_enqueues_nothing(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let dead = register_executor(&*store, "dead").await;
    enqueue(&*store, me, "there", with_deduplication("k")).await;
    fence_out(&*store, dead).await;
    for entries in [
        vec![begin(&queued_workflow("one", on_queue()))],
        vec![begin(&queued_workflow("one", on_queue())), begin(&queued_workflow("two", on_queue()))],
        vec![begin(&queued_workflow("there", on_queue()))],
        vec![begin(&queued_workflow("one", with_deduplication("k")))],
        vec![begin(&queued_workflow("one", with_deduplication("k"))), begin(&queued_workflow("two", on_queue()))],
        vec![begin(&queued_workflow("one", with_debounce("d", std::time::Duration::ZERO, None)))],
    ] {
        for again in [false, true] {
            let verdicts = store.commit(dead, &entries, again).await.unwrap();
            assert_eq!(verdicts, vec![Verdict::Fenced; entries.len()], "{entries:?}");
        }
    }
    assert_eq!(claim_ids(&*store, me, 10).await, ["there"]);
}

pub(crate) async fn a_workflow_enqueued_in_the_same_commit_receives_messages(
    StoreDatabase { store, .. }: StoreDatabase,
) {
    let me = register_executor(&*store, "a").await;
    let new = queued_workflow("w", on_queue());
    let entries = [begin(&new), send(message("w", "1"))];
    assert_eq!(store.commit(me, &entries, false).await.unwrap(), [Verdict::Stored, Verdict::Stored]);
    assert_eq!(inbox(&*store, me, new.key).await, ["1"]);
}

pub(crate) async fn a_nul_in_a_queue_option_is_refused(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let nul = || Some("a\0b".to_owned());
    let day = std::time::Duration::from_hours(24);
    for placement in [
        QueuePlacement { queue: "a\0b".to_owned(), ..on_queue() },
        QueuePlacement { partition: nul(), ..on_queue() },
        QueuePlacement { deduplication_id: nul(), ..on_queue() },
        with_debounce("a\0b", day, None),
    ] {
        let entry = [begin(&queued_workflow("w", placement))];
        let error = store.commit(me, &entry, false).await.expect_err("a NUL cannot be stored");
        assert_eq!(error.kind, StoreErrorKind::Refused, "{error}");
    }
    assert_eq!(status(&*store, "w").await, None);
}

pub(crate) async fn thousands_can_be_enqueued_in_one_commit(database: StoreDatabase) {
    let store = &*database.store;
    let me = register_executor(store, "a").await;
    let costs = |statements, commits| StatementCounts { statements, commits, notifications: 0 };
    let mut before = store.statement_counts();
    let mut spent = || {
        let now = store.statement_counts();
        let spent = now - before;
        before = now;
        spent
    };
    enqueue(store, me, "lone", on_queue()).await;
    assert_eq!(spent(), costs(1, 1));
    commit(store, me, begin(&queued_workflow("lone", on_queue()))).await;
    assert_eq!(spent(), costs(2, 0), "the one that met it, and the look at it");
    let many: Vec<_> =
        (0..1_000).map(|it| begin(&queued_workflow(&format!("w-{it}"), with_deduplication(&it.to_string())))).collect();
    let in_sqlite = |statements| if database.is_postgres() { costs(1, 1) } else { costs(statements, 1) };
    assert_eq!(store.commit(me, &many, false).await.unwrap(), vec![Verdict::Stored; 1_000]);
    // SQLite: begin, sixteen statements of 64 rows, commit.
    assert_eq!(spent(), in_sqlite(18));
    let twins: Vec<_> =
        (0..1_000).map(|it| begin(&queued_workflow(&format!("v-{it}"), with_deduplication(&it.to_string())))).collect();
    let verdicts = store.commit(me, &twins, false).await.unwrap();
    assert!(verdicts.iter().all(|it| matches!(it, Verdict::Duplicate(_))));
    // The begins, the looks for their ids and for their deduplication ids; in SQLite in a transaction.
    assert_eq!(spent(), if database.is_postgres() { costs(3, 0) } else { costs(20, 0) });
    let parent = start_running(store, me, "parent").await;
    spent();
    let children: Vec<_> =
        (0..64).map(|it| child(parent, it, &queued_workflow(&format!("c-{it}"), on_queue()))).collect();
    assert_eq!(store.commit(me, &children, false).await.unwrap(), vec![Verdict::Stored; 64]);
    assert_eq!(spent(), in_sqlite(4));
}
