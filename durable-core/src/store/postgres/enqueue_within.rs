//! Workflows that are enqueued in Postgres without a fence: on users' connections, and for clients.

use sqlx::Row;

use super::enqueue::{DEBOUNCED_PARAMETERS, QUEUED_PARAMETERS, bind_debounced, bind_queued, debouncing, enqueueing};
use crate::store::enqueue_rows::{QueuedRow, StartedRow, disappeared, without_queue};
use crate::store::postgres::PostgresStore;
use crate::store::postgres::dialect::Connection;
use crate::store::sql::sql_statements;
use crate::store::{Hint, NewWorkflow, StoreError, hints};

sql_statements! {
    /// From $1 the workflow, its placement and its delay; then the channel and the notification, which
    /// goes out with the commit of the transaction that this is in.
    enqueue = format!(
        "with stored as ({} on conflict do nothing returning 1)
         select max({}) as notified, count(*) > 0 as stored from stored",
        enqueueing(1, "true", 2),
        notifying(1 + QUEUED_PARAMETERS)
    );
    /// The same with a debounce.
    debounce = format!(
        "with stored as ({}) select s.*, {} as notified from stored s",
        debouncing(1, "true", 2),
        notifying(1 + DEBOUNCED_PARAMETERS)
    );
}

fn notifying(first: usize) -> String {
    format!("pg_notify(${first}::text, ${}::text)::text", first + 1)
}

impl PostgresStore {
    /// Enqueues a workflow without a fence, within the transaction of the connection if it is in one.
    pub(super) async fn enqueue_on(
        &self,
        connection: &mut Connection,
        workflow: &NewWorkflow,
    ) -> Result<StartedRow, StoreError> {
        let it = QueuedRow::of(workflow).ok_or_else(without_queue)?;
        let hint = hints::text(hints::NO_PROCESS, &[Hint::for_queue(&it.placement.queue)]);
        if it.debounce().is_some() {
            let query =
                bind_debounced(self.query(&self.sql.enqueue_within.debounce), it).bind(&*self.channel).bind(hint);
            if let Some(started) = self.debounced(connection, query, it).await? {
                return Ok(started);
            }
        } else {
            let query = bind_queued(self.query(&self.sql.enqueue_within.enqueue), it).bind(&*self.channel).bind(hint);
            if query.fetch_one(&mut *connection).await?.try_get("stored")? {
                return Ok(StartedRow::Stored);
            }
        }
        self.find_conflict(connection, it).await?.ok_or_else(disappeared)
    }
}
