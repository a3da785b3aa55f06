//! How connections to Postgres are opened: to which host, and through what.

use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, raw_sql};

use crate::store::location::{cannot_open, shown_without_password};
use crate::store::postgres::postgres_url::PostgresUrl;
use crate::store::{StoreError, StoreErrorKind};
use crate::types::keys::ExecutorKey;

/// How long a host has to answer a new connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the test for shared sessions waits for one answer.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// Opens connections.
#[derive(Debug)]
pub(super) struct Connector {
    /// One for each host of the URL.
    hosts: Vec<HostOptions>,
    /// Whether servers that are read-only are passed over.
    needs_primary: bool,
    /// The host that was connected to last.
    current: AtomicUsize,
    /// Whether a proxy gives each transaction a session of its own.
    shares_sessions: AtomicBool,
    shown: String,
}

/// The options of one host. Their own `Debug` shows the password.
struct HostOptions(PgConnectOptions);

impl std::fmt::Debug for HostOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.get_host())
    }
}

/// What the server says of itself and of the role.
#[derive(Debug)]
pub(super) struct ServerInfo {
    pub(super) encoding: String,
    /// How many connections the role may have; none if that is not limited.
    pub(super) connection_limit: Option<u32>,
    /// The role's `idle_in_transaction_session_timeout`, if it has one.
    pub(super) idle_timeout: Option<Duration>,
    /// Whether transactions are not `read committed` by default.
    pub(super) isolates_more: bool,
}

/// Begins a transaction of the engine, whose statements are made for this level: on a higher one they fail for each other.
pub(super) const BEGIN: &str = "begin isolation level read committed";

/// The longest name of a session: Postgres cuts the rest.
const SESSION_NAME: usize = 63;

impl Connector {
    /// # Errors
    /// [`StoreErrorKind::Refused`] when the URL cannot be read.
    pub(super) fn new(url: &str) -> Result<Self, StoreError> {
        let shown = shown_without_password(url);
        let refused = |why: &dyn std::fmt::Display| {
            let why = format!("{why}; write postgres://user@host/database");
            cannot_open(&shown, StoreErrorKind::Refused, why)
        };
        let PostgresUrl { hosts: urls, needs_primary } = PostgresUrl::parse(url).map_err(|why| refused(&why))?;
        let mut hosts = Vec::new();
        for url in urls {
            let mut options =
                PgConnectOptions::from_str(&url).map_err(|error| refused(&StoreError::from(error).message))?;
            if options.get_application_name().is_none() {
                options = options.application_name("durable");
            }
            // Proxies refuse this parameter; values are exchanged in binary, where it has no effect.
            hosts.push(HostOptions(options.extra_float_digits(None)));
        }
        Ok(Self { hosts, needs_primary, current: AtomicUsize::new(0), shares_sessions: AtomicBool::new(false), shown })
    }

    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    /// The options of the host that was connected to last, for a connection that the driver opens.
    pub(super) fn options(&self) -> PgConnectOptions {
        let options = self.hosts[self.current.load(Ordering::Relaxed)].0.clone();
        if self.shares_sessions() { options.statement_cache_capacity(0) } else { options }
    }

    /// A name for the session of one transaction: that of the application, the executor, and a mark that no other has.
    pub(super) fn session_name(&self, executor: Option<ExecutorKey>) -> String {
        let options = &self.hosts[self.current.load(Ordering::Relaxed)].0;
        let plain = options.get_application_name().unwrap_or_default();
        let plain: String = plain.chars().filter(char::is_ascii).take(SESSION_NAME - 34).collect();
        let mark = uuid::Uuid::new_v4().as_u64_pair().0;
        format!("{plain} {:016x}-{mark:016x}", executor.map_or(0, ExecutorKey::get))
    }

    /// A pattern for the names of the sessions of an executor.
    pub(super) fn sessions_of(executor: ExecutorKey) -> String {
        format!("% {:016x}-%", executor.get())
    }

    pub(super) fn shares_sessions(&self) -> bool {
        self.shares_sessions.load(Ordering::Relaxed)
    }

    /// Opens a connection to the first host that is there and can be written to, beginning with the one that
    /// was last.
    ///
    /// # Errors
    /// That of the last host.
    pub(super) async fn connect(&self) -> Result<PgConnection, StoreError> {
        let first = self.current.load(Ordering::Relaxed);
        let mut last = self.no_answer();
        for offset in 0..self.hosts.len() {
            let index = (first + offset) % self.hosts.len();
            match tokio::time::timeout(CONNECT_TIMEOUT, self.connect_to(index)).await {
                Ok(Ok(connection)) => {
                    self.current.store(index, Ordering::Relaxed);
                    return Ok(connection);
                }
                Ok(Err(error)) => last = error,
                Err(_) => last = self.no_answer(),
            }
        }
        Err(last)
    }

    async fn connect_to(&self, index: usize) -> Result<PgConnection, StoreError> {
        let options = &self.hosts[index].0;
        let pooled = self.shares_sessions().then(|| options.clone().statement_cache_capacity(0));
        let mut connection = PgConnection::connect_with(pooled.as_ref().unwrap_or(options)).await.map_err(explain)?;
        if self.needs_primary {
            let row = raw_sql("show transaction_read_only").fetch_one(&mut connection).await?;
            if row.try_get::<String, _>(0)? == "on" {
                let message = format!("the server {} is read-only, as a standby is", options.get_host());
                return Err(StoreError::new(StoreErrorKind::Unreachable, message));
            }
        }
        Ok(connection)
    }

    /// The error of a server that is silent.
    pub(super) fn no_answer(&self) -> StoreError {
        StoreError::new(StoreErrorKind::Unreachable, format_args!("{} does not answer", self.shown))
    }

    /// Whether the error of a new connection may pass in a moment: too many connections, or a server that starts.
    pub(super) fn may_pass_soon(error: &StoreError) -> bool {
        ["(SQLSTATE 53300)", "(SQLSTATE 57P03)"].iter().any(|code| error.message.contains(code))
    }

    /// Finds out whether a proxy gives each transaction a session of its own, as `PgBouncer` in transaction mode
    /// does: then a setting of one connection's session turns up in another, or is gone. Gives the second
    /// connection that this took.
    pub(super) async fn detect_shared_sessions(
        &self,
        first: &mut PgConnection,
    ) -> Result<Option<PgConnection>, StoreError> {
        const READ: &str = "select current_setting('durable.probe', true)";
        let token = uuid::Uuid::new_v4().simple().to_string();
        raw_sql(AssertSqlSafe(format!("select set_config('durable.probe', '{token}', false)")))
            .execute(&mut *first)
            .await?;
        let mut second = match self.connect().await {
            Ok(second) => second,
            Err(error) if Self::may_pass_soon(&error) => return Ok(None), // it is found out when statements fail
            Err(error) => return Err(error),
        };
        raw_sql("begin").execute(&mut second).await?; // holds a session
        let mut is_shared = false;
        for (connection, has_token) in [(&mut second, true), (&mut *first, false)] {
            let read = tokio::time::timeout(PROBE_TIMEOUT, raw_sql(READ).fetch_one(connection)).await;
            // No answer: there is only one session for both.
            is_shared |= match read {
                Ok(row) => (row?.try_get::<Option<String>, _>(0)?.as_deref() == Some(&token)) == has_token,
                Err(_) => true,
            };
        }
        if is_shared {
            self.shares_sessions.store(true, Ordering::Relaxed);
            return Ok(None);
        }
        raw_sql("rollback").execute(&mut second).await?;
        Ok(Some(second))
    }
}

/// Asks the server.
pub(super) async fn server_info(connection: &mut PgConnection) -> Result<ServerInfo, StoreError> {
    let asked = "select current_setting('server_encoding'),
                        (select rolconnlimit::text from pg_catalog.pg_roles where rolname = current_user),
                        (select setting from pg_catalog.pg_settings where name = 'idle_in_transaction_session_timeout'),
                        current_setting('default_transaction_isolation')";
    let row = raw_sql(asked).fetch_one(connection).await?;
    let number =
        |column| Ok::<_, StoreError>(row.try_get::<Option<String>, _>(column)?.and_then(|it| it.parse::<i64>().ok()));
    let positive = |it: Option<i64>| it.and_then(|it| u32::try_from(it).ok()).filter(|it| *it > 0);
    Ok(ServerInfo {
        encoding: row.try_get(0)?,
        // Zero is a limit, too.
        connection_limit: number(1)?.and_then(|it| u32::try_from(it).ok()),
        idle_timeout: positive(number(2)?).map(|it| Duration::from_millis(it.into())),
        isolates_more: row.try_get::<String, _>(3)? != "read committed",
    })
}

/// Says what to do about certificates that the TLS library refuses.
fn explain(error: sqlx::Error) -> StoreError {
    let is_tls = matches!(error, sqlx::Error::Tls(_)) || error.to_string().contains("certificate");
    let error = StoreError::from(error);
    if !is_tls {
        return error;
    }
    StoreError::new(
        StoreErrorKind::Refused,
        format_args!(
            "the server's TLS certificate is refused: {}; give the authority that signed it with sslmode=verify-full&sslrootcert=/path/to/ca.pem, or a new certificate to the server (X.509 version 3 with the host's name); for old or self-made ones build with the feature `tls-native-tls` of durable; sslmode=disable turns TLS off",
            error.message
        ),
    )
}
