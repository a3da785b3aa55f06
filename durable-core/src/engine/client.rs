//! `Client`, for programs that steer workflows and run none.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::client_builder::ClientBuilder;
use crate::engine::tasks::Background;
use crate::runtime::Runtime;
use crate::store::{Hint, Location};
use crate::types::error::Result;
use crate::wait::shutdown_phase::EnginePhase;

/// How long [`Client::close`] waits for the tasks of the waits, and for the connections.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// A client of an application's database: it starts workflows by name, sends messages, waits for results, and lists
/// and controls what is there. It has no engine: it runs no workflow, has no executor and sends no heartbeats, so a
/// web server, a command line or a test can have one beside the processes that do the work.
///
/// Clones are the same client. End with [`close`](Self::close); handles that it gave are not of use afterwards.
///
/// # Example
///
/// ```no_run
/// # use durable_core as durable;
/// use durable::Client;
/// use serde_json::json;
///
/// # async fn example() -> durable::Result<()> {
/// let client = Client::connect("postgres://app@db/shop").await?;
/// let handle = client.enqueue("checkout", json!({"order": 8})).queue("orders").id("order-8").await?;
/// client.send("order-8", "payment", &250).await?;
/// let receipt: serde_json::Value = handle.result().await?;
/// client.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "the client is closed when this is dropped"]
pub struct Client {
    shared: Arc<ClientHandle>,
}

/// What the clones share.
struct ClientHandle {
    runtime: Arc<Runtime>,
    background: Background,
}

impl Client {
    /// Connects to the database of an application, with the default settings.
    ///
    /// # Errors
    /// As [`ClientBuilder::connect`].
    pub async fn connect(url: impl Into<String>) -> Result<Self> {
        Self::builder(url).connect().await
    }

    /// Configures a client before it connects.
    pub fn builder(url: impl Into<String>) -> ClientBuilder {
        ClientBuilder::new(url.into())
    }

    pub(super) fn new(runtime: Arc<Runtime>, background: Background) -> Self {
        Self { shared: Arc::new(ClientHandle { runtime, background }) }
    }

    /// Where the database is, without the password.
    #[must_use]
    pub fn location(&self) -> Location {
        self.runtime().store.location()
    }

    /// Closes the client: its waits end with [`ErrorKind::Interrupted`](crate::ErrorKind::Interrupted), and its
    /// connections are closed. All clones are closed with it. Nothing happens to the workflows.
    pub async fn close(&self) {
        let runtime = self.runtime();
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, runtime.calls.wait_until_empty()).await;
        let hints: Vec<Hint> = runtime.notifications.take();
        if !hints.is_empty()
            && let Err(error) = runtime.store.notify(&hints).await
        {
            tracing::debug!(target: "durable", %error, "cannot notify other processes");
        }
        runtime.shutdown.advance_to(EnginePhase::Closing);
        let background = &self.shared.background;
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, background.wait_for_end(EnginePhase::Closed)).await;
        background.abort(EnginePhase::Closed);
        // Closing takes a round trip to the database, which may be what does not answer.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, runtime.store.close()).await;
    }

    pub(super) fn runtime(&self) -> &Arc<Runtime> {
        &self.shared.runtime
    }
}

impl Drop for ClientHandle {
    fn drop(&mut self) {
        self.runtime.shutdown.advance_to(EnginePhase::Closing);
        self.background.abort(EnginePhase::Closed);
        self.runtime.store.close_work_pool();
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.location())
    }
}
