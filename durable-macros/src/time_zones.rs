//! The names of time zones. The list is copied from the crate `chrono-tz`, which the engine uses: a dependency on it
//! here would compile all its rules a second time, before anything else can be compiled.

use crate::suggest;

const NAMES: &str = include_str!("time_zones.txt");

/// Why `name` is not a time zone, or `None` if it is one. The text completes the sentence "`tz` ..".
pub(crate) fn name_error(name: &str) -> Option<String> {
    if NAMES.lines().any(|known| known == name) {
        return None;
    }
    let error = format!("is {name:?}, which is not a known time zone");
    Some(match suggest::zone(name, NAMES.lines()) {
        Some(suggestion) => format!("{error}; did you mean {suggestion:?}?"),
        None => format!(r#"{error}; write an IANA name such as "Europe/Warsaw", "America/New_York" or "UTC""#),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_equals_that_of_chrono_tz() {
        let mut names: Vec<_> = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(NAMES.lines().collect::<Vec<_>>(), names, "copy the names of the crate into src/time_zones.txt");
    }

    #[test]
    fn a_misspelled_zone_gets_a_suggestion() {
        for (name, suggestion) in [
            ("Europe/Warschau", "Europe/Warsaw"),
            ("warsaw", "Europe/Warsaw"),
            ("America/New York", "America/New_York"),
            ("utc", "UTC"),
        ] {
            let error = name_error(name).expect("the name is not a zone");
            assert!(error.ends_with(&format!("did you mean {suggestion:?}?")), "{error}");
        }
        assert_eq!(name_error("Europe/Warsaw"), None);
        assert!(name_error("Middle-earth/Shire").expect("the name is not a zone").contains("write an IANA name"));
    }
}
