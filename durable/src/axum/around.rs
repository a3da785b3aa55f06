//! What is around every request: the engine that its handler means, and a word to clients that stay.

use ::axum::Router;
use ::axum::extract::connect_info::{ConnectInfo, Connected, IntoMakeServiceWithConnectInfo};
use ::axum::extract::{Request, State};
use ::axum::http::{HeaderValue, StatusCode, Version, header};
use ::axum::middleware::{Next, from_fn_with_state};
use ::axum::response::Response;
use ::axum::serve::{IncomingStream, Listener};

use super::listener::Closing;
use crate::{Durable, EnginePhase};

/// Where a connection comes from.
#[derive(Clone)]
pub(super) struct Peer<A>(A);

impl<L> Connected<IncomingStream<'_, Closing<L>>> for Peer<L::Addr>
where
    L: Listener,
    L::Addr: Clone + Sync,
{
    fn connect_info(stream: IncomingStream<'_, Closing<L>>) -> Self {
        Self(stream.remote_addr().clone())
    }
}

/// The router with all that around it.
pub(super) fn around<A: Clone + Send + Sync + 'static>(
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
    // So that `ConnectInfo<SocketAddr>` is there as with a listener of axum's own.
    if let Some(ConnectInfo(Peer(address))) = request.extensions_mut().remove::<ConnectInfo<Peer<A>>>() {
        request.extensions_mut().insert(ConnectInfo::<A>(address));
    }
    // HTTP/2 has no such header, and is told to go by the server's own means.
    let has_header = request.version() <= Version::HTTP_11;
    let mut response = app.scope(next.run(request)).await;
    let upgraded = response.status() == StatusCode::SWITCHING_PROTOCOLS; // there the header says to what
    if has_header && !upgraded && app.phase() > EnginePhase::Running {
        // A client that keeps its connection would be cut off when the listener closes; it shall move before.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
