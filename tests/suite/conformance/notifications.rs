//! How processes are notified of each other's writes: by NOTIFY on Postgres, by watching the file on SQLite.

use std::sync::Arc;
use std::time::Duration;

use durable_core::store::{Hint, Notification, StatementCounts, Store, StoreError, StoreErrorKind, open};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::support::postgres_store_tests;
use crate::support::store_database::{DirectConnection, StoreDatabase, in_memory, in_sqlite};
use crate::support::store_rows::{key, message, register_executor, send, start_running};

/// Longer than any notification takes.
const SOON: Duration = Duration::from_mins(1);
/// Long enough to conclude that nothing comes.
const QUIET: Duration = Duration::from_millis(400);

/// A listener of a store, and what it has received.
struct Listener {
    received: UnboundedReceiver<Notification>,
    listening: JoinHandle<Result<(), StoreError>>,
}

impl Listener {
    async fn new(store: &Arc<dyn Store>) -> Self {
        let mut listener = Self::unready(store);
        assert_eq!(listener.next().await, Notification::Listening);
        listener
    }

    fn unready(store: &Arc<dyn Store>) -> Self {
        let ((sender, received), store) = (unbounded_channel(), Arc::clone(store));
        let listening = tokio::spawn(async move { store.listen(&move |it| sender.send(it).unwrap_or_default()).await });
        Self { received, listening }
    }

    async fn next(&mut self) -> Notification {
        timeout(SOON, self.received.recv()).await.expect("it comes soon").expect("the listener runs")
    }

    /// Receives the answer of one that was alone.
    async fn greeted(&mut self) {
        assert_eq!(self.next().await, Notification::Something);
    }

    async fn receives_nothing(&mut self) {
        let received = timeout(QUIET, self.received.recv()).await;
        assert!(received.is_err(), "{received:?}");
    }

    /// Why the listening ended.
    async fn error(mut self) -> StoreError {
        let ended = timeout(SOON, &mut self.listening).await.expect("it ends soon");
        ended.expect("it does not panic").expect_err("listening only ends with an error")
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

mod memory {
    #[tokio::test]
    async fn a_database_in_memory_notifies_of_no_other_process() {
        super::in_memory(super::a_database_in_memory_notifies_of_no_other_process).await;
    }
}

async fn a_database_in_memory_notifies_of_no_other_process(database: StoreDatabase) {
    assert!(!database.store.has_others());
    let mut listener = Listener::new(&database.store).await;
    let me = register_executor(&*database.store, "a").await;
    start_running(&*database.store, me, "w").await;
    listener.receives_nothing().await;
}

mod sqlite {
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn writes_of_other_processes_are_detected_and_own_ones_are_not() {
        super::in_sqlite(super::writes_of_other_processes_are_detected_and_own_ones_are_not).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_commit_that_leaves_the_time_of_the_file_is_detected() {
        super::in_sqlite(super::a_commit_that_leaves_the_time_of_the_file_is_detected).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_idle_listener_executes_no_statements() {
        super::in_sqlite(super::an_idle_listener_executes_no_statements).await;
    }
}

async fn writes_of_other_processes_are_detected_and_own_ones_are_not(database: StoreDatabase) {
    assert!(!database.store.has_others(), "every process watches the file");
    let me = register_executor(&*database.store, "a").await;
    let mut listener = Listener::new(&database.store).await;
    for number in 0..5 {
        start_running(&*database.store, me, &format!("own-{number}")).await;
    }
    listener.receives_nothing().await;

    let other = database.second().await;
    let mut other_listener = Listener::new(&other).await;
    start_running(&*other, me, "w").await;
    assert_eq!(listener.next().await, Notification::Something);
    other_listener.receives_nothing().await;
    // A user's connection in this process counts as another process.
    let mut user = database.direct_connection().await;
    user.execute("begin immediate").await;
    database.store.send_in(user.outbox(), &message("w", "1")).await.unwrap();
    listener.receives_nothing().await;
    user.execute("commit").await;
    assert_eq!(listener.next().await, Notification::Something);
    assert_eq!(other_listener.next().await, Notification::Something);
    other.close().await;
    assert_eq!(other_listener.error().await.kind, StoreErrorKind::Closed);
}

/// As one does whose sync takes long: what it writes is seen before it is committed.
async fn a_commit_that_leaves_the_time_of_the_file_is_detected(database: StoreDatabase) {
    let mut listener = Listener::new(&database.store).await;
    let mut other = database.direct_connection().await;
    other.execute("create table notes (number integer)").await;
    other.execute("insert into notes values (1)").await;
    // The next writes go to the beginning of the log and do not change its length.
    other.execute("pragma wal_checkpoint(restart)").await;
    other.execute("insert into notes values (2)").await;
    while timeout(QUIET, listener.received.recv()).await.is_ok() {}

    let wal = format!("{}-wal", database.url.trim_start_matches("sqlite:"));
    let before = std::fs::metadata(&wal).unwrap();
    other.execute("insert into notes values (3)").await;
    let log = std::fs::File::options().write(true).open(&wal).unwrap();
    log.set_modified(before.modified().unwrap()).unwrap();
    assert_eq!(log.metadata().unwrap().len(), before.len());
    assert_eq!(listener.next().await, Notification::Something);
}

async fn an_idle_listener_executes_no_statements(database: StoreDatabase) {
    let listener = Listener::new(&database.store).await;
    tokio::time::sleep(Duration::from_millis(300)).await; // the last write is detected by then
    let before = database.store.statement_counts();
    tokio::time::sleep(Duration::from_secs(1)).await; // nothing may happen in it
    assert_eq!(database.store.statement_counts() - before, StatementCounts::default());
    drop(listener);
}

postgres_store_tests! {
a_listener_hears_other_stores_and_not_its_own,
too_many_hints_for_a_notification_become_a_general_one,
notifications_work_for_schemas_of_any_name,
a_posted_message_notifies_at_its_commit,
a_lost_connection_ends_the_listener_with_an_error,
a_listener_does_not_delay_closing_the_store,
a_dropped_listener_leaves_no_connection,
a_proxy_that_drops_notifications_is_detected,
a_notification_is_one_statement_and_no_commit,
a_listener_that_is_alone_sends_nothing_until_another_one_comes,
}

async fn a_listener_hears_other_stores_and_not_its_own(database: StoreDatabase) {
    assert!(database.store.has_others());
    let other = database.second().await;
    let (mut listener, mut others) = (Listener::new(&database.store).await, Listener::new(&other).await);
    let hints = vec![Hint::for_workflow("w"), Hint::Executor((-7).into())];
    other.notify(&hints).await.unwrap();
    assert_eq!(listener.next().await, Notification::Hints(hints));
    database.store.notify(&[Hint::for_workflow("v")]).await.unwrap();
    assert_eq!(others.next().await, Notification::Hints(vec![Hint::for_workflow("v")]));
    other.notify(&[]).await.unwrap();
    for listener in [&mut listener, &mut others] {
        listener.receives_nothing().await;
    }
    let mut third = Listener::new(&other).await;
    listener.receives_nothing().await; // the test notification of a listener is not passed on
    database.store.notify(&[Hint::for_workflow("u")]).await.unwrap();
    assert_eq!(third.next().await, Notification::Hints(vec![Hint::for_workflow("u")]));
    let apart = open(&database.url, "elsewhere").await.unwrap();
    apart.notify(&[Hint::for_workflow("t")]).await.unwrap();
    listener.receives_nothing().await;
    apart.close().await;
    other.close().await;
}

async fn too_many_hints_for_a_notification_become_a_general_one(database: StoreDatabase) {
    let other = database.second().await;
    let mut listener = Listener::new(&database.store).await;
    let many: Vec<_> = (0..5_000).map(|_| Hint::Executor((i64::MAX - key::<i64>()).into())).collect();
    other.notify(&many).await.unwrap();
    assert_eq!(listener.next().await, Notification::Something);
    other.notify(&many[..300]).await.unwrap();
    assert_eq!(listener.next().await, Notification::Hints(many[..300].to_vec()));
    other.close().await;
}

async fn notifications_work_for_schemas_of_any_name(database: StoreDatabase) {
    for name in ["My app".to_owned(), "quote\"d".to_owned(), "it's; ż".to_owned(), "x".repeat(63), "y".repeat(60)] {
        let (one, two) = (open(&database.url, &name).await.unwrap(), open(&database.url, &name).await.unwrap());
        let mut listener = Listener::new(&one).await;
        two.notify(&[Hint::for_workflow("w")]).await.unwrap();
        assert_eq!(listener.next().await, Notification::Hints(vec![Hint::for_workflow("w")]), "{name}");
        one.close().await;
        two.close().await;
    }
}

async fn a_posted_message_notifies_at_its_commit(database: StoreDatabase) {
    let me = register_executor(&*database.store, "a").await;
    start_running(&*database.store, me, "w").await;
    // Also by the process that has posted it: it does not know when the user commits.
    let mut listener = Listener::new(&database.store).await;
    let mut user = database.direct_connection().await;
    for end in ["rollback", "commit"] {
        user.execute("begin").await;
        database.store.send_in(user.outbox(), &message("w", "1")).await.unwrap();
        database.store.send_in(user.outbox(), &message("nobody", "1")).await.unwrap();
        listener.receives_nothing().await;
        user.execute(end).await;
    }
    assert_eq!(listener.next().await, Notification::Hints(vec![Hint::for_workflow("w")]));
    listener.receives_nothing().await;
    database.store.commit(me, &[send(message("w", "2"))], false).await.unwrap();
    listener.receives_nothing().await; // commits send no notification by themselves
}

/// A store with a name of its own for its connections on the server.
async fn named(database: &StoreDatabase, name: &str) -> Arc<dyn Store> {
    let separator = if database.url.contains('?') { '&' } else { '?' };
    open(&format!("{}{separator}application_name={name}", database.url), &database.schema).await.unwrap()
}

fn listeners(name: &str) -> String {
    format!("from pg_stat_activity where application_name = '{name}' and query like 'LISTEN%'")
}

async fn a_lost_connection_ends_the_listener_with_an_error(database: StoreDatabase) {
    let name = format!("lost_{}", database.schema);
    let store = named(&database, &name).await;
    let listener = Listener::new(&store).await;
    let mut direct = database.direct_connection().await;
    direct.execute(&format!("select pg_terminate_backend(pid) {}", listeners(&name))).await;
    let error = listener.error().await;
    assert_eq!(error.kind, StoreErrorKind::Unreachable, "{error}");
    let mut again = Listener::new(&store).await;
    database.store.notify(&[Hint::for_workflow("w")]).await.unwrap();
    assert_eq!(again.next().await, Notification::Hints(vec![Hint::for_workflow("w")]));
    store.close().await;
}

async fn a_listener_does_not_delay_closing_the_store(database: StoreDatabase) {
    let store = database.second().await;
    let mut listener = Listener::new(&store).await;
    store.close_work_pool();
    database.store.notify(&[Hint::for_workflow("w")]).await.unwrap();
    assert_eq!(
        listener.next().await,
        Notification::Hints(vec![Hint::for_workflow("w")]),
        "what drains still waits for news"
    );
    store.notify(&[Hint::for_workflow("v")]).await.unwrap();
    timeout(SOON, store.close()).await.expect("it closes");
}

async fn a_dropped_listener_leaves_no_connection(database: StoreDatabase) {
    let name = format!("dropped_{}", database.schema);
    let store = named(&database, &name).await;
    let listener = Listener::new(&store).await;
    let mut direct = database.direct_connection().await;
    let count = format!("select count(*) from pg_stat_activity where application_name = '{name}'");
    let before = direct.number(&count).await;
    assert_eq!(direct.number(&format!("select count(*) {}", listeners(&name))).await, 1);
    drop(listener);
    direct.wait_for_number(&count, |it| it < before).await;
    store.close().await;
}

async fn a_notification_is_one_statement_and_no_commit(database: StoreDatabase) {
    let before = database.store.statement_counts();
    database.store.notify(&[Hint::for_workflow("w")]).await.unwrap();
    assert_eq!(
        database.store.statement_counts() - before,
        StatementCounts { notifications: 1, ..StatementCounts::default() }
    );
}

async fn a_listener_that_is_alone_sends_nothing_until_another_one_comes(database: StoreDatabase) {
    let hints = [Hint::for_workflow("w")];
    let sent = || database.store.statement_counts().notifications;
    let mut listener = Listener::new(&database.store).await;
    let before = sent();
    for _ in 0..3 {
        database.store.notify(&hints).await.unwrap();
    }
    assert_eq!(sent(), before, "no other process listens");
    let other = database.second().await;
    let mut others = Listener::new(&other).await;
    // What was written while the first one was alone was announced to nobody.
    others.greeted().await;
    database.store.notify(&hints).await.unwrap();
    assert_eq!(others.next().await, Notification::Hints(hints.to_vec()));
    other.notify(&hints).await.unwrap();
    assert_eq!(listener.next().await, Notification::Hints(hints.to_vec()));
    drop(listener);
    let before = sent();
    database.store.notify(&hints).await.unwrap();
    assert_eq!(sent(), before + 1, "without a listener it does not hear who comes");
    other.close().await;
}

/// A proxy between a client and the server that drops notifications, as one does that gives
/// every transaction another connection.
async fn proxy(server: &url::Url) -> u16 {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
    use tokio::net::{TcpListener, TcpStream};

    let host = server.host_str().unwrap_or("127.0.0.1").to_owned();
    let port = server.port().unwrap_or(5432);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let own = listener.local_addr().expect("it is bound").port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect((host.as_str(), port)).await.expect("the server is there");
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            tokio::spawn(async move { copy(&mut from_client, &mut to_server).await });
            tokio::spawn(async move {
                loop {
                    let (kind, length) = (from_server.read_u8().await?, from_server.read_u32().await?);
                    let mut body = vec![0; length as usize - 4];
                    from_server.read_exact(&mut body).await?;
                    if kind != b'A' {
                        to_client.write_u8(kind).await?;
                        to_client.write_u32(length).await?;
                        to_client.write_all(&body).await?;
                    }
                }
                #[allow(unreachable_code, reason = "it names the error that the loop ends with")]
                Ok::<(), std::io::Error>(())
            });
        }
    });
    own
}

async fn a_proxy_that_drops_notifications_is_detected(database: StoreDatabase) {
    let mut through = url::Url::parse(&database.url).expect("it is a URL");
    let port = proxy(&through).await;
    through.set_host(Some("127.0.0.1")).expect("it has a host");
    through.set_port(Some(port)).expect("it has a port");
    through.set_query(Some("sslmode=disable"));
    let store = open(through.as_str(), &database.schema).await.unwrap();
    let mut listener = Listener::unready(&store);
    let received = timeout(SOON, listener.received.recv()).await.expect("it gives up soon");
    assert_eq!(received, None, "it never reports that it listens");
    let error = listener.error().await;
    assert_eq!(error.kind, StoreErrorKind::Refused);
    assert!(error.message.contains("PgBouncer"), "{error}");
    assert!(matches!(database.direct_connection().await, DirectConnection::Postgres(..)));
    store.close().await;
}
