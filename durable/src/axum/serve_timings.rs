//! How long each part of a web service's shutdown may take.

use std::time::Duration;

use durable_core::{config_error, duration_variable};

use crate::{Result, ShutdownOptions};

/// The defaults add up to 25 s, which leaves a margin within the 30 s that platforms give by default.
const LB_DELAY: Duration = Duration::from_secs(5);
const HTTP_DRAIN: Duration = Duration::from_secs(5);
const ENGINE_TOTAL: Duration = Duration::from_secs(15);
/// The least time for the engine to hand over its workflows and to close.
const MIN_ENGINE_TOTAL: Duration = Duration::from_secs(1);

/// The times that the code sets.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct TimingSettings {
    pub(super) lb_delay: Option<Duration>,
    pub(super) http_drain: Option<Duration>,
    pub(super) shutdown: Option<ShutdownOptions>,
    pub(super) total: Option<Duration>,
}

/// The times that apply: from the code, else from the environment, else the defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ServeTimings {
    pub(super) lb_delay: Duration,
    pub(super) http_drain: Duration,
    /// The whole shutdown.
    pub(super) total: Duration,
    /// The engine's shutdown; `None` for the rest of the total.
    shutdown: Option<ShutdownOptions>,
}

impl ServeTimings {
    /// # Errors
    /// A variable holds no duration, or nothing is left for the engine.
    pub(super) fn new(settings: TimingSettings) -> Result<Self> {
        let lb_delay = choose(settings.lb_delay, "LB_DELAY", LB_DELAY)?;
        let http_drain = choose(settings.http_drain, "HTTP_DRAIN", HTTP_DRAIN)?;
        let before = lb_delay.saturating_add(http_drain);
        let shutdown = match (settings.shutdown, duration_variable("DURABLE_SHUTDOWN_TOTAL")?) {
            (Some(options), _) => Some(options),
            (None, Some(_)) => Some(ShutdownOptions::from_environment()?),
            (None, None) => None,
        };
        let total = settings
            .total
            .unwrap_or_else(|| before.saturating_add(shutdown.map_or(ENGINE_TOTAL, |it| it.max_duration())));
        if before.saturating_add(MIN_ENGINE_TOTAL) > total {
            return Err(config_error(format!(
                "an LB delay of {lb_delay:?} and an HTTP drain of {http_drain:?} leave the engine less than {MIN_ENGINE_TOTAL:?} of the total of {total:?}: shorten them or raise the total"
            )));
        }
        Ok(Self { lb_delay, http_drain, total, shutdown })
    }

    /// The longest time until the engine's own shutdown starts.
    pub(super) fn max_before_engine(&self) -> Duration {
        self.total
            .saturating_sub(MIN_ENGINE_TOTAL)
            .min(self.lb_delay.saturating_add(self.http_drain).saturating_add(MIN_ENGINE_TOTAL))
    }

    /// The options of the engine's shutdown after this time.
    pub(super) fn engine_options(&self, passed: Duration) -> ShutdownOptions {
        let left = self.total.saturating_sub(passed).max(MIN_ENGINE_TOTAL);
        match self.shutdown {
            Some(options) => options.total_at_most(left),
            None => ShutdownOptions::within(left),
        }
    }
}

fn choose(setting: Option<Duration>, variable: &str, default: Duration) -> Result<Duration> {
    match setting {
        Some(setting) => Ok(setting),
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
    fn the_engine_has_the_rest_of_the_total() {
        let settings = TimingSettings {
            lb_delay: Some(seconds(5)),
            http_drain: Some(seconds(8)),
            total: Some(seconds(28)),
            ..TimingSettings::default()
        };
        let timings = ServeTimings::new(settings).expect("it fits");
        assert_eq!(
            timings.engine_options(seconds(6)),
            ShutdownOptions::within(seconds(22)),
            "the HTTP drain took a second"
        );
        assert_eq!(timings.engine_options(seconds(40)).max_duration(), MIN_ENGINE_TOTAL, "it always has time to close");
    }

    #[test]
    fn options_from_the_code_are_kept_within_the_total() {
        let options = ShutdownOptions::within(seconds(60));
        let settings =
            TimingSettings { shutdown: Some(options), total: Some(seconds(30)), ..TimingSettings::default() };
        let engine = ServeTimings::new(settings).expect("it fits").engine_options(seconds(10));
        assert_eq!(engine, options.total(seconds(20)));
        let timings = ServeTimings::new(TimingSettings { total: None, ..settings }).expect("it fits");
        assert_eq!(timings.total, LB_DELAY + HTTP_DRAIN + options.max_duration());
    }

    #[test]
    fn times_that_leave_the_engine_no_time_are_refused() {
        let settings =
            TimingSettings { lb_delay: Some(seconds(15)), total: Some(seconds(20)), ..TimingSettings::default() };
        let text = ServeTimings::new(settings).expect_err("nothing is left").to_string();
        assert!(text.contains("15s") && text.contains("20s"), "{text}");
    }
}
