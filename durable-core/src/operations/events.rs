//! Events: values that a workflow publishes under a name.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::journal::checkpoint::{Operation, OperationResult};
use crate::journal::context::CallSite;
use crate::journal::current_engine;
use crate::journal::reserved_position::ReservedPosition;
use crate::operations::caller_errors::interrupted_for;
use crate::operations::look::Look;
use crate::operations::publish;
use crate::operations::wait_timeout::{BodyWait, WaitingCall, wait_outside};
use crate::runtime::Runtime;
use crate::runtime::activity::Activity;
use crate::store::{PublicationKind, StoredEventValue};
use crate::types::error::{Error, ErrorKind, Result};
use crate::types::id::{check_id, check_name};
use crate::types::payload::{Codec, Outcome, Payload, RecordedError, decode, encode};
use crate::wait::poll_batch::{Publisher, WaitFor, WaitResult};

/// Sets an event of this workflow: a value under a name, which any process can read with [`get_event`],
/// now and after the workflow's end. Setting it again replaces the value; the earlier values stay as its
/// [history](event_history).
///
/// In the workflow's body it is recorded, and set exactly once; it is written with the next commit of
/// the workflow. In a step it is written at once, and again if the step runs again.
///
/// # Errors
/// It was called outside a workflow or in a transaction; the value cannot be written as JSON or is
/// too large.
///
/// # Example
///
/// ```no_run
/// # use durable_core as durable;
/// # async fn example() -> durable::Result<()> {
/// durable::set_event("payment_url", "https://pay.example/77").await?;
/// # Ok(())
/// # }
/// ```
pub fn set_event<N: Into<String>, T: Serialize + ?Sized>(
    name: N,
    value: &T,
) -> impl Future<Output = Result<()>> + Send + use<N, T> {
    let (name, value, call_site) = (name.into(), encode(value), CallSite::here());
    async move { publish::publish(&call_site, PublicationKind::Event, &name, value).await }
}

/// Reads an event of a workflow, and waits up to `timeout` until it is set. Returns `None` after the
/// timeout, or when the workflow has ended without setting it. The workflow need not be started yet, and
/// may run in any process.
///
/// In a workflow's body the value is recorded, and so is the deadline, which holds across restarts.
/// Elsewhere nothing is recorded.
///
/// # Errors
/// The value does not read as a `T` (in a body that parks the workflow); the process shuts down; it
/// was called in a transaction; the database cannot be reached.
///
/// # At shutdown
/// In a body the wait is suspended at once, and the workflow continues in another process or after the
/// restart. Elsewhere the error is [`ErrorKind::Interrupted`].
///
/// # Example
///
/// ```no_run
/// # use durable_core as durable;
/// # use std::time::Duration;
/// # async fn example() -> durable::Result<()> {
/// let url: Option<String> = durable::get_event("order-1001", "payment_url", Duration::from_secs(30)).await?;
/// # Ok(())
/// # }
/// ```
pub fn get_event<T: Payload>(
    workflow_id: impl AsRef<str>,
    name: impl AsRef<str>,
    timeout: Duration,
) -> impl Future<Output = Result<Option<T>>> + Send {
    read_event(workflow_id.as_ref(), name.as_ref(), timeout, None)
}

/// Reads an event. Outside any workflow it uses the given engine.
pub(crate) fn read_event<T: Payload>(
    id: &str,
    name: &str,
    timeout: Duration,
    engine: Option<Arc<Runtime>>,
) -> impl Future<Output = Result<Option<T>>> + Send + use<T> {
    let call_site = CallSite::here();
    let query = EventQuery { id: id.into(), name: name.into(), timeout };
    async move {
        match call_site {
            CallSite::Body(reserved) => query.in_body(&reserved).await,
            CallSite::Outside | CallSite::Step(_) => {
                query.outside(&*engine.map_or_else(current_engine::engine, Ok)?).await
            }
            CallSite::Transaction(scope) => Err(scope.refusal("`durable::get_event`")),
        }
    }
}

/// The event to read.
struct EventQuery {
    id: Arc<str>,
    name: Arc<str>,
    timeout: Duration,
}

impl EventQuery {
    fn wait_for(&self, in_body: bool) -> WaitFor {
        let of = Box::new(Publisher { id: Arc::clone(&self.id), name: Arc::clone(&self.name) });
        WaitFor::Event { of, parked_counts: !in_body }
    }

    fn check(&self) -> Result<()> {
        check_id("the workflow id", &self.id)?;
        check_name("the event's name", &self.name)
    }

    /// It is unknown whether the workflow exists: an event can be awaited before the workflow is started.
    fn interrupted(&self) -> Error {
        interrupted_for(&format!("the event {:?} of the workflow {:?}", self.name, self.id))
    }

    async fn outside<T: DeserializeOwned>(&self, runtime: &Runtime) -> Result<Option<T>> {
        self.check()?;
        let waited = wait_outside(runtime, &self.id, self.wait_for(false), self.timeout)
            .await
            .map_err(|()| self.interrupted())?;
        match waited {
            Some(WaitResult::Event(Some(value))) => self.read(&value).map(Some),
            Some(WaitResult::Parked) => {
                let message = format!("the workflow {:?} is parked and has not set its event {:?}", self.id, self.name);
                Err(Error::new(ErrorKind::Parked, message))
            }
            _ => Ok(None),
        }
    }

    async fn in_body<T: Payload>(&self, reserved: &ReservedPosition) -> Result<Option<T>> {
        self.check()?;
        let operation = Operation::get_event(&self.name);
        reserved.check_same_body("get_event").await;
        if let Some(record) = reserved.replayed(operation).await {
            return match &record.outcome {
                None => Ok(None),
                Some(Outcome::Error(text)) => Err(RecordedError::from_text(text).into_error()),
                Some(Outcome::Output(_)) => Ok(Some(reserved.decode(Codec::PLAIN, record).await)),
            };
        }
        if *self.id == *reserved.execution.row.id {
            reserved.ensure_accepting_and_flushed().await; // so that it sees an event that it has just set itself
        } else {
            reserved.ensure_accepting().await;
        }
        let mut waiting = BodyWait::new(reserved, WaitingCall::GetEvent, &self.id, self.wait_for(true), self.timeout);
        let waited = waiting.next(|| Activity::Event(Arc::clone(&self.name))).await;
        let value = match waited {
            Some(WaitResult::Event(value)) => value,
            _ => None,
        };
        let read = value.as_deref().map(|text| self.read(text)).transpose();
        let outcome = match &read {
            Ok(_) => value.map(Outcome::Output),
            Err(error) => Some(Outcome::Error(RecordedError::from_engine(error).to_text())),
        };
        let child = Some(self.id.to_string());
        reserved
            .record_result(operation, OperationResult { outcome, child, attempts: 1, ..OperationResult::default() })
            .await;
        read
    }

    fn read<T: DeserializeOwned>(&self, text: &str) -> Result<T> {
        decode(text).map_err(|error| {
            let message = format!("the event {:?} of the workflow {:?} cannot be read: {error}", self.name, self.id);
            Error::new(ErrorKind::Payload, message).with_payload(text)
        })
    }
}

/// A value that an event had, and when it was set. As JSON the time is RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EventValue<T> {
    /// When it was set, by the database's clock.
    pub set_at: DateTime<Utc>,
    /// The value.
    pub value: T,
}

/// Every value that an event had, the oldest first; empty if it was never set.
///
/// In a workflow's body the answer is recorded, at a position that is reserved when this is called.
///
/// # Errors
/// A value does not read as a `T`; no engine runs; it was called in a transaction; the database cannot be
/// reached (in a body the workflow waits for it).
///
/// # Example
///
/// ```no_run
/// # use durable_core as durable;
/// # async fn example() -> durable::Result<()> {
/// for status in durable::event_history::<String>("order-1001", "status").await? {
///     println!("{} {}", status.set_at, status.value);
/// }
/// # Ok(())
/// # }
/// ```
pub fn event_history<T: Payload>(
    workflow_id: impl AsRef<str>,
    name: impl AsRef<str>,
) -> impl Future<Output = Result<Vec<EventValue<T>>>> + Send {
    history(None, workflow_id.as_ref(), name.as_ref())
}

/// The history of an event, read with this engine.
pub(crate) fn history<T: Payload>(
    engine: Option<&Arc<Runtime>>,
    id: &str,
    name: &str,
) -> impl Future<Output = Result<Vec<EventValue<T>>>> + Send + use<T> {
    let look = Look::through(engine);
    let asked = EventQuery { id: id.into(), name: name.into(), timeout: Duration::ZERO };
    async move {
        asked.check()?;
        let question = |runtime: Arc<Runtime>| {
            let (id, name) = (Arc::clone(&asked.id), Arc::clone(&asked.name));
            async move {
                let values = runtime.store.event_history(&id, &name).await?;
                Ok(values.into_iter().map(|stored| read_value(&id, &name, &stored)).collect())
            }
        };
        look.ask(Operation::on("event_history", &asked.name), "read the history of an event", question).await
    }
}

fn read_value<T: DeserializeOwned>(id: &str, name: &str, stored: &StoredEventValue) -> Result<EventValue<T>> {
    let value = decode(&stored.value).map_err(|error| {
        let message = format!("a value of the event {name:?} of the workflow {id:?} cannot be read: {error}");
        Error::new(ErrorKind::Payload, message)
    })?;
    Ok(EventValue { set_at: stored.at.to_date(), value })
}
