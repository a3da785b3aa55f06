//! Whether a database has the migrations of this program, and the words when it has others.

use sqlx::FromRow;
use sqlx::migrate::{MigrateError, Migrator};

use crate::store::{StoreError, StoreErrorKind};

/// A migration that the database says it has.
#[derive(Debug, FromRow)]
pub(super) struct Applied {
    pub(super) version: i64,
    pub(super) description: String,
    pub(super) checksum: Vec<u8>,
}

/// Where a database stands.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum MigrationState {
    /// It has all migrations and none has changed. Nothing needs to be written, so that a program
    /// without the right to create tables can be launched on a database that somebody else prepared.
    Current,
    /// It lacks some.
    Behind,
}

/// Compares what a database has with what this program has.
///
/// # Errors
/// [`StoreErrorKind::Foreign`] when the database has a migration that this program does not, or another one
/// of the same number.
pub(super) fn compare(program: &Migrator, applied: &[Applied]) -> Result<MigrationState, StoreError> {
    for it in applied {
        let (version, description) = (it.version, &it.description);
        match program.iter().find(|known| known.version == version) {
            None => return Err(newer(version, description)),
            Some(known) if *known.checksum != *it.checksum => return Err(changed(version, description)),
            Some(_) => {}
        }
    }
    let missing = program.iter().any(|known| applied.iter().all(|it| it.version != known.version));
    Ok(if missing { MigrationState::Behind } else { MigrationState::Current })
}

fn newer(version: i64, description: &str) -> StoreError {
    StoreError::new(
        StoreErrorKind::Foreign,
        format_args!(
            "this database was migrated by a newer release of durable: it has migration {version} ({description}), \
             which this release does not know; use that release or a newer one"
        ),
    )
}

fn changed(version: i64, description: &str) -> StoreError {
    StoreError::new(
        StoreErrorKind::Foreign,
        format_args!(
            "migration {version} ({description}) of this database is another one than this release of durable has \
             under that number: the database was made by a different build; use that build, or another database"
        ),
    )
}

/// The driver's error while migrating, sorted like every other one.
impl From<MigrateError> for StoreError {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Execute(error) => error.into(),
            MigrateError::ExecuteMigration(error, version) => {
                let error = Self::from(error);
                Self::new(error.kind, format_args!("migration {version}: {}", error.message))
            }
            other => Self::new(StoreErrorKind::Foreign, other),
        }
    }
}
