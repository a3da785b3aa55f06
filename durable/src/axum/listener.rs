//! A listener that closes without refusing anybody it has already let in.

use std::io;
use std::time::Duration;

use ::axum::serve::Listener;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

/// How long it goes on after it was told to stop, so that the runtime hears of connections that the
/// system has accepted: those would be reset.
const SWEEP: Duration = Duration::from_millis(20);

/// A listener that can be told to stop. It takes in what stands in the queue, and then closes by
/// itself; axum would only drop it, and reset whoever stands there.
pub(super) struct Closing<L> {
    /// `None` once it is closed.
    inner: Option<L>,
    stop: watch::Receiver<bool>,
    /// By when it closes, once it was told to stop.
    until: Option<Instant>,
    /// Says that it is closed.
    closed: Option<oneshot::Sender<()>>,
}

impl<L> Closing<L> {
    pub(super) fn new(inner: L, stop: watch::Receiver<bool>, closed: oneshot::Sender<()>) -> Self {
        Self { inner: Some(inner), stop, until: None, closed: Some(closed) }
    }
}

impl<L: Listener> Listener for Closing<L> {
    type Io = L::Io;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let Self { inner, stop, until, closed } = self;
        if let Some(listener) = inner {
            let told = async {
                if until.is_none() {
                    let _ = stop.wait_for(|it| *it).await.map(drop); // whoever could tell is gone: the same
                }
                tokio::time::sleep_until(*until.get_or_insert_with(|| Instant::now() + SWEEP)).await;
            };
            tokio::select! {
                biased; // the queue is looked at once more when the time is up
                connection = listener.accept() => return connection,
                () = told => {}
            }
        }
        *inner = None;
        if let Some(closed) = closed.take() {
            let _ = closed.send(()); // nobody waits for it any more
        }
        std::future::pending().await
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.inner.as_ref().map_or_else(|| Err(io::Error::other("the listener is closed")), Listener::local_addr)
    }
}
