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

impl Location {
    /// The name of the database, or of the file; `None` in memory, or if it is not certain.
    #[must_use]
    pub fn database_name(&self) -> Option<String> {
        if let Some(file) = &self.file {
            return file.file_name().map(|it| it.to_string_lossy().into_owned());
        }
        let url = url::Url::parse(&self.shown).ok().filter(url::Url::has_host)?;
        let name = url.path().trim_start_matches('/').to_owned();
        Some(name).filter(|it| !it.is_empty() && !it.contains(['/', '%']))
    }
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

/// The URL with `***` for its password. Where a character of the password is not escaped, it may be read as the end
/// of the host or of the path: then only what is certainly no part of the password is shown.
pub(crate) fn shown_without_password(text: &str) -> String {
    let scheme = text.split("://").next().unwrap_or_default();
    let names_password = text.to_ascii_lowercase().contains("pass");
    // The part behind the authority holds an `@` or a fragment only if something is not escaped.
    let authority_end = |rest: &str| rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let is_ambiguous = text.split_once("://").is_some_and(|(_, rest)| {
        let (authority, tail) = rest.split_at(authority_end(rest));
        authority.matches('@').count() > 1 || tail.contains(['@', '#'])
    });
    match url::Url::parse(text) {
        Ok(mut url) if url.has_host() && !is_ambiguous => {
            if url.password().is_some() {
                let _ = url.set_password(Some("***")); // it has a host, so it can have a password
            }
            let is_secret = |key: &str| key.to_ascii_lowercase().contains("pass");
            if url.query_pairs().any(|(key, _)| is_secret(&key)) {
                url.set_query(None);
            }
            url.to_string()
        }
        _ if text.contains('@') && text.contains("://") => {
            // Behind the last `@` is the host, unless the password is in the query.
            match text.rsplit_once('@') {
                Some((_, host)) if !names_password => {
                    let host = host.split(['?', '#']).next().unwrap_or_default();
                    format!("{scheme}://***@{host}")
                }
                _ => format!("{scheme}://***"),
            }
        }
        parsed if (parsed.is_err() || is_ambiguous) && (text.contains('@') || names_password) => {
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
            "postgres://ada:123#s3cret@h/db",
            "postgres://ada:123/s3cret@h/db",
            "postgres://ada:123?s3cret@h/db",
            "postgres://ada:1@s3cret@h/db",
            "postgres://ada:1@2#s3cret@h/db",
            "postgres://ada:s3cret@first,second:5433/db",
            "postgres://ada:s3cret@first:5432,second:5433/db",
            "postgres://ada:%zz#s3cret@h/db",
            "postgres://ada@h:5432/db?password=x@s3cret",
            "postgres://h/db?PGPASSWORD=s3cret",
            "postgres://ada:[s3cret@h/db",
            "postgres://h/db?password=#s3cret",
            "postgres://h/db#password=s3cret",
        ] {
            let shown = shown_without_password(url);
            assert!(!shown.contains("s3cret"), "{shown}");
        }
        assert_eq!(shown_without_password("postgres://ada:x@h/app"), "postgres://ada:***@h/app");
        assert_eq!(shown_without_password("postgres://ada:1#2@h/app"), "postgres://***@h/app");
        assert_eq!(shown_without_password("sqlite:my-app.sqlite"), "sqlite:my-app.sqlite");
    }
}
