//! The schema in SQLite, brought up to date by however many processes at once.

use std::borrow::Cow;

use sqlx::migrate::Migrator;
use sqlx::{FromRow, SqliteConnection};

use crate::store::StoreError;
use crate::store::migrations::{Applied, MigrationState, compare};
use crate::store::sqlite::SqliteStore;

/// The migrations, in a table that an application's own ones do not meet.
static MIGRATIONS: Migrator =
    Migrator { table_name: Cow::Borrowed("durable_migrations"), ..sqlx::migrate!("./migrations/sqlite") };

impl SqliteStore {
    /// Looks first, and writes only if there is something to do. The driver has no lock for SQLite,
    /// so all of it runs inside one writing transaction, and its own transactions become savepoints.
    pub(super) async fn run_migrations(&self) -> Result<(), StoreError> {
        let result = self.look_and_migrate().await;
        result.map_err(|error| {
            StoreError::new(error.kind, format_args!("cannot prepare {}: {}", self.location, error.message))
        })
    }

    async fn look_and_migrate(&self) -> Result<(), StoreError> {
        let mut connection = self.presence().await?;
        if compare(&MIGRATIONS, &self.applied(&mut connection).await?)? == MigrationState::Current {
            return Ok(());
        }
        let mut transaction = self.begin(&mut connection).await?;
        // Another process may have been here between the look and the lock.
        if compare(&MIGRATIONS, &self.applied(&mut transaction).await?)? == MigrationState::Behind {
            MIGRATIONS.run_direct(None, &mut *transaction, false).await?;
        }
        self.end(transaction, 1).await?;
        Ok(())
    }

    /// What the database has; nothing, if it has no table of migrations.
    async fn applied(&self, connection: &mut SqliteConnection) -> Result<Vec<Applied>, StoreError> {
        let there = self.query(&self.texts.control.migrations_table).fetch_optional(&mut *connection).await?;
        if there.is_none() {
            return Ok(Vec::new());
        }
        let rows = self.query(&self.texts.control.migrations).fetch_all(&mut *connection).await?;
        Ok(rows.iter().map(Applied::from_row).collect::<Result<_, _>>()?)
    }

    pub(super) async fn drop_tables(&self) -> Result<(), StoreError> {
        let mut turn = self.presence().await?;
        let mut transaction = self.begin(&mut turn).await?;
        for text in self.texts.control.drops() {
            self.query(text).execute(&mut *transaction).await?;
        }
        self.end(transaction, 1).await?;
        Ok(())
    }
}
