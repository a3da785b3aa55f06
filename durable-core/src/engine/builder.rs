//! The settings of an engine, and what is checked before its launch.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::durable::Durable;
use crate::engine::launch;
use crate::registry::{Instance, Resources};
use crate::runtime::late_records::RECORD_DELAY;
#[cfg(feature = "testing")]
use crate::runtime::rest::Rest;
use crate::store::{ApplicationDatabase, Store, StoreSettings};
use crate::types::error::Result;
use crate::types::error::config_error;
use crate::types::id::check_id;
use crate::types::retention::Retention;
use crate::types::trace_context::TraceContext;
use crate::types::trace_settings::TraceSettings;
use crate::types::version_policy::VersionPolicy;

/// The environment variable that names the database.
pub(crate) const URL_VARIABLE: &str = "DURABLE_DATABASE_URL";

/// The settings of an engine that is not launched yet. Made by [`Durable::builder`].
#[must_use = "nothing happens before `.launch().await`"]
pub struct Builder {
    pub(super) name: String,
    pub(super) url: Option<String>,
    pub(super) schema: String,
    pub(super) share_schema: bool,
    pub(super) store: Option<Arc<dyn Store>>,
    pub(super) databases: HashMap<String, ApplicationDatabase>,
    pub(super) resources: Resources,
    pub(super) executor_id: Option<String>,
    pub(super) version: Option<String>,
    pub(super) version_policy: VersionPolicy,
    pub(super) max_concurrent: Option<usize>,
    pub(super) max_blocking_steps: usize,
    pub(super) record_delay: Duration,
    pub(super) max_payload: usize,
    pub(super) lease: Duration,
    pub(super) transaction_retry_limit: Duration,
    pub(super) launch_timeout: Duration,
    pub(super) store_settings: StoreSettings,
    pub(super) listen_to: Option<Vec<String>>,
    pub(super) retention: Option<Retention>,
    pub(super) allow_reset: bool,
    pub(super) traces: TraceSettings,
    /// Whether a launch on another kind of database than that of the transactions is refused.
    pub(super) checks_transactions: bool,
    /// What a test has put in the place of steps.
    #[cfg(feature = "testing")]
    pub(super) mocks: crate::runtime::mocks::Mocks,
    #[cfg(feature = "testing")]
    pub(super) rest: Arc<Rest>,
}

impl Builder {
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            url: None,
            schema: "durable".to_owned(),
            share_schema: false,
            store: None,
            databases: HashMap::new(),
            resources: Resources::default(),
            executor_id: None,
            version: None,
            version_policy: VersionPolicy::Adopt,
            max_concurrent: None,
            max_blocking_steps: 512,
            record_delay: RECORD_DELAY,
            max_payload: 8 << 20,
            lease: Duration::from_secs(15),
            transaction_retry_limit: Duration::from_mins(1),
            launch_timeout: Duration::from_secs(30),
            store_settings: StoreSettings::default(),
            listen_to: None,
            retention: None,
            allow_reset: false,
            traces: TraceSettings::default(),
            checks_transactions: true,
            #[cfg(feature = "testing")]
            mocks: crate::runtime::mocks::Mocks::default(),
            #[cfg(feature = "testing")]
            rest: Arc::default(),
        }
    }

    /// Sets the database: `sqlite:path/to/file.sqlite`, `sqlite::memory:` or `postgres://user@host/database`.
    ///
    /// The default is the environment variable `DURABLE_DATABASE_URL`, and without it the SQLite file
    /// `<name>.sqlite` in the working directory. A variable that is set and empty is refused. For the default
    /// file the application's name must not contain `/` or `\`.
    pub fn system_database(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }

    /// Sets the Postgres schema of the engine's tables. The default is `durable`. On SQLite it has no effect:
    /// there the tables have the prefix `durable_`.
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = schema.into();
        self
    }

    /// Uses the schema, or the SQLite file, also if it belongs to another application.
    ///
    /// A schema belongs to the application that was launched on it first, by the name that
    /// [`Durable::builder`] was given. All processes on a schema take each other's workflows over and
    /// work on the same queues, so two applications need a schema each. A launch under another name is refused,
    /// except with this setting: for programs that are parts of one application and have the same functions.
    pub fn share_schema(mut self) -> Self {
        self.share_schema = true;
        self
    }

    /// Adds a database of the application, for `#[transaction(database = "orders")]`. The pool is a `PgPool`
    /// or a `SqlitePool`. It stays the application's: the engine does not close it.
    ///
    /// The launch creates a table in it, `durable.transaction_records` or `durable_transaction_records`, so
    /// that the record of a transaction commits together with the application's rows.
    pub fn database(mut self, name: impl Into<String>, pool: impl Into<ApplicationDatabase>) -> Self {
        self.databases.insert(name.into(), pool.into());
        self
    }

    /// Adds a value that workflows and steps get by its type with `durable::state::<T>()`: a client, a pool,
    /// the configuration. A second value of the same type replaces the first.
    pub fn state<T: Send + Sync + 'static>(mut self, state: T) -> Self {
        self.resources.add_state(state);
        self
    }

    /// Adds an object whose methods are workflows: see [`Instance`]. Recovery finds it by its type and
    /// [`instance_name`](Instance::instance_name).
    ///
    /// ```no_run
    /// # use durable_core::{Durable, Instance};
    /// # struct DataProcessor;
    /// # impl Instance for DataProcessor {
    /// #     fn instance_name(&self) -> &str { "the only one" }
    /// # }
    /// # async fn example() -> durable_core::Result<()> {
    /// let mut builder = Durable::builder("my-app");
    /// let processor = builder.instance(DataProcessor);
    /// let app = builder.launch().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn instance<T: Instance>(&mut self, instance: T) -> Arc<T> {
        let instance = Arc::new(instance);
        self.resources.add_instance(&instance);
        instance
    }

    /// Sets the executor's name, which should be stable across restarts: the name of the pod, the dyno or the
    /// service. A launch under the name of an executor that did not shut down takes over its workflows at
    /// once.
    ///
    /// The default is a name that is unique for each launch. Then the workflows of a dead process are taken
    /// over when its lease expires, or within a second by any process on the same host.
    pub fn executor_id(mut self, id: impl Into<String>) -> Self {
        self.executor_id = Some(id.into());
        self
    }

    /// Sets the version of the program that is recorded with each workflow. The default is the beginning of the
    /// executable's build id, and without one a hash of the executable: equal wherever the same build runs.
    pub fn application_version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Sets which workflows of other versions this process runs. The default is [`VersionPolicy::Adopt`].
    ///
    /// With [`VersionPolicy::Pin`] keep a process of the earlier version until
    /// [`versions`](crate::Durable::versions) shows nothing in flight of it.
    pub fn version_policy(mut self, policy: VersionPolicy) -> Self {
        self.version_policy = policy;
        self
    }

    /// Takes workflows only from the queues with these names. The default is all queues of the program. With
    /// an empty list the process only enqueues.
    ///
    /// Workflows that are delayed or debounced without a queue are taken by every process.
    ///
    /// [`launch`](Self::launch) fails if the program has no queue of one of these names.
    pub fn listen_to<Q: AsRef<str>>(mut self, queues: impl IntoIterator<Item = Q>) -> Self {
        self.listen_to = Some(queues.into_iter().map(|it| it.as_ref().to_owned()).collect());
        self
    }

    /// Limits how many directly started or recovered workflows run at once in this process; further ones
    /// wait. The default is no limit; 0 is an error.
    ///
    /// Children do not count, because their parents wait for them. Workflows from queues do not count
    /// either: their limit is the queue's [`worker_concurrency`](crate::Queue::worker_concurrency), 1,000 by
    /// default.
    pub fn max_concurrent_workflows(mut self, max: usize) -> Self {
        self.max_concurrent = Some(max);
        self
    }

    /// Sets how many steps that block run at once in this process: those whose function is not `async`. Each
    /// has a thread of the engine's own, named `durable-step-N`, which is made when it is needed and ends
    /// when it has been idle for ten seconds. A further step waits for a thread, which counts for its timeout,
    /// and its workflow's task does not block. The default is 512.
    pub fn max_blocking_steps(mut self, max: usize) -> Self {
        self.max_blocking_steps = max;
        self
    }

    /// Limits the size of an argument list, a result or a record, in bytes of JSON. The default is 8 MiB. A
    /// larger value is refused before anything is written, with an error that names both sizes.
    pub fn max_payload(mut self, bytes: usize) -> Self {
        self.max_payload = bytes;
        self
    }

    /// Sets how long this executor counts as alive after a heartbeat. It sends one every third of that time.
    /// The default is 15 s, the minimum 100 ms. A shorter lease detects dead processes sooner and costs more
    /// queries.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Limits how many connections to Postgres this process opens, in all. The default is 20; at least 4 are
    /// needed. They are opened when needed, and no more than the role's `connection limit`.
    ///
    /// One or two (from 16 on) are for commits, one listens for notifications (from 5 on), one or two (from 12 on) are
    /// for leases. Of the others five eighths are for users' transactions, and the rest for everything else that the
    /// engine does, so that it never waits for users' transactions: of 20 connections 9 are for transactions. A launch
    /// opens one more for a moment, while it migrates the schema.
    ///
    /// On SQLite it has no effect: there is one connection that writes, and up to four that read.
    pub fn connections(mut self, connections: u32) -> Self {
        self.store_settings.connections = connections;
        self
    }

    /// Sets how long Postgres has to answer each statement of the engine. The default is 10 s. A connection that
    /// is silent for longer is closed, and another one is opened. Statements of users' transactions are not
    /// limited; a heartbeat has a third of the [`lease`](Self::lease) at most.
    pub fn statement_timeout(mut self, timeout: Duration) -> Self {
        self.store_settings.statement_timeout = timeout;
        self
    }

    /// Sets after how long without a statement Postgres ends a `#[transaction]`, so that a process that is
    /// stopped or cut off does not hold its locks forever. The default is 1 min, or the
    /// `idle_in_transaction_session_timeout` of the role if that is shorter.
    ///
    /// A transaction that waits on a connection that fell silent runs again on another one once Postgres has ended
    /// its session. An executor that takes over from a process ends the sessions of that process at once.
    pub fn transaction_idle_timeout(mut self, timeout: Duration) -> Self {
        self.store_settings.transaction_idle_timeout = timeout;
        self
    }

    /// Sets for how long [`launch`](Self::launch) tries again while the database cannot be used for a reason that
    /// may pass: it starts, has too many connections, or another launch is migrating it. The default is 30 s.
    pub fn launch_timeout(mut self, timeout: Duration) -> Self {
        self.launch_timeout = timeout;
        self
    }

    /// Limits how long a `#[transaction]` is tried again when each attempt loses its connection or has a statement
    /// cancelled. The default is 1 min; there are at least 5 such attempts. After that the call returns an error
    /// of the kind [`Unavailable`](crate::ErrorKind::Unavailable), or what the function returned last if its
    /// error type has no `From<durable::Error>`.
    ///
    /// An outage of the database does not count: a transaction that cannot begin waits until it can.
    pub fn transaction_retry_limit(mut self, limit: Duration) -> Self {
        self.transaction_retry_limit = limit;
        self
    }

    /// Deletes workflows in the background when their time after their end is over: see [`Retention`]. The default
    /// keeps them.
    ///
    /// One process of the fleet does it at a time, whichever lives, among those that have a policy. Give all of them
    /// the same one.
    pub fn retention(mut self, policy: Retention) -> Self {
        self.retention = Some(policy);
        self
    }

    /// Sets how spans of `tracing` carry the W3C trace context, so that a workflow continues the trace of the call that
    /// started it. The default with the feature `opentelemetry` is that of the layer of `tracing-opentelemetry`, and without it
    /// there is none: see [`TraceContext`].
    pub fn trace_context(mut self, context: impl TraceContext) -> Self {
        self.traces.context = Some(Arc::new(context));
        self
    }

    /// Also logs what the body of a workflow logs while it replays what an earlier run has recorded, and makes the spans
    /// that the body makes there. That run has logged it already, so without this nothing is logged twice.
    pub fn log_replays(mut self) -> Self {
        self.traces.log_replays = true;
        self
    }

    /// Allows [`Durable::reset_system_database`], for tests and development.
    pub fn allow_reset(mut self) -> Self {
        self.allow_reset = true;
        self
    }

    /// Not public API: for tests that count commits: how long a record may wait while the body computes.
    #[cfg(feature = "testing")]
    #[doc(hidden)]
    pub fn record_delay(mut self, delay: Duration) -> Self {
        self.record_delay = delay;
        self
    }

    /// Not public API: the engine has the mocks and the patience of this one, for tests that launch one after the other.
    #[cfg(feature = "testing")]
    #[doc(hidden)]
    pub fn test_settings_of(mut self, app: &Durable) -> Self {
        self.mocks = app.runtime().mocks.clone();
        self.rest.set_patience(app.runtime().rest.patience());
        self
    }

    /// Not public API: another store, to count, delay or fail its calls.
    #[cfg(feature = "testing")]
    #[doc(hidden)]
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// Not public API: the engine's time is one that the test moves, with [`Durable::advance`]. A store that is given
    /// was opened for that, too.
    #[cfg(feature = "testing")]
    #[doc(hidden)]
    pub fn virtual_time(mut self) -> Self {
        self.store_settings.moves_clock = true;
        self.rest.watch();
        self
    }

    /// Not public API: transactions for another kind of database are refused when they are called, and not at launch. A
    /// test on SQLite may run the parts of a program that do not call them.
    #[cfg(feature = "testing")]
    #[doc(hidden)]
    pub fn accept_other_transactions(mut self) -> Self {
        self.checks_transactions = false;
        self
    }

    /// Launches the engine: see [`Durable::launch`].
    ///
    /// # Errors
    /// A launch that fails leaves nothing running. The error's kind is the reason:
    ///
    /// * [`Config`](crate::ErrorKind::Config): a setting is wrong, the schema belongs to another application, two
    ///   workflows have the same name, all transactions are for another kind of database, or the tokio runtime has
    ///   no timers or no IO;
    /// * [`Database`](crate::ErrorKind::Database): the database cannot be reached, is not writable, or was
    ///   created by a newer release;
    /// * [`ShuttingDown`](crate::ErrorKind::ShuttingDown): an engine of the same application is still
    ///   shutting down in this process.
    pub async fn launch(self) -> Result<Durable> {
        self.check()?;
        launch::launch(self).await
    }

    fn check(&self) -> Result<()> {
        check_id("the application's name", &self.name)?;
        if let Some(id) = &self.executor_id {
            check_id("the executor id", id)?;
        }
        check_id("the schema", &self.schema)?;
        if self.max_blocking_steps == 0 {
            return Err(config_error("`max_blocking_steps(0)` lets no blocking step run; give it 1 or more"));
        }
        if self.max_concurrent == Some(0) {
            return Err(config_error("`max_concurrent_workflows(0)` lets no workflow run; leave it out for no limit"));
        }
        if self.store_settings.connections < 4 {
            return Err(config_error(format!(
                "`connections({})` is too few; at least 4 are needed",
                self.store_settings.connections
            )));
        }
        self.retention.as_ref().map_or(Ok(()), Retention::check)?;
        let shortest = Duration::from_millis(10);
        if self.store_settings.statement_timeout < shortest || self.store_settings.transaction_idle_timeout < shortest {
            return Err(config_error("a timeout of less than 10 ms leaves the database no time"));
        }
        if self.lease < Duration::from_millis(100) {
            return Err(config_error(format!("a lease of {:?} is too short; use at least 100 ms", self.lease)));
        }
        Ok(())
    }

    /// The database's URL: from the setting, the environment, or the application's name.
    ///
    /// # Errors
    /// The variable is set and holds no URL; or the name is needed for the file's name, and contains a path separator.
    pub(super) fn url(&self) -> Result<String> {
        if let Some(url) = &self.url {
            return Ok(url.clone());
        }
        std::env::var_os(URL_VARIABLE).map_or_else(|| default_url(&self.name), url_of_variable)
    }
}

/// The URL in the environment variable. An empty one is a mistake of the deployment, such as a secret that is missing:
/// with the default the workflows would be in a file that the next deployment does not have.
fn url_of_variable(value: OsString) -> Result<String> {
    match value.into_string() {
        Ok(url) if !url.trim().is_empty() => Ok(url),
        Ok(_) => Err(config_error(format!(
            "the environment variable `{URL_VARIABLE}` is empty; set it to the database's URL, or unset it for the SQLite file of the application's name"
        ))),
        Err(_) => Err(config_error(format!("the environment variable `{URL_VARIABLE}` is not UTF-8"))),
    }
}

/// The URL of the file `<name>.sqlite` in the working directory.
fn default_url(name: &str) -> Result<String> {
    if name.contains(['/', '\\']) {
        return Err(config_error(format!(
            "the application's name {name:?} cannot be used as a file name: choose one without `/` and `\\`, or set the database with `.system_database(\"sqlite:///path/to/file.sqlite\")` or `{URL_VARIABLE}`"
        )));
    }
    // These two characters have a meaning in a URL.
    Ok(format!("sqlite:{}.sqlite", name.replace('%', "%25").replace('?', "%3F")))
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may hold a password.
        write!(f, "Builder({:?})", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_variable_is_refused_instead_of_taken_for_unset() {
        for empty in ["", "  "] {
            let text = url_of_variable(empty.into()).expect_err("it names no database").to_string();
            assert!(text.contains("`DURABLE_DATABASE_URL` is empty"), "{text}");
        }
        assert_eq!(url_of_variable("sqlite::memory:".into()).expect("it is a URL"), "sqlite::memory:");
    }

    #[test]
    fn the_default_file_is_in_the_working_directory_or_the_name_is_refused() {
        for path in ["../x", "a/b", "/x", "a\\b", "..\\x"] {
            let text = default_url(path).expect_err("it is a path").to_string();
            assert!(text.contains(&format!("{path:?}")) && text.contains(".system_database("), "{text}");
        }
        for (name, url) in [
            ("my app", "sqlite:my app.sqlite"),
            // Unusual file names, but in this folder.
            (".", "sqlite:..sqlite"),
            ("..", "sqlite:...sqlite"),
            ("..%2Fx", "sqlite:..%252Fx.sqlite"),
            ("what?mode=memory", "sqlite:what%3Fmode=memory.sqlite"),
        ] {
            assert_eq!(default_url(name).expect("it is no path"), url);
        }
    }
}
