//! Where a dashboard is mounted, and its files.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use durable::axum::Access;
use durable::prelude::*;
use durable::{Client, queue};
use serde_json::json;

use super::server::{Server, serve, serve_router};
use crate::support::{TestDatabase, app_tests, database_tests};

app_tests! {
    it_is_nested_in_a_router_with_a_state_by_one_line,
    the_page_is_reached_with_and_without_a_slash_under_any_prefix,
    files_are_kept_for_ever_under_names_that_change_with_them,
    every_response_keeps_browsers_from_doing_more,
}

mod through_a_client {
    use super::*;

    database_tests! {
        a_client_serves_the_database_of_another_process,
    }
}

#[queue]
static MOUNTED: Queue = Queue::new("dashboard-mounted");

#[workflow]
async fn mounted(number: u32) -> Result<u32> {
    durable::recv::<u32>("go", Duration::from_hours(99)).await?;
    Ok(number)
}

#[derive(Clone)]
struct Shop {
    name: &'static str,
}

fn hide_cards(_name: &str, json: &mut serde_json::Value) {
    if let Some(card) = json.get_mut("card") {
        *card = "hidden".into();
    }
}

async fn it_is_nested_in_a_router_with_a_state_by_one_line(app: TestApp) {
    let app: &Durable = &app;
    let router: Router<Shop> = Router::new()
        .route("/", get(|State(shop): State<Shop>| async move { shop.name }))
        .nest("/durable", durable::axum::dashboard(app).access(Access::read_only()).redact(hide_cards));
    let server = serve_router(router.with_state(Shop { name: "shop" })).await;
    assert_eq!(server.page("/").await.body, "shop");
    assert_eq!(server.get("settings").await["redacted"], true);
    // A later call replaces an earlier one.
    let dashboard: Router = durable::axum::dashboard(app);
    let dashboard = dashboard.access(Access::none()).access(Access::full());
    let server = serve_router(Router::new().nest("/durable", dashboard)).await;
    assert_eq!(server.get("settings").await["access"], "full");
}

async fn the_page_is_reached_with_and_without_a_slash_under_any_prefix(app: TestApp) {
    let dashboard = || -> Router { durable::axum::dashboard(&*app) };
    let location = async |server: &Server, path: &str| {
        let answer = server.page(path).await;
        assert_eq!(answer.status, 307, "{path}: {answer:?}");
        answer.head.lines().find_map(|it| it.strip_prefix("location: ").map(str::to_owned)).unwrap()
    };
    let nested = serve_router(Router::new().nest("/ops/durable", dashboard())).await;
    assert_eq!(location(&nested, "/ops/durable").await, "durable/ui");
    assert_eq!(location(&nested, "/ops/durable?a=b").await, "durable/ui?a=b");
    assert!(nested.page("/ops/durable/ui").await.body.contains("<script type=\"module\" src=\"assets/"));
    assert_eq!(nested.page("/ops/durable/api/v1/queues").await.status, 200);

    let as_service = serve_router(Router::new().nest_service("/durable", dashboard())).await;
    assert_eq!(location(&as_service, "/durable").await, "durable/ui");
    assert_eq!(as_service.page("/durable/").await.status, 200);

    let alone = serve_router(dashboard()).await;
    assert_eq!(alone.page("/").await.status, 200);
    assert_eq!(alone.page("/api/v1/queues").await.status, 200);
}

fn shell_files(shell: &str) -> Vec<String> {
    let quoted = shell.split('"').filter(|it| it.starts_with("assets/"));
    quoted.map(str::to_owned).collect()
}

async fn files_are_kept_for_ever_under_names_that_change_with_them(app: TestApp) {
    let server = serve(&*app, Access::read_only()).await;
    let shell = server.page("/durable/ui").await;
    assert!(shell.head.contains("cache-control: no-cache") && shell.head.contains("content-type: text/html"));
    assert!(!shell.body.contains("{{"), "{}", shell.body);
    let files = shell_files(&shell.body);
    assert!(files.len() >= 2, "{}", shell.body);
    for file in files {
        let answer = server.page(&format!("/durable/{file}")).await;
        assert_eq!(answer.status, 200, "{file}");
        assert!(answer.head.contains("immutable"), "{file}: {}", answer.head);
        let kind = if file.contains(".css") { "text/css" } else { "text/javascript" };
        assert!(answer.head.contains(kind), "{file}: {}", answer.head);
        let tag = answer.head.lines().find_map(|it| it.strip_prefix("etag: ")).unwrap().to_owned();
        let path = format!("/durable/{file}");
        let known = server.request("GET", &path, &[("if-none-match", &tag)], "").await;
        assert_eq!((known.status, known.body.len()), (304, 0), "{file}");
        let mut parts: Vec<_> = path.split('/').collect();
        parts[3] = "0123456789abcdef";
        let other = server.page(&parts.join("/")).await;
        assert!(other.status == 200 && !other.head.contains("immutable"), "a page of another version works");
    }
    for path in ["assets/0/missing.js", "assets/0/../mod.rs", "assets/0/%2e%2e/mod.rs", "assets/0/..%2fmod.rs"] {
        assert_eq!(server.page(&format!("/durable/{path}")).await.status, 404, "{path}");
    }
}

async fn every_response_keeps_browsers_from_doing_more(app: TestApp) {
    let server = serve(&*app, Access::read_only()).await;
    let mut paths: Vec<_> = ["ui", "", "assets/0/app.css", "assets/0/missing"].map(str::to_owned).into();
    let api = super::schema::routes().into_iter().filter(|(_, path)| *path != "live");
    paths.extend(api.map(|(_, path)| format!("api/v1/{path}")));
    for path in paths {
        let answer = server.page(format!("/durable/{path}").trim_end_matches('/')).await;
        for header in [
            "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'\r\n",
            "x-content-type-options: nosniff\r\n",
            "referrer-policy: no-referrer\r\n",
        ] {
            assert!(answer.head.contains(header), "{path} has no {header}: {}", answer.head);
        }
        let is_data = path.starts_with("api/") && !answer.head.contains("405");
        assert!(!is_data || answer.head.contains("cache-control: no-store"), "{path}: {}", answer.head);
    }
}

async fn a_client_serves_the_database_of_another_process(database: &TestDatabase) {
    let app = database.builder("mounted").launch().await.unwrap();
    let client = Client::builder(database.url()).schema(database.schema()).connect().await.unwrap();
    let server = serve(&client, Access::full()).await;
    app.scope(mounted(1).id("mounted-1").start()).await.unwrap();
    assert_eq!(server.get("settings").await["application"], json!(null));
    assert_eq!(server.ids("workflows?id=mounted-1").await, ["mounted-1"]);
    server.get("overview").await;
    server.done("queues/pause", &json!({ "name": MOUNTED.name() })).await;
    let cancelled = server.done("workflows/cancel", &json!({ "filter": { "id": "mounted-1" } })).await;
    let bulk = format!("bulk?id={}", cancelled["bulk"].as_str().unwrap());
    crate::support::until("the engine carries it out", async || server.get(&bulk).await["status"] == "SUCCESS").await;
    assert_eq!(server.get("workflow?id=mounted-1").await["status"], "CANCELLED");
    let mut events = super::server::Events::open(&server, "", None).await;
    app.scope(mounted(2).id("mounted-2").start()).await.unwrap();
    events.reports("mounted-2", "PENDING").await;
    drop(server);
    client.close().await;
    app.shutdown().await;
}
