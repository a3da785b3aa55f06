//! Who may look and act, what an action has to prove, and the audit log.

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use durable::axum::{Access, AuditUser};
use durable::prelude::*;
use serde_json::json;

use super::schema;
use super::server::{PROOF, Server, serve, serve_router};
use crate::support::{LogCapture, app_tests};

app_tests! {
    every_action_is_refused_without_full_access,
    an_action_has_to_prove_that_no_other_site_sends_it,
    access_is_decided_for_each_request,
    every_action_is_one_line_in_the_audit_log_without_payloads,
    a_body_that_is_too_large_is_refused,
}

#[workflow]
async fn guarded(secret: String) -> Result<()> {
    let _ = secret;
    durable::recv::<u32>("never", Duration::from_hours(99)).await.map(drop)
}

const CANCEL: &str = "/durable/api/v1/workflows/cancel";

fn actions() -> Vec<&'static str> {
    schema::routes().into_iter().filter(|(method, _)| *method == "post").map(|(_, path)| path).collect()
}

async fn every_action_is_refused_without_full_access(app: TestApp) {
    let nest = |router: Router| Router::new().nest("/durable", router);
    for router in
        [nest(durable::axum::dashboard(&*app)), nest(durable::axum::dashboard(&*app).access(Access::read_only()))]
    {
        let server = serve_router(router).await;
        for path in actions() {
            let (status, body) = server.act(path, &json!({ "ids": ["a"], "name": "a" })).await;
            assert_eq!((status, &body["error"]["kind"]), (403, &json!("forbidden")), "{path}");
        }
        assert_eq!(server.ask("settings").await.0, 200);
    }
    let server = serve(&*app, Access::none()).await;
    for (method, path) in schema::routes() {
        let answer = server.request(&method.to_uppercase(), &format!("/durable/api/v1/{path}"), PROOF, "{}").await;
        assert_eq!(answer.status, 403, "{method} {path}");
    }
    assert_eq!(server.page("/durable/ui").await.status, 403);
}

/// What a request is, its headers, and the status that it gets.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], u16);

async fn an_action_has_to_prove_that_no_other_site_sends_it(app: TestApp) {
    let server = serve(&*app, Access::full()).await;
    let own = format!("http://127.0.0.1:{}", server.port);
    let own = own.as_str();
    let json_type = ("content-type", "application/json");
    let proof = ("x-durable-csrf", "1");
    let cases: [Case<'_>; 11] = [
        ("without the header", &[json_type], 403),
        ("as a form", &[proof, ("content-type", "application/x-www-form-urlencoded")], 415),
        ("as text, which needs no permission", &[proof, ("content-type", "text/plain")], 415),
        ("without a content type", &[proof], 415),
        (
            "from another site",
            &[proof, json_type, ("sec-fetch-site", "cross-site"), ("origin", "http://evil.example")],
            403,
        ),
        ("from another port of this host", &[proof, json_type, ("sec-fetch-site", "same-site"), ("origin", own)], 403),
        ("from another site, in an old browser", &[proof, json_type, ("origin", "http://evil.example")], 403),
        ("from a page without an origin", &[proof, json_type, ("origin", "null")], 403),
        ("from a program", &[proof, json_type], 200),
        ("from the page", &[proof, json_type, ("sec-fetch-site", "same-origin"), ("origin", own)], 200),
        (
            "from the page behind a proxy, in an old browser",
            &[proof, json_type, ("origin", "https://ops.example"), ("x-forwarded-host", "ops.example")],
            200,
        ),
    ];
    for (what, headers, expected) in cases {
        let answer = server.request("POST", CANCEL, headers, r#"{"ids":["missing"]}"#).await;
        assert_eq!(answer.status, expected, "{what}: {}", answer.body);
        assert!(!answer.head.contains("access-control-allow"), "no other site is given a permission");
    }
    assert_eq!(server.page(CANCEL).await.status, 405, "an action is no GET");
}

async fn access_is_decided_for_each_request(app: TestApp) {
    let access =
        Access::from_request(|request| match request.headers.get("x-role").map(axum::http::HeaderValue::as_bytes) {
            Some(b"operator") => Access::full(),
            Some(b"viewer") => Access::read_only(),
            _ => Access::none(),
        });
    let server = serve(&*app, access).await;
    for (role, sees, acts) in [("operator", 200, 200), ("viewer", 200, 403), ("guest", 403, 403)] {
        let headers = [PROOF[0], PROOF[1], ("x-role", role)];
        assert_eq!(server.request("GET", "/durable/api/v1/queues", &headers, "").await.status, sees, "{role}");
        let action = server.request("POST", CANCEL, &headers, r#"{"ids":["missing"]}"#).await;
        assert_eq!(action.status, acts, "{role}");
    }
}

async fn every_action_is_one_line_in_the_audit_log_without_payloads(app: TestApp) {
    let log = LogCapture::default();
    let named = from_fn(|mut request: Request, next: Next| {
        request.extensions_mut().insert(AuditUser("ann".to_owned()));
        next.run(request)
    });
    // The server runs in tasks on other threads, so each request takes the subscriber along.
    let _guard = log.record();
    let dispatch = tracing::dispatcher::get_default(Clone::clone);
    let logged = from_fn(move |request: Request, next: Next| {
        let dispatch = dispatch.clone();
        async move { tracing::instrument::WithSubscriber::with_subscriber(next.run(request), dispatch).await }
    });
    let dashboard: Router = durable::axum::dashboard(&*app);
    let router = Router::new().nest("/durable", dashboard.access(Access::full())).layer(named).layer(logged);
    let server = serve_router(router).await;
    guarded("canary-5417".to_owned()).id("guarded-1").start().await.unwrap();
    let lines = || log.lines("durable::audit");

    server.done("workflows/cancel", &json!({ "ids": ["guarded-1", "missing"] })).await;
    let line = lines().pop().unwrap();
    for part in ["INFO", "workflows/cancel", "ann", "guarded-1, missing", "1 done, 1 refused"] {
        assert!(line.contains(part), "{part} in {line}");
    }
    let fork = json!({ "ids": ["guarded-1"], "from": 1, "arguments": { "secret": "canary-5417" } });
    server.done("workflows/fork", &fork).await;
    server.done("workflows/labels", &json!({ "ids": ["guarded-1"], "labels": { "note": "canary-5417" } })).await;
    let filter = server.done("workflows/cancel", &json!({ "filter": { "name": "guarded" } })).await;
    let line = lines().pop().unwrap();
    assert!(line.contains("name=guarded") && line.contains(filter["bulk"].as_str().unwrap()), "{line}");
    let wrong = json!({ "ids": ["guarded-1"], "labels": { "note": 541_705_417_054_i64 } });
    assert_eq!(server.act("workflows/labels", &wrong).await.0, 400);
    assert_eq!(server.act("queues/pause", &json!({ "name": "missing" })).await.0, 404);
    let line = lines().pop().unwrap();
    for part in ["WARN", "queues/pause", "missing", "not_found"] {
        assert!(line.contains(part), "{part} in {line}");
    }
    let forged = server.request("POST", CANCEL, &[PROOF[1]], r#"{"ids":["guarded-1"]}"#).await;
    assert_eq!(forged.status, 403);
    assert!(lines().pop().unwrap().contains("csrf"));
    assert_eq!(lines().len(), 7, "one line for each: {:#?}", lines());
    for payload in ["canary", "541705417054"] {
        assert!(!lines().concat().contains(payload), "{:#?}", lines());
    }
    server.get("workflows").await;
    assert_eq!(lines().len(), 7, "looking is no action");
}

async fn a_body_that_is_too_large_is_refused(app: TestApp) {
    let server: Server = serve(&*app, Access::full()).await;
    let body = |bytes: usize| format!(r#"{{"ids":["{}"]}}"#, "x".repeat(bytes));
    let too_large = server.request("POST", CANCEL, PROOF, &body(1024 * 1024)).await;
    assert_eq!(too_large.status, 413, "{}", too_large.body);
    assert_eq!(server.request("POST", CANCEL, PROOF, &body(200)).await.status, 200);
}
