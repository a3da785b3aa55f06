//! Changing queues, schedules and workflows from the command line.

use durable::prelude::*;
use serde_json::json;

use super::process::{durable, matches_snapshot};
use crate::support::{ProcessDatabase, process_tests};

process_tests! {
    queues_are_shown_and_changed,
    schedules_are_shown_and_changed,
    families_are_cancelled,
    workflows_that_wait_are_moved_and_delayed_and_given_another_priority,
    messages_events_and_streams_are_listed,
    ended_workflows_are_deleted_by_their_age,
    completions_and_manual_pages_are_printed,
}

#[queue]
static CLI_STEERED: Queue = Queue::new("cli_steered").concurrency(4).rate_limit(100, Duration::from_mins(1));

#[scheduled("0 2 * * *", tz = "Europe/Warsaw")]
#[workflow]
async fn cli_nightly(_scheduled: DateTime<Utc>, _actual: DateTime<Utc>) -> Result<()> {
    Ok(())
}

#[queue]
static CLI_OTHER: Queue = Queue::new("cli_other");

#[workflow]
async fn cli_published() -> Result<()> {
    durable::set_event("stage", &"packed").await?;
    for number in 0..3 {
        durable::write_stream("log", &number).await?;
    }
    durable::close_stream("log").await
}

#[workflow]
async fn cli_parent() -> Result<()> {
    cli_child().await?;
    Ok(())
}

#[workflow]
async fn cli_child() -> Result<()> {
    durable::set_event("runs", &true).await?;
    durable::sleep(Duration::from_hours(1)).await;
    Ok(())
}

async fn launch(database: &ProcessDatabase) -> Durable {
    let builder = Durable::builder("cli").system_database(database.url()).executor_id("worker-1");
    builder.launch().await.expect("the database is there")
}

async fn queues_are_shown_and_changed(database: &ProcessDatabase) {
    let app = launch(database).await;
    matches_snapshot(database, "queue_show.txt", &durable(database, &["queue", "show", "cli_steered"]).await.good());
    durable(database, &["queue", "pause", "cli_steered"]).await.good();
    durable(
        database,
        &["queue", "set", "cli_steered", "--concurrency", "none", "--worker-concurrency", "7", "--rate-limit", "5/m"],
    )
    .await
    .good();
    let listed = durable(database, &["queue", "ls"]).await.good();
    let line = listed.lines().find(|it| it.contains("cli_steered")).expect("it is listed");
    assert!(line.contains("7 a process, 5/1m") && line.ends_with("paused"), "{line}");
    let shown = durable(database, &["queue", "show", "cli_steered", "-o", "json"]).await.json();
    assert_eq!((&shown["paused"], &shown["changed"]), (&json!(true), &json!(true)));
    assert_eq!(shown["limits"]["rate_limit"], json!({"starts": 5, "period": 60.0}));
    durable(database, &["queue", "resume", "cli_steered"]).await.good();
    let refused = durable(database, &["queue", "set", "cli_steered", "--concurrency", "0"]).await.fails_with(4);
    assert!(refused.contains("would never run anything"), "{refused}");
    durable(database, &["queue", "show", "cli_stered"]).await.fails_with(3);
    let similar = durable(database, &["queue", "pause", "cli_stered"]).await.fails_with(3);
    assert!(similar.contains("did you mean \"cli_steered\"?"), "{similar}");
    app.shutdown().await;
}

async fn schedules_are_shown_and_changed(database: &ProcessDatabase) {
    let app = launch(database).await;
    let listed = durable(database, &["schedule", "ls"]).await.good();
    let lines: Vec<_> = listed.lines().filter(|it| it.contains("NAME") || it.contains("cli_nightly")).collect();
    matches_snapshot(database, "schedule_ls.txt", &lines.join("\n"));
    durable(database, &["schedule", "pause", "cli_nightly"]).await.good();
    let paused = durable(database, &["schedule", "ls", "-o", "json"]).await.json();
    let nightly = paused.as_array().unwrap().iter().find(|it| it["name"] == "cli_nightly").expect("it is listed");
    assert_eq!((&nightly["paused"], &nightly["next_tick"]), (&json!(true), &json!(null)));
    durable(database, &["schedule", "resume", "cli_nightly"]).await.good();
    let similar = durable(database, &["schedule", "pause", "cli_nightli"]).await.fails_with(3);
    assert!(similar.contains("did you mean \"cli_nightly\"?"), "{similar}");
    durable(database, &["schedule", "delete", "cli_nightly"]).await.good();
    durable(database, &["schedule", "resume", "cli_nightly"]).await.fails_with(3);
    app.shutdown().await;
}

async fn families_are_cancelled(database: &ProcessDatabase) {
    let app = launch(database).await;
    durable(database, &["start", "cli_parent", "--id", "parent"]).await.good();
    let runs: Option<bool> = app.get_event("parent-1", "runs", Duration::from_mins(1)).await.unwrap();
    assert_eq!(runs, Some(true));
    let cancelled = durable(database, &["cancel", "parent", "--children", "-o", "jsonl"]).await.json();
    assert_eq!(cancelled, json!({"id": "parent", "result": "cancelled"}));
    let listed = durable(database, &["ls", "-s", "cancelled", "-o", "json"]).await.json();
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(2));
    let again = durable(database, &["cancel", "parent"]).await.good();
    assert_eq!(again, "parent: it had ended before (cancelled)\n");
    app.shutdown().await;
}

async fn completions_and_manual_pages_are_printed(database: &ProcessDatabase) {
    for shell in ["bash", "zsh", "fish"] {
        let completions = durable(database, &["completions", shell]).await.good();
        assert!(completions.contains("executor") && completions.contains("backfill"), "{shell}");
    }
    let page = durable(database, &["man"]).await.good();
    assert!(page.contains(".TH durable 1") && page.contains("Exit codes"), "{page}");
    let folder = database.folder().join("man");
    std::fs::create_dir(&folder).unwrap();
    durable(database, &["man", "--dir", "man"]).await.good();
    assert!(folder.join("durable-queue-set.1").exists());
}

async fn ended_workflows_are_deleted_by_their_age(database: &ProcessDatabase) {
    let app = launch(database).await;
    app.scope(async {
        for number in 0..3 {
            let handle = cli_parent().id(format!("family-{number}")).start().await.unwrap();
            handle.cancel().cancel_children().await.unwrap();
        }
        cli_parent().id("lives").start().await.unwrap();
    })
    .await;
    let kept = durable(database, &["gc", "--keep", "1d", "--dry-run", "-o", "json"]).await.json();
    assert_eq!((&kept["total"], &kept["dry_run"]), (&json!(0), &json!(true)));
    let refused = durable(database, &["gc", "--keep", "0s"]).await.fails_with(4);
    assert!(refused.contains("--yes"), "{refused}");
    let deleted = durable(database, &["gc", "--keep", "0s", "--yes", "-o", "json"]).await.json();
    assert_eq!(deleted["dry_run"], json!(false));
    let left = app.list_workflows(Filter::new().id_prefix("family")).await.unwrap();
    assert_eq!(left.len(), 0, "{deleted}");
    assert!(app.workflow("lives").await.unwrap().is_some());
    app.shutdown().await;
}

async fn workflows_that_wait_are_moved_and_delayed_and_given_another_priority(database: &ProcessDatabase) {
    let builder = Durable::builder("cli").system_database(database.url()).listen_to::<&str>([]);
    let app = builder.launch().await.unwrap();
    for id in ["place-1", "place-2"] {
        durable(database, &["enqueue", "cli_child", "--queue", CLI_STEERED.name(), "--id", id]).await.good();
    }
    let shown = async |id: &str| durable(database, &["show", id, "-o", "json"]).await.json()["workflow"].clone();
    let moved = durable(database, &["move", "place-1", "--queue", CLI_OTHER.name()]).await.good();
    assert_eq!(moved, "place-1: moved\n");
    assert_eq!(shown("place-1").await["queue"], json!(CLI_OTHER.name()));
    let unknown = durable(database, &["move", "place-1", "--queue", "cli_othr"]).await.fails_with(3);
    assert!(unknown.contains("did you mean \"cli_other\"?"), "{unknown}");
    let all = ["--where", "prefix=place-,status=enqueued", "--yes"];
    durable(database, &[&["priority", "--to", "-5"], &all[..]].concat()).await.good();
    assert_eq!(shown("place-2").await["priority"], json!(-5));
    durable(database, &["delay", "place-2", "--for", "1h"]).await.good();
    assert_eq!(shown("place-2").await["status"], json!("DELAYED"));
    durable(database, &["delay", "place-2", "--for", "0s"]).await.good();
    assert_eq!(shown("place-2").await["status"], json!("ENQUEUED"));
    durable(database, &[&["move", "--queue", CLI_OTHER.name()], &all[..]].concat()).await.good();
    assert_eq!(shown("place-2").await["queue"], json!(CLI_OTHER.name()));
    durable(database, &["cancel", "place-1"]).await.good();
    let refused = durable(database, &["priority", "place-1", "--to", "1"]).await.fails_with(4);
    assert!(refused.contains("only workflows that are ENQUEUED or DELAYED can"), "{refused}");
    app.shutdown().await;
}

async fn messages_events_and_streams_are_listed(database: &ProcessDatabase) {
    let app = launch(database).await;
    durable(database, &["start", "cli_published", "--id", "published", "--wait"]).await.good();
    durable(database, &["start", "cli_waits", "--id", "receives"]).await.good();
    durable(database, &["send", "receives", "other", "\"hello\"", "--key", "once"]).await.good();
    let messages = durable(database, &["messages", "receives"]).await.good();
    let line = messages.lines().nth(1).expect("there is one");
    assert!(line.contains("other") && line.contains("\"hello\"") && line.contains("once"), "{messages}");
    let messages = durable(database, &["messages", "receives", "-o", "json"]).await.json();
    assert_eq!((&messages[0]["payload"], &messages[0]["received_at"]), (&json!("\"hello\""), &json!(null)));
    let events = durable(database, &["events", "published"]).await.good();
    assert!(events.contains("stage") && events.contains("\"packed\""), "{events}");
    let items = durable(database, &["stream", "published", "log", "--limit", "2", "--offset", "1"]).await;
    assert_eq!(items.err, "there are more: --offset 3\n");
    assert_eq!(items.good().lines().count(), 3);
    let items = durable(database, &["stream", "published", "-o", "json"]).await.json();
    let values: Vec<_> = items.as_array().unwrap().iter().map(|it| &it["value"]).collect();
    assert_eq!(values, [&json!("0"), &json!("1"), &json!("2"), &json!(null)]);
    let none = durable(database, &["events", "receives"]).await;
    assert_eq!((none.code, &*none.err), (Some(0), "it has set no event\n"));
    for command in ["messages", "events", "stream"] {
        durable(database, &[command, "missing"]).await.fails_with(3);
    }
    app.shutdown().await;
}
