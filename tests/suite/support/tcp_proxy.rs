//! A proxy to a server that can cut or freeze its connections.

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use url::Url;

/// The state of the proxy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Link {
    Open,
    /// Every connection breaks, and new ones break at once.
    Cut,
    /// Connections stay open, and nothing is passed on.
    Frozen,
}

/// Starts a proxy to a Postgres server, and returns the URL through it and the switch.
pub(crate) async fn tcp_proxy(server: &Url) -> (Url, watch::Sender<Link>) {
    let to = (server.host_str().unwrap_or("127.0.0.1").to_owned(), server.port().unwrap_or(5432));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let mut url = server.clone();
    url.set_host(Some("127.0.0.1")).expect("it has a host");
    url.set_port(Some(listener.local_addr().expect("it is bound").port())).expect("it has a port");
    url.set_query(Some("sslmode=disable"));
    let (switch, link) = watch::channel(Link::Open);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let (to, mut link) = (to.clone(), link.clone());
            if *link.borrow() == Link::Cut {
                continue; // the connection is dropped
            }
            tokio::spawn(async move {
                let mut server = TcpStream::connect((to.0.as_str(), to.1)).await?;
                tokio::select! {
                    copied = tokio::io::copy_bidirectional(&mut client, &mut server) => copied.map(drop),
                    link = async { *link.wait_for(|it| *it != Link::Open).await.expect("the test has the switch") } => {
                        if link == Link::Frozen {
                            std::future::pending::<()>().await; // both ends stay open
                        }
                        Ok(())
                    }
                }
            });
        }
    });
    (url, switch)
}
