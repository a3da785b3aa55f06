//! A client in one process, the workers in another.

use std::time::Duration;

use durable::Client;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::support::{ProcessDatabase, kill_9, process_tests, start};

process_tests! {
    a_result_is_waited_for_across_processes_whatever_is_killed,
}

async fn a_result_is_waited_for_across_processes_whatever_is_killed(database: &ProcessDatabase) {
    let folder = database.folder().display().to_string();
    let worker = ready(database, &folder).await;
    let client = Client::connect(database.url()).await.unwrap();
    let call = |number: u32| {
        let arguments = json!({"queue": "worker", "key": "k", "number": number});
        client.enqueue("item", arguments).queue("worker").id(format!("item-{number}"))
    };
    assert_eq!(call(1).await.unwrap().result().await.unwrap(), json!(null));

    kill_9(worker).await;
    let handle = call(2).await.unwrap();
    assert_eq!(handle.status().await.unwrap(), durable::Status::Enqueued, "no process works");
    let waiting = tokio::spawn(async move { handle.result().await });
    let worker = ready(database, &folder).await;
    let result = tokio::time::timeout(Duration::from_mins(1), waiting).await.expect("the next worker takes it");
    assert_eq!(result.unwrap().unwrap(), json!(null));
    client.close().await;
    kill_9(worker).await;
}

/// A worker that has launched.
async fn ready(database: &ProcessDatabase, folder: &str) -> tokio::process::Child {
    let mut worker = start("queue_worker", &["work", folder], database);
    let mut lines = BufReader::new(worker.stdout.take().expect("it is piped")).lines();
    assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("READY"));
    worker
}
