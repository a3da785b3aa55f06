//! The operations of [`Durable`] that are also free functions. The free functions find the engine by
//! themselves; these use this one, and serve programs with several engines.

use std::future::Future;
use std::sync::Arc;

#[cfg(any(feature = "sqlite", feature = "postgres"))]
use serde::Serialize;

use crate::engine::durable::Durable;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
use crate::operations::outbox;
use crate::operations::workflow_handle::WorkflowHandle;
use crate::operations::{step_context, wait_many};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
use crate::store::Outbox;
use crate::types::error::{Error, Result};
use crate::types::version_policy::DeployReport;

impl Durable {
    /// Sends a message as a part of a transaction of the program's own: see [`send_in`](crate::send_in).
    ///
    /// # Errors
    /// As [`send_in`](crate::send_in).
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub async fn send_in<C, T>(
        &self,
        tx: &mut C,
        workflow_id: impl AsRef<str> + Send,
        topic: impl Into<String> + Send,
        message: &T,
    ) -> Result<()>
    where
        C: Outbox + ?Sized,
        T: Serialize + ?Sized + Sync,
    {
        outbox::send_in_with(self.runtime(), tx, workflow_id.as_ref(), &topic.into(), message).await
    }

    /// Waits for all of these workflows: see [`wait_all`](crate::wait_all).
    pub fn wait_all<T, E>(
        &self,
        handles: impl IntoIterator<Item = WorkflowHandle<T, E>>,
    ) -> impl Future<Output = Vec<Result<T, E>>> + Send
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        wait_many::wait_all(handles)
    }

    /// Waits until one of these workflows has ended, and returns its index: see
    /// [`wait_first`](crate::wait_first).
    ///
    /// # Errors
    /// As [`wait_first`](crate::wait_first).
    pub fn wait_first<T, E>(
        &self,
        handles: &[WorkflowHandle<T, E>],
    ) -> impl Future<Output = Result<usize>> + Send + use<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        wait_many::wait_first(handles)
    }

    /// The value that the builder was given with `.state(value)`, by its type: see
    /// [`state`](crate::state).
    ///
    /// # Panics
    /// When the builder was given no value of this type.
    #[must_use]
    pub fn state<T: Send + Sync + 'static>(&self) -> Arc<T> {
        step_context::state_of(self.runtime())
    }

    /// How the workflows that were in flight at the launch match the present code. The launch looks for workflows whose
    /// function has changed since they were started, and verifies them in the background as
    /// [`verify_replay`](crate::verify_replay) does: at most 1,000, for at most 30 s. This returns once that is over.
    ///
    /// The same is logged, a line for each function: as a warning if some do not fit.
    pub async fn deploy_report(&self) -> DeployReport {
        let mut report = self.runtime().deploy_report.subscribe();
        let known = report.wait_for(Option::is_some).await; // the sender lives as long as this handle
        known.ok().and_then(|it| it.clone()).unwrap_or_default()
    }
}
