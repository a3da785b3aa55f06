//! Actions on workflows, queues and schedules.

use durable::axum::Access;
use durable::prelude::*;
use durable::queue;
use serde_json::{Value, json};

use super::server::{Server, serve};
use crate::support::{app_tests, until};

app_tests! {
    each_action_on_ids_says_what_became_of_each,
    a_fork_takes_edited_arguments_and_results,
    an_action_on_a_filter_is_carried_out_by_a_workflow_that_shows_how_far_it_is,
    waiting_workflows_are_moved_delayed_and_given_another_priority,
    queues_are_paused_and_limited,
    schedules_are_paused_triggered_and_backfilled,
    actions_that_do_not_read_change_nothing,
}

#[queue]
static STEERED: Queue = Queue::new("dashboard-steered").concurrency(2);
#[queue]
static OTHER: Queue = Queue::new("dashboard-other");

#[step]
async fn price(of: u32) -> Result<u32> {
    Ok(of * 10)
}

#[workflow]
async fn steered(number: u32) -> Result<u32> {
    let price = price(number).await?;
    if number == 0 {
        return Err(Error::msg("nothing was ordered"));
    }
    Ok(price + 1)
}

#[workflow]
async fn steered_waits() -> Result<()> {
    durable::recv::<u32>("never", Duration::from_hours(99)).await.map(drop)
}

#[scheduled("0 0 29 2 *")]
#[workflow]
async fn steered_leap_days(_scheduled: DateTime<Utc>, _actual: DateTime<Utc>) -> Result<()> {
    Ok(())
}

async fn full(app: &TestApp) -> Server {
    serve(&**app, Access::full()).await
}

async fn status(app: &TestApp, id: &str) -> Status {
    app.workflow(id).await.unwrap().unwrap().status
}

async fn each_action_on_ids_says_what_became_of_each(app: TestApp) {
    let server = full(&app).await;
    steered_waits().id("steered-a").start().await.unwrap();
    steered(1).id("steered-done").await.unwrap();
    let answer = server.done("workflows/cancel", &json!({ "ids": ["steered-a", "missing"], "children": true })).await;
    assert_eq!((&answer["done"], &answer["refused"]), (&json!(1), &json!(1)));
    assert_eq!(answer["results"][0], json!({ "id": "steered-a", "done": true, "new": null, "message": null }));
    assert!(answer["results"][1]["message"].as_str().unwrap().contains("missing"));
    assert_eq!(status(&app, "steered-a").await, Status::Cancelled);

    server.done("workflows/resume", &json!({ "ids": ["steered-a"] })).await;
    until("it goes on", async || status(&app, "steered-a").await == Status::Pending).await;
    let refused = server.done("workflows/resume", &json!({ "ids": ["steered-done"] })).await;
    assert!(refused["results"][0]["message"].as_str().unwrap().contains("complete"), "{refused}");

    let restarted = server.done("workflows/restart", &json!({ "ids": ["steered-done"] })).await;
    let new = restarted["results"][0]["new"].as_str().unwrap();
    assert_eq!(app.retrieve_workflow::<u32>(new).await.unwrap().result().await.unwrap(), 11);

    server.done("workflows/labels", &json!({ "ids": ["steered-done"], "labels": { "tenant": "acme" } })).await;
    assert_eq!(app.workflow("steered-done").await.unwrap().unwrap().labels["tenant"], "acme");
    server.done("workflows/delete", &json!({ "ids": ["steered-done"] })).await;
    assert!(app.workflow("steered-done").await.unwrap().is_none());
    server.done("workflows/cancel", &json!({ "ids": ["steered-a"] })).await;
}

async fn a_fork_takes_edited_arguments_and_results(app: TestApp) {
    let server = full(&app).await;
    steered(0).id("steered-bad").await.unwrap_err();
    let edited = json!({ "ids": ["steered-bad"], "from": 1, "id": "steered-good", "arguments": { "number": 4 } });
    let forked = server.done("workflows/fork", &edited).await;
    assert_eq!(forked["results"][0]["new"], "steered-good");
    assert_eq!(app.retrieve_workflow::<u32>("steered-good").await.unwrap().result().await.unwrap(), 41);
    let kept = json!({ "ids": ["steered-good"], "from": 2, "outputs": { "1": 500 } });
    let forked = server.done("workflows/fork", &kept).await;
    let new = forked["results"][0]["new"].as_str().unwrap();
    assert_eq!(app.retrieve_workflow::<u32>(new).await.unwrap().result().await.unwrap(), 501);
    let unknown = json!({ "ids": ["steered-good"], "from": "last_step", "arguments": { "numbr": 1 } });
    let refused = server.done("workflows/fork", &unknown).await;
    assert!(refused["results"][0]["message"].as_str().unwrap().contains("did you mean `number`?"), "{refused}");
}

async fn an_action_on_a_filter_is_carried_out_by_a_workflow_that_shows_how_far_it_is(app: TestApp) {
    let server = full(&app).await;
    for number in 0..5 {
        steered_waits().id(format!("steered-{number}")).label("batch", "7").start().await.unwrap();
    }
    let preview = server.get("workflows/count?label=batch%3D7&status=pending").await;
    assert_eq!(preview["total"], 5);
    let filter = json!({ "filter": { "label": "batch=7", "status": ["pending", "enqueued"] } });
    let (status_code, started) = server.act("workflows/cancel", &filter).await;
    assert_eq!((status_code, &started["matched"]), (202, &json!(5)));
    let bulk = format!("bulk?id={}", started["bulk"].as_str().unwrap());
    until("it is over", async || server.get(&bulk).await["status"] == "SUCCESS").await;
    let report = server.get(&bulk).await["report"].clone();
    assert_eq!((&report["matched"], &report["changed"], &report["refused"]), (&json!(5), &json!(5), &json!(0)));
    assert_eq!(status(&app, "steered-3").await, Status::Cancelled);

    let everything = server.act("workflows/cancel", &json!({ "filter": { "prefix": "" } })).await;
    assert_eq!(everything.0, 400, "a filter without a condition would select every workflow: {everything:?}");
}

async fn waiting_workflows_are_moved_delayed_and_given_another_priority(app: TestApp) {
    let server = full(&app).await;
    app.pause_queue(OTHER.name()).await.unwrap();
    steered(2).id("steered-q").queue(&STEERED).delay(Duration::from_hours(1)).start().await.unwrap();
    server.done("workflows/priority", &json!({ "ids": ["steered-q"], "priority": -3 })).await;
    assert_eq!(app.workflow("steered-q").await.unwrap().unwrap().priority, -3);
    server.done("workflows/queue", &json!({ "ids": ["steered-q"], "queue": "dashboard-other" })).await;
    assert_eq!(app.workflow("steered-q").await.unwrap().unwrap().queue.as_deref(), Some("dashboard-other"));
    server.done("workflows/delay", &json!({ "ids": ["steered-q"], "seconds": 0 })).await;
    assert_eq!(status(&app, "steered-q").await, Status::Enqueued);
    server.done("queues/resume", &json!({ "name": "dashboard-other" })).await;
    assert_eq!(app.retrieve_workflow::<u32>("steered-q").await.unwrap().result().await.unwrap(), 21);
}

async fn queues_are_paused_and_limited(app: TestApp) {
    let server = full(&app).await;
    let limits = async || {
        let all = server.get("queues").await;
        all.as_array().unwrap().iter().find(|it| it["name"] == "dashboard-steered").unwrap().clone()
    };
    server.done("queues/pause", &json!({ "name": "dashboard-steered" })).await;
    assert_eq!(limits().await["paused"], true);
    server.done("queues/resume", &json!({ "name": "dashboard-steered" })).await;
    let change = json!({
        "name": "dashboard-steered",
        "limits": { "concurrency": null, "rate_limit": { "starts": 5, "period": 60 } },
    });
    let changed = server.done("queues/limits", &change).await;
    assert_eq!(changed, limits().await);
    assert_eq!((&changed["limits"]["concurrency"], &changed["changed"]), (&Value::Null, &json!(true)));
    assert_eq!(changed["limits"]["rate_limit"], json!({ "starts": 5, "period": 60.0 }));
    let missing = server.act("queues/pause", &json!({ "name": "dashboard-steerd" })).await;
    assert_eq!(missing.0, 404);
    let zero = json!({ "name": "dashboard-steered", "limits": { "concurrency": 0 } });
    assert_eq!(server.act("queues/limits", &zero).await.0, 400, "with it nothing would run");
}

async fn schedules_are_paused_triggered_and_backfilled(app: TestApp) {
    let server = full(&app).await;
    let name = json!({ "name": "steered_leap_days" });
    server.done("schedules/pause", &name).await;
    let schedule = async || {
        let all = server.get("schedules").await;
        all.as_array().unwrap().iter().find(|it| it["name"] == "steered_leap_days").unwrap().clone()
    };
    assert_eq!((&schedule().await["paused"], &schedule().await["next_ticks"]), (&json!(true), &json!([])));
    server.done("schedules/resume", &name).await;
    let triggered = server.done("schedules/trigger", &name).await;
    let id = triggered["id"].as_str().unwrap();
    app.retrieve_workflow::<()>(id).await.unwrap().result().await.unwrap();
    let range = json!({ "name": "steered_leap_days", "from": "2012-01-01T00:00:00Z", "to": "2021-01-01T00:00:00Z" });
    assert_eq!(server.done("schedules/backfill", &range).await["started"], 3);
    assert_eq!(server.act("schedules/trigger", &json!({ "name": "missing" })).await.0, 404);
}

async fn actions_that_do_not_read_change_nothing(app: TestApp) {
    let server = full(&app).await;
    steered_waits().id("steered-stays").start().await.unwrap();
    let ids = json!(["steered-stays"]);
    for (path, body, word) in [
        ("workflows/cancel", json!({}), "either"),
        ("workflows/cancel", json!({ "ids": ids, "filter": { "id": "a" } }), "either"),
        ("workflows/cancel", json!({ "ids": [] }), "500"),
        ("workflows/cancel", json!({ "ids": ids, "reason": "x" }), "reason"),
        ("workflows/cancel", json!({ "ids": ids, "per_second": 1 }), "per_second"),
        ("workflows/cancel", json!({ "filter": { "color": "red" } }), "color"),
        ("workflows/fork", json!({ "ids": ids }), "from"),
        ("workflows/fork", json!({ "ids": ids, "from": "middle" }), "from"),
        ("workflows/fork", json!({ "filter": { "id": "a" }, "from": 1, "arguments": { "a": 1 } }), "ids"),
        ("workflows/fork", json!({ "ids": ["a", "b"], "from": 1, "id": "c" }), "single"),
        ("workflows/delay", json!({ "ids": ids, "seconds": -1 }), "seconds"),
        ("workflows/labels", json!({ "ids": ids }), "labels"),
        ("queues/limits", json!({ "name": "dashboard-steered", "limits": { "speed": 1 } }), "speed"),
        ("schedules/backfill", json!({ "name": "steered_leap_days", "from": "x", "to": "y" }), "from"),
    ] {
        let (code, answer) = server.act(path, &body).await;
        assert_eq!(code, 400, "{path} {body}: {answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains(word), "{path} {body}: {answer}");
    }
    assert_eq!(status(&app, "steered-stays").await, Status::Pending);
}
