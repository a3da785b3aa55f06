//! Durations in JSON: a number of seconds, for `#[serde(with = "crate::types::seconds")]`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer};

pub(crate) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    Duration::try_from_secs_f64(f64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct Lag(#[serde(with = "crate::types::seconds")] Duration);

    #[test]
    fn a_duration_is_a_number_of_seconds() {
        let lag = Lag(Duration::from_millis(1_500));
        assert_eq!(serde_json::to_string(&lag).expect("a number"), "1.5");
        assert_eq!(serde_json::from_str::<Lag>("1.5").expect("it reads back"), lag);
        assert!(serde_json::from_str::<Lag>("-1.0").is_err(), "a duration is not negative");
    }
}
