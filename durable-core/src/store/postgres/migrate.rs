//! The schema in Postgres, brought up to date by however many processes at once.

use std::borrow::Cow;

use sqlx::migrate::{Migration, Migrator};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, FromRow, PgConnection, Row, SqlSafeStr};

use crate::store::StoreError;
use crate::store::migrations::{Applied, MigrationState, compare};
use crate::store::postgres::PostgresStore;

/// The migrations as they are in the repository, where the schema is written `durable.`.
static WRITTEN: Migrator = sqlx::migrate!("./migrations/postgres");

impl PostgresStore {
    /// Runs on a connection of its own, which is closed whatever happens: the driver's lock against
    /// other migrating processes belongs to the session, and an error must not leave it in a pool.
    pub(super) async fn run_migrations(&self) -> Result<(), StoreError> {
        let mut connection = self.options.connect().await?;
        let migrator = self.rendered();
        if compare(&migrator, &self.applied(&mut connection, &migrator).await?)? == MigrationState::Behind
            && let Err(error) = migrator.run_direct(None, &mut connection, false).await
        {
            // A newer program may have come between the look and the lock: then say that.
            compare(&migrator, &self.applied(&mut connection, &migrator).await?)?;
            return Err(error.into());
        }
        let _ = connection.close().await; // everything is committed, and the server closes its end either way
        Ok(())
    }

    /// The migrations with the schema that was configured. Their checksums stay those of the files,
    /// so that the same database is known under every name.
    fn rendered(&self) -> Migrator {
        let migrations = WRITTEN.iter().map(|it| Migration {
            sql: AssertSqlSafe(self.schema.render(it.sql.as_str())).into_sql_str(),
            ..it.clone()
        });
        Migrator {
            migrations: Cow::Owned(migrations.collect()),
            table_name: Cow::Owned(format!("{}._migrations", self.schema.quoted())),
            create_schemas: Cow::Owned(vec![Cow::Owned(self.schema.quoted().to_owned())]),
            ..Migrator::DEFAULT
        }
    }

    /// What the database has; nothing, if it has no table of migrations.
    async fn applied(&self, connection: &mut PgConnection, migrator: &Migrator) -> Result<Vec<Applied>, StoreError> {
        let there = self.query(&self.texts.control.migrations_table).bind(&*migrator.table_name);
        if there.fetch_one(&mut *connection).await?.try_get::<Option<i64>, _>(0)?.is_none() {
            return Ok(Vec::new());
        }
        let rows = self.query(&self.texts.control.migrations).fetch_all(&mut *connection).await?;
        Ok(rows.iter().map(Applied::from_row).collect::<Result<_, _>>()?)
    }
}
