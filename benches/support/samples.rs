//! Samples of times, one after the other, each on an idle system.

use std::time::Duration;

/// Samples of one measurement.
pub(crate) type Samples = Vec<Duration>;

/// Waits until the system is idle before a sample. The time varies, because otherwise each sample would
/// begin at the same moment between two polls of a task that polls ten times a second.
pub(crate) async fn wait_until_idle() {
    let lot = uuid::Uuid::new_v4().as_u128() % 100;
    tokio::time::sleep(Duration::from_millis(10 + u64::try_from(lot).expect("it is small"))).await;
}

/// The median and the 99th percentile, in milliseconds.
pub(crate) fn percentiles(mut samples: Samples) -> (f64, f64) {
    samples.sort();
    let at = |part: usize| samples[samples.len() * part / 100].as_secs_f64() * 1e3;
    (at(50), at(99))
}
