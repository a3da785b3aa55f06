//! The clock of an SQLite database, which is that of this machine. A test can stop it and move it forward.

#[cfg(feature = "testing")]
use crate::types::sync::{Mutex, lock};
use crate::types::time::Timestamp;

/// The clock that all statements of one store take their time from.
#[derive(Debug, Default)]
pub(super) struct StoreClock {
    #[cfg(feature = "testing")]
    moved: Mutex<MovedClock>,
}

/// How the clock differs from that of the machine.
#[cfg(feature = "testing")]
#[derive(Debug, Default)]
struct MovedClock {
    /// By how many microseconds it is ahead while it runs.
    ahead: i64,
    /// Where it stands, if it is stopped.
    stopped: Option<Timestamp>,
}

#[cfg(feature = "testing")]
impl MovedClock {
    fn now(&self) -> Timestamp {
        let running = || Timestamp::from_micros(Timestamp::local_now().as_micros().saturating_add(self.ahead));
        self.stopped.unwrap_or_else(running)
    }
}

impl StoreClock {
    /// The present time.
    #[cfg(not(feature = "testing"))]
    #[allow(clippy::unused_self, reason = "a test can move the clock")]
    pub(super) fn now(&self) -> Timestamp {
        Timestamp::local_now()
    }

    /// The present time.
    #[cfg(feature = "testing")]
    pub(super) fn now(&self) -> Timestamp {
        lock(&self.moved).now()
    }

    /// Stops the clock at a time, or lets it run on from where it stands. It never goes back: the time from which it
    /// stands or runs is returned.
    #[cfg(feature = "testing")]
    pub(super) fn stop(&self, at: Option<Timestamp>) -> Timestamp {
        let mut moved = lock(&self.moved);
        let now = moved.now().max(at.unwrap_or_default());
        moved.ahead = now.as_micros().saturating_sub(Timestamp::local_now().as_micros());
        moved.stopped = at.map(|_| now);
        now
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_stopped_clock_stands_still_never_goes_back_and_runs_on_from_there() {
        let clock = StoreClock::default();
        let later = clock.now().saturating_add(Duration::from_hours(1));
        assert_eq!(clock.stop(Some(later)), later);
        assert_eq!((clock.now(), clock.stop(Some(Timestamp::UNIX_EPOCH)), clock.now()), (later, later, later));
        assert_eq!(clock.stop(None), later);
        assert!(clock.now() >= later && clock.now() < later.saturating_add(Duration::from_mins(1)));
    }
}
