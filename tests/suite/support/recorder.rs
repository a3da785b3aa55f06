//! The metrics of one test.

use metrics::LocalRecorderGuard;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};

/// A recorder for what runs on one thread.
pub(crate) struct Recorder(PrometheusRecorder);

impl Recorder {
    pub(crate) fn new() -> Self {
        Self(PrometheusBuilder::new().build_recorder())
    }

    /// Records what happens on this thread until the returned value is dropped: all of an engine that was launched on a
    /// tokio runtime of one thread.
    pub(crate) fn record(&self) -> LocalRecorderGuard<'_> {
        metrics::set_default_local_recorder(&self.0)
    }

    /// The value of a line, without its value: `name{label="value"}`; 0 if there is no such line.
    pub(crate) fn value(&self, line: &str) -> f64 {
        self.text().lines().find_map(|it| it.strip_prefix(line)?.trim().parse().ok()).unwrap_or_default()
    }

    /// Compares the values of several lines.
    pub(crate) fn assert(&self, expected: &[(&str, f64)]) {
        for (line, value) in expected {
            let got = self.value(line);
            assert!((got - value).abs() < 1e-9, "{line} is {got} and not {value}:\n{}", self.text());
        }
    }

    pub(crate) fn text(&self) -> String {
        self.0.handle().render()
    }
}
