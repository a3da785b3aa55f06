//! Settings before the launch.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::app::{Durable, config_error};
use crate::engine::launch;
use crate::registry::{Instance, Resources};
use crate::store::{ApplicationDatabase, Store};
use crate::types::error::Result;
use crate::types::id::check_id;

/// The environment variable that names the database.
pub(crate) const URL_VARIABLE: &str = "DURABLE_DATABASE_URL";

/// Settings before the launch. Made by [`Durable::builder`].
#[must_use = "nothing happens before `.launch().await`"]
pub struct Builder {
    pub(super) name: String,
    pub(super) url: Option<String>,
    pub(super) schema: String,
    pub(super) store: Option<Arc<dyn Store>>,
    pub(super) databases: HashMap<String, ApplicationDatabase>,
    pub(super) objects: Resources,
    pub(super) executor_id: Option<String>,
    pub(super) version: Option<String>,
    pub(super) max_concurrent: Option<usize>,
    pub(super) max_payload: usize,
    pub(super) lease: Duration,
    pub(super) listen_to: Option<Vec<String>>,
}

impl Builder {
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            url: None,
            schema: "durable".to_owned(),
            store: None,
            databases: HashMap::new(),
            objects: Resources::default(),
            executor_id: None,
            version: None,
            max_concurrent: None,
            max_payload: 8 << 20,
            lease: Duration::from_secs(15),
            listen_to: None,
        }
    }

    /// The database: `sqlite:path/to/file.sqlite`, `sqlite::memory:` or `postgres://user@host/database`.
    ///
    /// By default the environment variable `DURABLE_DATABASE_URL`, else the file `<name>.sqlite` in
    /// the working directory; a name with `/` or `\` is no name of a file, and is refused then.
    pub fn system_database(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }

    /// The Postgres schema that the engine's tables are in. `durable` by default. SQLite has none:
    /// there the tables have the prefix `durable_`.
    pub fn schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = schema.into();
        self
    }

    /// A database of the application's own, for transactions: `#[transaction(database = "orders")]`.
    /// The pool is a `PgPool` or a `SqlitePool`, and stays the application's: it is not closed.
    ///
    /// The launch makes a table for the records of transactions in it, `durable.transaction_records`
    /// or `durable_transaction_records`, so that they commit together with the application's rows.
    pub fn database(mut self, name: impl Into<String>, pool: impl Into<ApplicationDatabase>) -> Self {
        self.databases.insert(name.into(), pool.into());
        self
    }

    /// Something for workflows and steps to find by its type with `durable::state::<T>()`: a client,
    /// a pool, the configuration. A second one of the same type takes the first one's place.
    pub fn state<T: Send + Sync + 'static>(mut self, state: T) -> Self {
        self.objects.add_state(state);
        self
    }

    /// An object whose methods are workflows: see [`Instance`]. Recovery finds it by its type and name.
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
        self.objects.add_instance(&instance);
        instance
    }

    /// The executor's name, stable across restarts: the name of the pod, of the dyno, of the
    /// service. A launch under the name of an executor that has not said goodbye takes over its
    /// workflows at once. Without a name, they are taken over when the lease has run out, or at
    /// once where the launch can see that the earlier process is dead: on the same host.
    pub fn executor_id(mut self, id: impl Into<String>) -> Self {
        self.executor_id = Some(id.into());
        self
    }

    /// The program's version, recorded with each workflow. By default a hash of the executable.
    pub fn application_version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Takes workflows from these queues only, by their names; from all queues of the program
    /// without this. An empty list takes from none: such a process only enqueues.
    ///
    /// What has a delay and no queue, and what is debounced without one, is taken by every process.
    pub fn listen_to<Q: AsRef<str>>(mut self, queues: impl IntoIterator<Item = Q>) -> Self {
        self.listen_to = Some(queues.into_iter().map(|it| it.as_ref().to_owned()).collect());
        self
    }

    /// How many of the workflows that were started directly run at once in this process, recovered ones
    /// among them; more wait for their turn. Unlimited by default.
    ///
    /// Children are not counted, because their parents wait for them. Nor are workflows from queues:
    /// of each queue as many run here as its [`worker_concurrency`](crate::Queue::worker_concurrency) says,
    /// and 1,000 if it says nothing.
    pub fn max_concurrent_workflows(mut self, most: usize) -> Self {
        self.max_concurrent = Some(most);
        self
    }

    /// The largest argument list, result or record, in bytes of JSON. 8 MiB by default. What is
    /// larger is refused with both sizes before anything is written.
    pub fn max_payload(mut self, bytes: usize) -> Self {
        self.max_payload = bytes;
        self
    }

    /// How long this executor counts as alive without a heartbeat; it sends one every third of that.
    /// 15 s by default, at least 100 ms. Shorter finds the dead sooner and costs more queries.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Not public API: a store of one's own, to count, delay or crash.
    #[cfg(feature = "testing")]
    #[doc(hidden)]
    pub fn store(mut self, store: Arc<dyn Store>) -> Self {
        self.store = Some(store);
        self
    }

    /// Launches the engine: see [`Durable::launch`].
    ///
    /// # Errors
    /// The settings are wrong, two workflows have one name, or the database cannot be opened, is not
    /// writable, or was made by a newer release. What was begun is undone.
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
        if self.max_concurrent == Some(0) {
            return Err(config_error("`max_concurrent_workflows(0)` would let nothing run; leave it out for no limit"));
        }
        if self.lease < Duration::from_millis(100) {
            return Err(config_error(format!("a lease of {:?} is too short; take at least 100 ms", self.lease)));
        }
        Ok(())
    }

    /// The URL, from the setting, the environment or the name.
    ///
    /// # Errors
    /// The name is wanted for a file, and would name one in another folder.
    pub(super) fn url(&self) -> Result<String> {
        let from_environment = || std::env::var(URL_VARIABLE).ok().filter(|it| !it.trim().is_empty());
        self.url.clone().or_else(from_environment).map_or_else(|| url_of(&self.name), Ok)
    }
}

/// The file in the working directory that an application without a database has.
fn url_of(name: &str) -> Result<String> {
    if name.contains(['/', '\\']) {
        return Err(config_error(format!(
            "the application's name {name:?} is no name of a file: take one without `/` and `\\`, or say where the database is with `.system_database(\"sqlite:///path/to/file.sqlite\")` or `{URL_VARIABLE}`"
        )));
    }
    // What means something else in a URL.
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
    fn the_default_file_lies_in_the_working_directory_or_the_name_is_refused() {
        for path in ["../x", "a/b", "/x", "a\\b", "..\\x"] {
            let text = url_of(path).expect_err("it is a path").to_string();
            assert!(text.contains(&format!("{path:?}")) && text.contains(".system_database("), "{text}");
        }
        for (name, url) in [
            ("my app", "sqlite:my app.sqlite"),
            // Strange files, and yet in this folder.
            (".", "sqlite:..sqlite"),
            ("..", "sqlite:...sqlite"),
            ("..%2Fx", "sqlite:..%252Fx.sqlite"),
            ("what?mode=memory", "sqlite:what%3Fmode=memory.sqlite"),
        ] {
            assert_eq!(url_of(name).expect("it is no path"), url);
        }
    }
}
