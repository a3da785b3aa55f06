//! Budgets of shutdowns, and shutdowns in the background.

use std::sync::Arc;

use durable::ShutdownReport;
use durable::prelude::*;
use tokio::task::JoinHandle;

/// Options with these milliseconds for the drain and the abort.
pub(crate) fn budgets(drain: u64, abort: u64) -> ShutdownOptions {
    let (drain, abort) = (Duration::from_millis(drain), Duration::from_millis(abort));
    ShutdownOptions::default().drain(drain).abort(abort).total(drain + abort + Duration::from_secs(10))
}

/// A drain of a minute: a shutdown that takes less has not waited for all of it.
pub(crate) fn patient() -> ShutdownOptions {
    budgets(60_000, 0)
}

/// Shuts down in a task of its own.
pub(crate) fn start_shutdown(app: &Durable, options: ShutdownOptions) -> JoinHandle<Arc<ShutdownReport>> {
    let app = app.clone();
    tokio::spawn(async move { app.shutdown_with(options).await })
}

/// Runs `work` on a runtime of its own with one thread, and then drops the runtime with its tasks.
pub(crate) async fn on_dropped_runtime<R: Send + 'static>(
    work: impl FnOnce(&tokio::runtime::Runtime) -> R + Send + 'static,
) -> R {
    let thread = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let result = work(&runtime);
        drop(runtime);
        result
    });
    tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap()
}
