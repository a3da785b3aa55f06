//! Each entry of a commit is atomic, and independent of the other entries.

use durable_core::Status;
use durable_core::store::{Entry, NewWorkflow, Outcome, ParentRun, Position, Verdict};

use crate::support::store_database::StoreDatabase;
use crate::support::store_queues::on_queue;
use crate::support::store_rows::{
    begin, cancel, child, commit, ending, ends, finish, outcomes, output, record, records, register_executor,
    start_running, status, store_record, success, workflow,
};

pub(crate) async fn a_lost_race_fails_its_entry_and_no_other(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let (lost, fine) = (start_running(&*store, me, "lost").await, start_running(&*store, me, "fine").await);
    store_record(&*store, me, record(lost, 2, "first")).await;
    let new = workflow("new");
    let entries = [
        begin(&new),
        records([record(lost, 1, "1"), record(lost, 2, "second"), record(lost, 3, "3")]),
        records([record(fine, 1, "1")]),
        ending([record(fine, 2, "2")], success(fine, "2")),
    ];
    let verdicts = store.commit(me, &entries, false).await.unwrap();
    assert_eq!(verdicts, [Verdict::Stored, Verdict::Superseded, Verdict::Stored, Verdict::Stored]);
    assert_eq!(outcomes(&*store, lost).await, [(2, output("first"))]);
    assert_eq!(outcomes(&*store, fine).await.len(), 2);
    assert_eq!(status(&*store, "new").await, Some(Status::Pending));
    assert_eq!(status(&*store, "fine").await, Some(Status::Success));
}

pub(crate) async fn a_child_and_its_parents_record_are_stored_together(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let parent = start_running(&*store, me, "w").await;
    let mut started = child(parent, 1, &workflow("w-1"));
    started.records[0].position = Position::new("3/2", 1);
    assert_eq!(commit(&*store, me, started).await, Verdict::Stored);
    let stored = store.records(&[parent]).await.unwrap();
    assert_eq!((&*stored[0].kind, stored[0].child.as_deref()), ("workflow", Some("w-1")));
    assert_eq!((stored[0].position.to_string().as_str(), &stored[0].outcome), ("3/2/1", &None));
    assert_eq!(status(&*store, "w-1").await, Some(Status::Pending));
}

pub(crate) async fn attaching_to_an_existing_child_is_recorded_in_the_parent(
    StoreDatabase { store, .. }: StoreDatabase,
) {
    let me = register_executor(&*store, "a").await;
    let (parent, there) = (start_running(&*store, me, "w").await, start_running(&*store, me, "shared").await);
    let Verdict::Existing(held) = commit(&*store, me, child(parent, 1, &workflow("shared"))).await else {
        panic!("the child is there")
    };
    assert_eq!(held.key, there);
    assert_eq!(outcomes(&*store, parent).await, [(1, None)]);
}

pub(crate) async fn a_child_id_taken_by_another_workflow_is_recorded_as_an_error(
    StoreDatabase { store, .. }: StoreDatabase,
) {
    let me = register_executor(&*store, "a").await;
    let parent = start_running(&*store, me, "w").await;
    let ada = || NewWorkflow { instance: Some("ada".to_owned()), ..workflow("shared") };
    assert_eq!(commit(&*store, me, begin(&ada())).await, Verdict::Stored);
    let held = store.find("shared").await.unwrap().expect("it runs");
    assert_eq!(held.instance.as_deref(), Some("ada"));
    let refund = NewWorkflow { name: "refund".to_owned(), ..workflow("shared") };
    let bob = NewWorkflow { instance: Some("bob".to_owned()), ..workflow("shared") };
    let queued = |it: NewWorkflow| NewWorkflow { placement: Some(on_queue()), ..it };
    for (number, new) in (1..).step_by(3).zip([&refund, &bob, &queued(bob.clone()), &workflow("shared")]) {
        let beside = [begin(&workflow(&format!("beside-{number}"))), child(parent, number + 1, new)];
        let again = [child(parent, number + 2, new)];
        for (entries, again) in [(&[child(parent, number, new)][..], false), (&beside, false), (&again, true)] {
            let verdicts = store.commit(me, entries, again).await.unwrap();
            assert_eq!(verdicts.last(), Some(&Verdict::Existing(held.clone())), "{entries:?}");
        }
    }
    let same = child(parent, 13, &ada());
    assert_eq!(commit(&*store, me, same).await, Verdict::Existing(held));
    let records = store.records(&[parent]).await.unwrap();
    assert_eq!(records.len(), 13);
    for record in records {
        let number = record.position.number;
        match (record.outcome, record.child) {
            (Some(Outcome::Error(text)), None) if number < 13 => {
                let theirs = "`checkout` on the instance \"ada\"";
                let bob = "`checkout` on the instance \"bob\"";
                let ours = ["`refund`;", bob, bob, "`checkout`;"][usize::try_from((number - 1) / 3).unwrap()];
                let text = text.replace('\\', "");
                assert!(text.contains(theirs) && text.contains(&format!("used to start {ours}")), "{number}: {text}");
            }
            (None, Some(child)) => assert_eq!((number, &*child), (13, "shared")),
            other => panic!("{number}: {other:?}"),
        }
    }
}

pub(crate) async fn a_child_is_not_started_if_its_parents_record_lost_the_race(
    StoreDatabase { store, .. }: StoreDatabase,
) {
    let me = register_executor(&*store, "a").await;
    let parent = start_running(&*store, me, "w").await;
    store_record(&*store, me, record(parent, 1, "first")).await;
    let other = workflow("other");
    let entries = [child(parent, 1, &workflow("w-1")), begin(&other)];
    assert_eq!(store.commit(me, &entries, false).await.unwrap(), [Verdict::Superseded, Verdict::Stored]);
    assert_eq!(status(&*store, "w-1").await, None);
    assert_eq!(status(&*store, "other").await, Some(Status::Pending));
}

pub(crate) async fn a_superseded_end_discards_only_its_own_records(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let gone = start_running(&*store, me, "gone").await;
    let fine = start_running(&*store, me, "fine").await;
    cancel(&*store, "gone", "by hand").await;
    let new = workflow("new");
    let entries = [
        ending([record(gone, 1, "1")], success(gone, "1")),
        ending([record(fine, 1, "1"), record(fine, 2, "2")], success(fine, "1")),
        // A branch of the cancelled workflow that has not noticed the cancellation yet.
        records([record(gone, 2, "2")]),
        begin(&new),
    ];
    let verdicts = store.commit(me, &entries, false).await.unwrap();
    assert_eq!(verdicts, [Verdict::Superseded, Verdict::Stored, Verdict::Stored, Verdict::Stored]);
    assert_eq!(outcomes(&*store, gone).await, [(2, output("2"))]);
    assert_eq!(outcomes(&*store, fine).await.len(), 2);
    assert_eq!(status(&*store, "gone").await, Some(Status::Cancelled));
    assert_eq!(status(&*store, "fine").await, Some(Status::Success));
}

pub(crate) async fn an_entry_with_a_start_and_an_end_is_atomic(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let short = workflow("short");
    let entry =
        Entry { start: Some(short.clone().into()), ..ending([record(short.key, 1, "1")], success(short.key, "1")) };
    assert_eq!(commit(&*store, me, entry).await, Verdict::Stored);
    assert_eq!(status(&*store, "short").await, Some(Status::Success));

    // A parent that starts a child as its last operation, and was cancelled before.
    let parent = start_running(&*store, me, "w").await;
    cancel(&*store, "w", "by hand").await;
    let entry = Entry { finish: Some(success(parent, "1")), ..child(parent, 1, &workflow("w-1")) };
    assert_eq!(commit(&*store, me, entry).await, Verdict::Superseded);
    assert_eq!(status(&*store, "w-1").await, None);
    assert_eq!(outcomes(&*store, parent).await, []);
}

pub(crate) async fn of_two_ends_in_one_commit_the_second_is_superseded(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let run = start_running(&*store, me, "w").await;
    let entries = [
        ending([record(run, 1, "1")], success(run, "one")),
        ending([record(run, 2, "2")], success(run, "two")),
        finish(success(start_running(&*store, me, "v").await, "3")),
    ];
    let verdicts = store.commit(me, &entries, false).await.unwrap();
    assert_eq!(verdicts, [Verdict::Stored, Verdict::Superseded, Verdict::Stored]);
    assert_eq!(outcomes(&*store, run).await, [(1, output("1"))]);
}

pub(crate) async fn of_two_starts_with_one_id_in_one_commit_one_attaches(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let (first, second) = (workflow("w"), workflow("w"));
    let verdicts = store.commit(me, &[begin(&first), begin(&second)], false).await.unwrap();
    let held = store.find("w").await.unwrap().expect("one of them was begun");
    let (stored, attached) = if held.key == first.key { (0, 1) } else { (1, 0) };
    assert_eq!(verdicts[stored], Verdict::Stored);
    assert_eq!(verdicts[attached], Verdict::Existing(held));
}

pub(crate) async fn batches_of_every_size_are_stored_whole(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    for size in [1, 2, 3, 4, 5, 16, 17, 63, 64, 65, 129, 1024] {
        let all: Vec<_> = (0..size).map(|it| workflow(&format!("{size}/{it}"))).collect();
        let stored = vec![Verdict::Stored; size];
        let begins: Vec<_> = all.iter().map(begin).collect();
        assert_eq!(store.commit(me, &begins, false).await.unwrap(), stored, "{size} begins");
        let steps: Vec<_> = all.iter().map(|it| records([record(it.key, 1, "1")])).collect();
        assert_eq!(store.commit(me, &steps, false).await.unwrap(), stored, "{size} records");
        let mixed: Vec<_> = all
            .iter()
            .zip(0..)
            .map(|(it, number)| match number % 3 {
                0 => child(it.key, 2, &workflow(&format!("{}-2", it.id))),
                1 => ending([record(it.key, 2, "2")], success(it.key, "2")),
                _ => finish(success(it.key, "2")),
            })
            .collect();
        assert_eq!(store.commit(me, &mixed, false).await.unwrap(), stored, "{size} of all kinds");

        let keys: Vec<_> = all.iter().map(|it| it.key).collect();
        let expected = size + size.div_ceil(3) + (size + 1) / 3;
        assert_eq!(store.records(&keys).await.unwrap().len(), expected, "{size}");
        let ids: Vec<_> = all.iter().map(|it| it.id.clone()).collect();
        assert_eq!(ends(&*store, &ids).await.len(), size - size.div_ceil(3), "{size}");
    }
}

pub(crate) async fn each_entry_of_a_mixed_batch_gets_its_own_verdict(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let old = start_running(&*store, me, "old").await;
    let mut entries = Vec::new();
    for number in 0..100 {
        let fresh = start_running(&*store, me, &format!("run-{number}")).await;
        entries.push(begin(&workflow(&format!("new-{number}"))));
        entries.push(begin(&workflow("old")));
        entries.push(finish(success(if number % 10 == 0 { (-1).into() } else { fresh }, "1")));
    }
    let verdicts = store.commit(me, &entries, false).await.unwrap();
    for (number, of_round) in (0..).zip(verdicts.chunks(3)) {
        assert_eq!(of_round[0], Verdict::Stored);
        assert!(matches!(&of_round[1], Verdict::Existing(held) if held.key == old), "{:?}", of_round[1]);
        assert_eq!(of_round[2], if number % 10 == 0 { Verdict::Superseded } else { Verdict::Stored });
    }
}

pub(crate) async fn a_child_is_only_started_in_its_parents_run(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let (parent, gone) = (start_running(&*store, me, "w").await, start_running(&*store, me, "gone").await);
    cancel(&*store, "gone", "by hand").await;
    let queued = |id: &str| NewWorkflow { placement: Some(on_queue()), ..workflow(id) };
    let earlier_run = |entry: Entry| {
        let start = entry.start.map(|it| {
            let parent = it.parent.map(|of| ParentRun { attempt: 2, ..of });
            NewWorkflow { parent, ..NewWorkflow::clone(&it) }.into()
        });
        Entry { start, ..entry }
    };
    // Each by itself, and with another start in one batch.
    for (round, beside) in [(1, false), (2, true)] {
        let refused = [
            child(gone, round, &workflow(&format!("direct-{round}"))),
            child(gone, 10 + round, &queued(&format!("queued-{round}"))),
            earlier_run(child(parent, round, &workflow(&format!("earlier-{round}")))),
        ];
        for entry in refused {
            let id = entry.start.as_ref().expect("it is a start").id.clone();
            let mut entries = vec![entry];
            if beside {
                entries.push(child(parent, 20, &workflow("beside")));
                entries.push(begin(&workflow(&format!("outside {id}"))));
            }
            let verdicts = store.commit(me, &entries, false).await.unwrap();
            assert_eq!(verdicts[0], Verdict::Superseded, "{id}");
            assert_eq!(status(&*store, &id).await, None, "{id}");
            assert_eq!(store.commit(me, &entries[..1], true).await.unwrap(), [Verdict::Superseded], "{id}, sent again");
        }
    }
    assert_eq!(status(&*store, "beside").await, Some(Status::Pending));
    assert_eq!(outcomes(&*store, gone).await, []);

    // One whose answer was lost counts as stored, also if its parent has ended since.
    let stored = child(parent, 30, &workflow("stored"));
    assert_eq!(commit(&*store, me, stored.clone()).await, Verdict::Stored);
    cancel(&*store, "w", "by hand").await;
    assert_eq!(store.commit(me, &[stored], true).await.unwrap(), [Verdict::Stored]);
}
