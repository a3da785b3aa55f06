//! A proxy to the Postgres server for one process: it can cut, silence and delay its connections, and lose what is under
//! way.

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
    /// Each connection breaks when the server answers: what it did is done, and its client does not learn it.
    LosesAnswers,
    /// Likewise, when the server confirms a COMMIT.
    LosesCommits,
    /// Each connection breaks in the middle of what is passed on next, in either direction.
    CutsInside,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Client,
    Server,
}

#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) port: u16,
    state: watch::Sender<ProxyState>,
}

#[derive(Debug, Clone, Copy)]
struct ProxyState {
    link: Link,
    /// The port of the server. Connections to another one break.
    server: u16,
}

impl Proxy {
    pub(crate) async fn to(port: u16) -> AnyResult<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let own_port = listener.local_addr()?.port();
        let (state, watched) = watch::channel(ProxyState { link: Link::Open, server: port });
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let ProxyState { link, server } = *watched.borrow();
                if link != Link::Cut {
                    tokio::spawn(connect(client, server, watched.clone()));
                }
            }
        });
        Ok(Self { port: own_port, state })
    }

    pub(crate) fn set_link(&self, link: Link) {
        self.state.send_modify(|it| it.link = link);
    }

    /// New connections go to this server. Those that are there break.
    pub(crate) fn point_to(&self, server: u16) {
        self.state.send_modify(|it| it.server = server);
    }
}

async fn connect(client: TcpStream, port: u16, state: watch::Receiver<ProxyState>) -> std::io::Result<()> {
    let server = TcpStream::connect(("127.0.0.1", port)).await?;
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    tokio::select! {
        broken = pass_on(Source::Client, from_client, to_server, port, state.clone()) => broken,
        broken = pass_on(Source::Server, from_server, to_client, port, state) => broken,
    }
}

/// Passes bytes on until the connection is cut or closed. One that was silent once stays so.
async fn pass_on(
    source: Source,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    port: u16,
    mut state: watch::Receiver<ProxyState>,
) -> std::io::Result<()> {
    let mut bytes = vec![0; 16 * 1024];
    let is_disturbed = |it: &ProxyState| it.server != port || matches!(it.link, Link::Cut | Link::Silent);
    loop {
        let read = tokio::select! {
            biased;
            state = async { *state.wait_for(is_disturbed).await.expect("the run has it") } => {
                if state.server == port && state.link == Link::Silent {
                    std::future::pending::<()>().await; // both ends stay open
                }
                return Ok(());
            }
            read = from.read(&mut bytes) => read?,
        };
        let read = &bytes[..read];
        if read.is_empty() {
            return Ok(());
        }
        let link = state.borrow().link;
        match (link, source) {
            (Link::LosesAnswers, Source::Server) => return Ok(()),
            (Link::LosesCommits, Source::Server) if confirms_commit(read) => return Ok(()),
            (Link::CutsInside, _) => return to.write_all(&read[..read.len() / 2]).await,
            (Link::Slow(delay), _) => tokio::time::sleep(delay).await,
            _ => {}
        }
        to.write_all(read).await?;
    }
}

/// Whether an answer of the server has the tag of a COMMIT.
fn confirms_commit(answer: &[u8]) -> bool {
    answer.windows(7).any(|it| it == b"COMMIT\0")
}
