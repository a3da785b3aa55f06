//! Streams.

use durable::prelude::*;

use crate::support::{TestDatabase, arrived, database_tests, fresh, gate};

database_tests! {
    a_reader_follows_the_writer_until_the_stream_is_closed,
    a_stream_that_is_not_closed_ends_with_its_workflow,
    a_crash_leaves_a_stream_without_gaps_or_duplicates,
    a_step_writes_items_and_a_retry_writes_them_again,
    many_stream_items_are_read_in_order,
    a_stream_of_an_unknown_workflow_is_an_error,
    an_item_of_another_type_ends_the_stream_with_an_error,
    another_process_can_read_a_stream,
}

#[step]
async fn hold(key: &str) {
    crate::support::count(key);
    gate(key).acquire().await.expect("it is never closed").forget();
}

#[workflow]
async fn writes(key: String, before: u32, after: u32, closes: bool) -> Result<()> {
    for n in 0..before {
        durable::write_stream("n", &n).await?;
    }
    hold(&key).await;
    for n in before..before + after {
        durable::write_stream("n", &n).await?;
    }
    if closes {
        durable::close_stream("n").await?;
        hold(&key).await;
    }
    Ok(())
}

async fn read_all(id: &str) -> Vec<u32> {
    let mut reader = durable::read_stream::<u32>(id, "n");
    let mut read = Vec::new();
    while let Some(item) = reader.next().await {
        read.push(item.unwrap());
    }
    read
}

async fn a_reader_follows_the_writer_until_the_stream_is_closed(database: &TestDatabase) {
    let key = fresh("writes");
    let app = database.launch().await;
    app.scope(async {
        let handle = writes(key.clone(), 2, 2, true).id("w").start().await.unwrap();
        let mut reader = handle.stream::<u32>("n");
        assert_eq!((reader.next().await.unwrap().unwrap(), reader.next().await.unwrap().unwrap()), (0, 1));
        gate(&key).add_permits(1);
        assert_eq!((reader.next().await.unwrap().unwrap(), reader.next().await.unwrap().unwrap()), (2, 3));
        assert!(reader.next().await.is_none(), "it is closed, although the workflow still runs");
        assert_eq!(handle.status().await.unwrap(), Status::Pending);
        gate(&key).add_permits(1);
        handle.await.unwrap();
        assert_eq!(read_all("w").await, [0, 1, 2, 3], "and it can be read again");
    })
    .await;
    app.shutdown().await;
}

async fn a_stream_that_is_not_closed_ends_with_its_workflow(database: &TestDatabase) {
    let key = fresh("writes");
    let app = database.launch().await;
    app.scope(async {
        let handle = writes(key.clone(), 1, 1, false).id("w").start().await.unwrap();
        let read = app.spawn_scoped(async { read_all("w").await });
        gate(&key).add_permits(1);
        handle.await.unwrap();
        assert_eq!(read.await.unwrap(), [0, 1]);
    })
    .await;
    app.shutdown().await;
}

async fn a_crash_leaves_a_stream_without_gaps_or_duplicates(database: &TestDatabase) {
    let key = fresh("writes");
    let app = database.launch().await;
    app.scope(async { writes(key.clone(), 5, 5, false).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    database.crash(app).await;

    let app = database.launch().await;
    gate(&key).add_permits(2);
    assert_eq!(app.scope(read_all("w")).await, (0..10).collect::<Vec<_>>());
    app.shutdown().await;
}

#[step(retries = 1, backoff = "1ms")]
async fn writes_and_fails_once(key: String) -> Result<()> {
    for n in 0..3_u32 {
        durable::write_stream("n", &n).await?;
    }
    if crate::support::count(key) == 1 { Err(Error::msg("once")) } else { Ok(()) }
}

#[workflow]
async fn writes_in_a_step(key: String) -> Result<()> {
    writes_and_fails_once(key).await
}

async fn a_step_writes_items_and_a_retry_writes_them_again(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        writes_in_a_step(fresh("step")).id("w").await.unwrap();
        assert_eq!(read_all("w").await, [0, 1, 2, 0, 1, 2], "at least once, like the step itself");
    })
    .await;
    app.shutdown().await;
}

async fn many_stream_items_are_read_in_order(database: &TestDatabase) {
    let key = fresh("many");
    let app = database.launch().await;
    gate(&key).add_permits(1);
    app.scope(async {
        writes(key.clone(), 600, 600, false).id("w").await.unwrap();
        assert_eq!(read_all("w").await, (0..1200).collect::<Vec<_>>(), "more than are read at once");
    })
    .await;
    app.shutdown().await;
}

async fn a_stream_of_an_unknown_workflow_is_an_error(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        let mut reader = durable::read_stream::<u32>("nobody", "n");
        let error = reader.next().await.expect("there is an error").expect_err("there is no such workflow");
        assert_eq!(error.kind(), durable::ErrorKind::NotFound);
        assert!(reader.next().await.is_none());
    })
    .await;
    app.shutdown().await;
}

async fn an_item_of_another_type_ends_the_stream_with_an_error(database: &TestDatabase) {
    let key = fresh("type");
    let app = database.launch().await;
    gate(&key).add_permits(1);
    app.scope(async {
        writes(key.clone(), 2, 0, false).id("w").await.unwrap();
        let mut reader = durable::read_stream::<String>("w", "n");
        let error = reader.next().await.expect("there is an item").expect_err("it is no text");
        assert!(error.to_string().contains("the stream \"n\"") && error.to_string().contains("String"), "{error}");
        assert!(reader.next().await.is_none());
    })
    .await;
    app.shutdown().await;
}

async fn another_process_can_read_a_stream(database: &TestDatabase) {
    let key = fresh("along");
    let here = database.builder("here").launch().await.unwrap();
    let there = database.builder("there").launch().await.unwrap();
    here.scope(async { writes(key.clone(), 1, 1, false).id("w").start().await.unwrap() }).await;
    let mut reader = there.scope(async { durable::read_stream::<u32>("w", "n") }).await;
    assert_eq!(reader.next().await.unwrap().unwrap(), 0);
    gate(&key).add_permits(1);
    assert_eq!(reader.next().await.unwrap().unwrap(), 1);
    assert!(reader.next().await.is_none());
    here.shutdown().await;
    there.shutdown().await;
}
