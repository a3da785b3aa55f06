//! The route for scrapes.

use axum::Router;
use durable::prelude::*;
use tokio::net::TcpListener;

use crate::support::{TestDatabase, database_tests, http, until};

database_tests! {
    a_scrape_shows_the_metrics_of_the_engine,
    a_scrape_shows_the_text_of_the_recorder_that_the_program_has_installed,
}

#[workflow]
async fn scraped_workflow() -> Result<()> {
    Ok(())
}

async fn serve(router: Router) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

async fn a_scrape_shows_the_metrics_of_the_engine(database: &TestDatabase) {
    let app = database.launch().await;
    let port = serve(Router::new().merge(durable::axum::metrics(&app))).await;
    app.scope(async { scraped_workflow().await.unwrap() }).await;
    let scrape = async || http::get(port, "/metrics").await.unwrap();
    let answer = scrape().await;
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{}", answer.head);
    let started = r#"durable_workflows_started_total{name="scraped_workflow",queue=""}"#;
    until("the workflow and the gauges are shown", async || {
        let text = scrape().await.body;
        text.contains(started) && text.contains("\ndurable_database_up 1\n")
    })
    .await;
    let text = scrape().await.body;
    for line in [
        "# HELP durable_workflows_started_total Workflows whose first run",
        "durable_leases_lost_total ",
        "# TYPE durable_writer_commit_seconds histogram",
        r#"durable_writer_commit_seconds_bucket{le="0.001"}"#,
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    // A second router shows the same recorder.
    let again = serve(Router::new().merge(durable::axum::metrics(&app))).await;
    assert!(http::get(again, "/metrics").await.unwrap().body.contains(started));
    app.shutdown().await;
}

async fn a_scrape_shows_the_text_of_the_recorder_that_the_program_has_installed(database: &TestDatabase) {
    let app = database.launch().await;
    let route = durable::axum::metrics(&app).rendered_by(|| "theirs 1\n".to_owned());
    let answer = http::get(serve(Router::new().merge(route)).await, "/metrics").await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, "theirs 1\n"));
    app.shutdown().await;
}
