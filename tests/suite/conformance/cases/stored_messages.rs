//! Messages: receivers, order and idempotency.

use durable_core::Status;
use durable_core::store::{Entry, Finish, NewMessage, PollRequest, Verdict};

use crate::support::store_database::StoreDatabase;
use crate::support::store_rows::{
    begin, cancel, child, commit, ending, finish, inbox, message, once, outcomes, receiving, record, records,
    register_executor, send, sending, start_running, status, store_record, success, waiting_message, workflow,
};

fn no_receiver(id: &str, status: Option<Status>) -> Verdict {
    Verdict::NoReceiver { id: id.to_owned(), status }
}

pub(crate) async fn messages_are_received_in_the_order_sent(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let run = start_running(&*store, me, "w").await;
    let (late, early) = (message("w", "late"), message("w", "early"));
    let about = NewMessage { topic: "about".to_owned(), ..message("w", "other topic") };
    assert!(waiting_message(&*store, run, "").await.is_none());
    // The order of sending counts, and not the key, which an executor with a fast clock has made.
    for it in [early, about, late] {
        assert_eq!(commit(&*store, me, send(it)).await, Verdict::Stored);
    }
    assert_eq!(waiting_message(&*store, run, "about").await.expect("it waits").payload, "other topic");
    assert!(waiting_message(&*store, run, "nothing").await.is_none());
    assert_eq!(inbox(&*store, me, run).await, ["early", "late"]);
    assert!(waiting_message(&*store, run, "about").await.is_some(), "it is another line");
}

pub(crate) async fn messages_of_one_commit_are_ordered_by_their_keys(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    for (again, others) in [(false, 0), (true, 0), (false, 80), (true, 80)] {
        let run = start_running(&*store, me, &format!("w-{again}-{others}")).await;
        let id = &format!("w-{again}-{others}");
        let messages: Vec<_> = (0..20).map(|number| message(id, &number.to_string())).collect();
        let mut entries: Vec<_> = messages.into_iter().rev().map(send).collect();
        entries.extend((0..others).map(|number| records([record(run, number, "1")])));
        let verdicts = store.commit(me, &entries, again).await.unwrap();
        assert_eq!(verdicts, vec![Verdict::Stored; entries.len()]);
        let expected: Vec<_> = (0..20).map(|number| number.to_string()).collect();
        assert_eq!(inbox(&*store, me, run).await, expected, "again: {again}");
    }
}

pub(crate) async fn a_message_without_a_receiver_fails_its_entry_and_no_other(
    StoreDatabase { store, .. }: StoreDatabase,
) {
    let me = register_executor(&*store, "a").await;
    let ended = [Status::Success, Status::Error, Status::Cancelled];
    for status in ended {
        let run = start_running(&*store, me, &status.to_string()).await;
        commit(&*store, me, finish(Finish { status, outcome: None, ..success(run, "") })).await;
    }
    for size in [0, 1, 2, 3, 15, 70] {
        for again in [false, true] {
            let name = format!("{size}-{again}");
            let run = start_running(&*store, me, &name).await;
            let (to_unknown, child_of) = (message("missing", "1"), workflow(&format!("{name}-child")));
            let mut entries = vec![
                sending(record(run, 1, "1"), to_unknown),
                Entry { messages: vec![message(&name, "lost"), message("SUCCESS", "2")], ..child(run, 2, &child_of) },
                send(message("ERROR", "3")),
                send(message("CANCELLED", "4")),
            ];
            let mut expected = vec![
                no_receiver("missing", None),
                no_receiver("SUCCESS", Some(Status::Success)),
                no_receiver("ERROR", Some(Status::Error)),
                no_receiver("CANCELLED", Some(Status::Cancelled)),
            ];
            for number in 0..size {
                let index = entries.len() - number / 2; // refused ones between stored ones
                entries.insert(
                    index,
                    sending(record(run, 100 + i32::try_from(number).unwrap(), "1"), message(&name, "good")),
                );
                expected.insert(index, Verdict::Stored);
            }
            assert_eq!(store.commit(me, &entries, again).await.unwrap(), expected, "{name}");
            assert_eq!(outcomes(&*store, run).await.len(), size, "{name}");
            assert_eq!(status(&*store, &child_of.id).await, None, "{name}");
            assert_eq!(inbox(&*store, me, run).await, vec!["good"; size], "{name}");
        }
    }
}

pub(crate) async fn a_lone_message_without_a_receiver_is_refused(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    start_running(&*store, me, "w").await;
    start_running(&*store, me, "v").await;
    cancel(&*store, "w", "by hand").await;
    for again in [false, true] {
        let to_unknown = [send(message("missing", "1"))];
        assert_eq!(store.commit(me, &to_unknown, again).await.unwrap(), [no_receiver("missing", None)]);
        let too_late = [send(message("w", "1"))];
        assert_eq!(store.commit(me, &too_late, again).await.unwrap(), [no_receiver("w", Some(Status::Cancelled))]);
        let one_of_two = [send(message("v", "good")), send(message("missing", "1"))];
        let verdicts = store.commit(me, &one_of_two, again).await.unwrap();
        assert_eq!(verdicts, [Verdict::Stored, no_receiver("missing", None)]);
    }
}

pub(crate) async fn a_parked_workflow_still_receives_messages(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let run = start_running(&*store, me, "w").await;
    commit(&*store, me, finish(Finish { status: Status::Parked, outcome: None, ..success(run, "") })).await;
    assert_eq!(commit(&*store, me, send(message("w", "1"))).await, Verdict::Stored);
    assert_eq!(commit(&*store, me, sending(record(run, 1, "1"), message("w", "2"))).await, Verdict::Stored);
    assert_eq!(inbox(&*store, me, run).await, ["1", "2"]);
}

pub(crate) async fn a_workflow_started_in_the_same_commit_receives_messages(
    StoreDatabase { store, .. }: StoreDatabase,
) {
    let me = register_executor(&*store, "a").await;
    let parent = start_running(&*store, me, "w").await;
    let (new, started) = (workflow("new"), workflow("w-1"));
    let entries = [
        sending(record(parent, 1, "1"), message("new", "one")),
        begin(&new),
        Entry { messages: vec![message("w-1", "two")], ..child(parent, 2, &started) },
        sending(record(parent, 3, "1"), message("w", "three")),
    ];
    let verdicts = store.commit(me, &entries[1..], false).await.unwrap();
    assert_eq!(verdicts, vec![Verdict::Stored; 3]);
    assert_eq!(store.commit(me, &entries[..1], false).await.unwrap(), [Verdict::Stored]);
    assert_eq!(inbox(&*store, me, new.key).await, ["one"]);
    assert_eq!(inbox(&*store, me, started.key).await, ["two"]);
    assert_eq!(inbox(&*store, me, parent).await, ["three"]);

    let (first, second) = (workflow("first"), workflow("second"));
    let together = [begin(&first), send(message("first", "1")), send(message("second", "2")), begin(&second)];
    let verdicts = store.commit(me, &together, false).await.unwrap();
    assert_eq!(verdicts[..2], [Verdict::Stored, Verdict::Stored]);
    assert_eq!(inbox(&*store, me, first.key).await, ["1"]);
}

pub(crate) async fn a_message_with_the_same_idempotency_key_is_stored_once(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let (run, other) = (start_running(&*store, me, "w").await, start_running(&*store, me, "v").await);
    assert_eq!(commit(&*store, me, send(once("w", "k", "first"))).await, Verdict::Stored);
    assert_eq!(commit(&*store, me, send(once("w", "k", "second"))).await, Verdict::Stored);
    assert_eq!(inbox(&*store, me, run).await, ["first"]);
    assert_eq!(commit(&*store, me, sending(record(run, 1, "1"), once("w", "k", "third"))).await, Verdict::Stored);
    assert_eq!(outcomes(&*store, run).await.len(), 1, "the record of the sending is stored");
    let topic = NewMessage { topic: "about".to_owned(), ..once("w", "k", "fourth") };
    assert_eq!(commit(&*store, me, send(topic)).await, Verdict::Stored);
    let about = waiting_message(&*store, run, "about").await.expect("on another topic the key is another one");
    assert_eq!(about.payload, "fourth");
    assert_eq!(inbox(&*store, me, run).await, [""; 0], "a message that was received is not taken again");

    let batch = [
        send(once("w", "k", "fifth")),
        send(once("w", "l", "sixth")),
        sending(record(other, 1, "1"), once("w", "l", "seventh")),
        send(once("v", "k", "eighth")),
        send(message("w", "ninth")),
        send(message("w", "ninth")),
    ];
    assert_eq!(store.commit(me, &batch, false).await.unwrap(), vec![Verdict::Stored; 6]);
    assert_eq!(inbox(&*store, me, run).await, ["sixth", "ninth", "ninth"]);
    assert_eq!(inbox(&*store, me, other).await, ["eighth"]);
    assert_eq!(outcomes(&*store, other).await.len(), 1);
}

pub(crate) async fn retrying_a_sent_message_succeeds_after_the_receiver_ended(
    StoreDatabase { store, .. }: StoreDatabase,
) {
    let me = register_executor(&*store, "a").await;
    let (run, sender) = (start_running(&*store, me, "w").await, start_running(&*store, me, "sender").await);
    commit(&*store, me, send(once("w", "k", "1"))).await;
    commit(&*store, me, finish(success(run, "1"))).await;
    let retries = [send(once("w", "k", "again")), sending(record(sender, 1, "1"), once("w", "k", "again"))];
    for again in [false, true] {
        for retry in &retries {
            assert_eq!(store.commit(me, std::slice::from_ref(retry), again).await.unwrap(), [Verdict::Stored]);
        }
        let late = [send(once("w", "other", "2")), send(once("w", "k", "again"))];
        let verdicts = store.commit(me, &late, again).await.unwrap();
        assert_eq!(verdicts, [no_receiver("w", Some(Status::Success)), Verdict::Stored]);
    }
    assert_eq!(outcomes(&*store, sender).await.len(), 1);
    assert_eq!(inbox(&*store, me, run).await, ["1"]);
}

pub(crate) async fn receiving_a_message_commits_with_its_record(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let (run, other) = (start_running(&*store, me, "w").await, start_running(&*store, me, "v").await);
    store_record(&*store, me, record(run, 1, "first")).await;
    for it in ["1", "2", "3"] {
        commit(&*store, me, send(message("w", it))).await;
    }
    let first = waiting_message(&*store, run, "").await.expect("it waits");
    let lost = receiving(record(run, 1, "1"), first.key);
    assert_eq!(commit(&*store, me, lost.clone()).await, Verdict::Superseded);
    let batch = [lost, records([record(other, 1, "1")])];
    assert_eq!(store.commit(me, &batch, false).await.unwrap(), [Verdict::Superseded, Verdict::Stored]);
    assert_eq!(waiting_message(&*store, run, "").await, Some(first.clone()));

    assert_eq!(commit(&*store, me, receiving(record(run, 2, "1"), first.key)).await, Verdict::Stored);
    assert_eq!(outcomes(&*store, run).await.len(), 2);
    let second = waiting_message(&*store, run, "").await.expect("it waits");
    assert_eq!(second.payload, "2");
    let batch = [receiving(record(run, 3, "2"), second.key), records([record(other, 2, "1")])];
    assert_eq!(store.commit(me, &batch, false).await.unwrap(), [Verdict::Stored, Verdict::Stored]);
    assert_eq!(inbox(&*store, me, run).await, ["3"]);
}

pub(crate) async fn a_superseded_end_sends_nothing(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let (run, to) = (start_running(&*store, me, "w").await, start_running(&*store, me, "to").await);
    commit(&*store, me, send(message("w", "waits"))).await;
    let waits = waiting_message(&*store, run, "").await.expect("it waits");
    let last = |output| Entry {
        messages: vec![message("to", output)],
        received: vec![waits.key],
        publications: vec![
            crate::support::store_rows::event(run, "e", output),
            crate::support::store_rows::item(run, "s", output),
        ],
        ..ending([record(run, 1, "1")], success(run, output))
    };
    let without_records = |output| Entry { records: Vec::new(), ..last(output) };
    cancel(&*store, "w", "by hand").await;
    for entry in [last("1"), without_records("1")] {
        assert_eq!(commit(&*store, me, entry.clone()).await, Verdict::Superseded);
        let batch = [entry, send(message("to", "good"))];
        assert_eq!(store.commit(me, &batch, false).await.unwrap(), [Verdict::Superseded, Verdict::Stored]);
    }
    assert_eq!(waiting_message(&*store, run, "").await, Some(waits));
    assert_eq!(inbox(&*store, me, to).await, ["good", "good"]);
    assert_eq!(crate::support::store_rows::history(&*store, "w", "e").await, [""; 0]);
    assert!(crate::support::store_rows::read_stream(&*store, "w", "s").await.is_empty());

    let fine = start_running(&*store, me, "fine").await;
    let last = Entry { messages: vec![message("to", "bye")], ..finish(success(fine, "1")) };
    assert_eq!(commit(&*store, me, last).await, Verdict::Stored);
    assert_eq!(inbox(&*store, me, to).await, ["bye"]);
}

pub(crate) async fn a_workflow_can_send_to_itself_and_end_in_one_commit(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    for again in [false, true] {
        let id = format!("w-{again}");
        let run = start_running(&*store, me, &id).await;
        let last = Entry { messages: vec![message(&id, "1")], ..ending([record(run, 1, "1")], success(run, "1")) };
        assert_eq!(store.commit(me, &[last], again).await.unwrap(), [Verdict::Stored]);
        assert_eq!(status(&*store, &id).await, Some(Status::Success));
    }
}

pub(crate) async fn batches_of_messages_of_every_size_are_stored_whole(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let run = start_running(&*store, me, "w").await;
    for (round, size) in (0..).zip([1, 2, 3, 4, 5, 16, 17, 63, 64, 65, 129, 1024]) {
        let messages: Vec<_> = (0..size)
            .map(|number| NewMessage { topic: format!("{round}/{number}"), ..message("w", &number.to_string()) })
            .collect();
        let entries: Vec<_> = messages
            .iter()
            .zip(0..)
            .map(|(it, number)| match number % 3 {
                0 => send(it.clone()),
                1 => sending(record(run, round * 2_000 + number, "1"), it.clone()),
                _ => Entry { start: Some(workflow(&it.topic).into()), ..send(it.clone()) },
            })
            .collect();
        let stored = vec![Verdict::Stored; entries.len()];
        assert_eq!(store.commit(me, &entries, false).await.unwrap(), stored, "{size}");
        let topics = messages.iter().map(|it| (run, it.topic.clone())).collect();
        let found = store.poll(&PollRequest { messages: topics, ..PollRequest::default() }).await.unwrap().messages;
        let mut found: Vec<_> = found.into_iter().map(|it| (it.index, it.key, it.payload)).collect();
        found.sort_unstable();
        let expected: Vec<_> =
            messages.into_iter().enumerate().map(|(index, it)| (index, it.key, it.payload)).collect();
        assert_eq!(found, expected, "{size}");
        let receive: Vec<_> = expected
            .iter()
            .zip(0..)
            .map(|((_, key, _), number)| receiving(record(run, round * 2_000 + 1_000_000 + number, "1"), *key))
            .collect();
        assert_eq!(store.commit(me, &receive, false).await.unwrap(), stored, "{size}");
        let topics = (0..size).map(|number| (run, format!("{round}/{number}"))).collect();
        let found = store.poll(&PollRequest { messages: topics, ..PollRequest::default() }).await.unwrap().messages;
        assert!(found.is_empty(), "{size}: all are received");
    }
}
