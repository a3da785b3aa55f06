//! Sending a message, and starting a workflow, with the commit of the user's own transaction.

use serde::Serialize;

use crate::journal::current_engine;
use crate::operations::caller_errors::refused;
use crate::operations::send::{message as message_to_store, no_receiver};
use crate::operations::start::StartedWorkflow;
use crate::operations::workflow_call::{WorkflowCall, WorkflowCallOptions};
use crate::operations::workflow_handle::WorkflowHandle;
use crate::runtime::Runtime;
use crate::store::{EnqueueOutcome, Outbox, SendOutcome};
use crate::types::error::{Error, ErrorKind, Result};
use crate::types::payload::encode;

/// Sends a message as a part of the program's own transaction in the system database: it is sent if and
/// when the transaction is committed. So a row and the message about it are written together, or not at
/// all.
///
/// `tx` is a transaction or a connection of sqlx to the database that the engine keeps its tables
/// in, such as the connection of a `#[transaction]`.
///
/// # Errors
/// As [`send`](crate::send()), and when `tx` is a connection to another database. The transaction is not harmed by
/// a missing receiver, but by an error of the database.
///
/// # Example
///
/// ```no_run
/// # use durable_core as durable;
/// # #[cfg(feature = "sqlite")]
/// # async fn example(pool: sqlx::SqlitePool, id: i64, payment: u64) -> durable::Result<()> {
/// let mut tx = pool.begin().await?;
/// sqlx::query("update orders set paid = true where id = $1").bind(id).execute(&mut *tx).await?;
/// durable::send_in(&mut tx, "order-1001", "payment", &payment).await?;
/// tx.commit().await?;
/// # Ok(())
/// # }
/// ```
pub async fn send_in<C, T>(
    tx: &mut C,
    workflow_id: impl AsRef<str> + Send,
    topic: impl Into<String> + Send,
    message: &T,
) -> Result<()>
where
    C: Outbox + ?Sized,
    T: Serialize + ?Sized + Sync,
{
    send_in_with(&*current_engine::engine()?, tx, workflow_id.as_ref(), &topic.into(), message).await
}

/// Sends a message with this engine, as a part of the transaction.
pub(crate) async fn send_in_with<C, T>(runtime: &Runtime, tx: &mut C, to: &str, topic: &str, message: &T) -> Result<()>
where
    C: Outbox + ?Sized,
    T: Serialize + ?Sized + Sync,
{
    let message = message_to_store(runtime, to, topic, &encode(message), None)?;
    match runtime.store.send_in(tx.outbox(), &message).await {
        Ok(SendOutcome::Posted) => Ok(()),
        Ok(SendOutcome::NoReceiver(status)) => Err(no_receiver(to, status)),
        Ok(SendOutcome::OtherDatabase) => Err(other_database("send_in", runtime)),
        Err(error) => Err(refused(&format!("the message to the workflow {to:?}"), &error)),
    }
}

impl<T, E> WorkflowCall<T, E>
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    /// Starts the workflow as a part of the program's own transaction in the system database: it exists if
    /// and when the transaction is committed. So a row and the workflow about it are written together, or
    /// not at all.
    ///
    /// It waits on its queue, or without one on the engine's own queue, until a process has capacity.
    /// `tx` is a transaction or a connection of sqlx to the database that the engine keeps its tables
    /// in, such as the connection of a `#[transaction]`. The handle can be awaited once the transaction
    /// is committed; after a rollback there is no workflow, and it would wait forever.
    ///
    /// # Errors
    /// As [`start`](Self::start), and when `tx` is a connection to another database; a workflow that
    /// is debounced cannot be started this way.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # use durable_core as durable;
    /// # use durable::{Queue, WorkflowCall};
    /// # static ORDERS: Queue = Queue::new("orders");
    /// # fn checkout(order: i64) -> WorkflowCall<String> { unimplemented!() }
    /// # #[cfg(feature = "sqlite")]
    /// # async fn example(pool: sqlx::SqlitePool, order: i64) -> durable::Result<()> {
    /// let mut tx = pool.begin().await?;
    /// sqlx::query("insert into orders (id) values ($1)").bind(order).execute(&mut *tx).await?;
    /// let handle = checkout(order).queue(&ORDERS).start_in(&mut tx).await?;
    /// tx.commit().await?;
    /// let receipt = handle.await?; // not before the commit, and never after a rollback
    /// # Ok(())
    /// # }
    /// ```
    pub async fn start_in<C: Outbox + ?Sized>(self, tx: &mut C) -> Result<WorkflowHandle<T, E>> {
        let Some(options) = self.call.into_options() else {
            return Err(Error::new(ErrorKind::Misuse, "this call was awaited already, and has started its workflow"));
        };
        let WorkflowCallOptions { mut request, codec, checks, .. } = *options;
        checks.result()?;
        let runtime = current_engine::engine()?;
        let new = request.for_outbox(&runtime)?;
        let started = match runtime.store.enqueue_in(tx.outbox(), &new).await {
            Ok(EnqueueOutcome::Posted) => StartedWorkflow { runtime, id: new.id, run: None, is_new: true },
            Ok(EnqueueOutcome::Existing(existing)) if existing.id == new.id => {
                request.attach_by_id(&runtime, existing).await?
            }
            Ok(EnqueueOutcome::Existing(existing)) => request.of_duplicate(&runtime, existing)?,
            Ok(EnqueueOutcome::OtherDatabase) => return Err(other_database("start_in", &runtime)),
            Err(error) => return Err(refused(&format!("the workflow {:?}", new.id), &error)),
        };
        Ok(WorkflowHandle::new(started, codec).not_committed())
    }
}

fn other_database(what: &str, runtime: &Runtime) -> Error {
    let message = format!(
        "the connection given to `{what}` is not one to {}, where the engine keeps its tables; begin the transaction there",
        runtime.store.location()
    );
    Error::new(ErrorKind::Misuse, message)
}
