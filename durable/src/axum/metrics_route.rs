//! The route for scrapes of Prometheus.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use ::axum::Router;
use ::axum::http::StatusCode;
use ::axum::http::header::CONTENT_TYPE;
use ::axum::response::{IntoResponse, Response};
use ::axum::routing::get;

use crate::Durable;
use crate::metrics::Prometheus;

/// The format of the text.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What makes the text.
type Render = Arc<dyn Fn() -> String + Send + Sync>;

/// `GET /metrics`: the metrics of the engine and of the program, as text for Prometheus. See [`durable::metrics`](crate::metrics).
///
/// It installs the recorder of [`Prometheus`]. To count also what the launch recovers, call [`Prometheus::install`] before
/// the launch. If the program has installed a recorder of its own, that one stays; give its text with
/// [`rendered_by`](MetricsRoute::rendered_by), or the route responds 501 with the reason.
///
/// Each scrape reads the gauges from the database, unless that was done in the last 5 s; without scrapes nothing is read.
/// The response has the names of workflows and queues in it. Where these are not public, put a layer in front of the
/// route, or serve it on a listener of its own.
///
/// # Example
///
/// ```no_run
/// # fn example(app: durable::Durable) -> axum::Router {
/// axum::Router::new().merge(durable::axum::metrics(&app))
/// # }
/// ```
pub fn metrics(app: impl Borrow<Durable>) -> MetricsRoute {
    let render: Result<Render, String> = match Prometheus::install() {
        Ok(prometheus) => Ok(Arc::new(move || prometheus.render())),
        Err(error) => Err(error.to_string()),
    };
    MetricsRoute { app: app.borrow().clone(), render }
}

/// The route of [`metrics`], to be merged into a router.
#[must_use = "merge it into a router"]
pub struct MetricsRoute {
    app: Durable,
    render: Result<Render, String>,
}

impl MetricsRoute {
    /// Takes the text from the recorder that the program has installed.
    ///
    /// # Example
    ///
    /// ```standalone_crate
    /// # #[tokio::main]
    /// # async fn main() -> durable::Result<()> {
    /// # let folder = std::env::temp_dir().join(format!("durable-rendered-by-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder).unwrap();
    /// # let url = format!("sqlite:{}", folder.join("app.sqlite").display());
    /// let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    /// let handle = recorder.handle();
    /// metrics::set_global_recorder(recorder).expect("it is the first one of this process");
    /// let app = durable::Durable::builder("shop").system_database(&url).launch().await?;
    /// # let router: axum::Router = axum::Router::new().merge(durable::axum::metrics(&app));
    /// # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    /// # let address = listener.local_addr().unwrap();
    /// # tokio::spawn(async move { axum::serve(listener, router).await });
    /// # let scrape = move || {
    /// #     let mut stream = std::net::TcpStream::connect(address).unwrap();
    /// #     std::io::Write::write_all(&mut stream, b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    /// #     std::io::read_to_string(stream).unwrap()
    /// # };
    /// # let answer = tokio::task::spawn_blocking(scrape).await.unwrap();
    /// # assert!(answer.starts_with("HTTP/1.1 501 ") && answer.contains("a recorder of metrics already"), "{answer}");
    /// let render = move || handle.render();
    /// let router: axum::Router = axum::Router::new().merge(durable::axum::metrics(&app).rendered_by(render));
    /// # let refused = durable::metrics::Prometheus::install().expect_err("the program's recorder stays").to_string();
    /// # assert!(refused.contains("this process has a recorder of metrics already"), "{refused}");
    /// # app.shutdown().await;
    /// # std::fs::remove_dir_all(&folder).unwrap();
    /// # Ok(())
    /// # }
    /// ```
    pub fn rendered_by(mut self, render: impl Fn() -> String + Send + Sync + 'static) -> Self {
        self.render = Ok(Arc::new(render));
        self
    }
}

impl<S: Clone + Send + Sync + 'static> From<MetricsRoute> for Router<S> {
    fn from(MetricsRoute { app, render }: MetricsRoute) -> Self {
        let scrape = async move || -> Response {
            match &render {
                Ok(render) => {
                    app.update_gauges().await;
                    ([(CONTENT_TYPE, TEXT)], render()).into_response()
                }
                Err(reason) => (StatusCode::NOT_IMPLEMENTED, reason.clone()).into_response(),
            }
        };
        Self::new().route("/metrics", get(scrape))
    }
}

impl fmt::Debug for MetricsRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsRoute").field("app", &self.app).finish_non_exhaustive()
    }
}
