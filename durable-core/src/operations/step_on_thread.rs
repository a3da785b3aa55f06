//! Steps that block: run on a thread of the engine.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::journal::context::Context;

/// Runs a function that blocks on one of the engine's threads for that. If the future is dropped before the
/// function begins, it never begins. Outside any workflow it is one of the threads that tokio keeps.
///
/// Not public API. Used by generated code.
#[doc(hidden)]
pub async fn blocking<R: Send + 'static>(body: impl FnOnce() -> R + Send + 'static) -> R {
    let span = tracing::Span::current();
    let body = move || span.in_scope(body);
    // The thread gets the context of the task: its step, and whether it should stop.
    let Some(Context::Step(scope)) = Context::here() else {
        return match tokio::task::spawn_blocking(body).await {
            Ok(value) => value,
            Err(failed) if failed.is_panic() => std::panic::resume_unwind(failed.into_panic()),
            Err(_) => std::future::pending().await, // the tokio runtime shuts down
        };
    };
    let (sender, receiver) = oneshot::channel();
    let job_scope = Arc::clone(&scope);
    let job = move || {
        let runtime = Arc::clone(&job_scope.execution.runtime);
        // The shutdown cannot stop a thread, and lists it in its report.
        let _on_thread = runtime.blocking_steps.enter(job_scope.blocking_step());
        if sender.is_closed() {
            return; // the attempt was given up while it waited for a thread
        }
        let _tokio = runtime.tokio.enter();
        let body = AssertUnwindSafe(|| Context::Step(job_scope).sync_scope(body));
        // The result of an attempt that was given up meanwhile is dropped here.
        drop(sender.send(std::panic::catch_unwind(body)));
    };
    let started = scope.execution.runtime.blocking_steps.threads.run(Box::new(job));
    started.unwrap_or_else(|error| panic!("no thread can be started for this step: {error}"));
    match receiver.await {
        Ok(Ok(value)) => value,
        Ok(Err(panic)) => std::panic::resume_unwind(panic),
        Err(_) => std::future::pending().await, // a job always answers
    }
}
