//! `#[step]`: a side effect that happens at least once and whose result is recorded exactly once.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::task::JoinHandle;

use crate::journal::checkpoint::{Operation, OperationResult};
use crate::journal::context::{CallSite, Context, StepScope};
use crate::journal::reserved_position::ReservedPosition;
use crate::operations::call_state::CallState;
use crate::runtime::activity::Activity;
use crate::runtime::panics::CatchPanic;
use crate::runtime::stop_reason::StopReason;
use crate::store::BoxFuture;
use crate::types::error::{Error, ErrorKind};
use crate::types::payload::{Codec, Outcome, Payload, RecordedError};
use crate::types::retry::StepOptions;
use crate::wait::timers::TimerOutcome;

/// What a `#[step]` attribute makes of a function.
#[derive(Debug)]
pub struct Step {
    /// The name in the database.
    pub name: &'static str,
    /// Its options.
    pub options: StepOptions,
}

/// A call of a step: a future that runs it and records what it returns, or gives back what an
/// earlier run recorded.
///
/// The call has its position in the workflow from the moment it is made, so calls that are awaited
/// in another order replay the same way. Outside any workflow awaiting it is a plain call of the
/// function: one attempt, nothing recorded.
///
/// # At shutdown
/// A step that runs may come to its end and be recorded; one that has not begun does not begin.
#[must_use = "a step does nothing until it is awaited"]
pub struct StepCall<'a, R> {
    state: CallState<'a, StepCallOptions<'a, R>, R>,
}

struct StepCallOptions<'a, R> {
    name: &'static str,
    options: StepOptions,
    codec: Codec<R>,
    call_site: CallSite,
    /// Whether the arguments can be cloned for another attempt.
    repeatable: bool,
    /// Whether a failed attempt's result is worth another one; always, if nobody said.
    retry_if: Option<RetryIf<'a, R>>,
    attempts: Attempts<'a, R>,
}

type RetryIf<'a, R> = Box<dyn Fn(&R) -> bool + Send + Sync + 'a>;

/// Makes the future of one attempt; `None` if the arguments are used up and cannot be cloned. It is
/// told whether the attempt is the last one, which needs no copy of the arguments.
type Attempts<'a, R> = Box<dyn FnMut(bool) -> Option<BoxFuture<'a, R>> + Send + 'a>;

/// Not public API. Used by generated code.
#[doc(hidden)]
pub fn step<'a, A, R, F, B>(
    step: &'static Step,
    codec: Codec<R>,
    clone: Option<fn(&A) -> A>,
    arguments: A,
    body: B,
) -> StepCall<'a, R>
where
    A: Send + 'a,
    R: Send + 'a,
    B: Fn(A) -> F + Send + 'a,
    F: Future<Output = R> + Send + 'a,
{
    let repeatable = clone.is_some();
    let mut kept = Some(arguments);
    let attempts = move |last: bool| {
        let arguments = match (last, clone) {
            (false, Some(clone)) => clone(kept.as_ref()?),
            _ => kept.take()?,
        };
        Some(Box::pin(body(arguments)) as BoxFuture<'a, R>)
    };
    let made = StepCallOptions {
        name: step.name,
        options: step.options,
        codec,
        call_site: CallSite::here(),
        repeatable,
        retry_if: None,
        attempts: Box::new(attempts),
    };
    StepCall { state: CallState::new(made) }
}

/// A step without a function of its own: `durable::step("charge", async { … }).await?`.
///
/// It is a step like any other, with the one exception that it cannot be tried again: the future is
/// there once. For retries, write a function with `#[step]`.
pub fn inline<'a, T, E, F>(name: &'static str, body: F) -> StepCall<'a, Result<T, E>>
where
    T: Payload,
    E: Serialize + DeserializeOwned + fmt::Display + Send + 'a,
    F: Future<Output = Result<T, E>> + Send + 'a,
{
    let mut kept = Some(body);
    let attempts = move |_last: bool| kept.take().map(|body| Box::pin(body) as BoxFuture<'a, Result<T, E>>);
    let made = StepCallOptions {
        name,
        options: StepOptions::DEFAULT,
        codec: Codec::<Result<T, E>>::TYPED,
        call_site: CallSite::here(),
        repeatable: false,
        retry_if: None,
        attempts: Box::new(attempts),
    };
    StepCall { state: CallState::new(made) }
}

/// A function that waits for a thread, or runs on one. Dropped before it has begun it does not begin.
struct BlockingTask<R>(JoinHandle<R>);

impl<R> Drop for BlockingTask<R> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs a function that blocks on the threads that tokio keeps for that.
///
/// Not public API. Used by generated code.
#[doc(hidden)]
pub async fn blocking<R: Send + 'static>(body: impl FnOnce() -> R + Send + 'static) -> R {
    // The thread knows what the task knows: which step it runs, and when it is to stop.
    let here = Context::here();
    let body = move || {
        let Some(context) = here else { return body() };
        let scope = if let Context::Step(scope) = &context { Some(Arc::clone(scope)) } else { None };
        // The shutdown cannot stop a thread, and has to say so.
        let _on_thread = scope.as_ref().map(|it| it.execution.runtime.blocking_steps.enter(it.blocking_step()));
        context.sync_scope(body)
    };
    let mut thread = BlockingTask(tokio::task::spawn_blocking(body));
    match (&mut thread.0).await {
        Ok(value) => value,
        Err(failed) if failed.is_panic() => std::panic::resume_unwind(failed.into_panic()),
        // The runtime goes down. The step has no result, and the driver of its workflow goes with it.
        Err(_) => std::future::pending().await,
    }
}

impl<R> StepCall<'_, R> {
    /// Attempts after the first, for this call.
    pub fn retries(self, retries: u32) -> Self {
        self.with(|options| options.retries = retries)
    }

    /// The pause before the first retry, for this call. Each further one is `backoff_rate` times longer.
    pub fn backoff(self, pause: Duration) -> Self {
        self.with(|options| options.backoff = pause)
    }

    /// By what each further pause is longer, for this call.
    pub fn backoff_rate(self, rate: f64) -> Self {
        self.with(|options| options.backoff_rate = rate)
    }

    /// The longest pause, for this call.
    pub fn max_backoff(self, pause: Duration) -> Self {
        self.with(|options| options.max_backoff = pause)
    }

    /// How much of a pause is drawn by lot, for this call: 0.2 makes it 80 % to 120 %.
    pub fn jitter(self, part: f64) -> Self {
        self.with(|options| options.jitter = part.clamp(0.0, 1.0))
    }

    /// How long one attempt may take, for this call. Its future is dropped then, and the attempt counts as failed.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.with(|options| options.timeout = Some(timeout))
    }

    fn with(mut self, change: impl FnOnce(&mut StepOptions)) -> Self {
        if let Some(made) = self.state.made() {
            change(&mut made.options);
        }
        self
    }
}

impl<'a, T: 'a, E: 'a> StepCall<'a, Result<T, E>> {
    /// Which errors are worth another attempt, for this call. Any other is recorded at once, also
    /// before the attempts are used up. Timeouts and panics are always tried again.
    pub fn retry_if(mut self, predicate: fn(&E) -> bool) -> Self {
        if let Some(made) = self.state.made() {
            made.retry_if = Some(Box::new(move |result| result.as_ref().err().is_none_or(predicate)));
        }
        self
    }
}

impl<'a, R: Send + 'a> Future for StepCall<'a, R> {
    type Output = R;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<R> {
        self.state.poll(cx, |made| Box::pin(made.run()))
    }
}

impl<R: Send> StepCallOptions<'_, R> {
    async fn run(self: Box<Self>) -> R {
        let Self { name, mut options, codec, call_site, repeatable, retry_if, mut attempts } = *self;
        let claim = match call_site {
            CallSite::Body(claim) => claim,
            CallSite::Outside if !options.outside => {
                let message = format!(
                    "the step `{name}` was called outside any workflow, which it forbids with `outside = \"deny\"`; call it from a #[workflow]"
                );
                match codec.from_engine {
                    Some(of_engine) => return of_engine(Error::new(ErrorKind::Misuse, message)),
                    None => panic!("{message}"),
                }
            }
            CallSite::Transaction(scope) => {
                let what = format!("the step `{name}`");
                return match codec.from_engine {
                    Some(of_engine) => of_engine(scope.refusal(&what)),
                    None => scope.refuse(&what).await,
                };
            }
            // Outside, and as a part of another step, it is the plain function.
            CallSite::Outside | CallSite::Step(_) => return first(&mut attempts).await,
        };
        claim.check_same_body(name).await;
        let operation = Operation::step(name);
        if let Some(record) = claim.replayed(operation).await {
            return claim.decode(codec, record).await;
        }
        if options.retries > 0 && !repeatable {
            tracing::warn!(target: "durable", step = name, "a step is to be retried and its arguments are not `Clone`: it gets one attempt");
            options.retries = 0;
        }
        claim.ensure_accepting_and_flushed().await;
        StepRun { claim: &claim, operation, name, options, codec, retry_if }.attempt_all(attempts).await
    }
}

async fn first<R>(attempts: &mut Attempts<'_, R>) -> R {
    match attempts(true) {
        Some(attempt) => attempt.await,
        None => unreachable!("the arguments are there for the first attempt"),
    }
}

/// A step that is not recorded yet, in the place where it is to run.
struct StepRun<'c, 'a, R> {
    retry_if: Option<RetryIf<'a, R>>,
    claim: &'c ReservedPosition,
    operation: Operation<'static>,
    name: &'static str,
    options: StepOptions,
    codec: Codec<R>,
}

impl<R: Send> StepRun<'_, '_, R> {
    /// Attempts it until it succeeds or the attempts are used up, and records what came of it.
    async fn attempt_all(&self, mut attempts: Attempts<'_, R>) -> R {
        let started = Instant::now();
        let most = self.options.retries.saturating_add(1);
        let mut attempt = 0;
        let mut failures = Vec::new();
        loop {
            attempt += 1;
            let Some(future) = attempts(attempt == most) else {
                unreachable!("an attempt after which the arguments are used up is never retried")
            };
            // Held until the record is kept: a run that is to be suspended waits for that.
            let doing = self.claim.execution.begin_activity(Activity::step(self.name));
            let scope = Arc::new(self.scope(attempt, most));
            let result = self.attempt(&scope, future).await.map_err(|error| self.in_step(&error));
            let encoded = match &result {
                Ok(value) => self.claim.encode(self.codec, self.operation, value),
                Err(error) => Ok(Outcome::Error(RecordedError::from_engine(error).to_text())),
            };
            let outcome = match encoded {
                Ok(outcome) => outcome,
                Err(error) => return self.claim.execution.stop_here(StopReason::Fail(error)).await,
            };
            let failed = matches!(outcome, Outcome::Error(_));
            if failed && scope.was_asked_to_stop() {
                // It stopped because it was told to, which is no result: it runs again, with all its attempts.
                drop(doing);
                return self.claim.execution.stop_here(StopReason::Suspend).await;
            }
            let worth_it = match (&result, &self.retry_if) {
                (Ok(value), Some(retry_if)) => retry_if(value),
                _ => true,
            };
            if failed && worth_it && attempt < most {
                drop(doing);
                if let Outcome::Error(text) = &outcome {
                    failures.push(RecordedError::from_text(text).message);
                }
                tracing::debug!(target: "durable", step = self.name, id = %self.claim.execution.row.id, attempt, "a step failed and is tried again");
                self.pause(attempt).await;
                continue;
            }
            let done = OperationResult {
                outcome: Some(outcome),
                attempts: attempt,
                failures,
                ran_for: started.elapsed(),
                child: None,
            };
            self.claim.record_result(self.operation, done).await;
            drop(doing);
            return match (result, self.codec.from_engine) {
                (Ok(value), _) => value,
                (Err(error), Some(of_engine)) if !error.is_panic() => of_engine(error),
                (Err(error), _) => self.claim.execution.stop_here(StopReason::Fail(error)).await,
            };
        }
    }

    fn scope(&self, attempt: u32, most: u32) -> StepScope {
        StepScope {
            execution: Arc::clone(&self.claim.execution),
            name: self.name,
            position: self.claim.position.clone(),
            attempt,
            max_attempts: most,
            asked_to_stop: AtomicBool::new(false),
        }
    }

    /// One attempt: its value, or the panic or the timeout that ended it.
    async fn attempt(&self, scope: &Arc<StepScope>, future: BoxFuture<'_, R>) -> Result<R, Error> {
        let watched = CatchPanic(Box::pin(Context::Step(Arc::clone(scope)).scope(future)));
        match self.options.timeout {
            None => watched.await,
            Some(limit) => tokio::time::timeout(limit, watched).await.unwrap_or_else(|_| {
                Err(Error::new(ErrorKind::Timeout, format!("took longer than its timeout of {limit:?}")))
            }),
        }
    }

    /// The pause before a retry. One that is longer than the drain ends with that, and the attempts so far are not counted.
    async fn pause(&self, failed: u32) {
        let lot = uuid::Uuid::new_v4().as_fields().0;
        let pause = self.options.delays().jittered_delay(failed, f64::from(lot) / f64::from(u32::MAX));
        let execution = &self.claim.execution;
        let _doing = execution.begin_activity(Activity::Pause(self.name));
        let timers = &execution.runtime.timers;
        if timers.at(timers.clock.after(pause)).await == TimerOutcome::Released {
            execution.stop_here::<()>(StopReason::Suspend).await;
        }
    }

    fn in_step(&self, error: &Error) -> Error {
        let message = format!("the step `{}` at position {} {error}", self.name, self.claim.position);
        Error::new(error.kind(), message)
    }
}

impl<R> fmt::Debug for StepCall<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.state {
            CallState::Made(made) => write!(f, "StepCall({}, {:?})", made.name, made.call_site),
            CallState::Running(_) => f.write_str("StepCall(running)"),
            CallState::Over => f.write_str("StepCall(over)"),
        }
    }
}
