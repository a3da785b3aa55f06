//! Workflows that are enqueued in SQLite without a fence: on users' connections, and for clients.

use sqlx::SqliteConnection;

use super::enqueue::{bind_debounced, bind_queued, debouncing, enqueueing};
use crate::store::enqueue_rows::{QueuedRow, StartedRow, disappeared, without_queue};
use crate::store::sql::sql_statements;
use crate::store::sqlite::SqliteStore;
use crate::store::sqlite::nul_check::refuse_nul_in_workflow;
use crate::store::{NewWorkflow, StoreError};

sql_statements! {
    /// From $1 the workflow, its placement and its delay; then now.
    enqueue = format!("{} on conflict do nothing", enqueueing(1, "true", 0));
    /// The same with a debounce.
    debounce = debouncing(1, "true", 0);
}

impl SqliteStore {
    /// Enqueues a workflow without a fence, within the transaction of the connection if it is in one.
    pub(super) async fn enqueue_on(
        &self,
        connection: &mut SqliteConnection,
        workflow: &NewWorkflow,
    ) -> Result<StartedRow, StoreError> {
        let it = QueuedRow::of(workflow).ok_or_else(without_queue)?;
        refuse_nul_in_workflow(workflow)?;
        // Outside a transaction of the user's, the savepoint makes these statements one transaction.
        let sql = &self.sql.commit_rows;
        self.query(&sql.savepoint).execute(&mut *connection).await?;
        let enqueued = self.enqueue_or_explain(connection, it).await;
        if enqueued.is_err() {
            self.query(&sql.roll_back).execute(&mut *connection).await?;
        }
        self.query(&sql.release).execute(&mut *connection).await?;
        enqueued
    }

    async fn enqueue_or_explain(
        &self,
        connection: &mut SqliteConnection,
        it: QueuedRow<'_>,
    ) -> Result<StartedRow, StoreError> {
        if it.debounce().is_some() {
            let query = self.bind_now(bind_debounced(self.query(&self.sql.enqueue_within.debounce), it));
            if let Some(started) = self.debounced(connection, query, it).await? {
                return Ok(started);
            }
        } else {
            let query = self.bind_now(bind_queued(self.query(&self.sql.enqueue_within.enqueue), it));
            if query.execute(&mut *connection).await?.rows_affected() > 0 {
                self.store_large_input(connection, it.row).await?;
                return Ok(StartedRow::Stored);
            }
        }
        self.find_conflict(connection, it).await?.ok_or_else(disappeared)
    }
}
