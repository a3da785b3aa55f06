//! Who goes before the engine when it is asked to shut down: a web service, which still answers
//! requests, and whose handlers need the engine for that.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::engine::app::Durable;
use crate::engine::teardown::{ShutdownOptions, ShutdownReason, Teardown};
use crate::wait::shutdown_phase::EnginePhase;

/// Who goes before the engine.
#[derive(Debug, Default)]
pub(super) struct ShutdownHolds {
    services: watch::Sender<Services>,
    /// Why the shutdown was asked for that waits for them.
    why: OnceLock<ShutdownReason>,
}

#[derive(Debug, Default)]
struct Services {
    count: usize,
    /// How long the slowest of them takes.
    at_most: Duration,
}

impl ShutdownHolds {
    /// How long a shutdown waits for them that is asked for with these options. With budgets of the
    /// caller's own they have the time of the drain, which begins later then.
    fn patience(&self, options: Option<ShutdownOptions>) -> Duration {
        let services = self.services.borrow();
        if services.count == 0 {
            return Duration::ZERO;
        }
        options.map_or(services.at_most, |it| it.drain.min(services.at_most))
    }

    async fn gone(&self) {
        let _ = self.services.subscribe().wait_for(|it| it.count == 0).await.map(drop); // the sender is in `self`
    }

    pub(super) fn reason(&self) -> Option<ShutdownReason> {
        self.why.get().copied()
    }
}

impl Teardown {
    /// Begins the shutdown when those are through who go before it, and at once where there are none.
    /// Without options it is as they say, or as by default.
    pub(in crate::engine) fn request_in_order(self: &Arc<Self>, options: Option<ShutdownOptions>) {
        let patience = self.ahead.patience(options);
        if patience.is_zero() || self.has_begun() {
            return self.request(options.unwrap_or_default());
        }
        let first = self.ahead.why.set(options.unwrap_or_default().reason).is_ok();
        self.runtime.shutdown.advance_to(EnginePhase::Quiesced); // they hear that
        if first || options.is_some() {
            // Made before the task: the runtime may be gone, and drop the task without polling it.
            let in_order = InOrder { teardown: Arc::clone(self), options, asked: Instant::now() };
            self.runtime.tokio.spawn(async move {
                let teardown = &in_order.teardown;
                tokio::select! {
                    () = teardown.ahead.gone() => {}
                    () = teardown.requested() => {}
                    () = sleep(patience) => {}
                }
                drop(in_order);
            });
        }
    }
}

/// A shutdown that waits for others, and begins in any case.
struct InOrder {
    teardown: Arc<Teardown>,
    options: Option<ShutdownOptions>,
    asked: Instant,
}

impl Drop for InOrder {
    fn drop(&mut self) {
        match self.options {
            Some(mut options) => {
                options.total = options.total.saturating_sub(self.asked.elapsed());
                self.teardown.request(options);
            }
            None if self.teardown.has_begun() => {} // by one of those before it, as it thought right
            None => self.teardown.request(ShutdownOptions::default()),
        }
    }
}

/// For as long as it lives, somebody goes before the engine.
struct ShutdownHold(Arc<Teardown>);

impl Drop for ShutdownHold {
    fn drop(&mut self) {
        self.0.ahead.services.send_modify(|it| it.count -= 1);
    }
}

impl Durable {
    /// Not public API: while the value lives, a requested shutdown waits for it, and no longer than
    /// `at_most`. Whoever holds it hears of the request by [`EnginePhase::Quiesced`], and then calls
    /// [`shutdown_with`](Self::shutdown_with), which waits for nobody.
    #[doc(hidden)]
    #[must_use]
    pub fn hold_shutdown(&self, at_most: Duration) -> impl Send + Sync + use<> {
        let teardown = Arc::clone(self.teardown());
        teardown.ahead.services.send_modify(|it| {
            it.count += 1;
            it.at_most = it.at_most.max(at_most);
        });
        ShutdownHold(teardown)
    }
}
