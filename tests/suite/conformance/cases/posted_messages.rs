//! Messages sent in a transaction of the user's.

use durable_core::Status;
use durable_core::store::{NewMessage, OutboxConnection, SendOutcome, StoreErrorKind};
use sqlx::{Connection, SqliteConnection};

use crate::support::store_database::{DirectConnection, StoreDatabase};
use crate::support::store_rows::{
    cancel, commit, finish, inbox, message, once, register_executor, send, start_running, success, waiting_message,
};

async fn begin(user: &mut DirectConnection) {
    user.execute(if matches!(user, DirectConnection::Postgres(..)) { "begin" } else { "begin immediate" }).await;
}

pub(crate) async fn a_posted_message_is_visible_after_the_commit(database: StoreDatabase) {
    let store = &*database.store;
    let me = register_executor(store, "a").await;
    let run = start_running(store, me, "w").await;
    let mut user = database.direct_connection().await;
    begin(&mut user).await;
    assert_eq!(store.send_in(user.outbox(), &message("w", "1")).await.unwrap(), SendOutcome::Posted);
    assert!(waiting_message(store, run, "").await.is_none(), "it is not visible yet");
    user.execute("commit").await;
    assert_eq!(inbox(store, me, run).await, ["1"]);
}

pub(crate) async fn a_posted_message_is_rolled_back_with_its_transaction(database: StoreDatabase) {
    let store = &*database.store;
    let me = register_executor(store, "a").await;
    let run = start_running(store, me, "w").await;
    let mut user = database.direct_connection().await;
    begin(&mut user).await;
    assert_eq!(store.send_in(user.outbox(), &message("w", "1")).await.unwrap(), SendOutcome::Posted);
    user.execute("rollback").await;
    assert!(waiting_message(store, run, "").await.is_none());
    assert_eq!(store.send_in(user.outbox(), &message("w", "alone")).await.unwrap(), SendOutcome::Posted);
    assert_eq!(inbox(store, me, run).await, ["alone"], "a connection without a transaction commits at once");
}

pub(crate) async fn a_message_to_an_ended_or_unknown_workflow_is_refused(database: StoreDatabase) {
    let store = &*database.store;
    let me = register_executor(store, "a").await;
    let run = start_running(store, me, "w").await;
    start_running(store, me, "v").await;
    let mut user = database.direct_connection().await;
    commit(store, me, send(once("w", "k", "1"))).await;
    commit(store, me, finish(success(run, "1"))).await;
    cancel(store, "v", "by hand").await;
    for (it, expected) in [
        (message("missing", "1"), SendOutcome::NoReceiver(None)),
        (message("w", "1"), SendOutcome::NoReceiver(Some(Status::Success))),
        (once("w", "other", "1"), SendOutcome::NoReceiver(Some(Status::Success))),
        (message("v", "1"), SendOutcome::NoReceiver(Some(Status::Cancelled))),
        (once("w", "k", "the retry of a success"), SendOutcome::Posted),
    ] {
        assert_eq!(store.send_in(user.outbox(), &it).await.unwrap(), expected, "{it:?}");
    }
}

pub(crate) async fn a_message_with_the_same_key_is_posted_once(database: StoreDatabase) {
    let store = &*database.store;
    let me = register_executor(store, "a").await;
    let run = start_running(store, me, "w").await;
    let mut user = database.direct_connection().await;
    let (plain, first) = (message("w", "plain"), once("w", "k", "first"));
    begin(&mut user).await;
    for it in [&plain, &plain, &first, &first, &once("w", "k", "second")] {
        assert_eq!(store.send_in(user.outbox(), it).await.unwrap(), SendOutcome::Posted);
    }
    user.execute("commit").await;
    assert_eq!(commit(store, me, send(once("w", "k", "third"))).await, durable_core::store::Verdict::Stored);
    assert_eq!(inbox(store, me, run).await, ["plain", "first"]);
}

pub(crate) async fn a_message_is_posted_to_the_system_database_only(database: StoreDatabase) {
    let me = register_executor(&*database.store, "a").await;
    start_running(&*database.store, me, "w").await;
    let mut elsewhere = SqliteConnection::connect("sqlite::memory:").await.expect("memory is there");
    let posted = database.store.send_in(OutboxConnection::Sqlite(&mut elsewhere), &message("w", "1")).await;
    if database.is_postgres() {
        assert_eq!(posted.unwrap(), SendOutcome::OtherDatabase);
        let server = database.store;
        let memory = durable_core::store::open("sqlite::memory:", "durable").await.unwrap();
        let DirectConnection::Postgres(mut user, _) =
            (StoreDatabase { store: server, url: database.url.clone(), schema: database.schema })
                .direct_connection()
                .await
        else {
            panic!("it is a server")
        };
        let posted = memory.send_in(OutboxConnection::Postgres(&mut user), &message("w", "1")).await;
        assert_eq!(posted.unwrap(), SendOutcome::OtherDatabase);
        let unprepared = durable_core::store::open(&database.url, "nowhere").await.unwrap();
        let posted = unprepared.send_in(OutboxConnection::Postgres(&mut user), &message("w", "1")).await;
        let error = posted.expect_err("there are no tables");
        assert!(error.message.contains("system database"), "{error}");
        assert_eq!(error.kind, StoreErrorKind::Refused);
        unprepared.close().await;
    } else {
        let error = posted.expect_err("there are no tables");
        assert!(error.message.contains("system database"), "{error}");
        assert_eq!(error.kind, StoreErrorKind::Refused);
    }
}

pub(crate) async fn a_posted_message_with_a_nul_is_refused(database: StoreDatabase) {
    let me = register_executor(&*database.store, "a").await;
    start_running(&*database.store, me, "w").await;
    let good = message("w", "1");
    let bad = [
        NewMessage { topic: "a\0b".to_owned(), ..good.clone() },
        NewMessage { payload: "\"\0\"".to_owned(), ..good.clone() },
        NewMessage { idempotency_key: Some("a\0b".to_owned()), ..good.clone() },
        NewMessage { to: "w\0".to_owned(), ..good },
    ];
    for it in &bad {
        let mut user = database.direct_connection().await;
        let error = database.store.send_in(user.outbox(), it).await.expect_err("a NUL cannot be stored");
        assert_eq!(error.kind, StoreErrorKind::Refused, "{error}");
    }
}
