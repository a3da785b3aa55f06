//! The exact number of statements and commits of each kind of call.

use durable_core::store::{
    Entry, Fence, PollRequest, ReleaseRequest, RunningPart, StatementCounts, Store, StreamCursor, Verdict,
};

use crate::support::store_database::StoreDatabase;
use crate::support::store_rows::{
    LEASE, begin, child, commit, ending, event, finish, item, message, once, publish, receiving, record, records,
    register_executor, send, sending, start_running, store_record, success, takeover_request, waiting_message,
    workflow,
};

/// The cost of a commit of these entries.
async fn cost(store: &dyn Store, fence: Fence, entries: &[Entry], verdict: &Verdict) -> StatementCounts {
    let before = store.statement_counts();
    let verdicts = store.commit(fence, entries, false).await.unwrap();
    assert_eq!(verdicts, vec![verdict.clone(); entries.len()]);
    store.statement_counts() - before
}

fn statement_counts(statements: u64, commits: u64) -> StatementCounts {
    StatementCounts { statements, commits, notifications: 0 }
}

pub(crate) async fn a_lone_row_costs_one_statement_and_one_commit(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let new = workflow("w");
    let lone = [begin(&new), records([record(new.key, 1, "1")]), finish(success(new.key, "1"))];
    for entry in lone {
        assert_eq!(cost(&*store, me, &[entry], &Verdict::Stored).await, statement_counts(1, 1));
    }
}

pub(crate) async fn a_last_record_with_its_end_costs_one_statement_and_one_commit(
    StoreDatabase { store, .. }: StoreDatabase,
) {
    let store = &*store;
    let me = register_executor(store, "a").await;
    let run = start_running(store, me, "w").await;
    let last = [ending([record(run, 1, "1")], success(run, "1"))];
    assert_eq!(cost(store, me, &last, &Verdict::Stored).await, statement_counts(1, 1));
}

pub(crate) async fn a_batch_costs_one_commit(database: StoreDatabase) {
    let store = &*database.store;
    let me = register_executor(store, "a").await;
    let all: Vec<_> = (0..1000).map(|number| workflow(&format!("w-{number}"))).collect();
    let in_sqlite =
        |statements| if database.is_postgres() { statement_counts(1, 1) } else { statement_counts(statements, 1) };
    let begins: Vec<_> = all.iter().map(begin).collect();
    // SQLite: begin, sixteen statements of 64 rows, commit.
    assert_eq!(cost(store, me, &begins, &Verdict::Stored).await, in_sqlite(18));
    let few: Vec<_> = all[..64].iter().map(|it| records([record(it.key, 1, "1")])).collect();
    assert_eq!(cost(store, me, &few, &Verdict::Stored).await, statement_counts(1, 1));
    let children: Vec<_> = all[..64].iter().map(|it| child(it.key, 2, &workflow(&format!("{}-2", it.id)))).collect();
    assert_eq!(cost(store, me, &children, &Verdict::Stored).await, in_sqlite(4));
    let few: Vec<_> = all[..4].iter().map(|it| child(it.key, 3, &workflow(&format!("{}-3", it.id)))).collect();
    assert_eq!(cost(store, me, &few, &Verdict::Stored).await, statement_counts(1, 1));
    let mixed = [
        begin(&workflow("new")),
        records([record(all[0].key, 4, "1")]),
        ending([record(all[1].key, 4, "1")], success(all[1].key, "1")),
        finish(success(all[2].key, "1")),
    ];
    assert_eq!(cost(store, me, &mixed, &Verdict::Stored).await, statement_counts(1, 1));
}

pub(crate) async fn an_existing_workflow_costs_no_commit(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    start_running(&*store, me, "w").await;
    let held = store.find("w").await.unwrap().expect("it was begun");
    let spent = cost(&*store, me, &[begin(&workflow("w"))], &Verdict::Existing(held)).await;
    assert_eq!(spent, statement_counts(2, 0), "the begin that met it, and the look at it");
}

pub(crate) async fn a_lost_race_costs_no_commit(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let run = start_running(&*store, me, "w").await;
    store_record(&*store, me, record(run, 1, "first")).await;
    // The conflicting record; then begin, fence, record, reading the other record, commit.
    let spent = cost(&*store, me, &[records([record(run, 1, "second")])], &Verdict::Superseded).await;
    assert_eq!(spent, statement_counts(6, 0));
}

pub(crate) async fn executor_operations_execute_a_fixed_number_of_statements(database: StoreDatabase) {
    let store = &*database.store;
    let mut last = store.statement_counts();
    let mut spent = || {
        let (now, before) = (store.statement_counts(), last);
        last = now;
        now - before
    };
    let me = register_executor(store, "a").await;
    assert_eq!(spent(), statement_counts(1, 1));
    store.heartbeat(me, LEASE, RunningPart::all(&[])).await.unwrap();
    // SQLite: the lease, and the query of the heartbeat.
    assert_eq!(spent(), if database.is_postgres() { statement_counts(1, 1) } else { statement_counts(2, 1) });
    store.take_over(&takeover_request(me, 10)).await.unwrap();
    assert_eq!(spent(), statement_counts(1, 0), "there was nothing to adopt");
    store.release(me, ReleaseRequest::AllExcept(&[])).await.unwrap();
    assert_eq!(spent(), statement_counts(1, 0), "there was nothing to release");
    start_running(store, me, "w").await;
    assert_eq!(spent(), statement_counts(1, 1));
    store.release(me, ReleaseRequest::AllExcept(&[])).await.unwrap();
    assert_eq!(spent(), statement_counts(1, 1));
    store.take_over(&takeover_request(me, 10)).await.unwrap();
    assert_eq!(spent(), statement_counts(1, 1));
    store.records(&[1.into(), 2.into(), 3.into()]).await.unwrap();
    store.find("w").await.unwrap();
    assert_eq!(spent(), statement_counts(2, 0));
}

pub(crate) async fn a_single_message_or_event_costs_one_statement_and_one_commit(
    StoreDatabase { store, .. }: StoreDatabase,
) {
    let store = &*store;
    let me = register_executor(store, "a").await;
    let run = start_running(store, me, "w").await;
    let lone = [
        send(message("w", "1")),
        send(once("w", "k", "1")),
        publish([event(run, "e", "1")]),
        publish([item(run, "s", "1")]),
    ];
    for entry in lone {
        assert_eq!(cost(store, me, &[entry], &Verdict::Stored).await, statement_counts(1, 1));
    }
    let waits = waiting_message(store, run, "").await.expect("it waits");
    let with_a_record = [
        sending(record(run, 1, "1"), message("w", "1")),
        receiving(record(run, 2, "1"), waits.key),
        Entry { publications: vec![event(run, "e", "1")], ..records([record(run, 3, "1")]) },
        Entry { publications: vec![item(run, "s", "1")], ..records([record(run, 4, "1")]) },
        Entry { messages: vec![message("w", "1")], ..finish(success(run, "1")) },
    ];
    for entry in with_a_record {
        assert_eq!(cost(store, me, &[entry], &Verdict::Stored).await, statement_counts(1, 1));
    }
}

pub(crate) async fn a_message_without_a_receiver_costs_no_commit(database: StoreDatabase) {
    let store = &*database.store;
    let me = register_executor(store, "a").await;
    start_running(store, me, "w").await;
    commit(store, me, send(once("w", "k", "1"))).await;
    // SQLite: the conflicting statement; then begin, fence, the clock, finding the conflict, commit.
    let in_sqlite =
        |statements| if database.is_postgres() { statement_counts(1, 0) } else { statement_counts(statements, 0) };
    assert_eq!(cost(store, me, &[send(once("w", "k", "2"))], &Verdict::Stored).await, in_sqlite(6));
    let missing = Verdict::NoReceiver { id: "missing".to_owned(), status: None };
    assert_eq!(cost(store, me, &[send(message("missing", "1"))], &missing).await, in_sqlite(6));
}

pub(crate) async fn a_batch_of_messages_costs_one_commit(database: StoreDatabase) {
    let store = &*database.store;
    let me = register_executor(store, "a").await;
    let run = start_running(store, me, "w").await;
    let in_sqlite =
        |statements| if database.is_postgres() { statement_counts(1, 1) } else { statement_counts(statements, 1) };
    let outside: Vec<_> = (0..1_000).map(|_| send(message("w", "1"))).collect();
    assert_eq!(cost(store, me, &outside, &Verdict::Stored).await, in_sqlite(18));
    let inside: Vec<_> = (0..1_000).map(|number| sending(record(run, number, "1"), message("w", "1"))).collect();
    assert_eq!(cost(store, me, &inside, &Verdict::Stored).await, in_sqlite(34));
    let shown: Vec<_> = (0..64).map(|_| publish([item(run, "s", "1"), event(run, "e", "1")])).collect();
    assert_eq!(cost(store, me, &shown, &Verdict::Stored).await, in_sqlite(4));
    let mut one_in_vain: Vec<_> = (0..100).map(|_| send(message("w", "1"))).collect();
    one_in_vain.push(send(message("missing", "1")));
    let before = store.statement_counts();
    let verdicts = store.commit(me, &one_in_vain, false).await.unwrap();
    assert!(matches!(verdicts[100], Verdict::NoReceiver { .. }));
    let spent = store.statement_counts() - before;
    assert_eq!(spent.commits, 1);
    if database.is_postgres() {
        assert_eq!(spent, statement_counts(2, 1), "it is sent once more, without the one in vain");
    }
}

pub(crate) async fn reading_events_and_streams_costs_one_statement_each(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    start_running(&*store, me, "w").await;
    let before = store.statement_counts();
    store.poll(&PollRequest { ends: vec!["w".to_owned()], ..PollRequest::default() }).await.unwrap();
    store.read_stream("w", "s", StreamCursor::default(), 10).await.unwrap();
    store.event_history("w", "e").await.unwrap();
    assert_eq!(store.statement_counts() - before, statement_counts(3, 0));
}

pub(crate) async fn a_cancellation_costs_one_commit(database: StoreDatabase) {
    let store = &*database.store;
    let me = register_executor(store, "a").await;
    let run = start_running(store, me, "w").await;
    commit(store, me, child(run, 1, &workflow("w-1"))).await;
    for (children, commits) in [(true, 1), (true, 0), (false, 0)] {
        let before = store.statement_counts();
        store.cancel(&["w".to_owned()], "enough", children).await.unwrap();
        // Postgres: one statement, or one for each generation and an empty one, in a transaction. SQLite:
        // begin, the check, the change, commit; or begin and the check alone.
        let expected = match (database.is_postgres(), children) {
            (true, true) => 5,
            (true, false) => 1,
            (false, _) => 3 + commits,
        };
        assert_eq!(store.statement_counts() - before, statement_counts(expected, commits));
    }
}

pub(crate) async fn what_a_scrape_reads_costs_four_statements(StoreDatabase { store, .. }: StoreDatabase) {
    let queues: Vec<_> = ["one", "two", "three"].map(str::to_owned).to_vec();
    let before = store.statement_counts();
    store.gauges(&queues, 10).await.unwrap();
    store.waiting_work().await.unwrap();
    store.count_unknown(&[]).await.unwrap();
    assert_eq!(store.statement_counts() - before, statement_counts(4, 0));
}
