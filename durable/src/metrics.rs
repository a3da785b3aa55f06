//! What the engine measures: the feature `metrics`.
//!
//! The engine records its metrics with the crate [`metrics`](https://docs.rs/metrics), so that each recorder for that crate
//! receives them beside those of the program itself. For Prometheus no further crate is needed:
//! `durable::axum::metrics(&app)` (with the feature `axum` too) is the route for a scrape, and [`Prometheus`] the text of it
//! for any other web server. Labels are names that the program has declared and words of the engine, or `other`; never ids.
//!
//! [`METRICS`] lists all of them, and the guide says what to alert on.
//!
//! # A recorder of your own
//!
//! There is one recorder in a process. Install yours before the launch, so that it receives what the launch recovers. Give
//! the histograms the buckets of [`METRICS`] where it has buckets. The gauges are read when they are asked for:
//! `durable::axum::metrics(&app).rendered_by(..)` does that for each scrape, and `Durable::update_gauges` before an export
//! that pushes.
//!
//! ```no_run
//! # async fn example() -> durable::Result<()> {
//! let prometheus = durable::metrics::Prometheus::install()?; // or a recorder of your own
//! let app = durable::Durable::launch("shop").await?;
//! app.update_gauges().await;
//! println!("{}", prometheus.render());
//! # Ok(())
//! # }
//! ```

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use durable_core::config_error;
pub use durable_core::{METRICS, Metric, MetricKind, describe_metrics};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use crate::Result;

/// How often the samples of histograms are put into their buckets, also if no scrape comes.
const UPKEEP: Duration = Duration::from_secs(5);

/// The recorder that [`Prometheus::install`] has installed in this process.
static INSTALLED: Mutex<Option<Prometheus>> = Mutex::new(None);

/// A recorder of this process that keeps the metrics for Prometheus: those of the engine, and all others that the program
/// records with the crate `metrics`.
#[derive(Clone)]
pub struct Prometheus {
    handle: PrometheusHandle,
}

impl Prometheus {
    /// Installs it as the recorder of this process; gives the one that an earlier call has installed.
    ///
    /// `durable::axum::metrics` calls it, too. Call it before the launch to count what the launch recovers.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config): the program has installed a recorder of its own, which stays as it is.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # async fn example() -> durable::Result<()> {
    /// durable::metrics::Prometheus::install()?;
    /// let app = durable::Durable::launch("shop").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn install() -> Result<Self> {
        let mut installed = installed();
        if let Some(earlier) = &*installed {
            return Ok(earlier.clone());
        }
        let recorder = recorder()?;
        let this = Self { handle: recorder.handle() };
        if ::metrics::set_global_recorder(recorder).is_err() {
            return Err(config_error(
                "this process has a recorder of metrics already; give its text to the route with `durable::axum::metrics(&app).rendered_by(move || handle.render())`",
            ));
        }
        describe_metrics();
        this.keep_small();
        *installed = Some(this.clone());
        Ok(this)
    }

    /// The metrics in the text format of Prometheus. The gauges are those of the last `Durable::update_gauges`.
    #[must_use]
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Samples of histograms would take memory until the next scrape, which may never come. The recorder lives as long as
    /// the process, and so does the thread.
    fn keep_small(&self) {
        let handle = self.handle.clone();
        let upkeep = move || {
            loop {
                std::thread::sleep(UPKEEP);
                handle.run_upkeep();
            }
        };
        // Without the thread each scrape does it.
        let _ = std::thread::Builder::new().name("durable-metrics".to_owned()).spawn(upkeep);
    }
}

fn installed() -> MutexGuard<'static, Option<Prometheus>> {
    INSTALLED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A recorder with the buckets of the engine's histograms.
fn recorder() -> Result<PrometheusRecorder> {
    let mut builder = PrometheusBuilder::new();
    for metric in METRICS.iter().filter(|it| it.kind == MetricKind::Histogram) {
        let name = Matcher::Full(metric.name.to_owned());
        builder = builder
            .set_buckets_for_metric(name, metric.buckets)
            .map_err(|error| config_error(format!("the buckets of {} are refused: {error}", metric.name)))?;
    }
    Ok(builder.build_recorder())
}

impl std::fmt::Debug for Prometheus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prometheus").finish_non_exhaustive()
    }
}
