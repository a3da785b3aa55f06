//! Errors of a database, in the kinds that the engine distinguishes.

use std::fmt;

/// The kind of an error, which decides how the engine reacts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// The connection, the server or the disk: it was not stored, or that is unknown. Try again for as
    /// long as it takes.
    Unreachable,
    /// The statement lost a race and was rolled back: try again at once.
    Contended,
    /// The engine has closed the store: stop.
    Closed,
    /// The statement or its data is at fault: trying again cannot help.
    Refused,
    /// The database was created by a newer release or another program.
    Foreign,
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
    pub fn new(fault: StoreErrorKind, message: impl fmt::Display) -> Self {
        Self { kind: fault, message: message.to_string() }
    }

    /// Whether the same call can succeed later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        matches!(self.kind, StoreErrorKind::Unreachable | StoreErrorKind::Contended)
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for StoreError {}

/// Sorts the driver's errors by their codes: the SQLSTATE table of the Postgres manual (appendix A),
/// and the result codes of SQLite (sqlite.org/rescode.html).
#[cfg(any(feature = "sqlite", feature = "postgres"))]
impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let fault = match &error {
            sqlx::Error::PoolClosed => StoreErrorKind::Closed,
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::WorkerCrashed
            // The connection is in a state that the driver did not expect; another one will not be.
            | sqlx::Error::InvalidSavePointStatement
            | sqlx::Error::BeginFailed => StoreErrorKind::Unreachable,
            sqlx::Error::Database(database) => fault_of_code(&database.code().unwrap_or_default()),
            _ => StoreErrorKind::Refused,
        };
        match &error {
            // The driver adds the line of the server's own source.
            sqlx::Error::Database(database) => match database.code() {
                Some(code) if is_sqlstate(&code) => {
                    Self::new(fault, format_args!("{} (SQLSTATE {code})", database.message()))
                }
                _ => Self::new(fault, database),
            },
            sqlx::Error::Configuration(why) => Self::new(fault, why),
            _ => Self::new(fault, error),
        }
    }
}

/// SQLite's codes are plain numbers of up to four digits; SQLSTATEs have five characters.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
fn is_sqlstate(code: &str) -> bool {
    code.len() == 5
}

/// Whether a row with the same key already exists. Nothing of the statement is stored then.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(super) fn is_clash(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
fn fault_of_code(code: &str) -> StoreErrorKind {
    // The lowest byte of SQLite's codes is the primary code.
    if !is_sqlstate(code) {
        return match code.parse::<u32>().map(|it| it & 0xff) {
            // BUSY and LOCKED: another process or connection is writing.
            Ok(5 | 6) => StoreErrorKind::Contended,
            // READONLY, IOERR, FULL, CANTOPEN: the disk, until there is room again.
            Ok(8 | 10 | 13 | 14) => StoreErrorKind::Unreachable,
            // NOTADB: the file is something else.
            Ok(26) => StoreErrorKind::Foreign,
            _ => StoreErrorKind::Refused,
        };
    }
    match code {
        // serialization failure, deadlock, lock not available
        "40001" | "40P01" | "55P03" => StoreErrorKind::Contended,
        // read-only transaction: the server is a standby now, a new connection finds the primary
        "25006" | "25P03" => StoreErrorKind::Unreachable,
        // connection exceptions; shutdown, crash, starting up; out of connections, disk or memory
        _ if code.starts_with("08") || code.starts_with("53") => StoreErrorKind::Unreachable,
        "57P01" | "57P02" | "57P03" => StoreErrorKind::Unreachable,
        _ => StoreErrorKind::Refused,
    }
}

#[cfg(all(test, any(feature = "sqlite", feature = "postgres")))]
mod tests {
    use super::*;

    #[test]
    fn error_codes_have_the_kinds_of_the_design() {
        for code in ["08006", "57P01", "57P02", "53300", "53100", "25006", "13", "10", "8", "778"] {
            assert_eq!(fault_of_code(code), StoreErrorKind::Unreachable, "{code}");
        }
        for code in ["40001", "40P01", "55P03", "5", "6", "261", "517"] {
            assert_eq!(fault_of_code(code), StoreErrorKind::Contended, "{code}");
        }
        for code in ["57014", "22021", "23505", "42P01", "54000", "1", "19", "2067", ""] {
            assert_eq!(fault_of_code(code), StoreErrorKind::Refused, "{code}");
        }
    }
}
