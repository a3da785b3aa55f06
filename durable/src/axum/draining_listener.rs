//! A listener that accepts all connections in its queue before it closes.

use std::io;
use std::time::Duration;

use ::axum::serve::Listener;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

/// How long it goes on accepting after the stop signal: connections that the operating system has accepted
/// and the runtime has not yet seen would be reset.
const DRAIN_TIME: Duration = Duration::from_millis(20);

/// A listener with a stop signal. It accepts the connections in its queue and then closes. Dropping a
/// listener, as axum does, resets the connections in its queue.
pub(super) struct DrainingListener<L> {
    /// `None` once it is closed.
    inner: Option<L>,
    stop: watch::Receiver<bool>,
    /// When it closes, once the stop signal was received.
    deadline: Option<Instant>,
    /// Is sent when it is closed.
    closed: Option<oneshot::Sender<()>>,
}

impl<L> DrainingListener<L> {
    pub(super) fn new(inner: L, stop: watch::Receiver<bool>, closed: oneshot::Sender<()>) -> Self {
        Self { inner: Some(inner), stop, deadline: None, closed: Some(closed) }
    }
}

impl<L: Listener> Listener for DrainingListener<L> {
    type Io = L::Io;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let Self { inner, stop, deadline, closed } = self;
        if let Some(listener) = inner {
            let stopped = async {
                if deadline.is_none() {
                    let _ = stop.wait_for(|it| *it).await.map(drop); // a dropped sender counts as the signal
                }
                tokio::time::sleep_until(*deadline.get_or_insert_with(|| Instant::now() + DRAIN_TIME)).await;
            };
            tokio::select! {
                biased; // accepts once more at the deadline
                connection = listener.accept() => return connection,
                () = stopped => {}
            }
        }
        *inner = None;
        if let Some(closed) = closed.take() {
            let _ = closed.send(()); // the server may have been dropped
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
    async fn a_closing_listener_accepts_the_connections_in_its_queue() {
        let inner = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = inner.local_addr().expect("it is bound");
        let mut queue = Vec::new();
        for _ in 0..50 {
            queue.push(TcpStream::connect(address).await.expect("there is room in the queue"));
        }
        let (stop, stopped) = watch::channel(false);
        let (closing, closed) = oneshot::channel();
        let mut listener = DrainingListener::new(inner, stopped, closing);
        stop.send(true).expect("the listener is there");
        for number in 0..50 {
            timeout(Duration::from_secs(5), listener.accept())
                .await
                .unwrap_or_else(|_| panic!("connection {number} is accepted"));
        }
        let no_more = timeout(10 * DRAIN_TIME, listener.accept()).await;
        assert!(no_more.is_err(), "it accepts nothing after that");
        closed.await.expect("it reports that it is closed");
        assert!(TcpStream::connect(address).await.is_err(), "it is closed");
    }
}
