//! The database of a run, and what is in it at the end, read without the engine.

use std::fmt::Write;
use std::str::FromStr;
use std::time::Duration;

use durable::testing::server::Server;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, Row, SqliteConnection};
use tempfile::TempDir;

use crate::AnyResult;
use crate::options::StoreKind;
use crate::workload::ACCOUNTS;

pub(crate) struct TortureDatabase {
    url: String,
    /// The server of this run, with Postgres.
    pub(crate) server: Option<Server>,
    folder: TempDir,
}

/// What the database holds.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) workflows: Vec<WorkflowRow>,
    pub(crate) steps: Vec<StepRow>,
    /// The id of each transfer that was applied, once for each time.
    pub(crate) transfers: Vec<String>,
    pub(crate) cents: i64,
}

#[derive(Debug, Clone)]
pub(crate) struct WorkflowRow {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) status: String,
    pub(crate) reason: Option<String>,
    pub(crate) output: Option<String>,
}

/// The record of a step.
#[derive(Debug, Clone)]
pub(crate) struct StepRow {
    pub(crate) workflow: String,
    pub(crate) completed_at: i64,
    pub(crate) output: Option<String>,
}

impl WorkflowRow {
    pub(crate) fn has_ended(&self) -> bool {
        matches!(&*self.status, "SUCCESS" | "ERROR" | "CANCELLED" | "PARKED")
    }

    /// Whether nothing ends it: its client may have been killed before it cancelled it.
    pub(crate) fn may_run_on(&self) -> bool {
        matches!(&*self.name, "endless" | "long_transactions")
    }
}

impl TortureDatabase {
    pub(crate) async fn create(kind: StoreKind) -> AnyResult<Self> {
        let folder = tempfile::tempdir()?;
        let (url, server) = match kind {
            StoreKind::Sqlite => (format!("sqlite:{}", folder.path().join("torture.sqlite").display()), None),
            StoreKind::Postgres => {
                let server = Server::start()?;
                let mut connection = PgConnection::connect(&server.url()).await?;
                sqlx::raw_sql("create database torture").execute(&mut connection).await?;
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
        Ok(Self { url, server, folder })
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
        let server = self.server.as_ref().ok_or("this nemesis is for Postgres")?;
        Ok(PgConnection::connect(&server.url()).await?)
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

    pub(crate) async fn outcome(&self) -> AnyResult<Outcome> {
        if self.server.is_none() {
            return outcome_in_sqlite(&self.url).await;
        }
        // The nemesis may end idle sessions.
        outcome_in_postgres(&format!("{}?options[idle_session_timeout]=0", self.url)).await
    }

    pub(crate) fn remove(self) -> AnyResult<()> {
        drop(self.server);
        self.folder.close()?;
        Ok(())
    }
}

/// Reads everything. The types of the rows are of the kind of database, and the text is the same.
macro_rules! outcome {
    ($function:ident, $connection:ty, $schema:literal) => {
        async fn $function(url: &str) -> AnyResult<Outcome> {
            let mut connection = <$connection>::connect(url).await?;
            let mut outcome = Outcome::default();
            let workflows = concat!("select id, name, status, reason, output from ", $schema, "workflows");
            for row in sqlx::query(workflows).fetch_all(&mut connection).await? {
                let (id, name, status) = (row.try_get("id")?, row.try_get("name")?, row.try_get("status")?);
                let (reason, output) = (row.try_get("reason")?, row.try_get("output")?);
                outcome.workflows.push(WorkflowRow { id, name, status, reason, output });
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

outcome!(outcome_in_postgres, PgConnection, "durable.");
outcome!(outcome_in_sqlite, SqliteConnection, "durable_");
