//! The time since this machine has started, with the time in which it was asleep.

use std::time::Duration;

/// The time since an arbitrary moment in the past. It never goes back, and it also counts the time in which
/// the machine, or the virtual machine, was asleep.
///
/// On Linux, Android and Apple's systems the operating system has such a clock. Elsewhere it is the clock
/// of [`std::time::Instant`], which on some systems stands still while the machine is asleep.
pub(crate) fn boot_time() -> Duration {
    read()
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn read() -> Duration {
    of_clock(rustix::time::ClockId::Boottime)
}

// On these systems the monotonic clock counts the time asleep. That of `Instant` is another one.
#[cfg(target_vendor = "apple")]
fn read() -> Duration {
    of_clock(rustix::time::ClockId::Monotonic)
}

#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn of_clock(clock: rustix::time::ClockId) -> Duration {
    let time = rustix::time::clock_gettime(clock);
    // Neither part is negative.
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn read() -> Duration {
    static BASE: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    BASE.elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_advances_like_the_monotonic_clock() {
        let (before, instant) = (boot_time(), std::time::Instant::now());
        std::thread::sleep(Duration::from_millis(2));
        let expected = instant.elapsed(); // read first, and begun later
        let elapsed = boot_time().saturating_sub(before);
        assert!(elapsed >= Duration::from_millis(2), "{elapsed:?}");
        assert!(elapsed >= expected, "{elapsed:?} {expected:?}");
    }
}
