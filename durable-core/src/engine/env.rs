//! Budgets of a shutdown that the environment names, because the platform sets their bounds: how long
//! it waits before it kills is written where the program is deployed.

use std::time::Duration;

use crate::engine::app::config_error;
use crate::engine::teardown::ShutdownOptions;
use crate::types::duration;
use crate::types::error::Result;

/// The environment variable that bounds a shutdown.
const TOTAL_VARIABLE: &str = "DURABLE_SHUTDOWN_TOTAL";

impl ShutdownOptions {
    /// [`within`](Self::within) what the environment variable `DURABLE_SHUTDOWN_TOTAL` says: `25s`,
    /// `500ms`, `1m`, or a bare number of seconds. The default without it.
    ///
    /// # Errors
    /// The variable holds no duration, or none at all is left by it.
    pub fn from_environment() -> Result<Self> {
        Ok(match duration_variable(TOTAL_VARIABLE)? {
            Some(total) if total.is_zero() => {
                return Err(config_error(format!(
                    "`{TOTAL_VARIABLE}` leaves a shutdown no time at all: write `1s` or more"
                )));
            }
            Some(total) => Self::within(total),
            None => Self::default(),
        })
    }
}

/// Not public API: a duration from an environment variable; `None` where that is not set, or empty.
///
/// # Errors
/// It holds something else.
#[doc(hidden)]
pub fn duration_variable(name: &str) -> Result<Option<Duration>> {
    let Some(text) = std::env::var_os(name) else { return Ok(None) };
    read(name, text.to_string_lossy().trim())
}

fn read(name: &str, text: &str) -> Result<Option<Duration>> {
    if text.is_empty() {
        return Ok(None);
    }
    if let Ok(seconds) = text.parse() {
        return Ok(Some(Duration::from_secs(seconds)));
    }
    let millis = duration::parse(text)
        .map_err(|fault| config_error(format!("the environment variable `{name}` {fault}, or a number of seconds")))?;
    Ok(Some(Duration::from_millis(millis)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_holds_a_duration_or_seconds() {
        for (text, expected) in [("25", 25_000), ("25s", 25_000), ("500ms", 500), ("1m30s", 90_000), ("0", 0)] {
            assert_eq!(read("V", text).expect("it is one"), Some(Duration::from_millis(expected)), "{text}");
        }
        assert_eq!(read("V", "").expect("it is as if it were not there"), None);
        let told = read("LB_DELAY", "soon").expect_err("it is none").to_string();
        assert!(told.contains("`LB_DELAY`") && told.contains("\"soon\"") && told.contains("30s"), "{told}");
    }
}
