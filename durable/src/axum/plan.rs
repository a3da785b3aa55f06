//! How long each part of going down may take.

use std::time::Duration;

use durable_core::{config_error, duration_variable};

use crate::{Result, ShutdownOptions};

/// So that with what a platform gives by default, 30 s, there is a margin.
const LB_DELAY: Duration = Duration::from_secs(5);
const HTTP_DRAIN: Duration = Duration::from_secs(5);
const ENGINE: Duration = Duration::from_secs(15);
/// The least that the engine needs to hand over its work and to close.
const LEAST: Duration = Duration::from_secs(1);

/// What the code asks for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wishes {
    pub(super) lb_delay: Option<Duration>,
    pub(super) http_drain: Option<Duration>,
    pub(super) shutdown: Option<ShutdownOptions>,
    pub(super) total: Option<Duration>,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) lb_delay: Duration,
    pub(super) http_drain: Duration,
    /// All of it.
    pub(super) total: Duration,
    /// `None` takes what is left of the total.
    shutdown: Option<ShutdownOptions>,
}

impl Plan {
    /// # Errors
    /// A variable holds no duration, or nothing is left for the engine.
    pub(super) fn new(wishes: Wishes) -> Result<Self> {
        let lb_delay = either(wishes.lb_delay, "LB_DELAY", LB_DELAY)?;
        let http_drain = either(wishes.http_drain, "HTTP_DRAIN", HTTP_DRAIN)?;
        let before = lb_delay.saturating_add(http_drain);
        let shutdown = match (wishes.shutdown, duration_variable("DURABLE_SHUTDOWN_TOTAL")?) {
            (Some(options), _) => Some(options),
            (None, Some(_)) => Some(ShutdownOptions::from_environment()?),
            (None, None) => None,
        };
        let total =
            wishes.total.unwrap_or_else(|| before.saturating_add(shutdown.map_or(ENGINE, |it| it.max_duration())));
        if before.saturating_add(LEAST) > total {
            return Err(config_error(format!(
                "an LB delay of {lb_delay:?} and an HTTP drain of {http_drain:?} leave the engine less than {LEAST:?} of the total of {total:?}: shorten them or lengthen it"
            )));
        }
        Ok(Self { lb_delay, http_drain, total, shutdown })
    }

    /// How long it takes at most until the engine's own shutdown begins.
    pub(super) fn ahead(&self) -> Duration {
        self.total.saturating_sub(LEAST).min(self.lb_delay.saturating_add(self.http_drain).saturating_add(LEAST))
    }

    /// The engine's share, when so much time has passed.
    pub(super) fn engine(&self, passed: Duration) -> ShutdownOptions {
        let left = self.total.saturating_sub(passed).max(LEAST);
        match self.shutdown {
            Some(options) => options.total_at_most(left),
            None => ShutdownOptions::within(left),
        }
    }
}

fn either(wish: Option<Duration>, variable: &str, default: Duration) -> Result<Duration> {
    match wish {
        Some(wish) => Ok(wish),
        None => Ok(duration_variable(variable)?.unwrap_or(default)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_engine_has_what_the_parts_before_leave_of_the_total() {
        let wishes = Wishes {
            lb_delay: Some(seconds(5)),
            http_drain: Some(seconds(8)),
            total: Some(seconds(28)),
            ..Wishes::default()
        };
        let plan = Plan::new(wishes).expect("it fits");
        assert_eq!(plan.engine(seconds(6)), ShutdownOptions::within(seconds(22)), "the HTTP drain took a second");
        assert_eq!(plan.engine(seconds(40)).max_duration(), LEAST, "whatever happens, it closes in order");
    }

    #[test]
    fn options_of_ones_own_are_kept_within_the_total() {
        let options = ShutdownOptions::within(seconds(60));
        let wishes = Wishes { shutdown: Some(options), total: Some(seconds(30)), ..Wishes::default() };
        let engine = Plan::new(wishes).expect("it fits").engine(seconds(10));
        assert_eq!(engine, options.total(seconds(20)));
        let plan = Plan::new(Wishes { total: None, ..wishes }).expect("it fits");
        assert_eq!(plan.total, LB_DELAY + HTTP_DRAIN + options.max_duration());
    }

    #[test]
    fn parts_that_leave_nothing_to_the_engine_are_refused_before_anything_is_served() {
        let wishes = Wishes { lb_delay: Some(seconds(15)), total: Some(seconds(20)), ..Wishes::default() };
        let told = Plan::new(wishes).expect_err("nothing is left").to_string();
        assert!(told.contains("15s") && told.contains("20s"), "{told}");
    }
}
