//! One poll for everything that is waited for.

use std::time::Duration;

use durable_core::Status;
use durable_core::store::{
    Finish, NewMessage, PollRequest, PolledEvent, StatementCounts, Store, StreamCursor, Timestamp,
};

use crate::support::store_database::StoreDatabase;
use crate::support::store_rows::{
    begin, cancel, commit, event, finish, item, message, publish, record, records, register_executor, send,
    start_running, success, workflow,
};

const MINUTE: Duration = Duration::from_mins(1);

fn text(it: &str) -> String {
    it.to_owned()
}

/// The events that are found.
async fn events(store: &dyn Store, wanted: &[(&str, &str)]) -> Vec<PolledEvent> {
    let events = wanted.iter().map(|(id, name)| (text(id), text(name))).collect();
    let mut found = store.poll(&PollRequest { events, ..PollRequest::default() }).await.unwrap().events;
    found.sort_by_key(|it| it.index);
    found
}

pub(crate) async fn one_poll_finds_everything_waited_for(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let before = store.now().await.unwrap();
    let run = start_running(&*store, me, "w").await;
    let (cancelled, ended) = (start_running(&*store, me, "cancelled").await, start_running(&*store, me, "ended").await);
    cancel(&*store, "cancelled", "by hand").await;
    commit(&*store, me, finish(success(ended, "[1]"))).await;
    let sent = message("w", "hello");
    commit(&*store, me, send(sent.clone())).await;
    commit(&*store, me, publish([event(run, "e", "1"), item(run, "s", "2")])).await;
    let wanted = PollRequest {
        cancelled: Some((me.executor, before)),
        ends: ["w", "ended", "cancelled", "missing"].map(text).to_vec(),
        messages: vec![(run, text("other")), (run, text("")), ((-1).into(), text(""))],
        events: vec![(text("missing"), text("e")), (text("w"), text("none")), (text("w"), text("e"))],
        streams: vec![
            (text("w"), text("none"), StreamCursor::default()),
            (text("w"), text("s"), StreamCursor::default()),
        ],
    };
    let earlier = store.statement_counts();
    let found = store.poll(&wanted).await.unwrap();
    assert_eq!(store.statement_counts() - earlier, StatementCounts { statements: 1, ..StatementCounts::default() });
    assert!(found.now >= before && found.now < before.saturating_add(MINUTE));
    assert_eq!(found.cancelled, [cancelled]);
    let mut ends: Vec<_> = found.ends.iter().map(|it| (it.id.as_str(), it.status)).collect();
    ends.sort_unstable();
    assert_eq!(ends, [("cancelled", Status::Cancelled), ("ended", Status::Success)]);
    let messages: Vec<_> = found.messages.iter().map(|it| (it.index, it.key, it.payload.as_str())).collect();
    assert_eq!(messages, [(1, sent.key, "hello")]);
    assert_eq!(found.events, [PolledEvent { index: 2, value: Some(text("1")), parked: false }]);
    assert_eq!(found.streams, [1]);
}

pub(crate) async fn polling_for_nothing_returns_the_time(StoreDatabase { store, .. }: StoreDatabase) {
    let before = store.now().await.unwrap();
    let found = store.poll(&PollRequest::default()).await.unwrap();
    assert!(found.now >= before && found.now < before.saturating_add(MINUTE));
    assert!(found.cancelled.is_empty() && found.ends.is_empty() && found.messages.is_empty());
    assert!(found.events.is_empty() && found.streams.is_empty());
}

pub(crate) async fn the_last_value_of_an_event_is_found(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let run = start_running(&*store, me, "w").await;
    for value in ["1", "null", "3"] {
        commit(&*store, me, publish([event(run, "e", value), event(run, "null", "null")])).await;
    }
    commit(&*store, me, publish([event(run, "e", "4"), event(run, "e", "5")])).await;
    let found = events(&*store, &[("w", "e"), ("w", "null"), ("w", "e")]).await;
    let expected = [(0, "5"), (1, "null"), (2, "5")].map(|(index, value)| PolledEvent {
        index,
        value: Some(text(value)),
        parked: false,
    });
    assert_eq!(found, expected);
    commit(&*store, me, finish(success(run, "1"))).await;
    assert_eq!(
        events(&*store, &[("w", "e")]).await[0].value.as_deref(),
        Some("5"),
        "it stays when the workflow has ended"
    );
}

pub(crate) async fn an_event_of_an_ended_or_parked_workflow_is_found_to_be_unset(
    StoreDatabase { store, .. }: StoreDatabase,
) {
    let me = register_executor(&*store, "a").await;
    for status in [Status::Success, Status::Error, Status::Cancelled, Status::Parked] {
        let id = status.to_string();
        let run = start_running(&*store, me, &id).await;
        assert_eq!(events(&*store, &[(&id, "e")]).await, []);
        commit(&*store, me, finish(Finish { status, outcome: None, ..success(run, "") })).await;
        let found = events(&*store, &[(&id, "e")]).await;
        let expected = [PolledEvent { index: 0, value: None, parked: !status.is_terminal() }];
        assert_eq!(found, expected, "{status}");
    }
    assert_eq!(events(&*store, &[("missing", "e")]).await, [], "it may be started yet");
}

pub(crate) async fn polling_a_stream_finds_items_after_the_mark_only(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let run = start_running(&*store, me, "w").await;
    let news = async |mark| {
        let streams = vec![(text("w"), text("s"), mark)];
        !store.poll(&PollRequest { streams, ..PollRequest::default() }).await.unwrap().streams.is_empty()
    };
    assert!(!news(StreamCursor::default()).await);
    commit(&*store, me, publish([item(run, "s", "1"), item(run, "s", "2")])).await;
    let items = store.read_stream("w", "s", StreamCursor::default(), 10).await.unwrap().items;
    assert!(news(StreamCursor::default()).await && news(items[0].cursor).await);
    assert!(!news(items[1].cursor).await);
    commit(&*store, me, publish([item(run, "other", "1")])).await;
    assert!(!news(items[1].cursor).await, "it is another stream");
    commit(&*store, me, publish([crate::support::store_rows::close(run, "s")])).await;
    assert!(news(items[1].cursor).await);
    let end = store.read_stream("w", "s", items[1].cursor, 10).await.unwrap().items;
    assert!(!news(end[0].cursor).await);
    commit(&*store, me, finish(Finish { status: Status::Parked, ..success(run, "1") })).await;
    assert!(!news(end[0].cursor).await, "a parked workflow may go on");
    cancel(&*store, "w", "by hand").await;
    assert!(news(end[0].cursor).await, "nothing will come any more");
}

pub(crate) async fn polling_finds_the_executors_own_cancelled_workflows(StoreDatabase { store, .. }: StoreDatabase) {
    let (me, other) = (register_executor(&*store, "a").await, register_executor(&*store, "b").await);
    let run = start_running(&*store, me, "w").await;
    start_running(&*store, other, "v").await;
    let ended = start_running(&*store, me, "ended").await;
    commit(&*store, me, finish(success(ended, "1"))).await;
    let cancelled = async |since| {
        store
            .poll(&PollRequest { cancelled: Some((me.executor, since)), ..PollRequest::default() })
            .await
            .unwrap()
            .cancelled
    };
    assert!(cancelled(Timestamp::UNIX_EPOCH).await.is_empty());
    cancel(&*store, "w", "by hand").await;
    cancel(&*store, "v", "by hand").await;
    assert_eq!(cancelled(Timestamp::UNIX_EPOCH).await, [run]);
    let at = store.show("w").await.unwrap().expect("it was begun").completed_at.expect("it is cancelled");
    let at = Timestamp::from_date(at);
    assert_eq!(cancelled(at).await, [run]);
    assert!(cancelled(at.saturating_add(Timestamp::RESOLUTION)).await.is_empty());
    let by_itself = start_running(&*store, me, "by-itself").await;
    commit(&*store, me, finish(Finish { status: Status::Cancelled, outcome: None, ..success(by_itself, "") })).await;
    assert!(cancelled(Timestamp::UNIX_EPOCH).await.contains(&run), "one's own words of it do no harm");
}

pub(crate) async fn polling_for_thousands_is_one_statement(StoreDatabase { store, .. }: StoreDatabase) {
    const MANY: usize = 3_000;
    let me = register_executor(&*store, "a").await;
    let all: Vec<_> = (0..MANY).map(|number| workflow(&format!("w-{number}"))).collect();
    for part in all.chunks(1_000) {
        store.commit(me, &part.iter().map(begin).collect::<Vec<_>>(), false).await.unwrap();
        let mut entries = Vec::new();
        for (it, number) in part.iter().zip(0..) {
            match number % 4 {
                0 => entries.push(finish(success(it.key, "1"))),
                1 => entries.push(send(NewMessage { topic: text("t"), ..message(&it.id, &it.id) })),
                2 => entries.push(publish([event(it.key, "e", &it.id)])),
                _ => entries.push(publish([item(it.key, "s", &it.id)])),
            }
        }
        entries.push(records([record(part[0].key, 1, "1")]));
        store.commit(me, &entries, false).await.unwrap();
    }
    let wanted = PollRequest {
        cancelled: Some((me.executor, Timestamp::UNIX_EPOCH)),
        ends: all.iter().map(|it| it.id.clone()).collect(),
        messages: all.iter().map(|it| (it.key, text("t"))).collect(),
        events: all.iter().map(|it| (it.id.clone(), text("e"))).collect(),
        streams: all.iter().map(|it| (it.id.clone(), text("s"), StreamCursor::default())).collect(),
    };
    for _ in 0..3 {
        let before = store.statement_counts();
        let found = store.poll(&wanted).await.unwrap();
        assert_eq!(store.statement_counts() - before, StatementCounts { statements: 1, ..StatementCounts::default() });
        assert_eq!((found.ends.len(), found.messages.len()), (MANY / 4, MANY / 4));
        assert!(found.messages.iter().all(|it| it.payload == all[it.index].id));
        // A quarter has the event, and a quarter has ended without it; the same for the streams.
        assert_eq!((found.events.len(), found.streams.len()), (MANY / 2, MANY / 2));
        assert!(
            found
                .events
                .iter()
                .filter_map(|it| Some((it.index, it.value.as_ref()?)))
                .all(|(index, it)| *it == all[index].id)
        );
    }
}
