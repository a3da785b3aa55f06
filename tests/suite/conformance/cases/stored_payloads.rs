//! Payloads are read as they were written.

use durable_core::store::{Finish, NewMessage, NewRecord, NewWorkflow, PollRequest, StoreErrorKind, StreamCursor};

use crate::support::store_database::StoreDatabase;
use crate::support::store_rows::{
    begin, commit, ending, ends, event, fence_out, finish, history, item, message, once, outcomes, output, publish,
    read_stream, record, records, register_executor, send, start_running, status, store_record, success,
    takeover_request, waiting_message, workflow,
};

/// A JSON text of this many bytes.
fn text(bytes: usize) -> String {
    format!("\"{}\"", "x".repeat(bytes - 2))
}

pub(crate) async fn inputs_of_every_size_are_read_as_written(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let sizes = [2, 1_000, 1_023, 1_024, 1_025, 70_000, 1 << 20];
    let all = sizes.map(|size| NewWorkflow { input: text(size), ..workflow(&format!("w-{size}")) });
    for it in &all[..4] {
        commit(&*store, me, begin(it)).await;
    }
    commit(&*store, me, begin(&all[4])).await;
    let rest: Vec<_> = all[5..].iter().map(begin).collect();
    store.commit(me, &rest, false).await.unwrap();
    let again: Vec<_> = all.iter().map(begin).collect();
    store.commit(me, &again, true).await.unwrap();

    for it in &all {
        assert_eq!(store.show(&it.id).await.unwrap().expect("it was begun").input.as_ref(), Some(&it.input));
    }
    fence_out(&*store, me).await;
    let heir = register_executor(&*store, "b").await;
    let runs = store.take_over(&takeover_request(heir, 100)).await.unwrap().runs;
    let inputs: Vec<usize> = runs.iter().map(|it| it.input.len()).collect();
    assert_eq!(inputs, sizes);
    let attached = NewWorkflow { input: text(2_000), ..workflow("w-2") };
    commit(&*store, heir, begin(&attached)).await;
    assert_eq!(store.show("w-2").await.unwrap().expect("it was begun").input, Some(text(2)), "the first input stays");
}

pub(crate) async fn a_large_record_is_read_as_written(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let run = start_running(&*store, me, "w").await;
    let large = text(4 << 20);
    store_record(&*store, me, record(run, 1, &large)).await;
    let two = [records([record(run, 2, &large)]), records([record(run, 3, "3")])];
    store.commit(me, &two, false).await.unwrap();
    commit(&*store, me, ending([record(run, 4, &large)], success(run, &large))).await;
    assert_eq!(outcomes(&*store, run).await[1], (2, output(&large)));
    assert_eq!(store.show("w").await.unwrap().expect("it was begun").output, Some(large));
}

pub(crate) async fn texts_of_every_script_are_read_as_written(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let texts = [
        r#""\u0000""#,
        r#""a\u0000b\n\t\\\"""#,
        "\"zażółć gęślą jaźń\"",
        "\"👩‍👩‍👧‍👦 🏴‍☠️\"",
        "\"\u{202e}right to left\u{7f}\u{85}\"",
        "1e400",
        r#"{"b":1,"a":2,"b":3}"#,
        "\"';-- {{}} %s $1 ?1\"",
    ];
    for (number, json) in (1..).zip(texts) {
        let id = format!("{json} %");
        let mut it = NewWorkflow { name: json.to_owned(), input: json.to_owned(), ..workflow(&id) };
        commit(&*store, me, begin(&it)).await;
        store_record(&*store, me, record(it.key, 1, json)).await;
        let two = [records([record(it.key, 2, json)]), records([record(it.key, 3, json)])];
        store.commit(me, &two, false).await.unwrap();
        let sent = NewMessage { topic: json.to_owned(), ..once(&id, json, json) };
        commit(&*store, me, send(sent)).await;
        commit(&*store, me, publish([event(it.key, json, json), item(it.key, json, json)])).await;
        assert_eq!(waiting_message(&*store, it.key, json).await.expect("it waits").payload, json);
        assert_eq!(history(&*store, &id, json).await, [json]);
        assert_eq!(read_stream(&*store, &id, json).await, [Some(json.to_owned())]);
        let wanted = PollRequest {
            events: vec![(id.clone(), json.to_owned())],
            streams: vec![(id.clone(), json.to_owned(), StreamCursor::default())],
            ..PollRequest::default()
        };
        let found = store.poll(&wanted).await.unwrap();
        assert_eq!((found.events[0].value.as_deref(), found.streams.len()), (Some(json), 1), "text {number}");
        let end = Finish { reason: Some(json.to_owned()), ..success(it.key, json) };
        commit(&*store, me, finish(end)).await;

        let info = store.show(&id).await.unwrap().expect("it was begun");
        assert_eq!(
            (&*info.name, info.input.as_deref(), info.output.as_deref()),
            (json, Some(json), Some(json)),
            "text {number}"
        );
        assert_eq!(info.reason.as_deref(), Some(json));
        assert_eq!(outcomes(&*store, it.key).await, [1, 2, 3].map(|position| (position, output(json))));
        assert_eq!(ends(&*store, std::slice::from_ref(&id)).await[0].outcome, output(json));
        it.id = id;
    }
}

pub(crate) async fn a_raw_nul_is_refused_and_nothing_is_stored(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let run = start_running(&*store, me, "w").await;
    let named = NewRecord { name: "a\0b".into(), ..record(run, 1, "1") };
    let bad = [
        begin(&NewWorkflow { name: "a\0b".to_owned(), ..workflow("named") }),
        begin(&workflow("a\0b")),
        records([named]),
        records([record(run, 1, "\"\0\"")]),
        finish(Finish { reason: Some("a\0b".to_owned()), ..success(run, "1") }),
        send(message("w\0", "1")),
        send(message("w", "\"\0\"")),
        send(once("w", "\0", "1")),
        send(NewMessage { topic: "\0".to_owned(), ..message("w", "1") }),
        publish([event(run, "\0", "1")]),
        publish([item(run, "s", "\"\0\"")]),
    ];
    for entry in bad {
        for again in [false, true] {
            for entries in [vec![entry.clone()], vec![begin(&workflow("good")), entry.clone()]] {
                let error = store.commit(me, &entries, again).await.expect_err("a NUL cannot be stored");
                assert_eq!(error.kind, StoreErrorKind::Refused, "{error}");
            }
        }
    }
    assert_eq!((status(&*store, "good").await, status(&*store, "named").await), (None, None));
    assert_eq!(outcomes(&*store, run).await, []);
    store_record(&*store, me, record(run, 1, "1")).await;
}
