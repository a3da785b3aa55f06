//! Changes as server-sent events.

use axum::Router;
use durable::axum::Access;
use durable::prelude::*;

use super::schema::assert_shape;
use super::server::{Events, serve};
use crate::support::{TestDatabase, app_tests, database_tests, until};

app_tests! {
    changes_are_sent_as_they_happen,
    a_viewer_that_comes_back_gets_what_it_has_missed,
    a_viewer_that_comes_back_after_nothing_was_looked_for_has_to_read_again,
    a_workflow_that_is_parked_is_reported,
    a_viewer_says_how_much_it_wants_to_know_of_changes,
    viewers_are_counted_and_limited,
    nothing_is_looked_for_without_a_viewer,
}

mod served {
    use super::*;

    database_tests! {
        live_changes_end_at_once_when_the_engine_shuts_down,
    }
}

#[workflow]
async fn lively(number: u32) -> Result<u32> {
    durable::write_stream("lines", &"first").await?;
    let more = durable::recv::<u32>("go", Duration::from_hours(99)).await?;
    durable::write_stream("lines", &"second").await?;
    Ok(number + more.unwrap_or_default())
}

async fn changes_are_sent_as_they_happen(app: TestApp) {
    let server = serve(&*app, Access::read_only()).await;
    let mut events = Events::open(&server, "?watch=lively-1", None).await;
    let hello = events.named("hello").await;
    assert_shape("LiveHello", &hello.data);
    let handle = lively(1).id("lively-1").start().await.unwrap();
    events.reports("lively-1", "PENDING").await;
    app.send("lively-1", "go", &2).await.unwrap();
    assert_eq!(handle.result().await.unwrap(), 3);
    events.reports("lively-1", "SUCCESS").await;

    let handle = lively(2).id("lively-2").start().await.unwrap();
    let mut of_one = Events::open(&server, "?watch=lively-2", None).await;
    events.reports("lively-2", "PENDING").await;
    until("what it has is known", async || {
        app.send("lively-2", "other", &1).await.unwrap();
        let event = of_one.named("watched").await;
        assert_shape("LiveWatched", &event.data);
        event.data["id"] == "lively-2" && event.data["status"] == "PENDING"
    })
    .await;
    app.send("lively-2", "go", &2).await.unwrap();
    handle.result().await.unwrap();
    until("its end is sent", async || of_one.named("watched").await.data["status"] == "SUCCESS").await;
}

async fn a_viewer_that_comes_back_gets_what_it_has_missed(app: TestApp) {
    let server = serve(&*app, Access::read_only()).await;
    let mut stays = Events::open(&server, "", None).await;
    let mut leaves = Events::open(&server, "", None).await;
    lively(1).id("lively-first").start().await.unwrap();
    leaves.reports("lively-first", "PENDING").await;
    stays.reports("lively-first", "PENDING").await;
    drop(leaves);
    lively(1).id("lively-missed").start().await.unwrap();
    let last = stays.named("changes").await; // the one before, or that of the missed one
    let before = format!("{}.0", last.id.rsplit_once('.').unwrap().0);
    if !last.data.to_string().contains("lively-missed") {
        stays.reports("lively-missed", "PENDING").await;
    }
    let mut back = Events::open(&server, "", Some(&before)).await;
    assert_eq!(back.named("hello").await.data["resumed"], true);
    back.reports("lively-missed", "PENDING").await;
    let mut stranger = Events::open(&server, "", Some("another-process.3")).await;
    assert_eq!(stranger.named("hello").await.data["resumed"], false, "it has to read everything again");
}

async fn a_viewer_that_comes_back_after_nothing_was_looked_for_has_to_read_again(app: TestApp) {
    let server = serve(&*app, Access::read_only()).await;
    let mut viewer = Events::open(&server, "", None).await;
    lively(1).id("lively-before").start().await.unwrap();
    viewer.reports("lively-before", "PENDING").await;
    let last = viewer.id.clone();
    drop(viewer);
    no_look_is_made(&app).await;
    lively(1).id("lively-unseen").start().await.unwrap();
    let mut first = Events::open(&server, "", None).await;
    first.named("hello").await;
    let mut back = Events::open(&server, "", Some(&last)).await;
    assert_eq!(back.named("hello").await.data["resumed"], false, "it has missed the second one");
}

async fn a_workflow_that_is_parked_is_reported(app: TestApp) {
    let server = serve(&*app, Access::read_only()).await;
    lively(1).id("lively-original").start().await.unwrap();
    let mut history = app.export_workflow("lively-original").await.unwrap();
    "lively-parked".clone_into(&mut history.workflow.id);
    history.workflow.created_at -= 86_400_000_000; // it is not among the newest
    let mut events = Events::open(&server, "", None).await;
    assert_eq!(app.import_workflow(&history).await.unwrap(), Status::Parked);
    events.reports("lively-parked", "PARKED").await;
}

async fn a_viewer_says_how_much_it_wants_to_know_of_changes(app: TestApp) {
    let server = serve(&*app, Access::read_only()).await;
    let mut that_some = Events::open(&server, "?limit=0", None).await;
    let mut which = Events::open(&server, "?columns=parent,%20status", None).await;
    that_some.named("hello").await;
    which.named("hello").await;
    lively(1).id("lively-named").start().await.unwrap();
    let named = which.reports("lively-named", "PENDING").await;
    assert_eq!(named, serde_json::json!({ "id": "lively-named", "parent": null, "status": "PENDING" }));
    let changes = that_some.named("changes").await;
    assert_shape("LiveChanges", &changes.data);
    assert_eq!((&changes.data["workflows"], &changes.data["more"]), (&serde_json::json!([]), &true.into()));
    assert_eq!(Events::open(&server, "?limit=101", None).await.status, 400);
}

/// Returns once the database is asked for nothing.
async fn no_look_is_made(app: &TestApp) {
    let reads = || app.store().statement_counts();
    until("it has noticed, and looks no more", async || {
        let before = reads();
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        reads() == before
    })
    .await;
}

async fn viewers_are_counted_and_limited(app: TestApp) {
    let server = serve(&*app, Access::read_only()).await;
    let mut viewers = Vec::new();
    for _ in 0..100 {
        let viewer = Events::open(&server, "", None).await;
        assert_eq!(viewer.status, 200);
        viewers.push(viewer);
    }
    assert_eq!(Events::open(&server, "", None).await.status, 429);
    viewers.pop();
    until("there is room again", async || Events::open(&server, "", None).await.status == 200).await;
    let many = "&rows=a".repeat(101);
    assert_eq!(Events::open(&server, &format!("?watch=a{many}"), None).await.status, 400);
}

async fn nothing_is_looked_for_without_a_viewer(app: TestApp) {
    let reads = || app.store().statement_counts();
    let server = serve(&*app, Access::read_only()).await;
    let mut viewer = Events::open(&server, "", None).await;
    lively(1).id("lively-seen").start().await.unwrap();
    viewer.reports("lively-seen", "PENDING").await;
    let while_looking = reads();
    until("it looks each second", async || reads() != while_looking).await;
    drop(viewer);
    no_look_is_made(&app).await;
}

async fn live_changes_end_at_once_when_the_engine_shuts_down(database: &TestDatabase) {
    let app = database.builder("lively").launch().await.unwrap();
    let dashboard: Router = durable::axum::dashboard(&app);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let served = tokio::spawn(
        durable::axum::serve(&app, listener, Router::new().nest("/durable", dashboard))
            .lb_delay(Duration::ZERO)
            .http_drain(Duration::from_mins(1))
            .total(Duration::from_secs(90))
            .until(async { drop(stopped.await) })
            .into_future(),
    );
    let server = super::server::at(port);
    let mut events = Events::open(&server, "", None).await;
    events.named("hello").await;
    let begun = std::time::Instant::now();
    stop.send(()).unwrap();
    let bye = events.named("bye").await;
    assert_shape("LiveBye", &bye.data);
    assert!(events.next().await.is_none(), "the connection ends");
    served.await.unwrap().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(30), "a viewer holds the shutdown up: {:?}", begun.elapsed());
}
