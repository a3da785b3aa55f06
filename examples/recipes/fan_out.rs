//! Fan-out and fan-in: one workflow enqueues a child for each item, waits for all of them, and reports
//! which ones failed. Failed items do not disturb the others.

use durable::prelude::*;
use serde::{Deserialize, Serialize};

// ANCHOR: workflow
/// At most four at once in the whole fleet, whichever albums they belong to.
#[queue]
static THUMBNAILS: Queue = Queue::new("thumbnails").concurrency(4);

#[step(retries = 2, backoff = "10ms", timeout = "30s")]
async fn render(image: &str) -> Result<u64> {
    if image.starts_with("notes") {
        return Err(Error::msg("not an image"));
    }
    Ok(image.len() as u64)
}

#[workflow]
async fn thumbnail(image: String) -> Result<u64> {
    render(&image).await
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Album {
    bytes: u64,
    failed: Vec<String>,
}

/// It waits on no queue of its own, so the children cannot take the slot that it needs.
#[workflow]
async fn make_album(images: Vec<String>) -> Result<Album> {
    let handles = THUMBNAILS.enqueue_all(images.iter().cloned().map(thumbnail)).await?;
    let mut album = Album::default();
    // The results come in the order of the handles.
    for (image, result) in images.iter().zip(durable::wait_all(handles).await) {
        match result {
            Ok(bytes) => album.bytes += bytes,
            Err(error) => album.failed.push(format!("{image}: {error}")),
        }
    }
    Ok(album)
}
// ANCHOR_END: workflow

pub(crate) async fn run(database: &str) -> Result<()> {
    let app = Durable::builder("fan-out").system_database(database).launch().await?;

    let images = ["a.png", "notes.txt", "b.png", "c.png", "d.png", "e.png"].map(str::to_owned).to_vec();
    let album = make_album(images).id("album-1").await?;
    assert_eq!(album, Album { bytes: 25, failed: vec!["notes.txt: not an image".to_owned()] });

    let failed = app.list_workflows(Filter::new().name("thumbnail").status(Status::Error)).await?;
    assert_eq!(failed.len(), 1, "the failed child is in the list, with its error");
    assert_eq!(failed[0].parent.as_deref(), Some("album-1"));

    app.shutdown().await;
    Ok(())
}
