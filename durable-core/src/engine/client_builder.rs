//! The settings of a client, and what prepares a database for its applications and clients.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::builder::Builder;
use crate::engine::client::Client;
use crate::engine::launch::{self, RuntimeParts};
use crate::engine::launch_patience::LaunchPatience;
use crate::engine::lock_file_check;
use crate::engine::tasks::Background;
use crate::engine::tokio_check;
use crate::engine::waiting_work_check;
use crate::operations::reset::refuse_others;
use crate::registry::{Registry, Resources};
use crate::runtime::lease::Lease;
use crate::store::{self, Epoch, ExecutorKey, Fence, NewExecutor, RoleAccess, Store, StoreErrorKind, StoreSettings};
use crate::types::boot_time::boot_time;
use crate::types::diagnosis::Diagnosis;
use crate::types::error::{Error, ErrorKind, Result, config_error};
use crate::types::id::KeyMaker;
use crate::writer::Writer;

/// The connections of a client, if nothing else is set.
const CONNECTIONS: u32 = 5;
/// How long a client waits for a database that cannot be used yet.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the connections of an administrative call have to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);
/// The name of a client where an engine has that of its application.
const NAME: &str = "durable client";

/// The settings of a client that is not connected yet. Made by [`Client::builder`].
#[must_use = "nothing happens before `.connect().await`"]
#[derive(Clone)]
pub struct ClientBuilder {
    url: String,
    schema: String,
    connections: u32,
    connect_timeout: Duration,
    /// The values of the application whose functions the client has, if it has them.
    functions: Option<Resources>,
}

impl ClientBuilder {
    pub(super) fn new(url: String) -> Self {
        let schema = "durable".to_owned();
        Self { url, schema, connections: CONNECTIONS, connect_timeout: CONNECT_TIMEOUT, functions: None }
    }

    /// Sets the Postgres schema of the tables. The default is `durable`, as for
    /// [`Builder::schema`](crate::Builder::schema). On SQLite it has no effect.
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = schema.into();
        self
    }

    /// Sets the largest number of connections to Postgres: 5 without this call, at least 2. One of them listens for
    /// notifications; with 2 there is none for that, and the client polls instead.
    pub fn connections(mut self, most: u32) -> Self {
        self.connections = most;
        self
    }

    /// Sets how long [`connect`](Self::connect) waits for a database that does not answer: 10 seconds without this
    /// call.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Gives the client the functions of this program, with the state and the instances of this builder, so that it
    /// [verifies replays](Client::verify_replay). It runs no workflow all the same, and the builder's other settings have
    /// no effect.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # use durable_core as durable;
    /// use durable::{Client, Durable, Filter, Status};
    ///
    /// # async fn example(url: &str) -> durable::Result<()> {
    /// let client = Client::builder(url).functions_of(Durable::builder("shop")).connect().await?;
    /// for report in client.verify_replays(Filter::new().status(Status::Parked)).await? {
    ///     println!("{}: {report}", report.id);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn functions_of(mut self, application: Builder) -> Self {
        self.functions = Some(application.resources);
        self
    }

    /// Connects. The schema has to be there, and of this release: a client neither creates nor migrates it.
    ///
    /// # Errors
    /// The URL cannot be read; the database cannot be reached; its schema is missing, older or newer than this
    /// release; this is not a tokio runtime with timers and IO.
    pub async fn connect(self) -> Result<Client> {
        if self.connections < 2 {
            let message = format!("a client needs at least 2 connections, and is set to {}", self.connections);
            return Err(config_error(message));
        }
        let tokio = tokio_check::runtime()?;
        let registry = if self.functions.is_some() { Registry::collect()? } else { Registry::empty() };
        let patience = LaunchPatience::new(self.connect_timeout, self.connections);
        let store = self.open(&patience).await?;
        let connected = self.connect_on(patience, tokio, registry, Arc::clone(&store)).await;
        if connected.is_err() {
            close(&*store).await;
        }
        connected
    }

    async fn connect_on(
        &self,
        patience: LaunchPatience,
        tokio: tokio::runtime::Handle,
        registry: Registry,
        store: Arc<dyn Store>,
    ) -> Result<Client> {
        let shown = store.location().to_string();
        let missing = patience.call(|| store.missing_migrations()).await.map_err(|error| match error.kind {
            StoreErrorKind::Foreign => Error::new(ErrorKind::Config, error.message),
            _ => launch::cannot("read", &shown, &error),
        })?;
        if !missing.is_empty() {
            return Err(self.not_migrated(&shown, &missing));
        }
        let clock = patience
            .call(|| Box::pin(launch::read_clock(&*store)))
            .await
            .map_err(|error| launch::cannot("read", &shown, &error))?;

        let mut settings = Builder::new(NAME.to_owned()).schema(&self.schema);
        settings.store_settings = self.store_settings();
        settings.resources = self.functions.clone().unwrap_or_default();
        // No executor has the key 0, so this fence never holds.
        let fence = Fence { executor: ExecutorKey::new(0), epoch: Epoch::new(0) };
        let executor = NewExecutor {
            key: fence.executor,
            name: NAME.to_owned(),
            host: String::new(),
            lock_file: None,
            version: String::new(),
            takes: None,
            lease: settings.lease,
        };
        let parts = RuntimeParts {
            tokio,
            registry,
            store,
            keys: KeyMaker::new(),
            executor: &executor,
            fence,
            lease: Lease::new(settings.lease, fence.executor, boot_time()),
            clock,
            writer: Writer::new().0, // nothing is written through it
        };
        let (runtime, background) = (Arc::new(parts.into_runtime(&settings)), Background::default());
        launch::spawn_tasks_of_waits(&runtime, &background);
        Ok(Client::new(runtime, background))
    }

    /// Brings the schema up to date, as a launch does, and creates it if it is missing; a file of SQLite, too. Returns
    /// the names of the migrations that were carried out.
    ///
    /// # Errors
    /// The database cannot be reached, its schema is newer than this release, or the role may not create tables.
    pub async fn migrate(&self) -> Result<Vec<String>> {
        let patience = LaunchPatience::new(self.connect_timeout, self.connections);
        let settings = StoreSettings { for_client: false, ..self.store_settings() };
        let settings = StoreSettings { connections: settings.connections.max(4), ..settings };
        let opened = patience.call(|| Box::pin(store::open_with(&self.url, &self.schema, settings))).await;
        let store = opened.map_err(|error| Error::new(ErrorKind::Database, error.message))?;
        let shown = store.location().to_string();
        let migrated = async {
            let missing = store.missing_migrations().await?;
            patience.call(|| store.migrate()).await?;
            Ok(missing)
        };
        let migrated = migrated.await.map_err(|error| launch::cannot("prepare", &shown, &error));
        close(&*store).await;
        migrated
    }

    /// The names of the migrations that the database does not have. Nothing is written.
    ///
    /// # Errors
    /// The database cannot be reached, or its schema is newer than this release.
    pub async fn missing_migrations(&self) -> Result<Vec<String>> {
        let patience = LaunchPatience::new(self.connect_timeout, self.connections);
        let store = self.open(&patience).await?;
        let shown = store.location().to_string();
        let missing = patience.call(|| store.missing_migrations()).await;
        close(&*store).await;
        missing.map_err(|error| match error.kind {
            StoreErrorKind::Foreign => Error::new(ErrorKind::Config, error.message),
            _ => launch::cannot("read", &shown, &error),
        })
    }

    /// The SQL that prepares an empty database, for an administrator to run. It connects to nothing.
    ///
    /// # Errors
    /// The URL cannot be read, or no schema can have the name.
    pub fn migration_script(&self) -> Result<String> {
        store::migration_script(&self.url, &self.schema).map_err(|error| config_error(error.message))
    }

    /// Gives a role of Postgres the privileges that it needs on a schema that is up to date, and returns the
    /// statements.
    ///
    /// # Errors
    /// There is no such role, or the own role may not grant this; the database cannot be reached, or is one of SQLite.
    pub async fn grant(&self, role: impl AsRef<str>, access: RoleAccess) -> Result<Vec<String>> {
        let role = role.as_ref();
        let patience = LaunchPatience::new(self.connect_timeout, self.connections);
        let store = self.open(&patience).await?;
        let shown = store.location().to_string();
        let granted = async {
            let missing = store.missing_migrations().await?;
            if missing.is_empty() { Ok(Ok(store.grant(role, access).await?)) } else { Ok(Err(missing)) }
        };
        let granted = granted.await;
        close(&*store).await;
        match granted {
            Ok(Ok(statements)) => Ok(statements),
            Ok(Err(missing)) => Err(self.not_migrated(&shown, &missing)),
            Err(error) => Err(launch::cannot("grant privileges in", &shown, &error)),
        }
    }

    /// Deletes all workflows, queues and schedules, for tests and development: what
    /// [`reset_system_database`](crate::Durable::reset_system_database) does for an engine. `name` is the name of the
    /// database, or of the file of SQLite, once more, so that a wrong URL does no harm.
    ///
    /// # Errors
    /// The database has another name, or an executor uses it: nothing was deleted
    /// ([`ErrorKind::Refused`](crate::ErrorKind::Refused)). The database cannot be reached, or its schema is missing or of
    /// another release.
    pub async fn reset(&self, name: impl AsRef<str>) -> Result<()> {
        let patience = LaunchPatience::new(self.connect_timeout, self.connections);
        let store = self.open(&patience).await?;
        let reset = self.reset_on(&*store, name.as_ref()).await;
        close(&*store).await;
        reset
    }

    async fn reset_on(&self, store: &dyn Store, name: &str) -> Result<()> {
        let (location, shown) = (store.location(), store.location().to_string());
        if location.database_name().as_deref() != Some(name) {
            let known = location
                .database_name()
                .map_or_else(|| "a database without a name".to_owned(), |it| format!("the database {it:?}"));
            let message =
                format!("{shown} is {known} and not {name:?}, so nothing was deleted: give its name, or another URL");
            return Err(Error::new(ErrorKind::Refused, message));
        }
        let cannot = |error| launch::cannot("reset", &shown, &error);
        let missing = store.missing_migrations().await.map_err(cannot)?;
        if !missing.is_empty() {
            return Err(self.not_migrated(&shown, &missing));
        }
        let none = ExecutorKey::new(0); // no executor has this key
        refuse_others(store, none).await.map_err(cannot)??;
        store.reset(none).await.map_err(cannot)
    }

    /// Looks at the database for what keeps applications from working, or slows them down: the server and its version,
    /// the role's privileges, connections, poolers, notifications, clocks, encryption, the schema, the collation; the
    /// file of SQLite, its journal mode and its disk; the lock files of executors on this host; workflows that no
    /// living executor takes; and parked ones. Nothing is changed.
    pub async fn diagnose(&self) -> Diagnosis {
        let mut diagnosis = store::diagnose(&self.url, &self.schema).await;
        if !diagnosis.is_usable() {
            return diagnosis;
        }
        if let Ok(store) = store::open_with(&self.url, &self.schema, self.store_settings()).await {
            if let Ok(executors) = store.executors().await {
                lock_file_check::check(&mut diagnosis, &executors, &store.location(), &self.schema);
            }
            if let (Ok(waiting), Ok(taken)) = (store.waiting_work().await, store.taken_work().await) {
                waiting_work_check::check(&mut diagnosis, &taken, &waiting);
            }
            waiting_work_check::check_parked(&mut diagnosis, &*store).await;
            close(&*store).await;
        }
        diagnosis
    }

    async fn open(&self, patience: &LaunchPatience) -> Result<Arc<dyn Store>> {
        let settings = self.store_settings();
        let opened = patience.call(|| Box::pin(store::open_with(&self.url, &self.schema, settings))).await;
        opened.map_err(|error| match error.kind {
            StoreErrorKind::Refused => config_error(error.message),
            _ => Error::new(ErrorKind::Database, error.message),
        })
    }

    fn store_settings(&self) -> StoreSettings {
        StoreSettings { connections: self.connections, for_client: true, ..StoreSettings::default() }
    }

    fn not_migrated(&self, shown: &str, missing: &[String]) -> Error {
        let (all, listed) = (missing.iter().any(|it| it.starts_with("1 ")), missing.join(", "));
        let is_file = self.url.starts_with("sqlite:");
        let place = if is_file { shown.to_owned() } else { format!("the schema {:?} of {shown}", self.schema) };
        let problem = if all {
            format!("{place} has no tables of durable")
        } else {
            format!("{place} is older than this release: it has not got the migrations {listed}")
        };
        let message = format!(
            "{problem}; a client does not create or change them: launch the application there, or run `durable migrate`"
        );
        Error::new(ErrorKind::Config, message)
    }
}

async fn close(store: &dyn Store) {
    store.close_work_pool();
    // Closing takes a round trip to the database, which may be what does not answer.
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, store.close()).await;
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may hold a password.
        write!(f, "ClientBuilder({})", store::shown_without_password(&self.url))
    }
}
