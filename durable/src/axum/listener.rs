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

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn who_stands_in_the_queue_of_a_closing_listener_is_let_in() {
        let inner = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = inner.local_addr().expect("it is bound");
        let mut queue = Vec::new();
        for _ in 0..50 {
            queue.push(TcpStream::connect(address).await.expect("there is room in the queue"));
        }
        let (stop, stopped) = watch::channel(false);
        let (closing, closed) = oneshot::channel();
        let mut listener = Closing::new(inner, stopped, closing);
        stop.send(true).expect("it listens");
        for number in 0..50 {
            timeout(Duration::from_secs(5), listener.accept()).await.unwrap_or_else(|_| panic!("{number} is let in"));
        }
        let nobody = timeout(10 * SWEEP, listener.accept()).await;
        assert!(nobody.is_err(), "then it lets nobody in");
        closed.await.expect("it says that it is closed");
        assert!(TcpStream::connect(address).await.is_err(), "it is closed");
    }
}
