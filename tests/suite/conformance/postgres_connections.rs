//! Postgres only: terminated connections, rows locked by others, schemas of any name.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use durable_core::Filter;
use durable_core::store::{
    BoxFuture, ReleaseRequest, Store, StoreErrorKind, TransactionEnd, TransactionStart, UserWork, Verdict, open,
};

use crate::support::postgres_store_tests;
use crate::support::store_database::StoreDatabase;
use crate::support::store_rows::{
    begin, commit, fence_out, register_executor, start_running, takeover_request, workflow,
};

postgres_store_tests! {
a_takeover_does_not_wait_for_locked_rows,
a_connection_terminated_by_the_server_is_replaced,
a_schema_can_have_any_name,
a_transaction_dropped_while_it_begins_is_closed,
}

async fn a_takeover_does_not_wait_for_locked_rows(database: StoreDatabase) {
    let (dead, leaving) =
        (register_executor(&*database.store, "dead").await, register_executor(&*database.store, "leaving").await);
    for (owner, id) in [(dead, "held"), (dead, "free"), (leaving, "held-too"), (leaving, "free-too")] {
        start_running(&*database.store, owner, id).await;
    }
    fence_out(&*database.store, dead).await;
    database.store.release(leaving, ReleaseRequest::AllExcept(&[])).await.unwrap();
    let mut other = database.direct_connection().await;
    other.execute("begin").await;
    other.execute("select 1 from durable.workflows where id like 'held%' for update").await;
    let heir = register_executor(&*database.store, "heir").await;
    let runs = database.store.take_over(&takeover_request(heir, 10)).await.unwrap().runs;
    assert_eq!(runs.iter().map(|it| &*it.id).collect::<Vec<_>>(), ["free", "free-too"]);
    other.execute("rollback").await;
    assert_eq!(database.store.take_over(&takeover_request(heir, 10)).await.unwrap().runs.len(), 2);
}

/// A store with a name of its own for its connections on the server.
async fn named(database: &StoreDatabase, name: &str) -> Arc<dyn Store> {
    let separator = if database.url.contains('?') { '&' } else { '?' };
    open(&format!("{}{separator}application_name={name}", database.url), &database.schema).await.unwrap()
}

async fn a_connection_terminated_by_the_server_is_replaced(database: StoreDatabase) {
    let name = format!("ended_{}", database.schema);
    let store = named(&database, &name).await;
    let me = register_executor(&*store, "a").await;
    start_running(&*store, me, "w").await;
    let end = format!("select pg_terminate_backend(pid) from pg_stat_activity where application_name = '{name}'");
    database.direct_connection().await.execute(&end).await;
    let new = [begin(&workflow("v"))];
    let error = store.commit(me, &new, false).await.expect_err("the connection is gone");
    assert_eq!(error.kind, StoreErrorKind::Unreachable, "{error}");
    assert_eq!(store.commit(me, &new, true).await.unwrap(), [Verdict::Stored]);
    assert_eq!(commit(&*store, me, begin(&workflow("u"))).await, Verdict::Stored);
    store.close().await;
}

async fn a_schema_can_have_any_name(database: StoreDatabase) {
    for name in ["My app", "select", "a.b", "quote\"d", "it's", "ż"] {
        let name = format!("{}_{name}", database.schema);
        let store = open(&database.url, &name).await.unwrap();
        store.migrate().await.unwrap();
        let me = register_executor(&*store, "a").await;
        start_running(&*store, me, "w").await;
        store.migrate().await.unwrap();
        assert_eq!(store.list(&Filter::new()).await.unwrap().len(), 1, "{name}");
        store.drop_everything().await.unwrap();
        store.close().await;
    }
    assert_eq!(
        open(&database.url, &"x".repeat(64)).await.map(drop).expect_err("too long").kind,
        StoreErrorKind::Refused
    );
}

/// Does nothing for a while.
struct Idle;

impl UserWork for Idle {
    fn run<'c>(&'c mut self, _connection: &'c mut (dyn std::any::Any + Send)) -> BoxFuture<'c, TransactionEnd> {
        Box::pin(async {
            tokio::time::sleep(Duration::from_millis(1)).await; // the work
            TransactionEnd::Commit
        })
    }
}

async fn a_transaction_dropped_while_it_begins_is_closed(database: StoreDatabase) {
    let name = format!("begins_{}", database.schema);
    let store = named(&database, &name).await;
    store.transact(TransactionStart::default(), &mut Idle).await.unwrap(); // there is a connection now
    let mut direct = database.direct_connection().await;
    let open = format!(
        "select count(*) from pg_stat_activity where application_name = '{name}' and state like 'idle in transaction%'"
    );
    for polls in (1..8).cycle().take(70) {
        let (mut left, mut work) = (polls, Idle);
        let mut transaction = store.transact(TransactionStart::default(), &mut work);
        let some_polls = poll_fn(|cx| {
            left -= 1;
            let polled = transaction.as_mut().poll(cx).map(drop);
            if left == 0 { Poll::Ready(()) } else { polled }
        });
        some_polls.await;
        drop(transaction); // wherever it is
        direct.wait_for_number(&open, |it| it == 0).await;
    }
    store.close().await;
}
