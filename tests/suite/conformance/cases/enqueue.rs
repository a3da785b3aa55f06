//! Putting workflows on queues.

use durable_core::Status;
use durable_core::store::{NewWorkflow, QueuePlacement, StatementCounts, StoreErrorKind, Verdict};

use super::super::line::{MAIL, claim, debounced, delayed, ended, enqueued, mail, of_key, placed, sole, taken, urgent};
use super::super::make::{
    begin, cancel, child, commit, fence_out, inbox, message, outcomes, record, records, register_executor, running,
    send, status, workflow,
};
use super::super::site::Site;

pub(crate) async fn a_workflow_with_a_place_waits_and_does_not_run(Site { store, .. }: Site) {
    let me = register_executor(&*store, "a").await;
    let place =
        QueuePlacement { partition: Some("ada".to_owned()), ..QueuePlacement { priority: -3, ..sole("cart-9") } };
    commit(&*store, me, begin(&placed("lone", place.clone()))).await;
    let two = [begin(&placed("one", of_key("k"))), begin(&placed("other", urgent(7)))];
    assert_eq!(store.commit(me, &two, false).await.unwrap(), [Verdict::Stored, Verdict::Stored]);
    assert_eq!(store.commit(me, &[begin(&placed("careful", mail()))], true).await.unwrap(), [Verdict::Stored]);
    for id in ["lone", "one", "other", "careful"] {
        let info = store.show(id).await.unwrap().expect("it is there");
        assert_eq!((info.status, info.queue.as_deref()), (Status::Enqueued, Some(MAIL)), "{id}");
        assert_eq!((info.executor, info.started_at, info.due_at, info.deadline), (None, None, None, None), "{id}");
        assert_eq!((info.attempts, info.recoveries, info.input.as_str()), (0, 0, r#"{"order":1}"#), "{id}");
    }
    let info = store.show("lone").await.unwrap().expect("it is there");
    let told = (info.priority, info.partition_key.as_deref(), info.deduplication_id.as_deref());
    assert_eq!(told, (-3, Some("ada"), Some("cart-9")));
    assert_eq!(store.show("one").await.unwrap().expect("it is there").partition_key.as_deref(), Some("k"));
    let info = store.show("other").await.unwrap().expect("it is there");
    assert_eq!((info.priority, info.partition_key, info.deduplication_id), (7, None, None));
}

pub(crate) async fn inputs_of_every_size_wait(Site { store, .. }: Site) {
    let me = register_executor(&*store, "a").await;
    let sized = |id: &str, size: usize| {
        let input = format!(r#"{{"text":"{}"}}"#, "x".repeat(size));
        NewWorkflow { input, ..placed(id, mail()) }
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
        assert_eq!((&*run.id, &run.input), (&*given.id, &given.input));
    }
}

pub(crate) async fn queued_and_direct_ones_go_together(Site { store, .. }: Site) {
    let me = register_executor(&*store, "a").await;
    let parent = running(&*store, me, "parent").await;
    let entries = [
        begin(&workflow("direct")),
        begin(&placed("queued", mail())),
        child(parent, 1, &placed("child", mail())),
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

pub(crate) async fn an_id_that_is_there_is_not_enqueued(Site { store, .. }: Site) {
    let me = register_executor(&*store, "a").await;
    running(&*store, me, "direct").await;
    enqueued(&*store, me, "queued", mail()).await;
    for (id, new) in [("direct", placed("direct", mail())), ("queued", placed("queued", sole("k")))] {
        let held = store.find(id).await.unwrap().expect("it is there");
        let existing = Verdict::Existing(held);
        assert_eq!(commit(&*store, me, begin(&new)).await, existing);
        let parent = running(&*store, me, &format!("parent of {id}")).await;
        let several = [begin(&new), begin(&placed(&format!("new-{id}"), mail())), child(parent, 1, &new)];
        let verdicts = store.commit(me, &several, false).await.unwrap();
        assert_eq!(verdicts, [existing.clone(), Verdict::Stored, existing]);
        assert_eq!(outcomes(&*store, parent).await.len(), 1, "the record is stored");
    }
    let held = store.find("queued").await.unwrap().expect("it is there");
    assert_eq!(commit(&*store, me, begin(&workflow("queued"))).await, Verdict::Existing(held));
    assert_eq!(status(&*store, "queued").await, Some(Status::Enqueued));
}

pub(crate) async fn a_duplicate_takes_its_entry_and_no_other(Site { store, .. }: Site) {
    let me = register_executor(&*store, "a").await;
    let parent = running(&*store, me, "parent").await;
    enqueued(&*store, me, "first", sole("cart")).await;
    let held = store.find("first").await.unwrap().expect("it is there");
    let duplicate = Verdict::Duplicate(held);
    assert_eq!(commit(&*store, me, begin(&placed("second", sole("cart")))).await, duplicate);
    let entries = [
        begin(&placed("third", sole("cart"))),
        begin(&placed("free", sole("other cart"))),
        child(parent, 1, &placed("fourth", sole("cart"))),
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
    let two = [begin(&placed("fifth", sole("cart"))), begin(&placed("sixth", mail()))];
    assert_eq!(store.commit(me, &two, true).await.unwrap(), [duplicate, Verdict::Stored]);
}

pub(crate) async fn a_deduplication_id_is_free_again_when_its_workflow_has_ended(Site { store, .. }: Site) {
    let me = register_executor(&*store, "a").await;
    let elsewhere = QueuePlacement { queue: "letters".to_owned(), ..sole("cart") };
    enqueued(&*store, me, "of another queue", elsewhere).await;
    let waits =
        QueuePlacement { deduplication_id: Some("cart".to_owned()), ..delayed(std::time::Duration::from_hours(1)) };
    enqueued(&*store, me, "delayed", waits).await;
    let is_held = async |by: &str| {
        let verdict = commit(&*store, me, begin(&placed("another", sole("cart")))).await;
        assert!(matches!(&verdict, Verdict::Duplicate(held) if held.id == by), "{verdict:?}");
    };
    is_held("delayed").await;
    cancel(&*store, "delayed", "by hand").await;
    enqueued(&*store, me, "enqueued", sole("cart")).await;
    is_held("enqueued").await;
    let run = claim(&*store, me, 1).await.runs.remove(0);
    is_held("enqueued").await;
    ended(&*store, me, &run).await;
    enqueued(&*store, me, "last", sole("cart")).await;
    is_held("last").await;
}

pub(crate) async fn of_two_duplicates_in_one_call_the_first_is_stored(Site { store, .. }: Site) {
    let me = register_executor(&*store, "a").await;
    let (z, a) = (placed("z", sole("k")), placed("a", sole("k")));
    let entries = [begin(&z), begin(&placed("m", mail())), begin(&a)];
    let verdicts = store.commit(me, &entries, false).await.unwrap();
    let stored: Vec<_> = verdicts.iter().filter(|it| **it == Verdict::Stored).collect();
    assert_eq!(stored.len(), 2, "{verdicts:?}");
    let held = if verdicts[0] == Verdict::Stored { &z } else { &a };
    assert!(verdicts.iter().any(|it| matches!(it, Verdict::Duplicate(twin) if twin.key == held.key)), "{verdicts:?}");
}

/// By id, by deduplication id and by debounce key; also where the later one has the lesser id and key, and
/// where only one of them goes on a queue.
pub(crate) async fn of_two_duplicates_in_one_commit_the_first_call_wins(Site { store, .. }: Site) {
    let me = register_executor(&*store, "a").await;
    let later = |first: &NewWorkflow, place: Option<QueuePlacement>, id: &str| NewWorkflow {
        key: (first.key.get() - 100_000).into(),
        placement: place,
        ..workflow(id)
    };
    let soon = || Some(debounced("cart", std::time::Duration::from_hours(1), None));
    let (deduplicated, same_id, same_cart) = (placed("z", sole("k")), workflow("w"), placed("y", soon().unwrap()));
    let (direct, queued) = (workflow("v"), placed("u", mail()));
    let entries = [
        begin(&deduplicated),
        begin(&same_id),
        begin(&same_cart),
        begin(&direct),
        begin(&queued),
        begin(&workflow("beside")),
        begin(&later(&deduplicated, Some(sole("k")), "a")),
        begin(&later(&same_id, None, "w")),
        begin(&later(&same_cart, soon(), "b")),
        begin(&later(&direct, Some(mail()), "v")),
        begin(&later(&queued, None, "u")),
    ];
    let verdicts = store.commit(me, &entries, false).await.unwrap();
    assert_eq!(verdicts[..6], [const { Verdict::Stored }; 6], "{verdicts:?}");
    let winner = |verdict: &Verdict| match verdict {
        Verdict::Existing(it) | Verdict::Duplicate(it) | Verdict::Debounced(it) => it.key,
        other => panic!("{other:?}"),
    };
    let winners: Vec<_> = verdicts[6..].iter().map(winner).collect();
    assert_eq!(winners, [deduplicated.key, same_id.key, same_cart.key, direct.key, queued.key], "{verdicts:?}");
    let kinds = [&verdicts[6], &verdicts[7], &verdicts[8]];
    assert!(
        matches!(kinds, [Verdict::Duplicate(_), Verdict::Existing(_), Verdict::Debounced(_)]),
        "each is told which kind of duplicate it is: {kinds:?}"
    );
}

pub(crate) async fn what_was_enqueued_counts_as_stored(Site { store, .. }: Site) {
    let me = register_executor(&*store, "a").await;
    let parent = running(&*store, me, "parent").await;
    let entries = [
        begin(&placed("one", sole("k"))),
        child(parent, 1, &placed("two", sole("l"))),
        begin(&placed("three", delayed(std::time::Duration::from_hours(1)))),
    ];
    for again in [false, true, true] {
        assert_eq!(store.commit(me, &entries, again).await.unwrap(), vec![Verdict::Stored; 3]);
    }
    assert_eq!(taken(&*store, me, 10).await, ["one", "two"]);
    assert_eq!(store.commit(me, &entries, true).await.unwrap(), vec![Verdict::Stored; 3], "also while they run");
}

pub(crate) async fn a_deposed_executor_enqueues_nothing(Site { store, .. }: Site) {
    let me = register_executor(&*store, "a").await;
    let dead = register_executor(&*store, "dead").await;
    enqueued(&*store, me, "there", sole("k")).await;
    fence_out(&*store, dead).await;
    for entries in [
        vec![begin(&placed("one", mail()))],
        vec![begin(&placed("one", mail())), begin(&placed("two", mail()))],
        vec![begin(&placed("there", mail()))],
        vec![begin(&placed("one", sole("k")))],
        vec![begin(&placed("one", sole("k"))), begin(&placed("two", mail()))],
        vec![begin(&placed("one", super::super::line::debounced("d", std::time::Duration::ZERO, None)))],
    ] {
        for again in [false, true] {
            let verdicts = store.commit(dead, &entries, again).await.unwrap();
            assert_eq!(verdicts, vec![Verdict::Fenced; entries.len()], "{entries:?}");
        }
    }
    assert_eq!(taken(&*store, me, 10).await, ["there"]);
}

pub(crate) async fn who_is_enqueued_in_the_same_call_receives(Site { store, .. }: Site) {
    let me = register_executor(&*store, "a").await;
    let new = placed("w", mail());
    let entries = [begin(&new), send(message("w", "1"))];
    assert_eq!(store.commit(me, &entries, false).await.unwrap(), [Verdict::Stored, Verdict::Stored]);
    assert_eq!(inbox(&*store, me, new.key).await, ["1"]);
}

pub(crate) async fn a_nul_in_a_place_is_refused(Site { store, .. }: Site) {
    let me = register_executor(&*store, "a").await;
    let nul = || Some("a\0b".to_owned());
    let day = std::time::Duration::from_hours(24);
    for place in [
        QueuePlacement { queue: "a\0b".to_owned(), ..mail() },
        QueuePlacement { partition: nul(), ..mail() },
        QueuePlacement { deduplication_id: nul(), ..mail() },
        debounced("a\0b", day, None),
    ] {
        let entry = [begin(&placed("w", place))];
        let error = store.commit(me, &entry, false).await.expect_err("a NUL cannot be stored");
        assert_eq!(error.kind, StoreErrorKind::Refused, "{error}");
    }
    assert_eq!(status(&*store, "w").await, None);
}

pub(crate) async fn thousands_are_enqueued_in_one_commit(site: Site) {
    let store = &*site.store;
    let me = register_executor(store, "a").await;
    let costs = |statements, commits| StatementCounts { statements, commits, notifications: 0 };
    let mut before = store.statement_counts();
    let mut spent = || {
        let now = store.statement_counts();
        let spent = now - before;
        before = now;
        spent
    };
    enqueued(store, me, "lone", mail()).await;
    assert_eq!(spent(), costs(1, 1));
    commit(store, me, begin(&placed("lone", mail()))).await;
    assert_eq!(spent(), costs(2, 0), "the one that met it, and the look at it");
    let many: Vec<_> = (0..1_000).map(|it| begin(&placed(&format!("w-{it}"), sole(&it.to_string())))).collect();
    let in_sqlite = |statements| if site.is_postgres() { costs(1, 1) } else { costs(statements, 1) };
    assert_eq!(store.commit(me, &many, false).await.unwrap(), vec![Verdict::Stored; 1_000]);
    // SQLite: begin, sixteen statements of 64 rows, commit.
    assert_eq!(spent(), in_sqlite(18));
    let twins: Vec<_> = (0..1_000).map(|it| begin(&placed(&format!("v-{it}"), sole(&it.to_string())))).collect();
    let verdicts = store.commit(me, &twins, false).await.unwrap();
    assert!(verdicts.iter().all(|it| matches!(it, Verdict::Duplicate(_))));
    // The begins, the looks for their ids and for their deduplication ids; in SQLite in a transaction.
    assert_eq!(spent(), if site.is_postgres() { costs(3, 0) } else { costs(20, 0) });
    let children: Vec<_> = (0..64).map(|it| child(1.into(), it, &placed(&format!("c-{it}"), mail()))).collect();
    assert_eq!(store.commit(me, &children, false).await.unwrap(), vec![Verdict::Stored; 64]);
    assert_eq!(spent(), in_sqlite(4));
}
