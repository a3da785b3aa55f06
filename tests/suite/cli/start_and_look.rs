//! Starting workflows from the command line, and looking at them.

use durable::prelude::*;
use serde_json::json;

use super::process::{command, durable, matches_snapshot, run};
use crate::support::{ProcessDatabase, process_tests};

process_tests! {
    an_empty_database_is_migrated_and_shown,
    a_workflow_is_started_watched_and_its_result_printed,
    lists_are_filtered_and_are_json_for_programs,
    lists_show_errors_reasons_and_payloads,
    the_outputs_of_steps_are_shown_beside_a_readable_error,
    an_unknown_id_is_answered_with_those_that_begin_with_it,
    usage_errors_name_what_was_meant,
    a_message_from_the_command_line_is_received,
}

#[step]
async fn cli_charge(cents: u32) -> Result<u32> {
    Ok(cents)
}

#[workflow]
async fn cli_checkout(order: u32, note: String) -> Result<String> {
    if order == 0 {
        return Err(Error::msg("an order needs a number"));
    }
    let (cents, _) = durable::join!(cli_charge(order * 100), cli_charge(1));
    Ok(format!("order {order} for {}: {note}", cents?))
}

#[workflow]
async fn cli_waits() -> Result<Option<u32>> {
    durable::recv("number", Duration::from_mins(5)).await
}

#[queue]
static CLI_ORDERS: Queue = Queue::new("cli_orders").concurrency(4).rate_limit(100, Duration::from_mins(1));

/// An engine on the database. It has a fixed name, so that lists do not differ.
async fn launch(database: &ProcessDatabase) -> Durable {
    let builder = Durable::builder("cli").system_database(database.url()).executor_id("worker-1");
    builder.application_version("v1").launch().await.expect("the database is there")
}

async fn an_empty_database_is_migrated_and_shown(database: &ProcessDatabase) {
    let missing = durable(database, &["status"]).await.fails_with(6);
    assert!(missing.contains("durable migrate") || missing.contains("there is no such file"), "{missing}");
    if database.is_postgres() {
        let checked = durable(database, &["migrate", "--check"]).await.fails_with(6);
        assert!(checked.contains("has not got the migrations 1 (foundation), 2 (functions)"), "{checked}");
    }
    let printed = durable(database, &["migrate", "--print"]).await.good();
    assert!(printed.contains("create table durable") && printed.ends_with("commit;\n"), "{printed}");
    assert_eq!(durable(database, &["migrate"]).await.good(), "carried out: 1 (foundation), 2 (functions)\n");
    assert_eq!(durable(database, &["migrate", "--check"]).await.good(), "the schema is up to date\n");
    matches_snapshot(database, "status_of_an_empty_database.txt", &durable(database, &["status"]).await.good());
    assert_eq!(durable(database, &["ls", "-o", "json"]).await.json(), json!({"items": [], "next": null}));
}

async fn a_workflow_is_started_watched_and_its_result_printed(database: &ProcessDatabase) {
    let app = launch(database).await;
    let call = [
        "enqueue",
        "cli_checkout",
        "--queue",
        "cli_orders",
        "--arg",
        "order=7",
        "--arg",
        "note=gift",
        "--id",
        "order-7",
    ];
    let printed = durable(database, &[&call[..], &["--wait"]].concat()).await.good();
    assert_eq!(printed, "\"order 7 for 700: gift\"\n");
    assert_eq!(durable(database, &call).await.good(), "order-7\n", "an id names one execution");

    let input = r#"{"order": 8, "note": "-"}"#;
    let started = durable(database, &["start", "cli_checkout", "--input", input, "--wait", "-o", "jsonl"]).await.json();
    assert_eq!(started["result"], json!("order 8 for 800: -"));
    let failed = durable(database, &["start", "cli_checkout", "--arg", "order=0", "--arg", "note=", "--wait"]).await;
    assert!(failed.fails_with(1).contains("an order needs a number"));

    matches_snapshot(database, "show.txt", &durable(database, &["show", "order-7"]).await.good());
    let watched = durable(database, &["show", "order-7", "--watch", "-o", "json"]).await.json();
    assert_eq!(watched["steps"].as_array().map(Vec::len), Some(2));
    assert_eq!(watched["workflow"]["status"], json!("SUCCESS"));
    let executors = durable(database, &["executor", "ls"]).await.good();
    let line = executors.lines().nth(1).expect("there is one");
    assert!(line.contains("worker-1  live   0") && line.ends_with("v1"), "{executors}");
    let status = durable(database, &["status", "-o", "json"]).await.json();
    assert_eq!((&status["live_executors"], &status["running"]), (&json!(1), &json!(0)));
    assert_eq!(durable(database, &["health"]).await.good(), "healthy\n");
    let two = durable(database, &["health", "--executors", "2"]).await;
    assert_eq!((two.code, two.out.as_str()), (Some(1), "1 live executors, and 2 are to be there\n"));
    app.shutdown().await;
}

async fn lists_are_filtered_and_are_json_for_programs(database: &ProcessDatabase) {
    durable(database, &["migrate"]).await.good();
    for (name, id) in [("cli_checkout", "order-1"), ("cli_checkout", "order-2"), ("cli_waits", "wait-1")] {
        durable(database, &["enqueue", name, "--queue", "elsewhere", "--id", id]).await.good();
    }
    durable(database, &["cancel", "order-1"]).await.good();
    matches_snapshot(database, "ls.txt", &durable(database, &["ls", "--oldest-first"]).await.good());
    let ids = async |arguments: &[&str]| {
        let listed = durable(database, &[&["ls", "-o", "jsonl", "--oldest-first"], arguments].concat()).await.good();
        let id =
            |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].as_str().unwrap().to_owned();
        listed.lines().map(id).collect::<Vec<_>>()
    };
    assert_eq!(ids(&["--status", "cancelled"]).await, ["order-1"]);
    assert_eq!(ids(&["--name", "cli_waits"]).await, ["wait-1"]);
    assert_eq!(ids(&["--prefix", "order-", "--limit", "1"]).await, ["order-1"]);
    assert_eq!(ids(&["-s", "enqueued", "-s", "cancelled"]).await.len(), 3);
    let unknown = durable(database, &["ls", "--status", "runing"]).await.fails_with(2);
    assert!(unknown.contains("the statuses are ENQUEUED, DELAYED, PENDING"), "{unknown}");
}

async fn lists_show_errors_reasons_and_payloads(database: &ProcessDatabase) {
    let app = launch(database).await;
    let start = ["start", "cli_checkout", "--id", "failed", "--arg", "order=0", "--arg", "note=gift", "--wait"];
    durable(database, &start).await.fails_with(1);
    let failed = durable(database, &["ls", "--status", "error"]).await.good();
    assert!(failed.contains("REASON") && failed.contains("an order needs a number"), "{failed}");
    let start = ["start", "cli_checkout", "--id", "good", "--arg", "order=7", "--arg", "note=gift", "--wait"];
    durable(database, &start).await.good();
    let good = durable(database, &["ls", "--status", "success"]).await.good();
    assert!(!good.contains("REASON") && !good.contains("gift"), "{good}");
    let payloads = durable(database, &["ls", "--status", "success", "--payloads"]).await.good();
    assert!(payloads.contains("\"note\":\"gift\"") && payloads.contains("order 7 for 700"), "{payloads}");
    durable(database, &["export", "good", "--to", "good.json"]).await.good();
    durable(database, &["start", "cli_waits", "--id", "waits"]).await.good();
    durable(database, &["export", "waits", "--to", "waits.json"]).await.good();
    app.shutdown().await;
    let other = ProcessDatabase::sqlite();
    durable(&other, &["migrate"]).await.good();
    let path = database.folder().join("waits.json").display().to_string();
    durable(&other, &["import", &path]).await.good();
    let parked = durable(&other, &["ls", "--status", "parked", "-o", "json"]).await.json();
    let reason = parked["items"][0]["reason"].as_str().unwrap().to_owned();
    let parked = run(command(&other, &["ls", "--status", "parked"]).env("COLUMNS", "400")).await.good();
    let begin: String = reason.chars().take(40).collect();
    assert!(parked.contains("REASON") && parked.contains(&begin), "{parked}");
}

async fn the_outputs_of_steps_are_shown_beside_a_readable_error(database: &ProcessDatabase) {
    let app = launch(database).await;
    let start = ["start", "cli_checkout", "--id", "paid", "--arg", "order=7", "--arg", "note=gift", "--wait"];
    durable(database, &start).await.good();
    let shown = durable(database, &["show", "paid", "--payloads"]).await.good();
    assert!(shown.lines().any(|it| it.contains("cli_charge") && it.ends_with("700")), "{shown}");
    let start = ["start", "cli_checkout", "--id", "failed", "--arg", "order=0", "--arg", "note=gift", "--wait"];
    durable(database, &start).await.fails_with(1);
    let shown = durable(database, &["show", "failed", "--payloads"]).await.good();
    let is_readable = |line: &str| line.trim_start().starts_with("error ") && line.ends_with("an order needs a number");
    assert!(shown.lines().any(is_readable) && shown.contains("\"message\":"), "{shown}");
    app.shutdown().await;
}

async fn an_unknown_id_is_answered_with_those_that_begin_with_it(database: &ProcessDatabase) {
    durable(database, &["migrate"]).await.good();
    durable(database, &["enqueue", "cli_waits", "--queue", "elsewhere", "--id", "order-1234"]).await.good();
    let similar = durable(database, &["show", "order-12"]).await.fails_with(3);
    assert_eq!(similar, "error: no workflow has the id \"order-12\"\n  help: these begin with it: order-1234\n");
    let missing = durable(database, &["cancel", "nothing"]).await.fails_with(3);
    assert!(missing.contains("no workflow has the id \"nothing\""), "{missing}");
    let message = durable(database, &["send", "nothing", "topic", "1"]).await.fails_with(3);
    assert!(message.contains("no workflow has the id \"nothing\""), "{message}");
}

async fn usage_errors_name_what_was_meant(database: &ProcessDatabase) {
    durable(database, &["migrate"]).await.good();
    for (arguments, part) in [
        (&["enqeue", "x"][..], "'enqueue'"),
        (&["start", "x", "--arg", "order"], "write --arg order=VALUE"),
        (&["start", "x", "--input", "{order: 1}"], "the input from the command line is no JSON"),
        (&["send", "x", "topic", "hurry"], "a text needs quotes of JSON"),
        (&["queue", "set", "orders"], "--concurrency"),
        (&["queue", "set", "orders", "--rate-limit", "fast"], "as in 100/1m"),
        (&["queue", "set", "orders", "--concurrency", "many"], "it is a number, or `none`"),
    ] {
        let error = durable(database, arguments).await.fails_with(2);
        assert!(error.contains(part), "{arguments:?}: {error}");
    }
    let mut nowhere = command(database, &["status"]);
    let nowhere = run(nowhere.env_remove("DURABLE_DATABASE_URL")).await.fails_with(2);
    assert!(nowhere.contains("no database is named") && nowhere.contains("--url"), "{nowhere}");
    let closed =
        durable(database, &["--url", "postgres://localhost:1/x", "--connect-timeout", "100ms", "status"]).await;
    closed.fails_with(5);
    matches_snapshot(database, "help.txt", &durable(database, &["-h"]).await.good());
}

async fn a_message_from_the_command_line_is_received(database: &ProcessDatabase) {
    let app = launch(database).await;
    durable(database, &["start", "cli_waits", "--id", "waits"]).await.good();
    durable(database, &["send", "waits", "number", "42", "--key", "once"]).await.good();
    let handle = app.retrieve_workflow::<Option<u32>>("waits").await.unwrap();
    assert_eq!(handle.await.unwrap(), Some(42));
    let late = durable(database, &["send", "waits", "number", "43"]).await.fails_with(4);
    assert!(late.contains("has ended (SUCCESS)"), "{late}");
    app.shutdown().await;
}
