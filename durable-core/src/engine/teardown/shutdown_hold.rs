//! Holds back a requested shutdown while a web service finishes its requests, whose handlers need the engine.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::engine::teardown::{ShutdownOptions, ShutdownReason, Teardown};
use crate::wait::shutdown_phase::EnginePhase;

/// The services that hold back a requested shutdown.
#[derive(Debug, Default)]
pub(super) struct ShutdownHolds {
    held: watch::Sender<HeldServices>,
    /// The reason of the request that is held back.
    reason: OnceLock<ShutdownReason>,
}

#[derive(Debug, Default)]
struct HeldServices {
    count: usize,
    /// The time that the slowest of them takes.
    longest: Duration,
}

impl ShutdownHolds {
    /// How long a shutdown requested with these options is held back at most. Without options it is as
    /// long as the services take; with options, no longer than their drain.
    fn max_hold(&self, options: Option<ShutdownOptions>) -> Duration {
        let held = self.held.borrow();
        if held.count == 0 {
            return Duration::ZERO;
        }
        options.map_or(held.longest, |it| it.drain.min(held.longest))
    }

    async fn wait_until_released(&self) {
        let _ = self.held.subscribe().wait_for(|it| it.count == 0).await.map(drop); // the sender is in `self`
    }

    pub(super) fn reason(&self) -> Option<ShutdownReason> {
        self.reason.get().copied()
    }
}

impl Teardown {
    /// Starts the shutdown once nothing holds it back: at once if there is no service. Without options it
    /// has those of the service, or the defaults.
    pub(in crate::engine) fn request_after_holds(self: &Arc<Self>, options: Option<ShutdownOptions>) {
        let max_hold = self.holds.max_hold(options);
        if max_hold.is_zero() || self.has_started() {
            return self.request(options.unwrap_or_default());
        }
        let first = self.holds.reason.set(options.unwrap_or_default().reason).is_ok();
        self.runtime.shutdown.advance_to(EnginePhase::Quiesced); // the services wait for this
        if first || options.is_some() {
            // Created before the task: a runtime that has shut down drops the task without polling it.
            let held_request = HeldRequest { teardown: Arc::clone(self), options, requested: Instant::now() };
            self.runtime.tokio.spawn(async move {
                let teardown = &held_request.teardown;
                tokio::select! {
                    () = teardown.holds.wait_until_released() => {}
                    () = teardown.requested() => {}
                    () = sleep(max_hold) => {}
                }
                drop(held_request);
            });
        }
    }

    /// Holds back a requested shutdown until the value is dropped, and no longer than `max`.
    pub(in crate::engine) fn hold(self: &Arc<Self>, max: Duration) -> ShutdownHold {
        self.holds.held.send_modify(|it| {
            it.count += 1;
            it.longest = it.longest.max(max);
        });
        ShutdownHold(Arc::clone(self))
    }
}

/// A request that is held back. Dropping it starts the shutdown.
struct HeldRequest {
    teardown: Arc<Teardown>,
    options: Option<ShutdownOptions>,
    requested: Instant,
}

impl Drop for HeldRequest {
    fn drop(&mut self) {
        match self.options {
            Some(mut options) => {
                options.total = options.total.saturating_sub(self.requested.elapsed());
                self.teardown.request(options);
            }
            None if self.teardown.has_started() => {} // by the service, with options of its own
            None => self.teardown.request(ShutdownOptions::default()),
        }
    }
}

/// Holds back a requested shutdown until it is dropped.
pub(in crate::engine) struct ShutdownHold(Arc<Teardown>);

impl Drop for ShutdownHold {
    fn drop(&mut self) {
        self.0.holds.held.send_modify(|it| it.count -= 1);
    }
}
