//! The names of time zones. The list is that of the crate `chrono-tz`, which the engine reads them with: to depend on it
//! here would compile all its rules a second time, before anything else can be compiled.

use crate::nearest;

const NAMES: &str = include_str!("zones.txt");

/// Why a name is none, if it is none, to complete the sentence "`tz` ..".
pub(crate) fn fault(name: &str) -> Option<String> {
    if NAMES.lines().any(|known| known == name) {
        return None;
    }
    let fault = format!("is given {name:?}, which is no time zone");
    Some(match nearest::zone(name, NAMES.lines()) {
        Some(meant) => format!("{fault}, did you mean {meant:?}?"),
        None => format!(r#"{fault}: write one such as "Europe/Warsaw", "America/New_York" or "UTC""#),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_that_of_the_crate() {
        let mut names: Vec<_> = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(NAMES.lines().collect::<Vec<_>>(), names, "write the names of the crate into src/zones.txt");
    }

    #[test]
    fn the_zone_that_is_meant() {
        for (name, meant) in [
            ("Europe/Warschau", "Europe/Warsaw"),
            ("warsaw", "Europe/Warsaw"),
            ("America/New York", "America/New_York"),
            ("utc", "UTC"),
        ] {
            let fault = fault(name).expect("it is none");
            assert!(fault.ends_with(&format!("did you mean {meant:?}?")), "{fault}");
        }
        assert_eq!(fault("Europe/Warsaw"), None);
        assert!(fault("Middle-earth/Shire").expect("it is none").contains("write one such as"));
    }
}
