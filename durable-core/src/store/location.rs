//! Where a store is, as messages show it: never with a password.

use std::fmt;

use crate::store::{StoreError, StoreErrorKind};

/// Where a store is, for messages and lock files. It never holds a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The URL without its password, or the path.
    pub shown: String,
    /// The path of the file, where the store is one.
    pub file: Option<std::path::PathBuf>,
    /// Whether it is in memory, and lost when the process ends.
    pub in_memory: bool,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// Why a database cannot be opened. `shown` is where it is, without a password.
pub(super) fn cannot_open(shown: impl fmt::Display, kind: StoreErrorKind, why: impl fmt::Display) -> StoreError {
    StoreError::new(kind, format_args!("cannot open the database {shown}: {why}"))
}

/// The URL with `***` for its password.
pub(crate) fn shown_without_password(text: &str) -> String {
    match url::Url::parse(text) {
        Ok(mut url) if url.has_host() => {
            if url.password().is_some() {
                let _ = url.set_password(Some("***")); // it has a host, so it can have a password
            }
            let secret = url.query_pairs().any(|(key, _)| key == "password");
            if secret {
                url.set_query(None);
            }
            url.to_string()
        }
        // What cannot be parsed may hold a password anywhere behind an `@`.
        Err(_) if text.contains('@') => {
            let scheme = text.split("://").next().unwrap_or_default();
            format!("{scheme}://***")
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        for url in [
            "postgres://ada:s3cret@localhost/app",
            "postgres://localhost/app?user=ada&password=s3cret",
            "postgres://ada:s3cret@localhost:notaport/app",
            "postgresql://ada:s3cret@/app",
        ] {
            let shown = shown_without_password(url);
            assert!(!shown.contains("s3cret"), "{shown}");
        }
        assert_eq!(shown_without_password("postgres://ada:x@h/app"), "postgres://ada:***@h/app");
        assert_eq!(shown_without_password("sqlite:my-app.sqlite"), "sqlite:my-app.sqlite");
    }
}
