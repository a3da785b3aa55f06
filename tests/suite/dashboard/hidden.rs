//! What the host hides leaves by no route.

use std::collections::BTreeSet;

use axum::Router;
use durable::axum::Access;
use durable::prelude::*;
use serde_json::{Value, json};

use super::schema;
use super::server::{Events, PROOF, serve_router};
use crate::support::{app_tests, until};

app_tests! {
    hidden_payloads_leave_by_no_route,
    payloads_are_hidden_by_the_name_of_their_workflow,
    a_function_that_panics_hides_the_value_and_stops_nothing,
    without_redaction_payloads_are_shown,
}

const SECRET: &str = "4111-canary-1111";

#[step(retries = 1, backoff = "1ms")]
async fn charge(card: String) -> Result<Value> {
    if durable::step_status().is_some_and(|it| it.attempt == 1) {
        return Err(Error::msg(format!("declined: {card}")));
    }
    Ok(json!({ "card": card, "paid": true }))
}

#[workflow]
async fn pays_by_card(card: Value) -> Result<Value> {
    durable::set_event("card", &card).await?;
    durable::write_stream("cards", &card).await?;
    let card = card["card"].as_str().unwrap_or_default().to_owned();
    let charged = charge(card.clone()).await?;
    let is_sent = card.ends_with("sent");
    let _ = durable::recv::<Value>("card", Duration::from_millis(if is_sent { 60_000 } else { 1 })).await?;
    if charged["fail"] == true || card.ends_with("fail") {
        return Err(Error::msg(format!("no money on {card}")));
    }
    Ok(charged)
}

/// Hides texts with the secret in them, and the field `card`, whatever it belongs to.
fn hide_cards(_name: &str, json: &mut Value) {
    match json {
        Value::Object(fields) => {
            fields.values_mut().for_each(|it| hide_cards("", it));
        }
        Value::Array(items) => items.iter_mut().for_each(|it| hide_cards("", it)),
        Value::String(text) if text.contains(SECRET) => "hidden".clone_into(text),
        _ => {}
    }
}

async fn paid(app: &TestApp) {
    pays_by_card(json!({ "card": SECRET })).id("pays_by_card-1").await.unwrap();
    pays_by_card(json!({ "card": format!("{SECRET} fail") })).id("pays_by_card-2").await.unwrap_err();
    let sent = json!({ "card": format!("{SECRET} sent"), "deep": deep() });
    let handle = pays_by_card(sent).id("pays_by_card-3").start().await.unwrap();
    app.send("pays_by_card-3", "card", &SECRET).await.unwrap();
    handle.result().await.unwrap();
    app.export_workflow("pays_by_card-1").await.unwrap();
}

/// JSON that is nested as deep as it may be, with the secret in it.
fn deep() -> Value {
    (0..100).fold(json!(SECRET), |inner, _| json!([inner]))
}

async fn hidden_payloads_leave_by_no_route(app: TestApp) {
    let dashboard: Router = durable::axum::dashboard(&*app);
    let dashboard = dashboard.redact(hide_cards).access(Access::full());
    let server = serve_router(Router::new().nest("/durable", dashboard)).await;
    let mut events = Events::open(&server, "?watch=pays_by_card-1&rows=pays_by_card-2", None).await;
    let hello = events.named("hello").await;
    assert_eq!(hello.data["resumed"], false);
    paid(&app).await;

    let mut hidden = BTreeSet::new();
    for id in ["pays_by_card-1", "pays_by_card-2", "pays_by_card-3"] {
        for (method, path) in schema::routes() {
            let (mut query, mut body) = (format!("?id={id}"), format!(r#"{{"ids":["{id}"]}}"#));
            match path {
                "live" | "workflows/delete" => continue, // the first is below, and what is deleted shows nothing
                "workflows" => "?payloads=true&limit=500".clone_into(&mut query),
                "workflow/steps" => query += "&payloads=true",
                "workflow/step" => query += "&position=3",
                "workflows/count" | "bulk" => {}
                _ if path.starts_with("workflow/") || path == "workflow" => {}
                "workflows/fork" => body = format!(r#"{{"ids":["{id}"],"from":1,"arguments":{{"crd":1}}}}"#),
                _ if method == "get" => query.clear(),
                _ => {}
            }
            let sent = if method == "get" { String::new() } else { body };
            let query = if method == "get" { query } else { String::new() };
            let url = format!("/durable/api/v1/{path}{query}");
            let answer = server.request(&method.to_uppercase(), &url, PROOF, &sent).await;
            assert!(!answer.body.contains("canary"), "{method} {path} of {id} shows it: {}", answer.body);
            if answer.body.contains("hidden") {
                hidden.insert(path);
            }
        }
    }
    for path in [
        "workflows",
        "workflow",
        "workflow/steps",
        "workflow/step",
        "workflow/events",
        "workflow/messages",
        "workflow/streams",
        "workflow/export",
    ] {
        assert!(hidden.contains(path), "{path} shows it, hidden: {hidden:?}");
    }
    let search = server.page(&format!("/durable/api/v1/workflows?error={SECRET}")).await;
    assert_eq!(search.status, 403, "a search would tell what is hidden");
    let filter = json!({ "filter": { "error": SECRET } });
    assert_eq!(server.act("workflows/cancel", &filter).await.0, 403);
    assert_eq!(server.get("settings").await["redacted"], true);
    loop {
        let told = events.named("changes").await;
        schema::assert_shape("LiveChanges", &told.data);
        assert!(!told.data.to_string().contains("canary"), "{told:?}");
        if told.data.to_string().contains("pays_by_card-2") {
            break;
        }
    }
}

/// Each of its payloads belongs to the workflow, also those of its calls.
#[workflow]
async fn passes_card_on() -> Result<Value> {
    let card = durable::recv::<Value>("card", Duration::from_hours(1)).await?.unwrap_or_default();
    durable::set_event("card", &card).await?;
    durable::write_stream("card", &card).await?;
    let again = durable::get_event::<Value>(durable::workflow_id().unwrap_or_default(), "card", Duration::from_mins(1));
    again.await.map(Option::unwrap_or_default)
}

async fn payloads_are_hidden_by_the_name_of_their_workflow(app: TestApp) {
    let dashboard: Router = durable::axum::dashboard(&*app);
    let dashboard = dashboard.redact(|name: &str, json: &mut Value| {
        if name == "passes_card_on" {
            *json = json!("hidden");
        }
    });
    let server = serve_router(Router::new().nest("/durable", dashboard)).await;
    let handle = passes_card_on().id("passes_card_on-1").start().await.unwrap();
    app.send("passes_card_on-1", "card", &SECRET).await.unwrap();
    handle.result().await.unwrap();
    for (method, path) in schema::routes() {
        if method == "get" && (path == "workflow" || path.starts_with("workflow/") || path == "workflows") {
            let query = match path {
                "workflow/steps" => "id=passes_card_on-1&payloads=true",
                "workflow/step" => "id=passes_card_on-1&position=1",
                "workflows" => "payloads=true",
                _ => "id=passes_card_on-1",
            };
            let answer = server.page(&format!("/durable/api/v1/{path}?{query}")).await;
            assert_eq!(answer.status, 200, "{path}");
            assert!(answer.body.contains("hidden") && !answer.body.contains("canary"), "{path}: {}", answer.body);
        }
    }
}

async fn a_function_that_panics_hides_the_value_and_stops_nothing(app: TestApp) {
    let dashboard: Router = durable::axum::dashboard(&*app);
    let dashboard = dashboard.redact(|_: &str, _: &mut Value| panic!("it has a bug"));
    let server = serve_router(Router::new().nest("/durable", dashboard)).await;
    pays_by_card(json!({ "card": SECRET })).id("pays_by_card-1").await.unwrap();
    let shown = server.get("workflow?id=pays_by_card-1").await;
    assert_eq!((&shown["status"], &shown["input"], &shown["output"]), (&json!("SUCCESS"), &Value::Null, &Value::Null));
}

async fn without_redaction_payloads_are_shown(app: TestApp) {
    let dashboard: Router = durable::axum::dashboard(&*app);
    let server = serve_router(Router::new().nest("/durable", dashboard)).await;
    paid(&app).await;
    until("it shows", async || server.get("workflow?id=pays_by_card-1").await["output"]["card"] == SECRET).await;
    assert_eq!(server.ids(&format!("workflows?error={SECRET}")).await, ["pays_by_card-2"]);
}
