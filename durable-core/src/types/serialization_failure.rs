//! Whether an error says that a transaction lost a race, and should be tried again.
//!
//! It is asked where an error becomes a [`durable::Error`](crate::Error): the code is lost after
//! that, since what is recorded of an error is text.

use std::error::Error;

/// Whether the error is, or comes from, a serialization failure, a deadlock or a busy database.
pub(crate) fn is_contention(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if is_lost_race(error) {
            return true;
        }
        next = error.source();
    }
    false
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
fn is_lost_race(error: &(dyn Error + 'static)) -> bool {
    let Some(sqlx::Error::Database(database)) = error.downcast_ref::<sqlx::Error>() else { return false };
    // SQLSTATE classes of the Postgres manual, appendix A: serialization failure, deadlock, lock not
    // available. Result codes of SQLite: BUSY and LOCKED, in the lowest byte.
    match database.code().unwrap_or_default().as_ref() {
        "40001" | "40P01" | "55P03" => true,
        code if code.len() != 5 => matches!(code.parse::<u32>().map(|it| it & 0xff), Ok(5 | 6)),
        _ => false,
    }
}

#[cfg(not(any(feature = "sqlite", feature = "postgres")))]
fn is_lost_race(_error: &(dyn Error + 'static)) -> bool {
    false
}
