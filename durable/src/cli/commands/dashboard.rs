//! `durable dashboard`

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ::axum::Router;
use ::axum::extract::{Request, State};
use ::axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use ::axum::middleware::{Next, from_fn_with_state};
use ::axum::response::{IntoResponse, Response};
use clap::Args;
use serde::Serialize;
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;

use crate::axum::{Access, AuditUser, DashboardRouter};
use crate::cli::exit::{Exit, Failure, Result};
use crate::cli::session::Session;

/// How long a token has to be: shorter ones can be guessed.
const MIN_TOKEN: usize = 16;
/// The cookie that holds the token in browsers.
const COOKIE: &str = "durable_token";

/// Serve the dashboard of the database, on this machine alone unless there is a token
#[derive(Debug, Args)]
pub(in crate::cli) struct DashboardArguments {
    /// The address; one that other machines reach needs --token
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    address: IpAddr,
    /// The port; 0 takes a free one
    #[arg(long, value_name = "NUMBER", default_value_t = 8700)]
    port: u16,
    /// What viewers have to know, at least 16 characters: as `?token=..` in the address of the first page, or as the
    /// header `authorization: Bearer ..`
    #[arg(long, value_name = "TEXT", env = "DURABLE_DASHBOARD_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Let viewers act: cancel, resume, delete, change queues. Without it they can only look
    #[arg(long)]
    allow_actions: bool,
}

#[derive(Debug, Serialize)]
struct Serving {
    url: String,
    actions: bool,
}

/// What a request has to show.
struct Door {
    token: Option<String>,
}

pub(in crate::cli) async fn run(session: &Session, arguments: DashboardArguments) -> Result<()> {
    let DashboardArguments { address, port, token, allow_actions } = arguments;
    check_token(address, token.as_deref())?;
    if allow_actions {
        session.confirm_write("let viewers of the dashboard act")?;
    }
    let listener = TcpListener::bind(SocketAddr::new(address, port)).await.map_err(|error| {
        Failure::new(Exit::Failed, format!("cannot serve on {}: {error}", SocketAddr::new(address, port)))
            .hint("choose another one with --port, or a free one with --port 0")
    })?;
    let client = session.connect().await?;
    // Signals are handled before the address is printed.
    let signals = crate::signals::install()?;
    let served_at = listener.local_addr()?;
    let url = format!("http://{served_at}/");
    let actions = if allow_actions { "" } else { ", to look at; --allow-actions lets viewers act" };
    let hint = if token.is_some() { " (the first time with ?token=.. behind it)" } else { "" };
    session.output.done(
        &Serving { url: url.clone(), actions: allow_actions },
        &format!("the dashboard is at {url}{hint}{actions}; Ctrl-C ends it"),
    )?;
    let access = if allow_actions { Access::full() } else { Access::read_only() };
    let router: Router = crate::axum::dashboard(&client).access(access);
    let router = router.layer(from_fn_with_state(Arc::new(Door { token }), open));
    let served = ::axum::serve(listener, router);
    tokio::select! {
        served = served => served?,
        // Connections that are open are dropped: nothing is lost.
        _ = signals.first() => {}
    }
    client.close().await;
    Ok(())
}

/// Refuses to be reached by other machines without a token.
fn check_token(address: IpAddr, token: Option<&str>) -> Result<()> {
    match token {
        None if !address.is_loopback() => {
            let message =
                format!("other machines reach {address}, and there is no token: anybody could look at payloads");
            Err(Failure::new(Exit::Refused, message)
                .hint("set DURABLE_DASHBOARD_TOKEN, or leave --address out and use a tunnel such as `ssh -L`"))
        }
        Some(token) if token.len() < MIN_TOKEN || !token.bytes().all(is_token) => {
            let message = format!("the token has to have at least {MIN_TOKEN} characters, of letters, digits and -._~");
            Err(Failure::new(Exit::Usage, message).hint("`openssl rand -hex 16` makes one"))
        }
        _ => Ok(()),
    }
}

/// What needs no quotes in an address, a header and a cookie.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// Lets requests in that know the token. Without a token only those to this machine by its own name: another site could
/// make a browser send one, by a name of its own that leads here.
async fn open(State(door): State<Arc<Door>>, mut request: Request, next: Next) -> Response {
    let Some(token) = &door.token else {
        if !is_for_this_machine(request.headers()) {
            let message =
                "this dashboard is for its own machine: open it by 127.0.0.1 or localhost, or start it with --token\n";
            return (StatusCode::FORBIDDEN, message).into_response();
        }
        request.extensions_mut().insert(AuditUser("local".to_owned()));
        return next.run(request).await;
    };
    let is_right = |given: &str| bool::from(given.as_bytes().ct_eq(token.as_bytes()));
    if let Some((given, rest)) = token_of(request.uri()) {
        return if is_right(given) { with_cookie(token, &rest) } else { refused() };
    }
    let headers = request.headers();
    let bearer = headers.get(header::AUTHORIZATION).and_then(|it| it.to_str().ok()?.strip_prefix("Bearer "));
    if bearer.or_else(|| cookie(headers)).is_some_and(is_right) {
        request.extensions_mut().insert(AuditUser("token".to_owned()));
        return next.run(request).await;
    }
    refused()
}

fn refused() -> Response {
    let message = "the token is missing or wrong: open the dashboard with ?token=.. behind its address once\n";
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], message).into_response()
}

/// Whether the request names this machine.
fn is_for_this_machine(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|it| it.to_str().ok()).unwrap_or_default();
    let name =
        host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|it| it.is_ascii_digit())).map_or(host, |it| it.0);
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|it| it.is_loopback())
}

/// The token in the address, and the address without it.
fn token_of(uri: &Uri) -> Option<(&str, String)> {
    let parameters = uri.query()?.split('&');
    let given = parameters.clone().find_map(|it| it.strip_prefix("token="))?;
    let others: Vec<_> = parameters.filter(|it| !it.starts_with("token=")).collect();
    let query = if others.is_empty() { String::new() } else { format!("?{}", others.join("&")) };
    Some((given, format!("{}{query}", uri.path())))
}

/// Keeps the token in a cookie, and leads to the address without it.
fn with_cookie(token: &str, location: &str) -> Response {
    let location = format!("/{}", location.trim_start_matches('/')); // `//x` would be another host
    let cookie = format!("{COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict");
    let (Ok(cookie), Ok(location)) = (HeaderValue::from_str(&cookie), HeaderValue::from_str(&location)) else {
        return refused();
    };
    (StatusCode::SEE_OTHER, [(header::SET_COOKIE, cookie), (header::LOCATION, location)]).into_response()
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|it| it.to_str().ok());
    cookies.flat_map(|it| it.split(';')).find_map(|it| it.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}
