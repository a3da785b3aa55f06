//! What the API gives to read. The shape of every response is compared with the OpenAPI file.

use durable::axum::Access;
use durable::prelude::*;
use durable::queue;
use serde_json::json;

use super::server::{Server, serve};
use crate::support::app_tests;

app_tests! {
    workflows_are_filtered_paged_and_reduced_to_columns,
    a_workflow_is_shown_with_all_that_belongs_to_it,
    the_overview_counts_and_lists_what_needs_attention,
    queues_schedules_executors_and_versions_are_listed,
    parameters_that_mean_nothing_are_refused,
}

#[queue]
static SEEN: Queue = Queue::new("dashboard-seen").concurrency(3);

#[step]
async fn seen_step(number: u32) -> Result<u32> {
    Ok(number * 2)
}

#[workflow]
async fn seen_child(number: u32) -> Result<u32> {
    seen_step(number).await
}

#[workflow]
async fn seen(number: u32) -> Result<u32> {
    if number == 0 {
        return Err(Error::msg("the card was Declined"));
    }
    durable::set_event("stage", &"begun").await?;
    durable::write_stream("log", &format!("line {number}")).await?;
    durable::write_stream("log", &"another").await?;
    let doubled = seen_child(number).await?;
    match durable::recv::<u32>("go", Duration::from_hours(1)).await? {
        Some(more) => Ok(doubled + more),
        None => Ok(doubled),
    }
}

#[scheduled("0 2 * * *")]
#[workflow]
async fn seen_nightly(_scheduled: DateTime<Utc>, _actual: DateTime<Utc>) -> Result<()> {
    Ok(())
}

async fn watched(app: &TestApp) -> Server {
    serve(&**app, Access::read_only()).await
}

async fn workflows_are_filtered_paged_and_reduced_to_columns(app: TestApp) {
    let server = watched(&app).await;
    for number in 1..=5 {
        seen_child(number).id(format!("seen-{number}")).label("tenant", "acme").await.unwrap();
    }
    seen(0).id("seen-failed").await.unwrap_err();
    seen_child(9).id("seen-queued").queue(&SEEN).delay(Duration::from_hours(1)).start().await.unwrap();

    let all = server.ids("workflows?prefix=seen-").await;
    assert_eq!(all.len(), 7);
    assert_eq!(all[0], "seen-queued", "the newest is first");
    assert_eq!(server.ids("workflows?status=error&name=seen").await, ["seen-failed"]);
    assert_eq!(server.ids("workflows?error=card%20was%20declined").await, ["seen-failed"]);
    assert_eq!(server.ids("workflows?label=tenant%3Dacme&status=SUCCESS").await.len(), 5);
    assert_eq!(server.ids("workflows?queue=dashboard-seen&status=delayed").await, ["seen-queued"]);
    assert_eq!(server.ids("workflows?id=seen-1&id=seen-2&oldest-first=true").await, ["seen-1", "seen-2"]);
    assert_eq!(server.ids("workflows?created-after=2100-01-01T00:00:00Z").await, [""; 0]);

    let mut pages = Vec::new();
    let mut after = String::new();
    loop {
        let page = server.get(&format!("workflows?prefix=seen-&limit=2&after={after}")).await;
        pages.extend(page["items"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        next.clone_into(&mut after);
    }
    assert_eq!(pages, all, "the pages have every workflow once");

    let columns = server.get("workflows?id=seen-1&columns=status,labels").await;
    assert_eq!(columns["items"], json!([{ "id": "seen-1", "status": "SUCCESS", "labels": { "tenant": "acme" } }]));
    let plain = server.get("workflows?id=seen-1").await;
    assert!(plain["items"][0].get("input").is_none(), "payloads come when they are asked for");
    let payloads = server.get("workflows?id=seen-1&payloads=true").await;
    assert_eq!((&payloads["items"][0]["input"], &payloads["items"][0]["output"]), (&json!({ "number": 1 }), &json!(2)));
    let counts = server.get("workflows/count?prefix=seen-&group=status").await;
    assert_eq!(counts["total"], 7);
    assert_eq!(counts["groups"][0], json!({ "value": "SUCCESS", "count": 5 }));
}

async fn a_workflow_is_shown_with_all_that_belongs_to_it(app: TestApp) {
    let server = watched(&app).await;
    let handle = seen(4).id("seen-whole/4").start().await.unwrap();
    app.send("seen-whole/4", "go", &7).await.unwrap();
    assert_eq!(handle.result().await.unwrap(), 15);

    let id = "id=seen-whole%2F4";
    let shown = server.get(&format!("workflow?{id}")).await;
    assert_eq!((&shown["input"], &shown["output"]), (&json!({ "number": 4 }), &json!(15)));
    let steps = server.get(&format!("workflow/steps?{id}")).await;
    let kinds: Vec<_> = steps["items"].as_array().unwrap().iter().map(|it| it["kind"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"recv"), "{kinds:?}");
    assert_eq!(steps["total"], kinds.len());
    let has_payload = |it: &serde_json::Value| {
        !["sleep", "deadline"].contains(&it["kind"].as_str().unwrap()) && !it["output"].is_null()
    };
    assert!(!steps["items"].as_array().unwrap().iter().any(has_payload), "payloads come when they are asked for");
    let first = server.get(&format!("workflow/steps?{id}&limit=1&payloads=true")).await;
    assert_eq!(first["next"], "1", "a page ends with a position");
    let others = server.get(&format!("workflow/steps?{id}&after=1")).await;
    assert_eq!(others["items"].as_array().unwrap().len(), kinds.len() - 1);
    let step = server.get(&format!("workflow/step?{id}&position=2")).await;
    assert_eq!(step["position"], "2");

    let child = server.ids("workflows?parent=seen-whole%2F4").await;
    let of_child = server.get(&format!("workflow/steps?id={}&payloads=true", child[0].replace('/', "%2F"))).await;
    assert_eq!(of_child["items"][0]["output"], 8);

    let events = server.get(&format!("workflow/events?{id}")).await;
    assert_eq!((&events["items"][0]["name"], &events["items"][0]["value"]), (&json!("stage"), &json!("begun")));
    let messages = server.get(&format!("workflow/messages?{id}")).await;
    assert_eq!((&messages["items"][0]["topic"], &messages["items"][0]["payload"]), (&json!("go"), &json!(7)));
    let stream = server.get(&format!("workflow/streams?{id}&stream=log&limit=1")).await;
    assert_eq!((&stream["items"][0]["value"], &stream["next"]), (&json!("line 4"), &json!(1)));
    let more = server.get(&format!("workflow/streams?{id}&offset=1")).await;
    assert_eq!(more["items"][0]["value"], "another");
    let end = server.get(&format!("workflow/streams?{id}&offset=5")).await;
    assert_eq!(end["next"], 5, "one goes on from where a stream is, also if there is nothing yet");

    let export = server.get(&format!("workflow/export?{id}")).await;
    let history: durable::History = serde_json::from_value(export).unwrap();
    assert_eq!(history, app.export_workflow("seen-whole/4").await.unwrap());
    for path in ["workflow", "workflow/steps", "workflow/events", "workflow/messages", "workflow/streams", "bulk"] {
        assert_eq!(server.ask(&format!("{path}?id=missing")).await.0, 404, "{path}");
    }
    assert_eq!(server.ask(&format!("workflow/step?{id}&position=99")).await.0, 404);
    assert_eq!(server.ask(&format!("bulk?{id}")).await.0, 404, "it is no bulk change");
}

async fn the_overview_counts_and_lists_what_needs_attention(app: TestApp) {
    let server = watched(&app).await;
    seen_child(1).id("seen-good").await.unwrap();
    seen(0).id("seen-bad").await.unwrap_err();
    let overview = server.get("overview").await;
    let count = |status: &str| {
        let all = overview["statuses"].as_array().unwrap();
        all.iter().find(|it| it["status"] == status).unwrap()["count"].as_u64().unwrap()
    };
    assert_eq!((count("SUCCESS"), count("ERROR"), count("PARKED")), (1, 1, 0));
    let sum = |series: &str, field: &str| {
        let buckets = overview[series].as_array().unwrap();
        buckets.iter().map(|it| it[field].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!(overview["hour"].as_array().unwrap().len(), 60);
    assert_eq!(overview["day"].as_array().unwrap().len(), 48);
    for series in ["hour", "day"] {
        assert_eq!((sum(series, "success"), sum(series, "error")), (1, 1), "{series}");
    }
    assert_eq!(overview["failed"][0]["id"], "seen-bad");
    assert!(overview["executors"].as_array().unwrap().iter().any(|it| it["state"] == "live"));
    assert_eq!(overview["schema_version"], app.schema_version());
    let settings = server.get("settings").await;
    assert_eq!((&settings["access"], &settings["redacted"]), (&json!("read_only"), &json!(false)));
    assert_eq!(settings["application"], app.name());
}

async fn queues_schedules_executors_and_versions_are_listed(app: TestApp) {
    let server = watched(&app).await;
    let queues = server.get("queues").await;
    let queue = queues.as_array().unwrap().iter().find(|it| it["name"] == "dashboard-seen").unwrap();
    assert_eq!(queue["limits"]["concurrency"], 3);
    let schedules = server.get("schedules").await;
    let nightly = schedules.as_array().unwrap().iter().find(|it| it["name"] == "seen_nightly").unwrap();
    let ticks: Vec<DateTime<Utc>> = serde_json::from_value(nightly["next_ticks"].clone()).unwrap();
    assert_eq!(ticks.len(), 5);
    assert!(ticks.windows(2).all(|it| it[1] - it[0] == durable_day()), "{ticks:?}");
    assert_eq!(server.get("executors").await.as_array().unwrap().len(), 1);
    seen_child(1).id("seen-delayed").queue(&SEEN).delay(Duration::from_hours(1)).start().await.unwrap();
    let versions = server.get("versions").await;
    assert_eq!((&versions[0]["delayed"], &versions[0]["in_flight"]), (&json!(1), &json!(1)));
}

fn durable_day() -> <DateTime<Utc> as std::ops::Sub>::Output {
    DateTime::<Utc>::UNIX_EPOCH + Duration::from_hours(24) - DateTime::<Utc>::UNIX_EPOCH
}

async fn parameters_that_mean_nothing_are_refused(app: TestApp) {
    let server = watched(&app).await;
    for (path, word) in [
        ("workflows?color=red", "color"),
        ("workflows?status=running", "status"),
        ("workflows?limit=501", "500"),
        ("workflows?limit=0", "500"),
        ("workflows?after=x", "cursor"),
        ("workflows?created-after=yesterday", "2026-01-31T00:00:00Z"),
        ("workflows?label=tenant", "NAME=VALUE"),
        ("workflows?payloads=perhaps", "true"),
        ("workflows/count?group=color", "executor"),
        ("workflow", "id"),
        ("workflow?id=a&more=1", "more"),
        ("workflow/step?id=a&position=x", "position"),
        ("queues?name=a", "name"),
    ] {
        let (status, body) = server.ask(path).await;
        assert_eq!(status, 400, "{path}: {body}");
        assert!(body["error"]["message"].as_str().unwrap().contains(word), "{path}: {body}");
    }
}
