//! Load: concurrent callers, each with one piece of work after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Runs `iterations` pieces of work, `callers` at a time, each caller one after the other.
pub(crate) async fn closed_loop<F, W>(callers: u64, iterations: u64, work: W) -> Duration
where
    F: Future<Output = ()> + Send + 'static,
    W: Fn() -> F + Clone + Send + Sync + 'static,
{
    let left = Arc::new(AtomicU64::new(iterations));
    let started = Instant::now();
    let callers: Vec<_> = (0..callers)
        .map(|_| {
            let (left, work) = (Arc::clone(&left), work.clone());
            tokio::spawn(async move {
                while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |it| it.checked_sub(1)).is_ok() {
                    work().await;
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.expect("no caller panics");
    }
    started.elapsed()
}
