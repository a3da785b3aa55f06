//! The web example does what its README describes.

use std::time::Duration;

use durable::Status;
use tokio::process::Command;

use crate::support::http::get;
use crate::support::{ProcessDatabase, Signal, WatchedProcess, process_tests, program};

process_tests! {
the_web_example_loses_nothing_when_it_is_stopped,
}

async fn web(database: &ProcessDatabase) -> (WatchedProcess, u16) {
    let mut command = Command::new(program("web"));
    command.env("PORT", "0").env("LB_DELAY", "0").env("HTTP_DRAIN", "1s").env("DURABLE_SHUTDOWN_TOTAL", "8s");
    command.env("NO_COLOR", "1");
    let web = WatchedProcess::run(command, database);
    let (_, line) = web.wait_for_line("serving on").await;
    let clock: Vec<_> = line[..8].split(':').map(str::parse::<u8>).collect();
    assert!(clock.len() == 3 && clock.iter().all(Result::is_ok), "the time alone: {line}");
    let port = line.split(':').nth(4).and_then(|it| it.split(',').next()).and_then(|it| it.parse().ok());
    (web, port.unwrap_or_else(|| panic!("it prints its port: {line}")))
}

async fn the_web_example_loses_nothing_when_it_is_stopped(database: &ProcessDatabase) {
    let (mut first, port) = web(database).await;
    let shown = get(port, "/?n_sub_workflows=6&n_steps_per_workflow=12").await.unwrap();
    assert_eq!(shown.status, 200, "{shown:?}");
    let shown: serde_json::Value = serde_json::from_str(&shown.body).unwrap();
    let id = shown["workflow_id"].as_str().unwrap().to_owned();
    let waits = tokio::spawn({
        let path = format!("/workflows/{id}/result");
        async move { get(port, &path).await }
    });
    first.wait_for_line("step 2 is done").await;
    let sent = first.signal(Signal::TERM);
    let answer = waits.await.unwrap().expect("it is answered");
    assert!(answer.status == 503 && answer.body.contains(&id), "{answer:?}");
    let ended = first.wait_for_exit().await;
    assert!(ended.at - sent < Duration::from_secs(9), "{:?}", ended.at - sent);
    assert!(ended.output.contains("shut down in"), "{}", ended.output);

    let (mut second, port) = web(database).await;
    let answer = get(port, &format!("/workflows/{id}/result")).await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, "72 steps\n"));
    second.signal(Signal::TERM);
    assert_eq!(second.wait_for_exit().await.status.code(), Some(0));
    let workflows = database.workflows().await;
    assert_eq!(workflows.len(), 7);
    assert!(workflows.iter().all(|it| it.status == Status::Success && it.recoveries == 0), "{workflows:?}");
}
