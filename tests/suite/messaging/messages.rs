//! Sending and receiving messages.

use durable::prelude::*;
use durable::sqlx::{Connection, PgConnection, SqliteConnection};

use crate::support::{TestDatabase, arrived, database_tests, fresh, gate, wait_for_steps};

database_tests! {
    a_message_is_received_if_sent_before_or_after_recv_begins,
    messages_are_received_in_order_per_topic,
    a_message_is_received_once_despite_a_crash,
    a_recv_timeout_holds_across_restarts,
    two_concurrent_recvs_on_one_topic_get_a_message_each,
    a_second_message_with_the_same_idempotency_key_is_dropped,
    workflows_and_steps_can_send_messages,
    sending_to_an_unknown_or_ended_workflow_is_a_recorded_error,
    recv_outside_a_workflow_or_in_a_step_is_refused,
    another_process_receives_what_this_one_sends,
    a_message_sent_in_the_users_transaction_commits_with_it,
}

const LONG: Duration = Duration::from_hours(1);

#[workflow]
async fn receives(topic: String, many: u32) -> Result<Vec<u32>> {
    let mut taken = Vec::new();
    for _ in 0..many {
        taken.push(durable::recv(topic.as_str(), LONG).await?.unwrap_or_default());
    }
    Ok(taken)
}

async fn a_message_is_received_if_sent_before_or_after_recv_begins(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        let handle = receives("n".into(), 2).id("w").start().await.unwrap();
        durable::send("w", "n", &1).await.unwrap();
        wait_for_steps(&app, "w", 2).await; // it waits for the second message
        handle.send("n", &2).await.unwrap();
        assert_eq!(handle.await.unwrap(), [1, 2]);
    })
    .await;
    app.shutdown().await;
}

async fn messages_are_received_in_order_per_topic(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        let (a, b) = (receives("a".into(), 50).id("a").start().await.unwrap(), receives("b".into(), 50).id("b"));
        let b = b.start().await.unwrap();
        for n in 0..50 {
            durable::send("a", "b", &1000).await.unwrap();
            durable::send("a", "a", &n).await.unwrap();
            durable::send("b", "b", &(100 + n)).await.unwrap();
        }
        assert_eq!(a.await.unwrap(), (0..50).collect::<Vec<u32>>());
        assert_eq!(b.await.unwrap(), (100..150).collect::<Vec<u32>>());
    })
    .await;
    app.shutdown().await;
}

#[step]
async fn hold(key: &str) {
    crate::support::count(key);
    gate(key).acquire().await.expect("it is never closed").forget();
}

#[workflow]
async fn receives_and_holds(key: String) -> Result<Vec<u32>> {
    let first = durable::recv("n", LONG).await?.unwrap_or_default();
    hold(&key).await;
    let second = durable::recv("n", LONG).await?.unwrap_or_default();
    Ok(vec![first, second])
}

async fn a_message_is_received_once_despite_a_crash(database: &TestDatabase) {
    let key = fresh("receives");
    let app = database.launch().await;
    app.scope(async {
        receives_and_holds(key.clone()).id("w").start().await.unwrap();
        durable::send("w", "n", &1).await.unwrap();
        durable::send("w", "n", &2).await.unwrap();
    })
    .await;
    arrived(&key, 1).await;
    database.crash(app).await;

    let app = database.launch().await;
    gate(&key).add_permits(2);
    assert_eq!(app.retrieve_workflow::<Vec<u32>>("w").await.unwrap().await.unwrap(), [1, 2]);
    app.shutdown().await;
}

#[workflow]
async fn recv_times_out() -> Result<bool> {
    let came: Option<u32> = durable::recv("never", Duration::from_mins(10)).await?;
    Ok(came.is_some())
}

async fn a_recv_timeout_holds_across_restarts(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async { recv_times_out().id("w").start().await.unwrap() }).await;
    wait_for_steps(&app, "w", 1).await; // the deadline is recorded
    database.crash(app).await;

    let app = database.launch().await;
    let handle = app.retrieve_workflow::<bool>("w").await.unwrap();
    app.skip_time(Duration::from_secs(500));
    let status = handle.status().await.unwrap();
    assert_eq!(status, Status::Pending, "too early");
    app.skip_time(Duration::from_secs(101));
    assert!(!handle.await.unwrap());
    let steps = app.list_steps("w").await.unwrap();
    let shown: Vec<_> = steps.iter().map(|it| (it.position.to_string(), it.kind.as_str())).collect();
    assert_eq!(shown, [("1".into(), "recv"), ("1/1".into(), "deadline")]);
    app.shutdown().await;
}

#[workflow]
async fn receives_two_concurrently() -> Result<Vec<u32>> {
    let (a, b) = (durable::recv::<u32>("n", LONG), durable::recv::<u32>("n", LONG));
    let (a, b) = tokio::join!(a, b);
    Ok(vec![a?.unwrap_or_default(), b?.unwrap_or_default()])
}

async fn two_concurrent_recvs_on_one_topic_get_a_message_each(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        let handle = receives_two_concurrently().id("w").start().await.unwrap();
        durable::send("w", "n", &1).await.unwrap();
        durable::send("w", "n", &2).await.unwrap();
        let mut taken = handle.await.unwrap();
        taken.sort_unstable();
        assert_eq!(taken, [1, 2]);
    })
    .await;
    app.shutdown().await;
}

async fn a_second_message_with_the_same_idempotency_key_is_dropped(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        let handle = receives("n".into(), 2).id("w").start().await.unwrap();
        for n in [1, 1, 2] {
            durable::send("w", "n", &n).idempotency_key(format!("key-{n}")).await.unwrap();
        }
        assert_eq!(handle.await.unwrap(), [1, 2]);
        durable::send("w", "n", &2).idempotency_key("key-2").await.expect("the retry of a success is a success");
    })
    .await;
    app.shutdown().await;
}

#[step]
async fn send_step(to: String) -> Result<()> {
    durable::send(&to, "n", &2).await
}

#[workflow]
async fn sends(to: String) -> Result<()> {
    durable::send(&to, "n", &1).await?;
    send_step(to).await
}

async fn workflows_and_steps_can_send_messages(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        let handle = receives("n".into(), 2).id("w").start().await.unwrap();
        sends("w".into()).id("s").await.unwrap();
        assert_eq!(handle.await.unwrap(), [1, 2]);
    })
    .await;
    let steps = app.list_steps("s").await.unwrap();
    assert_eq!((steps[0].kind.as_str(), steps[0].name.as_str(), steps[0].child.as_deref()), ("send", "n", Some("w")));
    app.shutdown().await;
}

#[workflow]
async fn sends_to_no_receiver(key: String) -> Result<String> {
    let error = durable::send("nobody", "n", &1).await.expect_err("nobody is there");
    hold(&key).await;
    let ended = durable::send("ended", "n", &1).await.expect_err("it has ended");
    Ok(format!("{error}|{:?}|{:?}", error.kind(), ended.kind()))
}

async fn sending_to_an_unknown_or_ended_workflow_is_a_recorded_error(database: &TestDatabase) {
    let key = fresh("void");
    let app = database.launch().await;
    app.scope(async {
        receives("n".into(), 0).id("ended").await.unwrap();
        sends_to_no_receiver(key.clone()).id("w").start().await.unwrap();
    })
    .await;
    arrived(&key, 1).await;
    database.crash(app).await;

    let app = database.launch().await;
    gate(&key).add_permits(2);
    let text = app.retrieve_workflow::<String>("w").await.unwrap().await.unwrap();
    assert!(text.contains("no workflow has the id \"nobody\""), "{text}");
    assert!(text.ends_with("|NotFound|Ended"), "{text}");
    app.shutdown().await;
}

#[step]
async fn recv_step() -> Result<Option<u32>> {
    durable::recv("n", LONG).await
}

#[workflow]
async fn recv_in_step() -> Result<String> {
    Ok(recv_step().await.expect_err("it cannot be recorded").to_string())
}

async fn recv_outside_a_workflow_or_in_a_step_is_refused(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        let error = durable::recv::<u32>("n", LONG).await.expect_err("messages are for workflows");
        assert!(error.to_string().contains("in the body of a #[workflow]"), "{error}");
        let error = recv_in_step().await.unwrap();
        assert!(error.contains("inside the step `recv_step` at position 1"), "{error}");
    })
    .await;
    app.shutdown().await;
}

async fn another_process_receives_what_this_one_sends(database: &TestDatabase) {
    let (receiver, sender) =
        (database.builder("receiver").launch().await.unwrap(), database.builder("sender").launch().await);
    let sender = sender.unwrap();
    let handle = receiver.scope(async { receives("n".into(), 20).id("w").start().await.unwrap() }).await;
    sender
        .scope(async {
            for n in 0..20 {
                durable::send("w", "n", &n).await.unwrap();
            }
            assert_eq!(durable::retrieve_workflow::<Vec<u32>>("w").await.unwrap().await.unwrap().len(), 20);
        })
        .await;
    assert_eq!(handle.await.unwrap(), (0..20).collect::<Vec<u32>>());
    receiver.shutdown().await;
    sender.shutdown().await;
}

async fn a_message_sent_in_the_users_transaction_commits_with_it(database: &TestDatabase) {
    let app = database.launch().await;
    let handle = app.scope(async { receives("n".into(), 1).id("w").start().await.unwrap() }).await;
    let mut lite = SqliteConnection::connect("sqlite::memory:").await.unwrap();
    if database.is_postgres() {
        let mut connection = PgConnection::connect(database.url()).await.unwrap();
        let mut undone = connection.begin().await.unwrap();
        app.scope(durable::send_in(&mut undone, "w", "n", &1)).await.unwrap();
        undone.rollback().await.unwrap();
        let mut kept = connection.begin().await.unwrap();
        app.scope(durable::send_in(&mut kept, "w", "n", &2)).await.unwrap();
        kept.commit().await.unwrap();
        let error = app.scope(durable::send_in(&mut lite, "w", "n", &3)).await.expect_err("it is another database");
        assert_eq!(error.kind(), durable::ErrorKind::Misuse);
        connection.close().await.unwrap();
    } else {
        let mut connection = SqliteConnection::connect(database.url()).await.unwrap();
        let mut undone = connection.begin().await.unwrap();
        app.scope(durable::send_in(&mut undone, "w", "n", &1)).await.unwrap();
        undone.rollback().await.unwrap();
        let mut kept = connection.begin().await.unwrap();
        app.scope(durable::send_in(&mut kept, "w", "n", &2)).await.unwrap();
        kept.commit().await.unwrap();
        let error = app.scope(durable::send_in(&mut lite, "w", "n", &3)).await.expect_err("it has no tables of ours");
        assert!(error.to_string().contains("system database"), "{error}");
        connection.close().await.unwrap();
    }
    assert_eq!(handle.await.unwrap(), [2], "what was undone was never sent");
    app.shutdown().await;
}
