//! The middleware of every request: it sets the current engine, and asks clients to close their
//! connections once the shutdown has begun.

use ::axum::Router;
use ::axum::extract::connect_info::{ConnectInfo, Connected, IntoMakeServiceWithConnectInfo};
use ::axum::extract::{Request, State};
use ::axum::http::{HeaderValue, StatusCode, Version, header};
use ::axum::middleware::{Next, from_fn_with_state};
use ::axum::response::Response;
use ::axum::serve::{IncomingStream, Listener};

use super::draining_listener::DrainingListener;
use crate::{Durable, EnginePhase};

/// The address of a connection's peer.
#[derive(Clone)]
pub(super) struct Peer<A>(A);

impl<L> Connected<IncomingStream<'_, DrainingListener<L>>> for Peer<L::Addr>
where
    L: Listener,
    L::Addr: Clone + Sync,
{
    fn connect_info(stream: IncomingStream<'_, DrainingListener<L>>) -> Self {
        Self(stream.remote_addr().clone())
    }
}

/// The router with this middleware.
pub(super) fn with_middleware<A: Clone + Send + Sync + 'static>(
    app: &Durable,
    router: Router,
) -> IntoMakeServiceWithConnectInfo<Router, Peer<A>> {
    router.layer(from_fn_with_state(app.clone(), handle::<A>)).into_make_service_with_connect_info()
}

async fn handle<A: Clone + Send + Sync + 'static>(
    State(app): State<Durable>,
    mut request: Request,
    next: Next,
) -> Response {
    // Handlers get `ConnectInfo<SocketAddr>` as with a listener of axum.
    if let Some(ConnectInfo(Peer(address))) = request.extensions_mut().remove::<ConnectInfo<Peer<A>>>() {
        request.extensions_mut().insert(ConnectInfo::<A>(address));
    }
    // HTTP/2 has no such header: the server sends GOAWAY.
    let has_header = request.version() <= Version::HTTP_11;
    let mut response = app.scope(next.run(request)).await;
    let upgraded = response.status() == StatusCode::SWITCHING_PROTOCOLS; // its `Connection` header names the protocol
    if has_header && !upgraded && app.phase() > EnginePhase::Running {
        // A client that keeps its connection open loses it when the listener closes, so it should reconnect before.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
