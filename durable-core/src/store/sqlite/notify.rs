//! How processes on one file hear of each other's writing: they watch the file. SQLite has no
//! notifications, and needs none, since everybody is on one machine.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sqlx::Row;

use crate::store::sql::texts;
use crate::store::sqlite::SqliteStore;
use crate::store::{Hint, Notification, Notifications, StoreError, StoreFuture};

/// How often the files are looked at.
const GLANCES: Duration = Duration::from_millis(100);
/// How coarse the times of files may be: what was written within this much of a glance may have been
/// written to again without another time or another length.
const GRAIN: Duration = Duration::from_millis(50);

texts! {
    /// A number that changes when another connection has written, and not when this one has.
    data_version = "pragma data_version";
}

impl Notifications for SqliteStore {
    /// Others watch the file, so nobody has to tell them.
    fn has_others(&self) -> bool {
        false
    }

    fn notify<'a>(&'a self, _hints: &'a [Hint]) -> StoreFuture<'a, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn listen<'a>(&'a self, heard: &'a (dyn Fn(Notification) + Send + Sync)) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let Some(file) = &self.location.file else {
                heard(Notification::Listening);
                return std::future::pending().await; // nobody else has the database
            };
            let files = WatchedFiles::of(file);
            let mut glance = files.glance();
            let mut version = self.data_version().await?;
            heard(Notification::Listening);
            loop {
                tokio::time::sleep(GLANCES).await;
                self.check_open()?;
                let now = files.glance();
                if now == glance && !glance.fresh {
                    continue;
                }
                glance = now;
                let now = self.data_version().await?;
                if now != version {
                    version = now;
                    heard(Notification::Something);
                }
            }
        })
    }
}

impl SqliteStore {
    /// Which connection the writer has, and what that one knows about the writing of others.
    async fn data_version(&self) -> Result<(u64, i64), StoreError> {
        let mut turn = self.writer.turn().await?;
        let row = self.query(&self.texts.wake.data_version).fetch_one(&mut *turn).await?;
        Ok((turn.opening(), row.try_get(0)?))
    }
}

/// The files of a database that change when it does.
struct WatchedFiles {
    main: PathBuf,
    wal: PathBuf,
}

/// What the files looked like. Two glances are the same if nothing was written in between.
#[derive(Debug)]
struct FileStamp {
    seen: [Option<(u64, SystemTime)>; 2],
    /// Whether there may have been writing since that does not show.
    fresh: bool,
}

impl PartialEq for FileStamp {
    fn eq(&self, other: &Self) -> bool {
        self.seen == other.seen
    }
}

impl WatchedFiles {
    fn of(main: &Path) -> Self {
        let mut wal = main.as_os_str().to_owned();
        wal.push("-wal");
        Self { main: main.to_owned(), wal: wal.into() }
    }

    fn glance(&self) -> FileStamp {
        let now = SystemTime::now();
        let look = |path: &Path| {
            let seen = std::fs::metadata(path).ok()?;
            Some((seen.len(), seen.modified().ok()?))
        };
        let seen = [look(&self.main), look(&self.wal)];
        let is_fresh = |at: SystemTime| now.duration_since(at).map_or(true, |age| age < GRAIN);
        FileStamp { seen, fresh: seen.iter().flatten().any(|(_, at)| is_fresh(*at)) }
    }
}
