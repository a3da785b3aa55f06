//! How processes hear of each other's writing: on a server by notifications, beside a file by
//! watching it.

use std::sync::Arc;
use std::time::Duration;

use durable_core::store::{Hint, Notification, StatementCounts, Store, StoreError, StoreErrorKind, open};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::make::{key, message, register_executor, running, send};
use super::servers::on_a_server;
use super::site::{SideDoor, Site, in_memory, in_postgres, in_sqlite};

/// Longer than any news takes.
const SOON: Duration = Duration::from_secs(10);
/// Long enough to say that nothing comes.
const QUIET: Duration = Duration::from_millis(400);

/// What somebody hears who listens to a store.
struct PgNotificationListener {
    heard: UnboundedReceiver<Notification>,
    listening: JoinHandle<Result<(), StoreError>>,
}

impl PgNotificationListener {
    async fn new(store: &Arc<dyn Store>) -> Self {
        let mut ear = Self::unready(store);
        assert_eq!(ear.next().await, Notification::Listening);
        ear
    }

    fn unready(store: &Arc<dyn Store>) -> Self {
        let ((sender, heard), store) = (unbounded_channel(), Arc::clone(store));
        let listening = tokio::spawn(async move { store.listen(&move |it| sender.send(it).unwrap_or_default()).await });
        Self { heard, listening }
    }

    async fn next(&mut self) -> Notification {
        timeout(SOON, self.heard.recv()).await.expect("it comes soon").expect("somebody listens")
    }

    async fn hears_nothing(&mut self) {
        let heard = timeout(QUIET, self.heard.recv()).await;
        assert!(heard.is_err(), "{heard:?}");
    }

    /// Why the listening ended.
    async fn error(mut self) -> StoreError {
        let ended = timeout(SOON, &mut self.listening).await.expect("it ends soon");
        ended.expect("it does not panic").expect_err("listening only ends with an error")
    }
}

impl Drop for PgNotificationListener {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

mod memory {
    #[tokio::test]
    async fn nobody_else_is_heard() {
        super::in_memory(super::nobody_else_is_heard).await;
    }
}

async fn nobody_else_is_heard(site: Site) {
    assert!(!site.store.has_others());
    let mut ear = PgNotificationListener::new(&site.store).await;
    let me = register_executor(&*site.store, "a").await;
    running(&*site.store, me, "w").await;
    ear.hears_nothing().await;
}

mod sqlite {
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_writing_of_others_is_heard_and_ones_own_is_not() {
        super::in_sqlite(super::the_writing_of_others_is_heard_and_ones_own_is_not).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn silence_costs_nothing() {
        super::in_sqlite(super::silence_costs_nothing).await;
    }
}

async fn the_writing_of_others_is_heard_and_ones_own_is_not(site: Site) {
    assert!(!site.store.has_others(), "everybody watches the file");
    let me = register_executor(&*site.store, "a").await;
    let mut ear = PgNotificationListener::new(&site.store).await;
    for number in 0..5 {
        running(&*site.store, me, &format!("own-{number}")).await;
    }
    ear.hears_nothing().await;

    let other = site.second().await;
    let mut others_ear = PgNotificationListener::new(&other).await;
    running(&*other, me, "w").await;
    assert_eq!(ear.next().await, Notification::Something);
    others_ear.hears_nothing().await;
    // A user's connection in this very process is somebody else too.
    let mut user = site.side_door().await;
    user.execute("begin immediate").await;
    site.store.send_in(user.outbox(), &message("w", "1")).await.unwrap();
    ear.hears_nothing().await;
    user.execute("commit").await;
    assert_eq!(ear.next().await, Notification::Something);
    assert_eq!(others_ear.next().await, Notification::Something);
    other.close().await;
    assert_eq!(others_ear.error().await.kind, StoreErrorKind::Closed);
}

async fn silence_costs_nothing(site: Site) {
    let ear = PgNotificationListener::new(&site.store).await;
    tokio::time::sleep(Duration::from_millis(300)).await; // until the last writing is some time ago
    let before = site.store.statement_counts();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(site.store.statement_counts() - before, StatementCounts::default());
    drop(ear);
}

on_a_server! {
    others_are_heard_and_oneself_is_not,
    more_hints_than_a_notification_holds_are_news_of_something,
    schemas_of_any_name_have_ears,
    a_posted_message_is_heard_when_it_is_committed,
    a_lost_connection_ends_the_listening,
    a_listener_does_not_keep_a_store_open,
    a_listener_that_is_dropped_leaves_no_connection,
    a_proxy_that_swallows_notifications_is_found_out,
    a_notification_is_one_statement_and_no_commit,
}

async fn others_are_heard_and_oneself_is_not(site: Site) {
    assert!(site.store.has_others());
    let other = site.second().await;
    let (mut ear, mut others) =
        (PgNotificationListener::new(&site.store).await, PgNotificationListener::new(&other).await);
    let hints = vec![Hint::for_workflow("w"), Hint::Executor((-7).into())];
    other.notify(&hints).await.unwrap();
    assert_eq!(ear.next().await, Notification::Hints(hints));
    site.store.notify(&[Hint::for_workflow("v")]).await.unwrap();
    assert_eq!(others.next().await, Notification::Hints(vec![Hint::for_workflow("v")]));
    other.notify(&[]).await.unwrap();
    for ear in [&mut ear, &mut others] {
        ear.hears_nothing().await;
    }
    let mut third = PgNotificationListener::new(&other).await;
    ear.hears_nothing().await; // how a listener tries itself out is no news
    site.store.notify(&[Hint::for_workflow("u")]).await.unwrap();
    assert_eq!(third.next().await, Notification::Hints(vec![Hint::for_workflow("u")]));
    let apart = open(&site.url, "elsewhere").await.unwrap();
    apart.notify(&[Hint::for_workflow("t")]).await.unwrap();
    ear.hears_nothing().await;
    apart.close().await;
    other.close().await;
}

async fn more_hints_than_a_notification_holds_are_news_of_something(site: Site) {
    let other = site.second().await;
    let mut ear = PgNotificationListener::new(&site.store).await;
    let many: Vec<_> = (0..5_000).map(|_| Hint::Executor((i64::MAX - key::<i64>()).into())).collect();
    other.notify(&many).await.unwrap();
    assert_eq!(ear.next().await, Notification::Something);
    other.notify(&many[..300]).await.unwrap();
    assert_eq!(ear.next().await, Notification::Hints(many[..300].to_vec()));
    other.close().await;
}

async fn schemas_of_any_name_have_ears(site: Site) {
    for name in ["My app".to_owned(), "quote\"d".to_owned(), "it's; ż".to_owned(), "x".repeat(63), "y".repeat(60)] {
        let (one, two) = (open(&site.url, &name).await.unwrap(), open(&site.url, &name).await.unwrap());
        let mut ear = PgNotificationListener::new(&one).await;
        two.notify(&[Hint::for_workflow("w")]).await.unwrap();
        assert_eq!(ear.next().await, Notification::Hints(vec![Hint::for_workflow("w")]), "{name}");
        one.close().await;
        two.close().await;
    }
}

async fn a_posted_message_is_heard_when_it_is_committed(site: Site) {
    let me = register_executor(&*site.store, "a").await;
    running(&*site.store, me, "w").await;
    // Also by the process that has posted it: it does not know when the user commits.
    let mut ear = PgNotificationListener::new(&site.store).await;
    let mut user = site.side_door().await;
    for end in ["rollback", "commit"] {
        user.execute("begin").await;
        site.store.send_in(user.outbox(), &message("w", "1")).await.unwrap();
        site.store.send_in(user.outbox(), &message("nobody", "1")).await.unwrap();
        ear.hears_nothing().await;
        user.execute(end).await;
    }
    assert_eq!(ear.next().await, Notification::Hints(vec![Hint::for_workflow("w")]));
    ear.hears_nothing().await;
    site.store.commit(me, &[send(message("w", "2"))], false).await.unwrap();
    ear.hears_nothing().await; // commits of ours notify nobody by themselves
}

/// A store whose connections can be told from those of the other tests.
async fn named(site: &Site, name: &str) -> Arc<dyn Store> {
    let separator = if site.url.contains('?') { '&' } else { '?' };
    open(&format!("{}{separator}application_name={name}", site.url), &site.schema).await.unwrap()
}

fn listeners(name: &str) -> String {
    format!("from pg_stat_activity where application_name = '{name}' and query like 'LISTEN%'")
}

async fn a_lost_connection_ends_the_listening(site: Site) {
    let name = format!("lost_{}", site.schema);
    let store = named(&site, &name).await;
    let ear = PgNotificationListener::new(&store).await;
    let mut door = site.side_door().await;
    door.execute(&format!("select pg_terminate_backend(pid) {}", listeners(&name))).await;
    let error = ear.error().await;
    assert_eq!(error.kind, StoreErrorKind::Unreachable, "{error}");
    let mut again = PgNotificationListener::new(&store).await;
    site.store.notify(&[Hint::for_workflow("w")]).await.unwrap();
    assert_eq!(again.next().await, Notification::Hints(vec![Hint::for_workflow("w")]));
    store.close().await;
}

async fn a_listener_does_not_keep_a_store_open(site: Site) {
    let store = site.second().await;
    let mut ear = PgNotificationListener::new(&store).await;
    store.close_work_pool();
    site.store.notify(&[Hint::for_workflow("w")]).await.unwrap();
    assert_eq!(
        ear.next().await,
        Notification::Hints(vec![Hint::for_workflow("w")]),
        "what drains still waits for news"
    );
    store.notify(&[Hint::for_workflow("v")]).await.unwrap();
    timeout(SOON, store.close()).await.expect("it closes");
}

async fn a_listener_that_is_dropped_leaves_no_connection(site: Site) {
    let name = format!("dropped_{}", site.schema);
    let store = named(&site, &name).await;
    let ear = PgNotificationListener::new(&store).await;
    let mut door = site.side_door().await;
    let count = format!("select count(*) from pg_stat_activity where application_name = '{name}'");
    let before = door.number(&count).await;
    assert_eq!(door.number(&format!("select count(*) {}", listeners(&name))).await, 1);
    drop(ear);
    let gone = async {
        while door.number(&count).await >= before {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(SOON, gone).await.expect("the connection is closed");
    store.close().await;
}

async fn a_notification_is_one_statement_and_no_commit(site: Site) {
    let before = site.store.statement_counts();
    site.store.notify(&[Hint::for_workflow("w")]).await.unwrap();
    assert_eq!(
        site.store.statement_counts() - before,
        StatementCounts { notifications: 1, ..StatementCounts::default() }
    );
}

/// Stands between a client and the server and swallows notifications, as a proxy does that gives
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
                #[allow(unreachable_code, reason = "it says which error the loop ends with")]
                Ok::<(), std::io::Error>(())
            });
        }
    });
    own
}

async fn a_proxy_that_swallows_notifications_is_found_out(site: Site) {
    let mut through = url::Url::parse(&site.url).expect("it is a URL");
    let port = proxy(&through).await;
    through.set_host(Some("127.0.0.1")).expect("it has a host");
    through.set_port(Some(port)).expect("it has a port");
    through.set_query(Some("sslmode=disable"));
    let store = open(through.as_str(), &site.schema).await.unwrap();
    let mut ear = PgNotificationListener::unready(&store);
    let heard = timeout(SOON, ear.heard.recv()).await.expect("it gives up soon");
    assert_eq!(heard, None, "it never says that it listens");
    let error = ear.error().await;
    assert_eq!(error.kind, StoreErrorKind::Refused);
    assert!(error.message.contains("PgBouncer"), "{error}");
    assert!(matches!(site.side_door().await, SideDoor::Postgres(..)));
    store.close().await;
}
