//! What the host hides leaves by no route.

use axum::Router;
use durable::axum::Access;
use durable::prelude::*;
use serde_json::{Value, json};

use super::schema;
use super::server::{Events, PROOF, serve_router};
use crate::support::{app_tests, until};

app_tests! {
    hidden_payloads_leave_by_no_route,
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
    let _ = durable::recv::<Value>("card", Duration::from_millis(1)).await?;
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
    let handle = pays_by_card(json!({ "card": SECRET, "deep": deep(200) })).id("pays_by_card-3").start().await.unwrap();
    app.send("pays_by_card-3", "card", &SECRET).await.ok();
    let _ = handle.result().await;
    app.export_workflow("pays_by_card-1").await.unwrap();
}

/// JSON that is nested too deep to be read, with the secret in it.
fn deep(levels: usize) -> Value {
    (0..levels.min(100)).fold(json!(SECRET), |inner, _| json!([inner]))
}

async fn hidden_payloads_leave_by_no_route(app: TestApp) {
    let dashboard: Router = durable::axum::dashboard(&*app);
    let dashboard = dashboard.redact(hide_cards).access(Access::full());
    let server = serve_router(Router::new().nest("/durable", dashboard)).await;
    let mut events = Events::open(&server, "?watch=pays_by_card-1&rows=pays_by_card-2", None).await;
    let hello = events.named("hello").await;
    assert_eq!(hello.data["resumed"], false);
    paid(&app).await;

    let mut seen = 0;
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
            seen += answer.body.matches("hidden").count();
        }
    }
    assert!(seen > 20, "it is there and hidden, {seen} times");
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

async fn without_redaction_payloads_are_shown(app: TestApp) {
    let dashboard: Router = durable::axum::dashboard(&*app);
    let server = serve_router(Router::new().nest("/durable", dashboard)).await;
    paid(&app).await;
    until("it shows", async || server.get("workflow?id=pays_by_card-1").await["output"]["card"] == SECRET).await;
    assert_eq!(server.ids(&format!("workflows?error={SECRET}")).await, ["pays_by_card-2"]);
}
