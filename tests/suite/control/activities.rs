//! What a workflow does now is known where it runs.

use durable::prelude::*;

use crate::support::{app_tests, until};

app_tests! {
    what_a_workflow_does_is_known_while_it_runs_here,
}

#[step(retries = 9, backoff = "1h")]
async fn refused_now() -> Result<u32> {
    Err(Error::msg("no connection"))
}

#[workflow]
async fn retries_now() -> Result<u32> {
    refused_now().await
}

#[workflow]
async fn receives_now() -> Result<Option<u32>> {
    durable::recv("payment", Duration::MAX).await
}

async fn what_a_workflow_does_is_known_while_it_runs_here(app: TestApp) {
    retries_now().id("retries").start().await.unwrap();
    receives_now().id("receives").start().await.unwrap();
    let what = |id: &str| app.activities(id).into_iter().map(|it| it.what).collect::<Vec<_>>();

    until("it waits for a message", async || what("receives") == ["waiting for a message on \"payment\""]).await;
    until("it waits to retry", async || app.activities("retries").iter().any(|it| it.until.is_some())).await;
    let [delay] = &app.activities("retries")[..] else { panic!("one call is under way") };
    assert_eq!(delay.what, "waiting to retry step `refused_now`: 1 of 10 attempts failed");
    assert!(delay.error.as_ref().is_some_and(|it| it.contains("no connection")), "{delay:?}");

    app.cancel_workflow("receives").await.unwrap();
    until("it has stopped", async || what("receives").is_empty()).await;
    assert!(what("unknown").is_empty());
}
