//! Listing workflows with a filter, and the operations that name their engine.

use durable::prelude::*;

use crate::support::{TestDatabase, database_tests};

database_tests! {
    a_filter_selects_by_several_ids_and_names,
    the_operations_of_an_engine_need_no_scope,
}

#[workflow]
async fn listed_first() -> Result<()> {
    Ok(())
}

#[workflow]
async fn listed_second() -> Result<()> {
    Ok(())
}

#[workflow]
async fn listed_third() -> Result<()> {
    Ok(())
}

async fn a_filter_selects_by_several_ids_and_names(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        listed_first().id("a").await.unwrap();
        listed_second().id("b").await.unwrap();
        listed_third().id("c").await.unwrap();
    })
    .await;
    let ids = async |filter: Filter| {
        let listed = app.list_workflows(filter).await.unwrap();
        listed.into_iter().map(|it| it.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(Filter::new().id("b")).await, ["b"]);
    assert_eq!(ids(Filter::new().id("b").ids(["a", "missing"])).await, ["a", "b"]);
    assert_eq!(ids(Filter::new().ids(Vec::<String>::new())).await, [""; 0]);
    assert_eq!(ids(Filter::new().name("listed_first").name("listed_third")).await, ["a", "c"]);
    assert_eq!(ids(Filter::new().name("listed_third").ids(["a", "c"])).await, ["c"]);
    app.shutdown().await;
}

#[workflow]
async fn talks_by_its_engine() -> Result<u32> {
    durable::set_event("ready", &true).await?;
    durable::write_stream("progress", &50).await?;
    Ok(durable::recv("number", Duration::from_mins(1)).await?.unwrap_or_default())
}

async fn the_operations_of_an_engine_need_no_scope(database: &TestDatabase) {
    // Two engines run, so the free functions would be ambiguous.
    let (app, other) = (database.launch().await, database.launch().await);
    let handle = app.scope(async { talks_by_its_engine().id("talker").start().await }).await.unwrap();
    let ready: Option<bool> = app.get_event("talker", "ready", Duration::from_secs(30)).await.unwrap();
    assert_eq!(ready, Some(true));
    assert_eq!(app.event_history::<bool>("talker", "ready").await.unwrap().len(), 1);
    assert_eq!(app.read_stream::<u32>("talker", "progress").next().await.unwrap().unwrap(), 50);
    app.send("talker", "number", &7).await.unwrap();
    assert_eq!(app.wait_first(std::slice::from_ref(&handle)).await.unwrap(), 0);
    assert_eq!(app.wait_all([handle]).await.pop().unwrap().unwrap(), 7);
    assert!(!app.list_schedules().await.unwrap().iter().any(|it| it.name == "missing"));
    let error = app.pause_schedule("missing").await.unwrap_err();
    assert_eq!(error.kind(), durable::ErrorKind::NotFound, "{error}");
    other.shutdown().await;
    app.shutdown().await;
}
