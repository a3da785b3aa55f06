//! Repairing workflows from the command line: by id, and all that match.

use std::sync::atomic::{AtomicBool, Ordering};

use durable::prelude::*;
use serde_json::json;

use super::process::durable;
use crate::support::{ProcessDatabase, process_tests};

process_tests! {
    a_failed_workflow_is_resumed_forked_and_restarted,
    a_resume_of_what_goes_on_already_says_so,
    all_that_match_are_exported_into_files,
    all_that_match_are_counted_asked_about_and_changed,
    copies_of_all_that_match_are_printed_with_their_ids,
    a_dry_run_with_ids_changes_nothing,
    labels_are_set_and_found,
    a_workflow_is_exported_and_imported,
    versions_and_what_is_in_flight_of_them_are_listed,
}

/// Whether the service is there, by the name of the database.
static MENDED: [AtomicBool; 2] = [AtomicBool::new(false), AtomicBool::new(false)];

#[step]
async fn cli_price(order: u32) -> u32 {
    order * 100
}

#[step]
async fn cli_ship(cents: u32, store: usize) -> Result<String> {
    if MENDED[store].load(Ordering::SeqCst) { Ok(format!("paid {cents}")) } else { Err(Error::msg("no courier")) }
}

#[workflow]
async fn cli_repaired(order: u32, store: usize) -> Result<String> {
    let cents = cli_price(order).await;
    cli_ship(cents, store).await
}

async fn a_failed_workflow_is_resumed_forked_and_restarted(database: &ProcessDatabase) {
    let store = usize::from(database.is_postgres());
    let app = Durable::builder("cli").system_database(database.url()).launch().await.unwrap();
    let argument = format!("store={store}");
    let start = ["start", "cli_repaired", "--arg", "order=7", "--arg", &argument, "--id", "order-7", "--wait"];
    assert!(durable(database, &start).await.fails_with(1).contains("no courier"));
    let failed = durable(database, &["ls", "--error", "courier", "-o", "json"]).await.json();
    assert_eq!(failed["items"][0]["id"], json!("order-7"));
    let shown = durable(database, &["show", "order-7"]).await.good();
    assert!(shown.contains("error") && shown.contains("no courier"), "{shown}");

    MENDED[store].store(true, Ordering::SeqCst);
    assert_eq!(durable(database, &["resume", "order-7"]).await.good(), "order-7: resumed\n");
    let result = async |id: &str| app.retrieve_workflow::<String>(id).await.unwrap().await.unwrap();
    assert_eq!(result("order-7").await, "paid 700");
    let refused = durable(database, &["resume", "order-7"]).await.fails_with(4);
    assert!(refused.contains("SUCCESS"), "{refused}");

    let fork = ["fork", "order-7", "--from", "2", "--new-id", "order-7b", "--output-of", "1=9"];
    assert_eq!(durable(database, &fork).await.good(), "order-7: order-7b\n");
    assert_eq!(result("order-7b").await, "paid 9");
    let restart = ["restart", "order-7", "--new-id", "order-7c", "--arg", "order=8", "--version", "v8", "--wait"];
    assert_eq!(durable(database, &restart).await.good(), "order-7: order-7c\n\"paid 800\"\n");
    let copy = durable(database, &["show", "order-7c", "-o", "json"]).await.json();
    assert_eq!(copy["workflow"]["version"], json!("v8"));
    let fork = ["fork", "order-7", "--from", "2", "--new-id", "order-7d", "--wait", "-o", "json"];
    let forked = durable(database, &fork).await.json();
    assert_eq!(forked, json!({"id": "order-7", "result": "order-7d", "returned": "paid 700"}));
    let shown = durable(database, &["show", "order-7c", "--payloads"]).await.good();
    assert!(shown.contains("forked from") && shown.contains("order-7") && shown.contains("\"order\":8"), "{shown}");

    assert_eq!(durable(database, &["delete", "order-7b"]).await.good(), "order-7b: deleted\n");
    durable(database, &["show", "order-7b"]).await.fails_with(3);
    let wrong = durable(database, &["fork", "order-7", "--from", "two"]).await.fails_with(2);
    assert!(wrong.contains("no number of a call"), "{wrong}");
    app.shutdown().await;
}

async fn all_that_match_are_counted_asked_about_and_changed(database: &ProcessDatabase) {
    durable(database, &["migrate"]).await.good();
    let client = durable::Client::connect(database.url()).await.unwrap();
    for number in 0..230 {
        let id = format!("many-{number}");
        client.enqueue("cli_many", json!({})).queue("elsewhere").label("tenant", "acme").id(id).await.unwrap();
    }
    client.enqueue("cli_other", json!({})).queue("elsewhere").id("other").await.unwrap();
    client.close().await;
    let matching = "--where=status=enqueued,name=cli_many,label.tenant=acme";
    assert_eq!(
        durable(database, &["cancel", matching, "--dry-run"]).await.good(),
        "230 workflows match: 230 enqueued\n"
    );
    let asked = durable(database, &["cancel", matching]).await.fails_with(4);
    assert!(asked.contains("cancel 230 workflows (230 enqueued)?"), "{asked}");
    let cancelled = durable(database, &["cancel", matching, "--yes", "-o", "json"]).await.json();
    assert_eq!(cancelled, json!({"done": 230, "refused": 0, "unchanged": 0}));
    let again = durable(database, &["cancel", "--where=name=cli_many", "--yes"]).await.good();
    assert_eq!(again, "0 cancelled, 230 left as they were\n");
    assert_eq!(durable(database, &["cancel", matching, "--yes"]).await.good(), "0 workflows match\n");
    let left = durable(database, &["ls", "--status", "enqueued", "-o", "json"]).await.json();
    assert_eq!(left["items"].as_array().map(Vec::len), Some(1), "no other one was cancelled");

    let page = durable(database, &["ls", "--where", "status=cancelled", "--limit", "200", "-o", "json"]).await.json();
    let next = page["next"].as_str().expect("there are more").to_owned();
    let rest = ["ls", "--where", "status=cancelled", "--limit", "200", "-o", "json", "--after", &next];
    assert_eq!(durable(database, &rest).await.json()["items"].as_array().map(Vec::len), Some(30));

    let deleted = durable(database, &["delete", "--where", "queue=elsewhere", "--yes", "-o", "json"]).await;
    let counts: serde_json::Value = serde_json::from_str(&deleted.out).unwrap();
    assert_eq!(counts, json!({"done": 230, "refused": 1, "unchanged": 0}), "one has not ended");
    deleted.fails_with(4);
    let unknown = durable(database, &["cancel", "--where", "state=error", "--yes"]).await.fails_with(2);
    assert!(unknown.contains("there is no condition \"state\"") && unknown.contains("label.NAME"), "{unknown}");
}

async fn copies_of_all_that_match_are_printed_with_their_ids(database: &ProcessDatabase) {
    durable(database, &["migrate"]).await.good();
    for id in ["a", "b"] {
        durable(database, &["start", "cli_copied", "--id", id]).await.good();
    }
    for command in [&["restart"][..], &["fork", "--from", "1"]] {
        let arguments = [command, &["--where", "name=cli_copied,prefix=a", "--yes"]].concat();
        let printed = durable(database, &arguments).await.good();
        let new = printed.lines().next().and_then(|line| line.strip_prefix("a: ")).expect("the new id is printed");
        let copies = durable(database, &["ls", "--where", "forked-from=a", "-o", "json"]).await.json();
        assert!(copies["items"].as_array().unwrap().iter().any(|it| it["id"] == new), "{printed} {copies}");
    }
    let arguments = ["restart", "--where", "prefix=b", "--yes", "--per-second", "10", "-o", "json"];
    let printed = durable(database, &arguments).await.json();
    let new = printed["new"]["b"].as_str().expect("the new id is there");
    assert_eq!(printed, json!({"done": 1, "refused": 0, "new": {"b": new}}));
    let copies = durable(database, &["ls", "--where", "forked-from=b,forked-from=a", "-o", "json"]).await.json();
    assert_eq!(copies["items"].as_array().map(Vec::len), Some(3));
}

async fn a_dry_run_with_ids_changes_nothing(database: &ProcessDatabase) {
    durable(database, &["migrate"]).await.good();
    for id in ["waiting", "cancelled"] {
        durable(database, &["start", "cli_dry", "--id", id]).await.good();
    }
    durable(database, &["cancel", "cancelled"]).await.good();
    let listed = async || durable(database, &["ls", "-o", "json"]).await.json();
    let before = listed().await;
    for command in [
        &["cancel", "waiting"][..],
        &["resume", "cancelled"],
        &["restart", "cancelled"],
        &["fork", "cancelled", "--from", "1"],
        &["delete", "cancelled"],
        &["label", "waiting", "--set", "tenant=acme"],
    ] {
        let arguments = [command, &["--dry-run"]].concat();
        let preview = durable(database, &arguments).await.good();
        assert!(preview.starts_with("1 workflow matches: 1 "), "{arguments:?}: {preview}");
        assert_eq!(listed().await, before, "{arguments:?}");
    }
    durable(database, &["delete", "cancelled", "missing", "--dry-run"]).await.fails_with(3);
    assert_eq!(listed().await, before);
}

async fn labels_are_set_and_found(database: &ProcessDatabase) {
    durable(database, &["migrate"]).await.good();
    for id in ["a", "b"] {
        durable(database, &["start", "cli_labeled", "--id", id, "--label", "tenant=acme"]).await.good();
    }
    assert_eq!(durable(database, &["label", "a", "--set", "tenant=other"]).await.good(), "a: labeled\n");
    let found = durable(database, &["ls", "--label", "tenant=other", "-o", "json"]).await.json();
    assert_eq!(found["items"][0]["labels"], json!({"tenant": "other"}));
    assert_eq!(found["items"].as_array().map(Vec::len), Some(1));
    durable(database, &["label", "missing", "--set", "tenant=other"]).await.fails_with(3);
    durable(database, &["label", "a", "--set", "tenant"]).await.fails_with(2);
}

async fn a_workflow_is_exported_and_imported(database: &ProcessDatabase) {
    durable(database, &["migrate"]).await.good();
    durable(database, &["start", "cli_moved", "--id", "moved", "--arg", "order=7"]).await.good();
    durable(database, &["export", "moved", "--to", "moved.json"]).await.good();
    let twice = durable(database, &["import", "moved.json"]).await.fails_with(4);
    assert!(twice.contains("in the database already"), "{twice}");
    let other = ProcessDatabase::sqlite();
    let path = database.folder().join("moved.json").display().to_string();
    durable(&other, &["migrate"]).await.good();
    assert_eq!(durable(&other, &["import", &path]).await.good(), "moved: imported, parked\n");
    let shown = durable(&other, &["show", "moved", "--payloads"]).await.good();
    assert!(shown.contains("durable resume moved") && shown.contains("\"order\":7"), "{shown}");
    durable(database, &["export", "missing"]).await.fails_with(3);
    durable(database, &["import", "missing.json"]).await.fails_with(2);
}

async fn versions_and_what_is_in_flight_of_them_are_listed(database: &ProcessDatabase) {
    let builder = Durable::builder("cli").system_database(database.url()).application_version("v1");
    let app = builder.listen_to::<&str>([]).launch().await.unwrap();
    app.scope(async { cli_repaired(1, 0).id("held").delay(Duration::from_hours(1)).start().await }).await.unwrap();
    let versions = durable(database, &["version", "ls", "-o", "json"]).await.json();
    assert_eq!((&versions[0]["version"], &versions[0]["delayed"]), (&json!("v1"), &json!(1)), "{versions}");
    let held = durable(database, &["version", "drain", "v1"]).await;
    assert!(
        held.out.starts_with("1 workflow of the version v1 is in flight\n") && held.out.contains("held"),
        "{held:?}"
    );
    held.fails_with(1);
    let unknown = durable(database, &["version", "drain", "v2"]).await.fails_with(3);
    assert!(unknown.contains("living process has the version \"v2\"") && unknown.contains("v1"), "{unknown}");
    durable(database, &["export", "held", "--to", "held.json"]).await.good();
    durable(database, &["cancel", "held"]).await.good();
    let drained = durable(database, &["version", "drain", "v1", "--watch"]).await.good();
    assert_eq!(drained, "0 workflows of the version v1 are in flight\n");
    durable(database, &["delete", "held"]).await.good();
    durable(database, &["import", "held.json"]).await.good();
    let parked = durable(database, &["version", "drain", "v1"]).await.good();
    assert!(parked.contains("are in flight, and 1 is parked, which needs this version"), "{parked}");
    app.shutdown().await;
}

async fn a_resume_of_what_goes_on_already_says_so(database: &ProcessDatabase) {
    durable(database, &["migrate"]).await.good();
    durable(database, &["start", "cli_going_on", "--id", "goes-on"]).await.good();
    let again = durable(database, &["resume", "goes-on"]).await.good();
    assert_eq!(again, "goes-on: it is enqueued already, and nothing was changed\n");
    durable(database, &["cancel", "goes-on"]).await.good();
    assert_eq!(durable(database, &["resume", "goes-on"]).await.good(), "goes-on: resumed\n");
}

async fn all_that_match_are_exported_into_files(database: &ProcessDatabase) {
    durable(database, &["migrate"]).await.good();
    for id in ["orders/7", "..", "refund"] {
        durable(database, &["start", "cli_exported", "--id", id]).await.good();
    }
    let arguments = ["export", "--where", "name=cli_exported", "--dir", "out/histories"];
    assert_eq!(durable(database, &arguments).await.good(), "3 workflows exported to out/histories\n");
    for (id, file) in [("orders/7", "orders%2F7.json"), ("..", "%2E..json"), ("refund", "refund.json")] {
        let text = std::fs::read_to_string(database.folder().join("out/histories").join(file)).expect(file);
        let history: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(history["workflow"]["id"], json!(id));
    }
    durable(database, &["export", "--where", "name=cli_exported"]).await.fails_with(2);
}
