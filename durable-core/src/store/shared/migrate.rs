//! Brings the schema up to date, safely with any number of processes at once, and gives it an owner.

use sqlx::{FromRow, Row};

use super::dialect::{Connection, MIGRATIONS, MIGRATIONS_TABLE};
use super::{SqlStore, raw};
use crate::store::StoreError;
use crate::store::migrations::{AppliedMigration, missing, name_of, statements};
use crate::store::sql::sql_statements;
use crate::types::time::Timestamp;

sql_statements! {
    applied = format!("select version, description, checksum from {MIGRATIONS_TABLE} order by version");
    owner = "select name from durable.application";
    /// $1 the application's name. `true` is 1 in SQLite.
    own = "insert into durable.application (only_row, name) values (true, $1) on conflict do nothing";
    /// $1 version; $2 description; $3 checksum; $4 now.
    note = format!(
        "insert into {MIGRATIONS_TABLE} (version, description, checksum, applied_at) values ($1, $2, $3, $4)"
    );
}

impl SqlStore {
    /// Checks first, and writes only if something is missing. Everything is one transaction.
    pub(super) async fn migrate_on(&self, connection: &mut Connection) -> Result<(), StoreError> {
        if missing(&MIGRATIONS, &self.applied(&mut *connection).await?)?.is_empty() {
            return Ok(());
        }
        let mut transaction = self.begin(connection).await?;
        self.lock_migrations(&mut transaction).await?;
        // Another process may have migrated the database between the check and the lock.
        let applied = self.applied(&mut transaction).await?;
        for migration in missing(&MIGRATIONS, &applied)? {
            for statement in statements(migration.sql.as_str()) {
                raw(self.render(statement)).execute(&mut *transaction).await.map_err(|error| {
                    let error = StoreError::from(error);
                    let name = name_of(migration);
                    StoreError::new(error.kind, format_args!("migration {name}: {}", error.message))
                })?;
            }
            let query = self.query(&self.sql.migrate.note).bind(migration.version).bind(&*migration.description);
            let query = query.bind(&*migration.checksum).bind(Timestamp::local_now());
            query.execute(&mut *transaction).await?;
        }
        self.end(transaction, 1).await?;
        Ok(())
    }

    /// The names of the migrations that the database does not have.
    pub(super) async fn missing_migrations_on(&self, connection: &mut Connection) -> Result<Vec<String>, StoreError> {
        Ok(missing(&MIGRATIONS, &self.applied(connection).await?)?.into_iter().map(name_of).collect())
    }

    /// The name of the application that the schema belongs to, which is this one if there is none yet.
    pub(super) async fn owner_for(&self, application: &str) -> Result<String, StoreError> {
        let mut connection = self.leases().await?;
        loop {
            let owner = self.query(&self.sql.migrate.owner).fetch_optional(&mut *connection).await?;
            if let Some(row) = owner {
                return Ok(row.try_get("name")?);
            }
            let query = self.query(&self.sql.migrate.own).bind(application);
            self.write(&mut connection, query).await?;
        }
    }

    /// The migrations that the database has; none, if it has no table of migrations.
    async fn applied(&self, connection: &mut Connection) -> Result<Vec<AppliedMigration>, StoreError> {
        if !self.has_migrations_table(&mut *connection).await? {
            return Ok(Vec::new());
        }
        let rows = self.query(&self.sql.migrate.applied).fetch_all(&mut *connection).await?;
        Ok(rows.iter().map(AppliedMigration::from_row).collect::<Result<_, _>>()?)
    }
}
