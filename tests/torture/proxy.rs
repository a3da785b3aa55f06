//! A proxy to the Postgres server for one process: it can cut, silence and delay its connections.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::AnyResult;

/// What the proxy does with its connections.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Link {
    Open,
    /// Every connection breaks, and new ones break at once.
    Cut,
    /// Connections stay open, and nothing is passed on, ever.
    Silent,
    /// Everything is passed on so much later, in both directions.
    Slow(Duration),
}

#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) port: u16,
    pub(crate) link: watch::Sender<Link>,
}

impl Proxy {
    pub(crate) async fn to(port: u16) -> AnyResult<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let own_port = listener.local_addr()?.port();
        let (switch, link) = watch::channel(Link::Open);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let link = link.clone();
                if *link.borrow() != Link::Cut {
                    tokio::spawn(connect(client, port, link));
                }
            }
        });
        Ok(Self { port: own_port, link: switch })
    }
}

async fn connect(client: TcpStream, port: u16, link: watch::Receiver<Link>) -> std::io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", port)).await?;
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    tokio::select! {
        broken = pass_on(from_client, to_server, link.clone()) => broken,
        broken = pass_on(from_server, to_client, link) => broken,
    }
}

/// Passes bytes on until the connection is cut or closed. One that was silent once stays so.
async fn pass_on(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut link: watch::Receiver<Link>,
) -> std::io::Result<()> {
    let mut bytes = vec![0; 16 * 1024];
    loop {
        let read = tokio::select! {
            biased;
            state = async { *link.wait_for(|it| matches!(it, Link::Cut | Link::Silent)).await.expect("the run has it") } => {
                if state == Link::Silent {
                    std::future::pending::<()>().await; // both ends stay open
                }
                return Ok(());
            }
            read = from.read(&mut bytes) => read?,
        };
        if read == 0 {
            return Ok(());
        }
        let state = *link.borrow();
        if let Link::Slow(delay) = state {
            tokio::time::sleep(delay).await;
        }
        to.write_all(&bytes[..read]).await?;
    }
}
