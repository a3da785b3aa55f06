//! Databases of the application: transactions run there, and their records are stored beside the
//! application's tables, so that both are one commit.

#[cfg(feature = "postgres")]
mod in_postgres;
#[cfg(feature = "sqlite")]
mod in_sqlite;

use std::fmt;
use std::sync::Arc;

use crate::store::Database;

/// A database of the application's own, given to the builder as a pool: `PgPool` or `SqlitePool`.
#[derive(Clone)]
pub struct ApplicationDatabase(pub(crate) Arc<dyn Database>);

#[cfg(feature = "postgres")]
impl From<sqlx::PgPool> for ApplicationDatabase {
    fn from(pool: sqlx::PgPool) -> Self {
        Self(Arc::new(in_postgres::AppDatabase::new(pool)))
    }
}

#[cfg(feature = "sqlite")]
impl From<sqlx::SqlitePool> for ApplicationDatabase {
    fn from(pool: sqlx::SqlitePool) -> Self {
        Self(Arc::new(in_sqlite::AppDatabase::new(pool)))
    }
}

impl fmt::Debug for ApplicationDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
