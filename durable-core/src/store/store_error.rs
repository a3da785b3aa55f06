//! Errors of a database, in the kinds that the engine distinguishes.

use std::fmt;

#[cfg(any(feature = "sqlite", feature = "postgres"))]
use crate::types::database_fault::{self, DatabaseFault};

/// The kind of an error, which decides how the engine reacts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// The connection, the server or the disk: it was not stored, or that is unknown. Try again for as
    /// long as it takes, on another connection.
    Unreachable,
    /// The database answered that it cannot do this now, for a reason that is not in the data, such as a
    /// cancelled statement or a missing privilege: nothing was stored. Try again for as long as it takes.
    Unavailable,
    /// The statement lost a race and was rolled back: try again at once.
    Contended,
    /// The engine has closed the store: stop.
    Closed,
    /// The data or the settings are at fault: trying again cannot help.
    Refused,
    /// The database was created by a newer release or another program.
    Foreign,
}

impl StoreErrorKind {
    /// Whether another connection may not have this error.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(super) fn may_be_the_connection(self) -> bool {
        matches!(self, Self::Unreachable | Self::Unavailable | Self::Foreign)
    }
}

/// An error of a store.
#[derive(Debug, Clone)]
pub struct StoreError {
    /// The kind.
    pub kind: StoreErrorKind,
    /// What happened, for logs and errors. It never contains a payload or a password.
    pub message: String,
}

impl StoreError {
    /// An error of a kind.
    pub fn new(kind: StoreErrorKind, message: impl fmt::Display) -> Self {
        Self { kind, message: message.to_string() }
    }

    /// Whether the same call can succeed later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        !matches!(self.kind, StoreErrorKind::Closed | StoreErrorKind::Refused)
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for StoreError {}

/// Sorts the driver's errors by their codes (`types/database_fault.rs`), and adds to some what to do.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let kind = match (&error, database_fault::of_driver(&error)) {
            (sqlx::Error::PoolClosed, _) => StoreErrorKind::Closed,
            // NOTADB: the file is something else.
            (sqlx::Error::Database(database), _) if database.code().as_deref() == Some("26") => StoreErrorKind::Foreign,
            (_, DatabaseFault::LostRace) => StoreErrorKind::Contended,
            (_, DatabaseFault::Connection) => StoreErrorKind::Unreachable,
            (_, DatabaseFault::Condition) => StoreErrorKind::Unavailable,
            (_, DatabaseFault::Data) => StoreErrorKind::Refused,
        };
        match &error {
            // The driver adds the line of the server's own source.
            sqlx::Error::Database(database) => match database.code() {
                Some(code) if code.len() == 5 => {
                    let message = format!("{} (SQLSTATE {code})", database.message());
                    match advice(&code) {
                        Some(advice) => Self::new(kind, format_args!("{message}: {advice}")),
                        None => Self::new(kind, message),
                    }
                }
                _ => Self::new(kind, database),
            },
            sqlx::Error::Configuration(why) => Self::new(kind, why),
            _ => Self::new(kind, error),
        }
    }
}

/// What to do about errors that last until a person acts.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
fn advice(code: &str) -> Option<&'static str> {
    Some(match code {
        "42P01" | "3F000" | "42703" | "42883" => {
            "a table, column or function of the engine is missing; restore it, or launch again to create what is missing"
        }
        "42501" => "give the role of the engine its privileges back",
        "28000" | "28P01" => {
            "the server refuses the login; let the role log in again, or restart with its new password"
        }
        "57014" => "a statement timeout or a person cancelled it",
        "25006" => "the server is read-only, as a standby is",
        "53300" => "raise the limit on connections, or lower `.connections(..)` on the builder",
        "53100" => "make room on the server's disk",
        _ => return None,
    })
}

/// Whether a row with the same key already exists. Nothing of the statement is stored then.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(super) fn is_clash(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}
