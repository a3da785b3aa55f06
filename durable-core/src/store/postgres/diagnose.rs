//! Looks at a Postgres server for what keeps applications from working, or slows them down. Nothing is written.

use std::time::Duration;

use sqlx::postgres::{PgListener, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

use super::connector::{Connector, ServerInfo, server_info};
use super::dialect::MIGRATIONS;
use super::group_sizes::MIN_CONNECTIONS;
use super::schema::Schema;
use crate::store::migrations::{AppliedMigration, missing, report_migrations};
use crate::store::{StoreError, StoreErrorKind, StoreSettings, hints};
use crate::types::diagnosis::Diagnosis;
use crate::types::time::Timestamp;

/// The oldest version of Postgres that the statements of this release are made for.
const OLDEST_VERSION: i32 = 13;
/// The largest difference of the clocks that is not worth a word.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(2);
/// How long a notification may take.
const NOTIFICATION_TIMEOUT: Duration = Duration::from_secs(3);

/// Looks at the server and the schema.
pub(in crate::store) async fn diagnose(url: &str, schema: &str) -> Diagnosis {
    let mut diagnosis = Diagnosis::of(crate::store::shown_without_password(url));
    let opened = async {
        let schema = Schema::new(schema)?;
        let connector = Connector::new(url)?;
        let connection = connector.connect().await?;
        Ok::<_, StoreError>((schema, connector, connection))
    };
    let (quoted, connector, mut connection) = match opened.await {
        Ok(opened) => opened,
        Err(error) => {
            let remedy = match error.kind {
                StoreErrorKind::Unreachable => "start the server, or correct the host, the port and the firewall",
                _ => "correct the URL, the role or its password",
            };
            diagnosis.problem("connection", error.message, remedy);
            return diagnosis;
        }
    };
    diagnosis.good("connection", "the server accepts the login");
    let mut examination =
        Examination { connection: &mut connection, schema, quoted: &quoted, diagnosis: &mut diagnosis };
    if let Err(error) = examination.examine(&connector).await {
        diagnosis.problem("statements", error.message, "see what the server logs, and try again");
    }
    let _ = connection.close().await; // nothing was written
    diagnosis
}

/// A server that is looked at.
struct Examination<'a> {
    connection: &'a mut PgConnection,
    schema: &'a str,
    quoted: &'a Schema,
    diagnosis: &'a mut Diagnosis,
}

impl Examination<'_> {
    async fn examine(&mut self, connector: &Connector) -> Result<(), StoreError> {
        self.version_and_encoding().await?;
        self.writable().await?;
        self.encryption().await?;
        self.sessions(connector).await?;
        self.clock().await?;
        self.connections().await?;
        self.collation().await?;
        if self.schema_and_privileges().await? {
            self.migrations().await?;
        }
        Ok(())
    }

    async fn version_and_encoding(&mut self) -> Result<(), StoreError> {
        let asked = "select current_setting('server_version_num')::integer / 10000, current_setting('server_version'),
                            current_setting('server_encoding')";
        let row = sqlx::query(asked).persistent(false).fetch_one(&mut *self.connection).await?;
        let (major, version, encoding): (i32, String, String) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        if major < OLDEST_VERSION {
            let remedy = format!("upgrade the server to version {OLDEST_VERSION} or newer");
            self.diagnosis.problem("server version", format!("it is Postgres {version}"), remedy);
        } else {
            self.diagnosis.good("server version", format!("it is Postgres {version}"));
        }
        if encoding != "UTF8" {
            let remedy = "create the database with `create database … encoding 'UTF8' template template0`";
            self.diagnosis.problem("encoding", format!("the database has the encoding {encoding}"), remedy);
        }
        Ok(())
    }

    async fn writable(&mut self) -> Result<(), StoreError> {
        let asked = "select pg_is_in_recovery(), current_setting('transaction_read_only') = 'on'";
        let row = sqlx::query(asked).persistent(false).fetch_one(&mut *self.connection).await?;
        match (row.try_get(0)?, row.try_get(1)?) {
            (true, _) => self.diagnosis.problem(
                "writes",
                "the server is a read-only standby",
                "connect to the primary, or name all hosts: postgres://host1,host2/database?target_session_attrs=read-write",
            ),
            (false, true) => self.diagnosis.problem(
                "writes",
                "transactions of this role are read-only (`default_transaction_read_only`)",
                "take the setting away: `alter role … reset default_transaction_read_only`, or that of the database",
            ),
            (false, false) => self.diagnosis.good("writes", "the server can be written to"),
        }
        Ok(())
    }

    async fn encryption(&mut self) -> Result<(), StoreError> {
        let asked = "select coalesce((select ssl from pg_stat_ssl where pid = pg_backend_pid()), false),
                            inet_client_addr() is null or inet_client_addr() <<= inet '127.0.0.0/8'
                            or inet_client_addr() = inet '::1'";
        let row = sqlx::query(asked).persistent(false).fetch_one(&mut *self.connection).await?;
        match (row.try_get(0)?, row.try_get(1)?) {
            (true, _) => self.diagnosis.good("encryption", "the connection uses TLS"),
            (false, true) => self.diagnosis.good("encryption", "the connection stays on this host, without TLS"),
            (false, false) => self.diagnosis.warning(
                "encryption",
                "the connection goes over a network without TLS",
                "turn TLS on at the server, and add sslmode=verify-full to the URL",
            ),
        }
        Ok(())
    }

    /// Poolers, and whether notifications arrive.
    async fn sessions(&mut self, connector: &Connector) -> Result<(), StoreError> {
        const NAME: &str = "notifications";
        let second = connector.detect_shared_sessions(self.connection).await?;
        if connector.shares_sessions() {
            self.diagnosis.warning(
                "pooler",
                "a pooler gives each transaction a session of its own, as PgBouncer does in transaction mode: durable polls instead of listening, and sends no prepared statements",
                "give durable a direct connection, or one to a pool in session mode",
            );
            return Ok(());
        }
        self.diagnosis.good("pooler", "sessions belong to their connections");
        drop(second);
        let received = tokio::time::timeout(NOTIFICATION_TIMEOUT, self.receive_notification(connector)).await;
        match received {
            Ok(Ok(())) => self.diagnosis.good(NAME, "LISTEN receives what NOTIFY sends"),
            Ok(Err(error)) => self.diagnosis.warning(NAME, error.message, "allow LISTEN; until then durable polls"),
            Err(_) => self.diagnosis.warning(
                NAME,
                "LISTEN is accepted, and nothing arrives",
                "connect to the server without the proxy between; until then durable polls",
            ),
        }
        Ok(())
    }

    async fn receive_notification(&mut self, connector: &Connector) -> Result<(), StoreError> {
        let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(connector.options());
        let mut listener = PgListener::connect_with(&pool).await?;
        let token = uuid::Uuid::new_v4().simple().to_string();
        // A channel of its own, so that no engine is woken.
        let channel = format!("{}:doctor", hints::channel(self.schema));
        listener.listen(&channel).await?;
        let notify = sqlx::query("select pg_notify($1, $2)").persistent(false).bind(&channel).bind(&token);
        notify.execute(&mut *self.connection).await?;
        while listener.recv().await?.payload() != token {}
        drop(pool.close()); // closing marks the pool before its future is polled
        Ok(())
    }

    async fn clock(&mut self) -> Result<(), StoreError> {
        let asked = "select (extract(epoch from clock_timestamp()) * 1000000)::bigint";
        let before = Timestamp::local_now();
        let server: i64 = sqlx::query(asked).persistent(false).fetch_one(&mut *self.connection).await?.try_get(0)?;
        let after = Timestamp::local_now();
        let (server, before, after) = (server, before.as_micros(), after.as_micros());
        let apart = if server < before { before - server } else { (server - after).max(0) };
        let apart = Duration::from_micros(apart.unsigned_abs());
        if apart <= CLOCK_TOLERANCE {
            self.diagnosis.good("clock", "the clocks of the server and of this host agree");
        } else {
            let direction = if server < before { "behind" } else { "ahead of" };
            let seconds = apart.as_secs();
            self.diagnosis.warning(
                "clock",
                format!("the server's clock is {seconds} s {direction} that of this host"),
                "synchronize both with NTP; timers follow the server's clock",
            );
        }
        Ok(())
    }

    async fn connections(&mut self) -> Result<(), StoreError> {
        const NAME: &str = "connections";
        let ServerInfo { connection_limit, .. } = server_info(self.connection).await?;
        let asked = "select current_setting('max_connections')::integer
                            - current_setting('superuser_reserved_connections')::integer,
                            (select count(*) from pg_stat_activity where backend_type = 'client backend')::integer,
                            (select datconnlimit from pg_database where datname = current_database())";
        let row = sqlx::query(asked).persistent(false).fetch_one(&mut *self.connection).await?;
        let (most, used, of_database): (i32, i32, i32) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let wanted = StoreSettings::default().connections;
        let count = |number: i32| u32::try_from(number).ok();
        let limits = [connection_limit, count(of_database), count(most)];
        let allowed = limits.into_iter().flatten().min().unwrap_or_default();
        let free = count(most - used).unwrap_or_default();
        let remedy = "raise it with `alter role … connection limit`, `alter database … connection limit` or `max_connections`, or lower `.connections(..)` on the builder";
        if allowed < MIN_CONNECTIONS {
            let finding =
                format!("{allowed} connections are allowed, and an application needs at least {MIN_CONNECTIONS}");
            self.diagnosis.problem(NAME, finding, remedy);
        } else if allowed < wanted {
            let finding =
                format!("{allowed} connections are allowed, and a process of the application uses up to {wanted}");
            self.diagnosis.warning(NAME, finding, remedy);
        } else if free < wanted {
            let finding = format!(
                "{used} of {most} connections are in use, and a process of the application uses up to {wanted}"
            );
            self.diagnosis.warning(NAME, finding, remedy);
        } else {
            let finding = format!("{allowed} are allowed, {used} are in use, and a process uses up to {wanted}");
            self.diagnosis.good(NAME, finding);
        }
        Ok(())
    }

    async fn collation(&mut self) -> Result<(), StoreError> {
        const NAME: &str = "collation";
        // The version of the collation is known from Postgres 15 on.
        let asked = "select to_jsonb(d) ->> 'datcollversion',
                            case when to_jsonb(d) ? 'datcollversion'
                                 then pg_catalog.pg_database_collation_actual_version(d.oid) end, d.datcollate
                       from pg_catalog.pg_database d where datname = current_database()";
        let row = match sqlx::query(asked).persistent(false).fetch_one(&mut *self.connection).await {
            Ok(row) => row,
            Err(sqlx::Error::Database(_)) => return Ok(()), // an older server
            Err(error) => return Err(error.into()),
        };
        let (recorded, actual): (Option<String>, Option<String>) = (row.try_get(0)?, row.try_get(1)?);
        let name: String = row.try_get(2)?;
        match (recorded, actual) {
            (Some(recorded), Some(actual)) if recorded != actual => self.diagnosis.problem(
                NAME,
                format!("the database was created with version {recorded} of the collation {name}, and the system has {actual}: indexes on text may be in the wrong order"),
                "`reindex database`, then `alter database … refresh collation version`",
            ),
            _ => self.diagnosis.good(NAME, format!("the database sorts text by {name}")),
        }
        Ok(())
    }

    /// Whether the schema is there and can be read.
    async fn schema_and_privileges(&mut self) -> Result<bool, StoreError> {
        let schema = self.schema;
        let asked = "select n.oid is not null, coalesce(has_schema_privilege(n.oid, 'usage'), false),
                            has_database_privilege(current_database(), 'create'), current_user::text
                       from (select 1) one left join pg_namespace n on n.nspname = $1";
        let row = sqlx::query(asked).persistent(false).bind(schema).fetch_one(&mut *self.connection).await?;
        let (exists, usage, create): (bool, bool, bool) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let role: String = row.try_get(3)?;
        if !exists {
            let finding = format!("there is no schema {schema:?}");
            if create {
                self.diagnosis.problem("schema", finding, "launch the application, or run `durable migrate`");
            } else {
                let remedy = "run `durable migrate` as a role that may create schemas, with `--grant` for this one";
                self.diagnosis.problem("schema", format!("{finding}, and {role} may not create one"), remedy);
            }
            return Ok(false);
        }
        let remedy = format!("run `durable migrate --grant {role}` as the owner of the schema");
        if !usage {
            self.diagnosis.problem("privileges", format!("{role} may not use the schema {schema:?}"), remedy);
            return Ok(false);
        }
        let asked = "select c.relname::text, p.name
                       from pg_class c, unnest(array['select', 'insert', 'update', 'delete']) as p (name)
                      where c.relnamespace = (select oid from pg_namespace where nspname = $1) and c.relkind in ('r', 'p')
                        and not has_table_privilege(c.oid, p.name)
                      order by 1, 2";
        let rows = sqlx::query(asked).persistent(false).bind(schema).fetch_all(&mut *self.connection).await?;
        let mut lacking = Vec::new();
        for row in &rows {
            lacking.push(format!("{} on {}", row.try_get::<String, _>(1)?, row.try_get::<String, _>(0)?));
        }
        if lacking.is_empty() {
            self.diagnosis.good("privileges", format!("{role} may read and write every table"));
        } else {
            let finding = format!("{role} lacks {}", shortened(&lacking));
            self.diagnosis.problem("privileges", finding, remedy);
        }
        Ok(true)
    }

    async fn migrations(&mut self) -> Result<(), StoreError> {
        let text =
            format!("select version, description, checksum from {}._migrations order by version", self.quoted.quoted());
        let applied: Result<Vec<AppliedMigration>, _> =
            sqlx::query_as(AssertSqlSafe(text)).persistent(false).fetch_all(&mut *self.connection).await;
        match applied {
            Ok(applied) => report_migrations(self.diagnosis, missing(&MIGRATIONS, &applied)),
            Err(error) => {
                let finding = format!("the applied migrations cannot be read: {}", StoreError::from(error).message);
                self.diagnosis.problem("schema", finding, "launch the application, or run `durable migrate`");
            }
        }
        Ok(())
    }
}

/// The first few, and how many there are.
fn shortened(list: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = list[..list.len().min(SHOWN)].join(", ");
    if list.len() > SHOWN { format!("{shown} and {} more", list.len() - SHOWN) } else { shown }
}
