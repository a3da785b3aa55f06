//! A client whose answers are lost on the way: what it repeats is done once. A proxy passes on what the client sends, and
//! cuts the connection in place of the confirmation of a statement.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use durable::{Client, ErrorKind, Filter, Status};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{TestDatabase, url_of};

/// At how many confirmations in turn the connection is cut: more than any of the calls has.
const CONFIRMATIONS: i64 = 8;

#[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_client_repeats_after_a_lost_answer_is_done_once() {
    let database = TestDatabase::postgres();
    Client::builder(database.url()).schema(database.schema()).migrate().await.unwrap();
    let direct = Client::builder(database.url()).schema(database.schema()).connect().await.unwrap();
    // Loses the confirmation when it comes to 0.
    let countdown = Arc::new(AtomicI64::new(i64::MAX));
    let url = losing_proxy(database.url(), Arc::clone(&countdown)).await;
    let client = Client::builder(&url).schema(database.schema()).connect().await.unwrap();
    let mut lost = BTreeSet::new();
    for at in 1..=CONFIRMATIONS {
        let id = format!("w{at}");
        let fork = format!("fork of {id}");
        for what in ["enqueue", "send", "label", "cancel", "fork", "resume", "set_priority"] {
            countdown.store(at, Ordering::SeqCst);
            let first = carry_out(&client, what, &id, &fork).await;
            if countdown.swap(i64::MAX, Ordering::SeqCst) <= 0 {
                lost.insert(what);
            }
            if let Err(error) = first {
                let kind = error.kind();
                let expected = [ErrorKind::Unconfirmed, ErrorKind::Database, ErrorKind::Unavailable];
                assert!(expected.contains(&kind), "{what} at {at}: {kind:?}: {error}");
            }
            let again = carry_out(&client, what, &id, &fork).await;
            again.unwrap_or_else(|error| panic!("{what} at {at}, repeated: {error}"));
        }
        let found = direct.list_workflows(Filter::new().label("tenant", "acme").forked_from(&id)).await.unwrap();
        assert_eq!(found.iter().map(|it| &*it.id).collect::<Vec<_>>(), [&*fork], "one fork, with the label");
        assert_eq!(direct.list_messages(&id).await.unwrap().len(), 1, "one message");
        let workflow = direct.workflow(&id).await.unwrap().expect("it was started");
        assert_eq!((workflow.status, workflow.priority), (Status::Enqueued, -1), "it was cancelled and resumed");
    }
    let all = direct.list_workflows(Filter::new()).await.unwrap();
    assert_eq!(all.len(), 2 * usize::try_from(CONFIRMATIONS).unwrap(), "each was started once");
    assert_eq!(lost.len(), 7, "each call lost a confirmation: {lost:?}");
    client.close().await;
    direct.close().await;
    database.clear().await;
}

/// One call of a client.
async fn carry_out(client: &Client, what: &str, id: &str, fork: &str) -> durable::Result<()> {
    match what {
        "enqueue" => client.enqueue("lost", json!({})).queue("elsewhere").id(id).await.map(drop),
        "send" => client.send(id, "topic", &1).idempotency_key("once").await,
        "label" => client.set_labels(id, [("tenant", "acme")]).await,
        "cancel" => client.cancel_workflow(id).await.map(drop),
        "fork" => client.fork_workflow(id, 1).id(fork).await.map(drop),
        "resume" => client.resume_workflow(id).await,
        _ => client.set_priority(id, -1).await,
    }
}

/// A proxy that cuts a connection in place of the confirmation with which the countdown comes to 0.
async fn losing_proxy(url: &str, countdown: Arc<AtomicI64>) -> String {
    let mut url = url_of(url);
    let server = (url.host_str().unwrap_or("127.0.0.1").to_owned(), url.port().unwrap_or(5432));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    url.set_host(Some("127.0.0.1")).unwrap();
    url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
    url.set_query(Some("sslmode=disable"));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(server.clone()).await.unwrap();
            let ((mut from_client, to_client), (from_server, mut to_server)) =
                (client.into_split(), server.into_split());
            let countdown = Arc::clone(&countdown);
            tokio::spawn(async move {
                tokio::select! {
                    _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
                    () = answers(from_server, to_client, &countdown) => {}
                }
            });
        }
    });
    url.into()
}

/// Passes messages of the server on: each has a type, and its length without the type.
async fn answers(
    mut from_server: impl AsyncReadExt + Unpin,
    mut to_client: impl AsyncWriteExt + Unpin,
    countdown: &AtomicI64,
) {
    let mut head = [0; 5];
    while from_server.read_exact(&mut head).await.is_ok() {
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        let mut body = vec![0; length - 4];
        let is_read = from_server.read_exact(&mut body).await.is_ok();
        let is_confirmation = head[0] == b'C';
        if !is_read || is_confirmation && countdown.fetch_sub(1, Ordering::SeqCst) == 1 {
            return;
        }
        if to_client.write_all(&[&head, &body[..]].concat()).await.is_err() {
            return;
        }
    }
}
