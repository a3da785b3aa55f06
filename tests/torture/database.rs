//! The database of a run, and what is in it at the end, read without the engine.

use std::collections::HashMap;
use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;
use std::str::FromStr;
use std::time::Duration;

use durable::testing::server::Server;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, Row, SqliteConnection};
use tempfile::TempDir;

use crate::AnyResult;
use crate::fleet::Fleet;
use crate::options::StoreKind;
use crate::small_disk::SmallDisk;
use crate::standby::{Standby, kill_server};
use crate::workload::ACCOUNTS;

pub(crate) struct TortureDatabase {
    url: String,
    /// The server of this run, with Postgres.
    pub(crate) server: Option<Server>,
    /// The one that has taken its place, and the one that follows now.
    primary: Option<Standby>,
    standby: Option<Standby>,
    /// Where the tables are, if the disk is to be full.
    pub(crate) disk: Option<SmallDisk>,
    folder: TempDir,
}

/// What the long form counts while it is running.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Progress {
    pub(crate) transfers: i64,
    pub(crate) messages: i64,
}

/// What the database holds.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) workflows: Vec<WorkflowRow>,
    pub(crate) steps: Vec<StepRow>,
    /// The id of each transfer that was applied, once for each time.
    pub(crate) transfers: Vec<String>,
    pub(crate) cents: i64,
    /// The values of each workflow's event, and the items of its stream, in their order. `None` is the end.
    pub(crate) events: HashMap<String, Vec<Option<String>>>,
    pub(crate) streams: HashMap<String, Vec<Option<String>>>,
    /// What the database says of its file, with SQLite.
    pub(crate) damage: Option<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct WorkflowRow {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) status: String,
    pub(crate) reason: Option<String>,
    pub(crate) output: Option<String>,
    pub(crate) completed_at: Option<i64>,
}

/// The record of a step.
#[derive(Debug, Clone)]
pub(crate) struct StepRow {
    pub(crate) workflow: String,
    pub(crate) completed_at: i64,
    pub(crate) output: Option<String>,
}

impl TortureDatabase {
    pub(crate) async fn create(kind: StoreKind, on_small_disk: bool) -> AnyResult<Self> {
        let folder = tempfile::tempdir()?;
        let disk = on_small_disk.then(|| SmallDisk::mount_at(&folder.path().join("disk"))).transpose()?;
        let (url, server) = match kind {
            StoreKind::Sqlite => {
                let place = disk.as_ref().map_or(folder.path(), |it| &it.content);
                (format!("sqlite:{}", place.join("torture.sqlite").display()), None)
            }
            StoreKind::Postgres => {
                let server = Server::start()?;
                let mut connection = PgConnection::connect(&server.url()).await?;
                let mut create = "create database torture".to_owned();
                if let Some(disk) = &disk {
                    // The server's own user has to reach the folder. The log of the server is on another disk.
                    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711))?;
                    let place = format!("create tablespace small location '{}'", disk.content.display());
                    sqlx::raw_sql(AssertSqlSafe(place)).execute(&mut connection).await?;
                    create += " tablespace small";
                }
                sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut connection).await?;
                let url = server.url();
                let (before, _) = url.rsplit_once('/').ok_or("the server's URL names a database")?;
                (format!("{before}/torture"), Some(server))
            }
        };
        let mut tables = "create table accounts (id bigint primary key, cents bigint not null);
             create table transfers (id text not null);"
            .to_owned();
        for account in 0..ACCOUNTS {
            write!(tables, "insert into accounts (id, cents) values ({account}, 1000);")?;
        }
        match kind {
            StoreKind::Sqlite => {
                let options = SqliteConnectOptions::from_str(&url)?.create_if_missing(true);
                let options = options.journal_mode(SqliteJournalMode::Wal);
                let mut connection = options.connect().await?;
                sqlx::raw_sql(AssertSqlSafe(tables)).execute(&mut connection).await?;
                connection.close().await?;
            }
            StoreKind::Postgres => {
                let mut connection = PgConnection::connect(&url).await?;
                sqlx::raw_sql(AssertSqlSafe(tables)).execute(&mut connection).await?;
                connection.close().await?;
            }
        }
        Ok(Self { url, server, primary: None, standby: None, disk, folder })
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// The port of the server, with Postgres.
    pub(crate) fn port(&self) -> Option<u16> {
        self.server.as_ref()?;
        self.url.split(':').nth(2)?.split('/').next()?.parse().ok()
    }

    /// The URL for a process, through a proxy if there is one.
    pub(crate) fn url_through(&self, proxy: Option<u16>) -> String {
        match (proxy, self.port()) {
            (Some(proxy), Some(port)) => {
                format!("{}?sslmode=disable", self.url.replace(&format!(":{port}/"), &format!(":{proxy}/")))
            }
            _ => self.url.clone(),
        }
    }

    /// Another connection to the file, with SQLite.
    pub(crate) async fn other_writer(&self) -> AnyResult<SqliteConnection> {
        if self.server.is_some() {
            return Err("this nemesis is for SQLite".into());
        }
        Ok(SqliteConnectOptions::from_str(&self.url)?.busy_timeout(Duration::from_mins(1)).connect().await?)
    }

    /// A connection to another database of the server, which can do anything to this one.
    pub(crate) async fn admin(&self) -> AnyResult<PgConnection> {
        let (before, _) = self.url.rsplit_once('/').ok_or("the URL names a database")?;
        Ok(PgConnection::connect(&format!("{before}/postgres")).await?)
    }

    /// A session of this database, with Postgres.
    pub(crate) async fn session(&self) -> Result<PgConnection, sqlx::Error> {
        PgConnection::connect(&self.url).await
    }

    /// Executes a statement of an administrator.
    pub(crate) async fn execute(&self, statement: &'static str) -> AnyResult<()> {
        let mut admin = self.admin().await?;
        sqlx::raw_sql(statement).execute(&mut admin).await?;
        Ok(())
    }

    /// Every table is written anew, under a lock.
    pub(crate) async fn vacuum(&self) -> AnyResult<()> {
        if self.server.is_none() {
            let mut other = self.other_writer().await?;
            sqlx::raw_sql("vacuum").execute(&mut other).await?;
            other.close().await?;
            return Ok(());
        }
        let mut session = self.session().await?;
        for table in ["workflows", "steps", "messages", "executors"] {
            sqlx::raw_sql(AssertSqlSafe(format!("vacuum full durable.{table}"))).execute(&mut session).await?;
        }
        session.close().await?;
        Ok(())
    }

    /// A standby, without which no commit is acknowledged.
    pub(crate) async fn add_standby(&mut self) -> AnyResult<()> {
        let port = self.port().ok_or("this nemesis is for Postgres")?;
        self.standby = Some(tokio::task::block_in_place(|| Standby::of(port))?);
        self.execute("alter system set synchronous_standby_names = '*'").await?;
        self.execute("select pg_reload_conf()").await?;
        let mut admin = self.admin().await?;
        let synchronous = "select count(*) from pg_stat_replication where sync_state = 'sync'";
        while sqlx::query_scalar::<_, i64>(synchronous).fetch_one(&mut admin).await? == 0 {
            tokio::time::sleep(Duration::from_millis(50)).await; // the pause of the polling
        }
        Ok(())
    }

    /// The server dies, its standby takes its place, and gets a standby of its own.
    pub(crate) async fn fail_over(&mut self, fleet: &Fleet) -> AnyResult<()> {
        let next = self.standby.take().ok_or("there is no standby")?;
        tokio::task::block_in_place(|| match (&self.primary, &self.server) {
            (Some(primary), _) => primary.kill(),
            (None, Some(server)) => kill_server(server.process_id()),
            (None, None) => Err("this nemesis is for Postgres".into()),
        })?;
        tokio::task::block_in_place(|| next.promote())?;
        let old = self.port().ok_or("the URL has a port")?;
        self.url = self.url.replace(&format!(":{old}/"), &format!(":{}/", next.port));
        self.primary = Some(next);
        // It has no standby yet that could confirm a commit.
        self.execute("alter system set synchronous_standby_names = ''").await?;
        self.execute("select pg_reload_conf()").await?;
        for member in &fleet.members {
            if let (Some(proxy), Some(port)) = (&member.proxy, self.port()) {
                proxy.point_to(port);
            }
        }
        self.add_standby().await
    }

    pub(crate) async fn outcome(&self) -> AnyResult<Outcome> {
        if self.server.is_none() {
            let mut outcome = outcome_in_sqlite(&self.url).await?;
            let mut connection = SqliteConnection::connect(&self.url).await?;
            let checked: String = sqlx::query_scalar("pragma integrity_check").fetch_one(&mut connection).await?;
            outcome.damage = (checked != "ok").then_some(checked);
            return Ok(outcome);
        }
        // The nemesis may end idle sessions.
        outcome_in_postgres(&format!("{}?options[idle_session_timeout]=0", self.url)).await
    }

    /// How many workflows have not ended: those that are waited for.
    pub(crate) async fn unfinished(&self) -> AnyResult<i64> {
        if self.server.is_none() {
            unfinished_in_sqlite(&self.url).await
        } else {
            unfinished_in_postgres(&self.url).await
        }
    }

    pub(crate) async fn progress(&self) -> AnyResult<Progress> {
        if self.server.is_none() { progress_in_sqlite(&self.url).await } else { progress_in_postgres(&self.url).await }
    }

    pub(crate) fn remove(self) -> AnyResult<()> {
        drop((self.standby, self.primary, self.server));
        if self.disk.is_none() {
            self.folder.close()?; // a mounted disk is gone with its namespace
        }
        Ok(())
    }
}

/// Reads everything. The types of the rows are of the kind of database, and the text is the same.
macro_rules! outcome {
    ($function:ident, $unfinished:ident, $progress:ident, $connection:ty, $schema:literal) => {
        async fn $unfinished(url: &str) -> AnyResult<i64> {
            let mut connection = <$connection>::connect(url).await?;
            let unfinished = concat!(
                "select count(*) from ",
                $schema,
                "workflows where status not in ('SUCCESS', 'ERROR', 'CANCELLED', 'PARKED') and name not in ",
                "('endless', 'long_transactions', 'every_second', 'every_other_second')"
            );
            let count = sqlx::query_scalar(unfinished).fetch_one(&mut connection).await?;
            connection.close().await?;
            Ok(count)
        }

        async fn $progress(url: &str) -> AnyResult<Progress> {
            let mut connection = <$connection>::connect(url).await?;
            let transfers = sqlx::query_scalar("select count(*) from transfers").fetch_one(&mut connection).await?;
            let received = concat!("select count(*) from ", $schema, "messages where received_at is not null");
            let messages = sqlx::query_scalar(received).fetch_one(&mut connection).await?;
            connection.close().await?;
            Ok(Progress { transfers, messages })
        }

        async fn $function(url: &str) -> AnyResult<Outcome> {
            let mut connection = <$connection>::connect(url).await?;
            let mut outcome = Outcome::default();
            let workflows =
                concat!("select id, name, status, reason, output, completed_at from ", $schema, "workflows");
            for row in sqlx::query(workflows).fetch_all(&mut connection).await? {
                let (id, name, status) = (row.try_get("id")?, row.try_get("name")?, row.try_get("status")?);
                let (reason, output) = (row.try_get("reason")?, row.try_get("output")?);
                let completed_at = row.try_get("completed_at")?;
                outcome.workflows.push(WorkflowRow { id, name, status, reason, output, completed_at });
            }
            let steps = concat!(
                "select w.id as workflow, s.completed_at, s.output from ",
                $schema,
                "steps s join ",
                $schema,
                "workflows w on w.key = s.workflow where s.kind = 'step'"
            );
            for row in sqlx::query(steps).fetch_all(&mut connection).await? {
                let (workflow, completed_at) = (row.try_get("workflow")?, row.try_get("completed_at")?);
                outcome.steps.push(StepRow { workflow, completed_at, output: row.try_get("output")? });
            }
            let events = concat!(
                "select w.id as workflow, e.value from ",
                $schema,
                "events e join ",
                $schema,
                "workflows w on w.key = e.workflow order by e.workflow, e.set_at, e.key"
            );
            for row in sqlx::query(events).fetch_all(&mut connection).await? {
                let (workflow, value) = (row.try_get("workflow")?, row.try_get("value")?);
                outcome.events.entry(workflow).or_default().push(value);
            }
            let items = concat!(
                "select w.id as workflow, s.value from ",
                $schema,
                "streams s join ",
                $schema,
                "workflows w on w.key = s.workflow order by s.workflow, s.written_at, s.key"
            );
            for row in sqlx::query(items).fetch_all(&mut connection).await? {
                let (workflow, value) = (row.try_get("workflow")?, row.try_get("value")?);
                outcome.streams.entry(workflow).or_default().push(value);
            }
            for row in sqlx::query("select id from transfers").fetch_all(&mut connection).await? {
                outcome.transfers.push(row.try_get("id")?);
            }
            let cents = sqlx::query("select cast(sum(cents) as bigint) as cents from accounts");
            outcome.cents = cents.fetch_one(&mut connection).await?.try_get("cents")?;
            connection.close().await?;
            Ok(outcome)
        }
    };
}

outcome!(outcome_in_postgres, unfinished_in_postgres, progress_in_postgres, PgConnection, "durable.");
outcome!(outcome_in_sqlite, unfinished_in_sqlite, progress_in_sqlite, SqliteConnection, "durable_");
