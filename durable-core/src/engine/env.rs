//! The shutdown's time from the environment: how long a platform waits before it kills a process is part
//! of the deployment, and so is the time for the shutdown.

use std::time::Duration;

use crate::engine::teardown::ShutdownOptions;
use crate::types::duration;
use crate::types::error::Result;
use crate::types::error::config_error;

/// The environment variable with the total time of a shutdown.
const TOTAL_VARIABLE: &str = "DURABLE_SHUTDOWN_TOTAL";

impl ShutdownOptions {
    /// [`ShutdownOptions::within`] the time in the environment variable `DURABLE_SHUTDOWN_TOTAL`: `25s`,
    /// `500ms`, `1m`, or a number of seconds. The defaults if it is not set or empty.
    ///
    /// # Errors
    /// The variable holds no duration, or zero.
    pub fn from_environment() -> Result<Self> {
        Ok(match duration_variable(TOTAL_VARIABLE)? {
            Some(total) if total.is_zero() => {
                return Err(config_error(format!(
                    "the environment variable `{TOTAL_VARIABLE}` gives the shutdown no time; set `1s` or more"
                )));
            }
            Some(total) => Self::within(total),
            None => Self::default(),
        })
    }
}

/// Not public API: a duration from an environment variable; `None` if that is not set or empty.
///
/// # Errors
/// The variable holds no duration.
#[doc(hidden)]
pub fn duration_variable(name: &str) -> Result<Option<Duration>> {
    let Some(text) = std::env::var_os(name) else { return Ok(None) };
    parse_variable(name, text.to_string_lossy().trim())
}

fn parse_variable(name: &str, text: &str) -> Result<Option<Duration>> {
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
    fn a_variable_holds_a_duration_or_a_number_of_seconds() {
        for (text, expected) in [("25", 25_000), ("25s", 25_000), ("500ms", 500), ("1m30s", 90_000), ("0", 0)] {
            assert_eq!(
                parse_variable("V", text).expect("it is a duration"),
                Some(Duration::from_millis(expected)),
                "{text}"
            );
        }
        assert_eq!(parse_variable("V", "").expect("empty counts as not set"), None);
        let text = parse_variable("LB_DELAY", "soon").expect_err("it is no duration").to_string();
        assert!(text.contains("`LB_DELAY`") && text.contains("\"soon\"") && text.contains("30s"), "{text}");
    }
}
