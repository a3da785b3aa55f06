//! A program whose whole `main` is its engine.

use std::sync::Arc;

use crate::engine::app::Durable;
use crate::engine::report::{ShutdownOutcome, ShutdownReport};
use crate::engine::signals::install;
use crate::engine::teardown::ShutdownOptions;
use crate::journal::context::Context;

impl Durable {
    /// Runs until SIGTERM or SIGINT, then shuts down in order and gives the report. See
    /// [`signals`](crate::signals) for what the second and the third signal do.
    ///
    /// The environment variable `DURABLE_SHUTDOWN_TOTAL` (`25s`, `500ms`, or seconds) bounds the
    /// shutdown, which is shared out as by [`ShutdownOptions::within`]; 20 s without it. When it is
    /// not over 2 s after that, the process logs what is stuck and exits with code 70.
    ///
    /// A shutdown that somebody else requests, a workflow for example, ends it too. Should the
    /// system not let it receive signals, that is logged and they kill the process as before, which
    /// is safe.
    ///
    /// # Example: a worker
    ///
    /// ```no_run
    /// # use durable_core as durable;
    /// # async fn example() -> durable::Result<()> {
    /// let app = durable::Durable::launch("my-app").await?;
    /// let report = app.run_until_signal().await;
    /// println!("{report}");
    /// // And no `return`: the end of `main` would wait for threads that block.
    /// std::process::exit(report.exit_code());
    /// # }
    /// ```
    pub async fn run_until_signal(&self) -> Arc<ShutdownReport> {
        let options = ShutdownOptions::from_environment().unwrap_or_else(|error| {
            tracing::error!(target: "durable", %error, "the shutdown takes its budgets by default");
            ShutdownOptions::default()
        });
        self.run_until_signal_with(options).await
    }

    /// The same with budgets of your own, whatever the environment says.
    pub async fn run_until_signal_with(&self, options: ShutdownOptions) -> Arc<ShutdownReport> {
        if Context::here().is_some() {
            tracing::error!(target: "durable", "`run_until_signal` was called inside a workflow, which the shutdown would wait for: call it in `main`");
            return Arc::new(ShutdownReport::of(ShutdownOutcome::Requested, options.reason));
        }
        // From here on the signals' thread does it all; this only waits for the report.
        let _attendance = match install() {
            Ok(signals) => Some(signals.guard_with(self, options.total, Some(options))),
            Err(error) => {
                tracing::error!(target: "durable", %error, "running without them");
                None
            }
        };
        self.teardown().report().await
    }
}
