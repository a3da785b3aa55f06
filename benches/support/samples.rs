//! Samples of times: one after the other, from rest.

use std::time::Duration;

/// Samples of one thing.
pub(crate) type Samples = Vec<Duration>;

/// Lets everything come to rest before a sample. The time differs, because whoever looks ten times a
/// second would else be met at the same moment between two looks each time.
pub(crate) async fn rest() {
    let lot = uuid::Uuid::new_v4().as_u128() % 100;
    tokio::time::sleep(Duration::from_millis(10 + u64::try_from(lot).expect("it is small"))).await;
}

/// The median and the 99th percentile, in milliseconds.
pub(crate) fn percentiles(mut samples: Samples) -> (f64, f64) {
    samples.sort();
    let at = |part: usize| samples[samples.len() * part / 100].as_secs_f64() * 1e3;
    (at(50), at(99))
}
