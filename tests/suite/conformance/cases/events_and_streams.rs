//! Events and streams.

use durable_core::Status;
use durable_core::store::{Entry, Store, StreamCursor, Timestamp, Verdict};

use crate::support::store_database::StoreDatabase;
use crate::support::store_rows::{
    cancel, close, commit, event, finish, history, item, publish, read_stream, record, records, register_executor,
    start_running, store_record, success,
};

fn some(values: &[&str]) -> Vec<Option<String>> {
    values.iter().map(|it| Some((*it).to_owned())).collect()
}

pub(crate) async fn all_values_of_an_event_are_kept_as_its_history(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let run = start_running(&*store, me, "w").await;
    for value in ["1", "2", "3"] {
        assert_eq!(commit(&*store, me, publish([event(run, "e", value)])).await, Verdict::Stored);
    }
    commit(&*store, me, publish([event(run, "other", "4")])).await;
    let two = [
        publish([event(run, "e", "5")]),
        Entry { publications: vec![event(run, "e", "6")], ..records([record(run, 1, "1")]) },
    ];
    assert_eq!(store.commit(me, &two, false).await.unwrap(), [Verdict::Stored, Verdict::Stored]);
    assert_eq!(history(&*store, "w", "e").await, ["1", "2", "3", "5", "6"]);
    assert_eq!(history(&*store, "w", "other").await, ["4"]);
    assert_eq!(history(&*store, "w", "none").await, [""; 0]);
    assert_eq!(history(&*store, "missing", "e").await, [""; 0]);
}

pub(crate) async fn stream_items_are_read_in_the_order_written(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let run = start_running(&*store, me, "w").await;
    for value in ["1", "2"] {
        assert_eq!(commit(&*store, me, publish([item(run, "s", value)])).await, Verdict::Stored);
    }
    commit(&*store, me, publish([item(run, "s", "3"), item(run, "other", "x"), item(run, "s", "4"), close(run, "s")]))
        .await;
    let mut expected = some(&["1", "2", "3", "4"]);
    expected.push(None);
    assert_eq!(read_stream(&*store, "w", "s").await, expected);
    assert_eq!(read_stream(&*store, "w", "other").await, some(&["x"]));

    let (mut mark, mut read) = (StreamCursor::default(), Vec::new());
    for size in [2, 2, 1, 0] {
        let page = store.read_stream("w", "s", mark, 2).await.unwrap();
        assert_eq!((page.status, page.items.len()), (Some(Status::Pending), size));
        mark = page.items.last().map_or(mark, |it| it.cursor);
        read.extend(page.items.into_iter().map(|it| it.value));
    }
    assert_eq!(read, expected);
}

pub(crate) async fn reading_a_stream_returns_the_status_of_its_workflow(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let run = start_running(&*store, me, "w").await;
    let status = async |id| store.read_stream(id, "s", StreamCursor::default(), 10).await.unwrap().status;
    assert_eq!(status("missing").await, None);
    assert_eq!(status("w").await, Some(Status::Pending));
    commit(&*store, me, publish([item(run, "s", "1")])).await;
    assert_eq!(status("w").await, Some(Status::Pending));
    commit(&*store, me, finish(success(run, "1"))).await;
    assert_eq!(status("w").await, Some(Status::Success));
    start_running(&*store, me, "v").await;
    cancel(&*store, "v", "by hand").await;
    assert_eq!(status("v").await, Some(Status::Cancelled));
}

/// The times of everything in a stream.
async fn times(store: &dyn Store, id: &str, stream: &str) -> Vec<Timestamp> {
    let items = store.read_stream(id, stream, StreamCursor::default(), 100_000).await.unwrap().items;
    items.into_iter().map(|it| it.cursor.at).collect()
}

pub(crate) async fn events_and_items_of_one_commit_are_ordered_by_key(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    for (again, size) in [(false, 2), (true, 2), (false, 50), (true, 50), (false, 300)] {
        let id = format!("w-{again}-{size}");
        let run = start_running(&*store, me, &id).await;
        commit(&*store, me, publish([item(run, "s", "before"), event(run, "e", "before")])).await;
        let numbers: Vec<_> = (0..size).map(|number: i32| number.to_string()).collect();
        let mut entries: Vec<_> = numbers.iter().map(|it| publish([item(run, "s", it), event(run, "e", it)])).collect();
        entries.reverse();
        assert_eq!(store.commit(me, &entries, again).await.unwrap(), vec![Verdict::Stored; entries.len()]);
        let mut expected = vec!["before"];
        expected.extend(numbers.iter().map(String::as_str));
        assert_eq!(read_stream(&*store, &id, "s").await, some(&expected), "{id}");
        assert_eq!(history(&*store, &id, "e").await, expected, "{id}");
        let times = times(&*store, &id, "s").await;
        assert!(times[0] < times[1], "a later call is later");
        if size <= 50 {
            assert_eq!(times[1], times[1 + entries.len() - 1], "one call is one moment");
        }
    }
}

pub(crate) async fn events_of_a_lost_race_are_not_stored(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let (run, other) = (start_running(&*store, me, "w").await, start_running(&*store, me, "v").await);
    store_record(&*store, me, record(run, 1, "first")).await;
    let lost =
        Entry { publications: vec![event(run, "e", "1"), item(run, "s", "1")], ..records([record(run, 1, "second")]) };
    assert_eq!(commit(&*store, me, lost.clone()).await, Verdict::Superseded);
    let batch = [publish([item(other, "s", "1")]), lost, publish([event(other, "e", "2")])];
    let verdicts = store.commit(me, &batch, false).await.unwrap();
    assert_eq!(verdicts, [Verdict::Stored, Verdict::Superseded, Verdict::Stored]);
    assert_eq!(history(&*store, "w", "e").await, [""; 0]);
    assert!(read_stream(&*store, "w", "s").await.is_empty());
    assert_eq!(history(&*store, "v", "e").await, ["2"]);
    assert_eq!(read_stream(&*store, "v", "s").await, some(&["1"]));
}
