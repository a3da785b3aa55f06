//! What an error of a database is about, in the few kinds that the engine acts on: one table for the
//! SQLSTATEs of Postgres (appendix A of its manual) and one for the result codes of SQLite
//! (sqlite.org/rescode.html).
//!
//! Only an error that is certainly about the data is the program's. Every other one, also of a code that
//! is not in the tables, heals by itself or by a person, and waiting for that loses nothing.

use std::error::Error;

/// What an error of a database is about.
#[cfg_attr(not(any(feature = "sqlite", feature = "postgres")), allow(dead_code, reason = "there is no database"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DatabaseFault {
    /// The statement lost a race and was rolled back.
    LostRace,
    /// The connection, the server or the disk: it is unknown whether the statement was carried out.
    Connection,
    /// Something else that is not in the data, such as a cancelled statement, a missing table or privilege, a
    /// connection whose prepared statements are no longer valid. The statement was undone.
    Condition,
    /// The data: it is refused each time.
    Data,
}

/// The fault of a Postgres error.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) fn of_sqlstate(code: &str) -> DatabaseFault {
    match code {
        // Serialization failure, deadlock, lock not available.
        "40001" | "40P01" | "55P03" => DatabaseFault::LostRace,
        // Data exceptions and violated constraints.
        _ if code.starts_with("22") || code.starts_with("23") => DatabaseFault::Data,
        // A cancelled statement is of the class of shutdowns, but was certainly undone.
        "57014" => DatabaseFault::Condition,
        // The commit's outcome is unknown; connection exceptions; a refused login; too few connections, memory or
        // disk; shutdowns, and terminated connections.
        "40003" => DatabaseFault::Connection,
        _ if ["08", "28", "53", "57"].iter().any(|class| code.starts_with(class)) => DatabaseFault::Connection,
        _ => DatabaseFault::Condition,
    }
}

/// The fault of an SQLite error. The lowest byte of its code is the primary code.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) fn of_sqlite_code(code: u32) -> DatabaseFault {
    match code & 0xff {
        // BUSY, LOCKED: another process or connection is writing.
        5 | 6 => DatabaseFault::LostRace,
        // NOMEM, READONLY, IOERR, CORRUPT, FULL, CANTOPEN, PROTOCOL, NOTADB: the file, the disk or the memory.
        7 | 8 | 10 | 11 | 13 | 14 | 15 | 26 => DatabaseFault::Connection,
        // TOOBIG, CONSTRAINT, MISMATCH.
        18..=20 => DatabaseFault::Data,
        // Among them ERROR (such as a missing table), ABORT and INTERRUPT.
        _ => DatabaseFault::Condition,
    }
}

/// The fault of an error of the driver.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) fn of_driver(error: &sqlx::Error) -> DatabaseFault {
    match error {
        sqlx::Error::Database(database) => {
            let code = database.code().unwrap_or_default();
            // SQLSTATEs have five characters; SQLite's codes are numbers of up to four digits.
            match code.parse() {
                Ok(number) if code.len() < 5 => of_sqlite_code(number),
                _ => of_sqlstate(&code),
            }
        }
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::WorkerCrashed
        // The connection is in a state that the driver did not expect; another one will not be.
        | sqlx::Error::InvalidSavePointStatement
        | sqlx::Error::BeginFailed => DatabaseFault::Connection,
        sqlx::Error::Configuration(_) | sqlx::Error::InvalidArgument(_) | sqlx::Error::Encode(_) => DatabaseFault::Data,
        _ => DatabaseFault::Condition,
    }
}

/// Why a user's function failed in a transaction, where that is not its own doing: it runs again then. It
/// is checked where the error still is one; what is recorded of an error is text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Interruption {
    /// A serialization failure, a deadlock or a busy database.
    LostRace,
    /// The connection was lost, or the statement was cancelled: what the driver says of it.
    Broken(String),
}

impl Interruption {
    /// The interruption that the error is, or comes from.
    pub(crate) fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            let found = Self::of_driver_error(error);
            if found.is_some() {
                return found;
            }
            next = error.source();
        }
        None
    }

    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    fn of_driver_error(error: &(dyn Error + 'static)) -> Option<Self> {
        let error = error.downcast_ref::<sqlx::Error>()?;
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code).unwrap_or_default();
        match of_driver(error) {
            DatabaseFault::LostRace => Some(Self::LostRace),
            // The function itself has nested a transaction wrongly.
            DatabaseFault::Connection if matches!(error, sqlx::Error::InvalidSavePointStatement) => None,
            DatabaseFault::Connection => Some(Self::Broken(error.to_string())),
            DatabaseFault::Condition if is_interruption(&code, error) => Some(Self::Broken(error.to_string())),
            DatabaseFault::Condition | DatabaseFault::Data => None,
        }
    }

    #[cfg(not(any(feature = "sqlite", feature = "postgres")))]
    fn of_driver_error(_error: &(dyn Error + 'static)) -> Option<Self> {
        None
    }
}

/// Whether a condition passes without a change of the function or its tables.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
fn is_interruption(code: &str, error: &sqlx::Error) -> bool {
    match code {
        // A cancelled statement; a read-only standby; a transaction that idled for too long; prepared statements that
        // the connection lost or has already.
        "57014" | "25006" | "25P03" | "26000" | "42P05" => true,
        // Most of what is not supported never will be; a statement prepared before its table was altered is.
        "0A000" => error.to_string().contains("cached plan"),
        // Errors of the operating system and of the server itself.
        _ if code.len() == 5 => code.starts_with("58") || code.starts_with("XX"),
        // ABORT, INTERRUPT.
        _ => matches!(code.parse::<u32>().map(|it| it & 0xff), Ok(4 | 9)),
    }
}

#[cfg(all(test, any(feature = "sqlite", feature = "postgres")))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn only_data_exceptions_and_violated_constraints_are_the_programs(code in "[0-9A-Z]{5}") {
            let is_data = code.starts_with("22") || code.starts_with("23");
            prop_assert_eq!(of_sqlstate(&code) == DatabaseFault::Data, is_data, "{}", code);
        }

        #[test]
        fn only_refused_values_are_the_programs_in_sqlite(code in 0_u32..10_000) {
            let is_data = matches!(code & 0xff, 18..=20);
            prop_assert_eq!(of_sqlite_code(code) == DatabaseFault::Data, is_data, "{}", code);
        }
    }

    #[test]
    fn it_is_unknown_whether_a_statement_was_carried_out_where_the_connection_is_lost() {
        let codes = ["08006", "28000", "28P01", "40003", "53100", "53300", "57P01", "57P02", "57P03", "57P04", "57P05"];
        for code in codes {
            assert_eq!(of_sqlstate(code), DatabaseFault::Connection, "{code}");
        }
        for code in [7, 8, 10, 13, 14, 15, 26, 522, 778] {
            assert_eq!(of_sqlite_code(code), DatabaseFault::Connection, "{code}");
        }
    }

    #[test]
    fn lost_races_and_conditions_are_distinct() {
        for code in ["40001", "40P01", "55P03"] {
            assert_eq!(of_sqlstate(code), DatabaseFault::LostRace, "{code}");
        }
        for code in [5, 6, 261, 517] {
            assert_eq!(of_sqlite_code(code), DatabaseFault::LostRace, "{code}");
        }
        let codes =
            ["57014", "42P01", "42501", "42P05", "26000", "0A000", "25006", "25P02", "58030", "XX000", "P0001", ""];
        for code in codes {
            assert_eq!(of_sqlstate(code), DatabaseFault::Condition, "{code}");
        }
        for code in [1, 4, 9, 21] {
            assert_eq!(of_sqlite_code(code), DatabaseFault::Condition, "{code}");
        }
    }
}
