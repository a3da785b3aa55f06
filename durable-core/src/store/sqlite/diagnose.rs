//! Looks at a file of SQLite for what keeps applications from working.

use std::path::Path;

use sqlx::{ConnectOptions, Connection, SqliteConnection};

use super::database_file::DatabaseFile;
use super::dialect::{MIGRATIONS, MIGRATIONS_TABLE};
use crate::store::migrations::{AppliedMigration, missing, report_migrations};
use crate::store::{StoreError, StoreErrorKind};
use crate::types::diagnosis::Diagnosis;

/// The least space that is not worth a word, in MiB.
const ENOUGH_SPACE: u64 = 256;

/// What to do about errors of the disk.
const NO_ROOM: &str = "make room on the disk, and look at the owner and the mode of the file and its folder";

/// Looks at the file. The test of writing commits a value that is there already.
pub(in crate::store) async fn diagnose(url: &str) -> Diagnosis {
    let mut diagnosis = Diagnosis::of(url.to_owned());
    let mut file = match DatabaseFile::of(url) {
        Ok(file) => file,
        Err(error) => {
            diagnosis.problem("file", error.message, "correct the URL: sqlite:path/to/file.sqlite");
            return diagnosis;
        }
    };
    diagnosis.database.clone_from(&file.location.shown);
    if file.location.in_memory {
        diagnosis.problem("file", "the database is in memory, and ends with its process", "name a file");
        return diagnosis;
    }
    file.for_client = true;
    if let Err(error) = file.prepare().await {
        let remedy = match error.kind {
            StoreErrorKind::Foreign => "it is no database of SQLite: name another file",
            _ => "create it with `durable migrate`, or correct its path, its owner and its mode",
        };
        diagnosis.problem("file", error.message, remedy);
        return diagnosis;
    }
    diagnosis.good("file", "it is there, and can be opened for writing");
    if let Some(path) = &file.location.file {
        examine_place(&mut diagnosis, path);
    }
    let connected = async {
        let mut connection = file.options.connect().await?;
        examine(&mut diagnosis, &mut connection).await?;
        connection.close().await
    };
    if let Err(error) = connected.await {
        let error = StoreError::from(error);
        let remedy = match error.kind {
            StoreErrorKind::Foreign => "it is no database of SQLite: name another file",
            _ => NO_ROOM,
        };
        diagnosis.problem("statements", error.message, remedy);
    }
    diagnosis
}

async fn examine(diagnosis: &mut Diagnosis, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let mode: String = sqlx::query_scalar("pragma journal_mode").fetch_one(&mut *connection).await?;
    if mode == "wal" {
        diagnosis.good("journal mode", "it is WAL, so that readers and the writer do not wait for each other");
    } else {
        let remedy = "a launch of the application, or `durable migrate`, sets it; nothing else may";
        diagnosis.warning("journal mode", format!("it is {mode}"), remedy);
    }
    match write(connection).await {
        Ok(()) => diagnosis.good("writes", "a commit succeeds"),
        Err(error) => {
            let error = StoreError::from(error);
            let remedy = match error.kind {
                StoreErrorKind::Contended => "a process holds the lock for writing: look for one that is stopped",
                _ => NO_ROOM,
            };
            diagnosis.problem("writes", format!("a commit fails: {}", error.message), remedy);
        }
    }
    let has_table: Option<i64> = sqlx::query_scalar("select 1 from sqlite_master where type = 'table' and name = $1")
        .bind(MIGRATIONS_TABLE)
        .fetch_optional(&mut *connection)
        .await?;
    let applied: Vec<AppliedMigration> = if has_table.is_some() {
        let text = "select version, description, checksum from durable_migrations order by version";
        sqlx::query_as(text).fetch_all(&mut *connection).await?
    } else {
        Vec::new()
    };
    report_migrations(diagnosis, missing(&MIGRATIONS, &applied));
    Ok(())
}

/// Commits a value that is there already, so that something reaches the disk.
async fn write(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let version: i64 = sqlx::query_scalar("pragma user_version").fetch_one(&mut *connection).await?;
    let text = format!("pragma user_version = {version}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(text)).execute(connection).await?;
    Ok(())
}

/// The disk, and whether it is one of this host.
#[cfg(unix)]
fn examine_place(diagnosis: &mut Diagnosis, file: &Path) {
    let Ok(disk) = rustix::fs::statvfs(file) else { return };
    let free = disk.f_bavail.saturating_mul(disk.f_frsize) >> 20;
    if free < ENOUGH_SPACE {
        let finding = format!("{free} MiB are free on the disk of the file");
        diagnosis.warning("free space", finding, "make room: every step is written down");
    } else {
        diagnosis.good("free space", format!("{free} MiB are free on the disk of the file"));
    }
    #[cfg(target_os = "linux")]
    {
        // NFS, SMB, CIFS, 9p: as statfs(2) numbers them.
        const NETWORKS: [i64; 5] = [0x6969, 0x517b, 0xff53_4d42, 0xfe53_4d42, 0x0102_1997];
        let Ok(kind) = rustix::fs::statfs(file) else { return };
        #[allow(clippy::useless_conversion, reason = "the type differs between platforms")]
        let kind = i64::from(kind.f_type);
        if NETWORKS.contains(&kind) {
            let remedy = "put it on a local disk: locks over a network do not hold";
            diagnosis.problem("file system", "the file is on a network drive", remedy);
        }
    }
}

#[cfg(not(unix))]
fn examine_place(_: &mut Diagnosis, _: &Path) {}
