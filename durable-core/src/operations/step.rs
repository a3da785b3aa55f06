//! `#[step]`: a side effect that happens at least once and whose result is recorded exactly once.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use futures_util::future::Either;
use tracing::Instrument;

use crate::journal::checkpoint::{Operation, OperationResult};
use crate::journal::context::{CallSite, Context, StepScope};
use crate::journal::reserved_position::ReservedPosition;
use crate::operations::call::{Call, CallOptions, delegate_to_call};
use crate::operations::mock::AskMock;
#[cfg(feature = "testing")]
use crate::operations::mock::{StepMock, asked};
use crate::operations::spans;
use crate::runtime::activity::{Activity, RetryDelay};
use crate::runtime::panics::CatchPanic;
use crate::runtime::spawned_tasks::note_outside_call;
use crate::runtime::stop_reason::StopReason;
use crate::store::BoxFuture;
use crate::types::error::{Error, ErrorKind};
use crate::types::metrics::{self, StepOutcome, Stopwatch};
use crate::types::payload::{Codec, Outcome, RecordedError};
use crate::types::retry::StepOptions;
use crate::wait::cancellation::{AbortReason, CancellationFlag};
use crate::wait::shutdown_phase::EnginePhase;
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
/// The position in the workflow is reserved when the call is made, so calls that are awaited in another
/// order replay the same way. Outside any workflow awaiting it is a plain call of the function: one
/// attempt, nothing recorded.
///
/// # At shutdown
/// A running step may finish and is recorded; a step that has not begun does not begin.
#[must_use = "a step does nothing until it is awaited"]
pub struct StepCall<'a, R> {
    pub(super) call: Call<'a, StepCallOptions<'a, R>, R>,
}

pub(super) struct StepCallOptions<'a, R> {
    pub(super) name: &'static str,
    pub(super) options: StepOptions,
    pub(super) codec: Codec<R>,
    pub(super) call_site: CallSite,
    /// Whether a failed attempt is retried; without it, every one is.
    pub(super) retry_if: Option<RetryIf<'a, R>>,
    pub(super) body: StepBody<'a, R>,
}

/// Not public API: makes the future of each attempt.
#[doc(hidden)]
pub struct StepBody<'a, R> {
    /// Whether it can make more than one.
    pub(super) repeatable: bool,
    pub(super) attempts: Attempts<'a, R>,
}

impl<R> fmt::Debug for StepBody<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepBody").field("repeatable", &self.repeatable).finish_non_exhaustive()
    }
}

pub(super) type RetryIf<'a, R> = Box<dyn Fn(&R) -> bool + Send + Sync + 'a>;

/// Makes the future of one attempt; `None` if the arguments are used up and cannot be cloned. It is
/// given whether the attempt is the last one, which needs no copy of the arguments.
pub(super) type Attempts<'a, R> = Box<dyn FnMut(bool) -> Option<BoxFuture<'a, R>> + Send + 'a>;

/// Not public API. Used by generated code.
#[doc(hidden)]
pub fn step<'a, A, R, F, B>(
    step: &'static Step,
    codec: Codec<R>,
    clone: Option<fn(&A) -> A>,
    ask_mock: Option<AskMock<A, R>>,
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
        #[cfg(feature = "testing")]
        if let Some(mock) = StepMock::of_step::<B>() {
            return Some(Box::pin(async move { asked(step.name, ask_mock, &arguments, &mock) }) as BoxFuture<'a, R>);
        }
        #[cfg(not(feature = "testing"))]
        let _ = ask_mock;
        Some(Box::pin(body(arguments)) as BoxFuture<'a, R>)
    };
    let options = StepCallOptions {
        name: step.name,
        options: step.options,
        codec,
        call_site: CallSite::here(),
        retry_if: None,
        body: StepBody { repeatable, attempts: Box::new(attempts) },
    };
    StepCall { call: Call::new(options) }
}

impl<R> StepCall<'_, R> {
    /// Sets how many times a failed attempt is retried. 0 by default, or what the attribute sets.
    pub fn retries(self, retries: u32) -> Self {
        self.with(|options| options.retries = retries)
    }

    /// Sets the delay before the first retry. Each further delay is [`backoff_rate`](Self::backoff_rate)
    /// times longer. 1 s by default.
    pub fn backoff(self, pause: Duration) -> Self {
        self.with(|options| options.backoff = pause)
    }

    /// Sets the factor by which the delay grows after each attempt. 2 by default.
    pub fn backoff_rate(self, rate: f64) -> Self {
        self.with(|options| options.backoff_rate = rate)
    }

    /// Sets the longest delay between two attempts. 1 h by default.
    pub fn max_backoff(self, pause: Duration) -> Self {
        self.with(|options| options.max_backoff = pause)
    }

    /// Sets the random jitter as a fraction of the delay, from 0 to 1: 0.2 gives 80 % to 120 %. 0.2 by
    /// default.
    pub fn jitter(self, part: f64) -> Self {
        self.with(|options| options.jitter = part.clamp(0.0, 1.0))
    }

    /// Sets how long one attempt may take. After that its future is dropped and the attempt has failed. No
    /// timeout by default.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.with(|options| options.timeout = Some(timeout))
    }

    fn with(mut self, change: impl FnOnce(&mut StepOptions)) -> Self {
        self.call.set(|call| change(&mut call.options));
        self
    }
}

impl<'a, T: 'a, E: 'a> StepCall<'a, Result<T, E>> {
    /// Sets which errors are retried. Any other error is recorded at once, without further attempts.
    /// Timeouts and panics are always retried. By default every error is.
    pub fn retry_if(mut self, predicate: fn(&E) -> bool) -> Self {
        let retry_if: RetryIf<'a, _> =
            Box::new(move |result: &Result<T, E>| result.as_ref().err().is_none_or(predicate));
        self.call.set(|options| options.retry_if = Some(retry_if));
        self
    }
}

impl<'a, R: Send + 'a> CallOptions<'a> for StepCallOptions<'a, R> {
    type Output = R;

    fn run(self: Box<Self>) -> impl Future<Output = R> + Send + 'a {
        let Self { name, options, codec, call_site, retry_if, body } = *self;
        match call_site {
            CallSite::Body(reserved) => Either::Left(StepRun { retry_if, reserved, name, options, codec }.run(body)),
            elsewhere => Either::Right(unrecorded(name, options.outside, codec, elsewhere, body.attempts)),
        }
    }
}

/// A call that is not made in a body: nothing is recorded.
async fn unrecorded<R>(
    name: &'static str,
    outside: bool,
    codec: Codec<R>,
    call_site: CallSite,
    mut attempts: Attempts<'_, R>,
) -> R {
    let refusal = match call_site {
        CallSite::Outside if !outside => {
            let message = format!(
                "the step `{name}` was called outside any workflow, which it forbids with `outside = \"deny\"`; call it from a #[workflow]"
            );
            match codec.from_engine {
                Some(of_engine) => return of_engine(Error::new(ErrorKind::Misuse, message)),
                None => panic!("{message}"),
            }
        }
        CallSite::Transaction(scope) => scope,
        CallSite::Outside => {
            note_outside_call(name);
            return first(&mut attempts).await; // the plain function
        }
        // A part of another step; what is in a body is recorded.
        CallSite::Step(_) | CallSite::Body(_) => return first(&mut attempts).await,
    };
    let what = format!("the step `{name}`");
    match codec.from_engine {
        Some(of_engine) => of_engine(refusal.refusal(&what)),
        None => refusal.refuse(&what).await,
    }
}

/// The text of a recorded error.
fn message_of(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Error(text) => RecordedError::from_text(text).message,
        Outcome::Output(_) => String::new(), // it is asked of errors
    }
}

async fn first<R>(attempts: &mut Attempts<'_, R>) -> R {
    match attempts(true) {
        Some(attempt) => attempt.await,
        None => unreachable!("the arguments are there for the first attempt"),
    }
}

/// Tells an attempt that it is given up, if its future is dropped.
struct GiveUpOnDrop<'a>(Option<&'a StepScope>);

impl GiveUpOnDrop<'_> {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for GiveUpOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(scope) = self.0 {
            scope.give_up();
        }
    }
}

/// A step in a body. Its future is allocated for each call, so it is kept below the kilobyte that allocators serve fast.
struct StepRun<'a, R> {
    retry_if: Option<RetryIf<'a, R>>,
    reserved: ReservedPosition,
    name: &'static str,
    options: StepOptions,
    codec: Codec<R>,
}

impl<R: Send> StepRun<'_, R> {
    /// Gives what an earlier run recorded, or attempts it and records the result.
    async fn run(mut self, body: StepBody<'_, R>) -> R {
        self.reserved.check_same_body(self.name).await;
        if let Some(record) = self.reserved.replayed(self.operation()).await {
            return self.reserved.decode(self.codec, record).await;
        }
        if self.options.retries > 0 && !body.repeatable {
            tracing::warn!(target: "durable", step = self.name, "this step has one attempt and `retries` changes nothing: its arguments are not `Clone`, or `durable::step` was given a future; make the arguments `Clone`, or give it a closure");
            self.options.retries = 0;
        }
        self.reserved.ensure_accepting_and_flushed().await;
        self.attempt_all(body.attempts).await
    }

    fn operation(&self) -> Operation<'static> {
        Operation::step(self.name)
    }

    /// Attempts it until it succeeds or the attempts are used up, and records the result.
    async fn attempt_all(&self, mut attempts: Attempts<'_, R>) -> R {
        let started = Instant::now();
        let most = self.options.retries.saturating_add(1);
        let mut attempt = 0;
        let mut failures = Vec::new();
        loop {
            attempt += 1;
            self.wait_for_earlier_attempt().await;
            let Some(future) = attempts(attempt == most) else {
                unreachable!("an attempt after which the arguments are used up is never retried")
            };
            // Held until the result is recorded: a run that is to be suspended waits for that.
            let activity = self.reserved.execution.begin_activity(self.activity());
            let scope = Arc::new(self.scope(attempt, most));
            let given_up = GiveUpOnDrop(Some(&scope));
            if attempt > 1 {
                metrics::step_retried(self.name);
            }
            let watch = Stopwatch::start();
            let (result, encoded) = self.attempt(&scope, future).await;
            metrics::attempt_ended(self.name, watch);
            given_up.disarm();
            let outcome = match encoded {
                Ok(outcome) => outcome,
                Err(error) => return self.reserved.execution.stop_here(StopReason::Fail(error)).await,
            };
            let failed = matches!(outcome, Outcome::Error(_));
            if failed && scope.was_asked_to_stop() {
                // It stopped because of the shutdown, which is not a result: it runs again, with all its attempts.
                drop(activity);
                return self.reserved.execution.stop_here(StopReason::Suspend).await;
            }
            let worth_it = match (&result, &self.retry_if) {
                (Ok(value), Some(retry_if)) => retry_if(value),
                _ => true,
            };
            if failed && worth_it && attempt < most {
                drop(activity);
                let error = message_of(&outcome);
                tracing::debug!(target: "durable", step = self.name, id = %self.reserved.execution.row.id, position = %self.reserved.position, attempt, max_attempts = most, %error, "a step failed and is tried again");
                self.pause(attempt, most, error.clone()).await;
                failures.push(error);
                self.reserved.ensure_lease().await;
                continue;
            }
            if failed {
                let error = message_of(&outcome);
                tracing::warn!(target: "durable", step = self.name, id = %self.reserved.execution.row.id, position = %self.reserved.position, attempt, max_attempts = most, %error, "a step failed and is not tried again");
            }
            let done = OperationResult {
                outcome: Some(outcome),
                attempts: attempt,
                failures,
                ran_for: started.elapsed(),
                child: None,
            };
            self.reserved.record_result(self.operation(), done).await;
            metrics::step_ended(self.name, StepOutcome::of(failed, result.as_ref().err()));
            drop(activity);
            return match (result, self.codec.from_engine) {
                (Ok(value), _) => value,
                (Err(error), Some(of_engine)) if !error.is_panic() => of_engine(error),
                (Err(error), _) => self.reserved.execution.stop_here(StopReason::Fail(error)).await,
            };
        }
    }

    #[cfg(not(feature = "testing"))]
    fn activity(&self) -> Activity {
        Activity::step(self.name)
    }

    /// With the time at which it times out, to which a test may move the clock.
    #[cfg(feature = "testing")]
    fn activity(&self) -> Activity {
        let clock = &self.reserved.execution.runtime.timers.clock;
        Activity::step_until(self.name, self.options.timeout.map(|it| clock.after(it)))
    }

    fn scope(&self, attempt: u32, most: u32) -> StepScope {
        StepScope {
            execution: Arc::clone(&self.reserved.execution),
            name: self.name,
            position: self.reserved.position.clone(),
            attempt,
            max_attempts: most,
            asked_to_stop: AtomicBool::new(false),
            cancellation: CancellationFlag::default(),
        }
    }

    /// One attempt: its value, or the panic or the timeout that ended it; and what is recorded of it.
    async fn attempt(
        &self,
        scope: &Arc<StepScope>,
        future: BoxFuture<'_, R>,
    ) -> (Result<R, Error>, Result<Outcome, Error>) {
        let execution = &self.reserved.execution;
        let span = spans::step_span(&execution.runtime, self.name, &scope.position, scope.attempt);
        let running = pin!(Context::Step(Arc::clone(scope)).scope(future).instrument(span));
        let mut watched = CatchPanic(running);
        let result = match self.options.timeout {
            None => (&mut watched).await,
            Some(limit) => tokio::select! {
                biased;
                result = &mut watched => result,
                () = Box::pin(execution.runtime.timers.elapsed(limit)) => {
                    scope.cancellation.cancel(AbortReason::Timeout);
                    Err(Error::new(ErrorKind::Timeout, format!("took longer than its timeout of {limit:?}")))
                }
            },
        };
        let result = result.map_err(|error| self.in_step(&error));
        let encoded = match &result {
            Ok(value) => self.reserved.encode(self.codec, self.operation(), value),
            Err(error) => Ok(Outcome::Error(RecordedError::from_engine(error).to_text())),
        };
        if let Ok(outcome @ Outcome::Error(_)) = &encoded {
            spans::note_failure(&execution.runtime, watched.0.span(), || message_of(outcome));
        }
        (result, encoded)
    }

    /// Attempts of one step never overlap: an earlier one may still block its thread, after its timeout or from an
    /// earlier run of the workflow. If the drain ends first, the workflow is suspended.
    async fn wait_for_earlier_attempt(&self) {
        let execution = &self.reserved.execution;
        if execution.runtime.blocking_steps.is_running_at(execution.row.key, &self.reserved.position) {
            Box::pin(self.wait_until_free()).await; // boxed, because the futures of all steps contain it
        }
    }

    async fn wait_until_free(&self) {
        let execution = &self.reserved.execution;
        let (steps, key) = (&execution.runtime.blocking_steps, execution.row.key);
        let _activity = execution.begin_activity(Activity::EarlierAttempt(self.name));
        tokio::select! {
            () = steps.wait_until_free(key, &self.reserved.position) => {}
            () = execution.runtime.shutdown.wait_for(EnginePhase::Aborting) => {
                execution.stop_here::<()>(StopReason::Suspend).await;
            }
        }
    }

    /// The delay before a retry. If the drain ends first, the workflow is suspended, and the attempts so far are not counted.
    async fn pause(&self, failed: u32, most: u32, error: String) {
        let pause = self.options.delays().random_delay(failed);
        let execution = &self.reserved.execution;
        let timers = &execution.runtime.timers;
        let until = timers.clock.after(pause);
        let delay = RetryDelay { step: self.name, failed, most, error, until };
        let _activity = execution.begin_activity(Activity::RetryDelay(Box::new(delay)));
        if timers.at(until).await == TimerOutcome::Released {
            execution.stop_here::<()>(StopReason::Suspend).await;
        }
    }

    fn in_step(&self, error: &Error) -> Error {
        let message = format!("the step `{}` at position {} {error}", self.name, self.reserved.position);
        Error::new(error.kind(), message)
    }
}

impl<R> fmt::Debug for StepCallOptions<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {:?}", self.name, self.call_site)
    }
}

delegate_to_call!("StepCall", ['a, R: Send + 'a] StepCall<'a, R> => R, [R] StepCall<'_, R>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_future_of_a_step_is_below_a_kilobyte() {
        static STEP: Step = Step { name: "step", options: StepOptions::DEFAULT };
        let call = step(&STEP, Codec::<Result<String, Error>>::TYPED_FROM_ENGINE, None, None, (), |()| async {
            Ok(String::new())
        });
        let options = call.call.into_options().expect("it is not polled");
        let size = size_of_val(&options.run());
        assert!(size <= 1_000, "{size} bytes");
    }
}
