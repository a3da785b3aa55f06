//! The metrics of one test.

use std::time::Instant;

use durable::Durable;
use durable::metrics::{METRICS, MetricKind};
use metrics::LocalRecorderGuard;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};

use crate::support::until;

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

    /// The value of a line, which is given without it: `name{label="value"}`. What counted nothing yet has no line and is 0.
    ///
    /// # Panics
    /// It is a gauge without a value, or no engine records it.
    pub(crate) fn value(&self, line: &str) -> f64 {
        self.shown(line).unwrap_or_else(|| {
            let (name, labels) = line.split_once('{').unwrap_or((line, ""));
            let metric = METRICS.iter().find(|it| match it.kind {
                MetricKind::Histogram => {
                    name.strip_prefix(it.name).is_some_and(|end| ["_count", "_sum"].contains(&end))
                }
                _ => name == it.name,
            });
            let metric = metric.unwrap_or_else(|| panic!("no engine records {name}"));
            assert_ne!(metric.kind, MetricKind::Gauge, "{line} has no value:\n{}", self.text());
            let names: Vec<_> =
                labels.split_terminator(['{', '"']).step_by(2).map(|it| it.trim_matches([',', '=', '}'])).collect();
            let names: Vec<_> = names.into_iter().filter(|it| !it.is_empty()).collect();
            assert_eq!(names, metric.labels, "{line} has the labels of its metric");
            0.0
        })
    }

    /// The value of a line that may be missing.
    pub(crate) fn shown(&self, line: &str) -> Option<f64> {
        self.text().lines().find_map(|it| it.strip_prefix(line)?.strip_prefix(' ')?.parse().ok())
    }

    /// Reads the gauges, however often the database does not answer in time, and returns when it was asked.
    pub(crate) async fn read_gauges(&self, app: &Durable) -> Instant {
        let mut asked_at = Instant::now();
        let read = async || {
            asked_at = Instant::now();
            app.update_gauges().await;
            self.shown("durable_database_up") == Some(1.0)
        };
        until("the gauges are read", read).await;
        asked_at
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
