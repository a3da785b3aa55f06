//! How processes on one file notice each other's commits: they watch the file. SQLite has no
//! notifications, and needs none, since all processes are on one machine.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sqlx::Row;

use crate::store::sql::sql_statements;
use crate::store::sqlite::SqliteStore;
use crate::store::{Hint, Notification, Notifications, StoreError, StoreFuture};

/// How often the files are polled.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// The resolution of file times. A file that was written within this time before a poll may be written
/// again without a change of its time or length.
const FILE_TIME_RESOLUTION: Duration = Duration::from_millis(50);
/// How long after the last write to the files a commit of another process may become visible: SQLite syncs them in
/// between. One that takes longer is found by the engine's safety poll.
const LONGEST_SYNC: Duration = Duration::from_secs(2);

sql_statements! {
    /// A number that changes when another connection has written, and not when this one has.
    data_version = "pragma data_version";
}

impl Notifications for SqliteStore {
    /// Other processes watch the file, so there is nothing to send.
    fn has_others(&self) -> bool {
        false
    }

    fn notify<'a>(&'a self, _hints: &'a [Hint]) -> StoreFuture<'a, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn listen<'a>(&'a self, on_notification: &'a (dyn Fn(Notification) + Send + Sync)) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let Some(file) = &self.location.file else {
                on_notification(Notification::Listening);
                return std::future::pending().await; // no other process has the database
            };
            let files = WatchedFiles::of(file);
            let mut last = files.stamp(self.counter.last_commit());
            let mut version = self.data_version().await?;
            on_notification(Notification::Listening);
            loop {
                tokio::time::sleep(POLL_INTERVAL).await;
                self.check_open()?;
                let now = files.stamp(self.counter.last_commit());
                if now == last && !last.may_be_stale {
                    continue;
                }
                last = now;
                let now = self.data_version().await?;
                if now != version {
                    version = now;
                    on_notification(Notification::Something);
                }
            }
        })
    }
}

impl SqliteStore {
    /// The number of the writer's connection, and its version of the data, which changes with commits of others.
    async fn data_version(&self) -> Result<(u64, i64), StoreError> {
        let mut writer = self.writer.lock().await?;
        let row = self.query(&self.sql.notify.data_version).fetch_one(&mut *writer).await?;
        Ok((writer.opening(), row.try_get(0)?))
    }
}

/// The files of a database that change when it does.
struct WatchedFiles {
    main: PathBuf,
    wal: PathBuf,
}

/// The lengths and times of the files. Two stamps are equal if nothing was written in between.
#[derive(Debug)]
struct FileStamp {
    seen: [Option<(u64, SystemTime)>; 2],
    /// Whether something may have been committed since without a change of length or time.
    may_be_stale: bool,
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

    /// `own_commit` is when this process has committed last. What was written by then is its own.
    fn stamp(&self, own_commit: SystemTime) -> FileStamp {
        let now = SystemTime::now();
        let stamp_of = |path: &Path| {
            let metadata = std::fs::metadata(path).ok()?;
            Some((metadata.len(), metadata.modified().ok()?))
        };
        let seen = [stamp_of(&self.main), stamp_of(&self.wal)];
        FileStamp { seen, may_be_stale: seen.iter().flatten().any(|(_, at)| may_follow(*at, now, own_commit)) }
    }
}

/// Whether a commit without a change of the file's time may follow `now`, if the file was written last at this time.
fn may_follow(written_at: SystemTime, now: SystemTime, own_commit: SystemTime) -> bool {
    let within = if written_at <= own_commit { FILE_TIME_RESOLUTION } else { LONGEST_SYNC };
    now.duration_since(written_at).map_or(true, |age| age < within)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_of_another_process_is_awaited_for_as_long_as_a_sync_may_take() {
        let written_at = SystemTime::now();
        let after = |millis| written_at + Duration::from_millis(millis);
        let (before, own) = (written_at - Duration::from_secs(9), after(1));
        assert!(may_follow(written_at, after(10), own), "the file may be written again at the same time");
        assert!(!may_follow(written_at, after(60), own), "it is committed, because it is this process's own");
        assert!(may_follow(written_at, after(1_500), before), "another process may still sync it");
        assert!(!may_follow(written_at, after(2_500), before));
        assert!(may_follow(written_at, before, own), "the clock was set back");
    }
}
