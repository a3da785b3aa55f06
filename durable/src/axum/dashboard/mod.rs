//! The dashboard and the JSON API below it: the feature `dashboard`.

mod access;
mod actions;
mod api_error;
mod asset_files;
mod assets;
mod changes;
mod json;
mod live;
mod operations;
mod overview;
mod source;
mod viewer;
mod workflow_actions;
mod workflows;

use std::sync::Arc;
use std::time::Duration;

use ::axum::Router;
use ::axum::extract::{DefaultBodyLimit, Request};
use ::axum::http::{HeaderName, HeaderValue, header};
use ::axum::middleware::{Next, from_fn};
use ::axum::response::{IntoResponse, Response};
use ::axum::routing::{MethodRouter, get};

pub use self::access::{Access, AuditUser, DashboardRouter};
use self::actions::Action;
use self::live::Live;
use self::operations::OPERATIONS;
use self::overview::OverviewCache;
pub use self::source::DashboardSource;
use self::workflow_actions::WORKFLOW_ACTIONS;

/// How often changes are looked for while there are viewers.
const LIVE_INTERVAL: Duration = Duration::from_secs(1);
/// How many workflows a page has at most, and how many ids an action.
const MAX_PAGE: u32 = 500;
/// How large the body of a request may be.
const MAX_BODY: usize = 1024 * 1024;
/// Where the JSON API is.
const API: &str = "/api/v1/";
/// What the API is, for programs.
const OPENAPI: &str = include_str!("openapi.json");

/// What all requests share.
struct Dashboard {
    source: DashboardSource,
    overview: OverviewCache,
    live: Live,
}

/// Pages to watch workflows, queues, schedules and executors and to act on them, and a JSON API, to be nested under any
/// path: `Router::new().nest("/durable", durable::axum::dashboard(&app))`. Everything is in the program: the pages load
/// nothing from elsewhere, have no dependencies and need no build.
///
/// It takes a [`Durable`](crate::Durable), or a [`Client`](crate::Client) for the database of another process.
/// [`durable dashboard`](https://docs.rs/durable) serves the same alone.
///
/// The options are methods of the router: [`access`](DashboardRouter::access) and [`redact`](DashboardRouter::redact) of
/// [`DashboardRouter`], which the prelude has. Without them viewers may look and not act.
///
/// **Put a layer in front of it that asks for a password or a session**, as for any other route: the dashboard shows
/// payloads. An action has to have the header `x-durable-csrf` and the content type JSON, and is refused when a browser
/// sends it for another site. Each action is a line in the log with the target `durable::audit`, with the
/// [user](AuditUser) that the host names, and without payloads.
///
/// The JSON API is below `api/v1/`; `api/v1/openapi.json` describes it. Live changes end at once when the engine shuts
/// down, so they do not hold up [`serve`](super::serve()).
///
/// Link to the path at which it is nested, as in `/durable`: it leads to the pages, at `/durable/ui`.
///
/// # Example
///
/// ```no_run
/// use axum::Router;
/// use durable::axum::Access;
/// use durable::prelude::*;
///
/// fn hide_cards(_name: &str, json: &mut serde_json::Value) {
///     if let Some(card) = json.get_mut("card") {
///         *card = "hidden".into();
///     }
/// }
///
/// # fn example(app: Durable) -> Router {
/// Router::new().nest("/durable", durable::axum::dashboard(&app).access(Access::read_only()).redact(hide_cards))
/// # }
/// ```
pub fn dashboard<S: Clone + Send + Sync + 'static>(app: impl Into<DashboardSource>) -> Router<S> {
    let dashboard = Arc::new(Dashboard { source: app.into(), overview: OverviewCache::default(), live: Live::new() });
    let pages = Router::new()
        .route("/", get(assets::root))
        .route("/ui", get(assets::shell))
        .route("/assets/{version}/{*path}", get(assets::asset));
    let api =
        routes().into_iter().fold(Router::new(), |router, (path, route)| router.route(&format!("{API}{path}"), route));
    let api = api.layer(from_fn(never_kept)).layer(DefaultBodyLimit::max(MAX_BODY));
    pages.merge(api).layer(from_fn(viewer::admit)).layer(from_fn(protected)).with_state(dashboard)
}

/// The routes of the API.
fn routes() -> Vec<(&'static str, MethodRouter<Arc<Dashboard>>)> {
    let mut routes = vec![
        ("settings", get(overview::settings)),
        ("overview", get(overview::overview)),
        ("workflows", get(workflows::list)),
        ("workflows/count", get(workflows::count)),
        ("workflow", get(workflows::show)),
        ("workflow/steps", get(workflows::steps)),
        ("workflow/step", get(workflows::step)),
        ("workflow/events", get(workflows::events)),
        ("workflow/messages", get(workflows::messages)),
        ("workflow/streams", get(workflows::streams)),
        ("workflow/export", get(workflows::export)),
        ("bulk", get(workflows::bulk)),
        ("queues", get(operations::queues)),
        ("schedules", get(operations::schedules)),
        ("executors", get(operations::executors)),
        ("versions", get(operations::versions)),
        ("live", get(live::live)),
        ("openapi.json", get(openapi)),
    ];
    let of_workflows = WORKFLOW_ACTIONS.iter().map(|(path, it)| (*path, Action::Workflows(*it)));
    let others = OPERATIONS.iter().map(|(path, it)| (*path, Action::Operation(*it)));
    routes.extend(of_workflows.chain(others).map(|(path, action)| (path, actions::route(path, action))));
    routes
}

async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

/// Data is not kept by browsers and proxies.
async fn never_kept(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// What pages may do: load what is here, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      form-action 'none'; frame-ancestors 'none'; base-uri 'none'";

/// Sets the headers that keep browsers from doing more.
async fn protected(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in headers {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    #[test]
    fn the_openapi_file_describes_every_route_and_no_other() {
        let described: Value = serde_json::from_str(OPENAPI).expect("it is JSON");
        let described = described["paths"].as_object().expect("it has paths").keys();
        let described: BTreeSet<_> = described.map(|it| it.trim_start_matches('/').to_owned()).collect();
        let routes: BTreeSet<_> = routes().into_iter().map(|(path, _)| path.to_owned()).collect();
        assert_eq!(routes, described);
    }
}
