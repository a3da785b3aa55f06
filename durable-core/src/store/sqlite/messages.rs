//! Messages in SQLite, one by one: alone, in a commit row by row, and on users' connections.

use sqlx::SqliteConnection;

use crate::store::batch_clock::BatchClock;
use crate::store::columns::{MESSAGE, RECEIVER, names};
use crate::store::decode::decode;
use crate::store::decode_messaging::{Sent, SentRow};
use crate::store::rows_by_kind::{TERMINAL, numbers};
use crate::store::sql::sql_statements;
use crate::store::sqlite::SqliteStore;
use crate::store::sqlite::dialect::{FENCE_HOLDS, Query, bind_row, list, parameters};
use crate::store::sqlite::nul_check::refuse_nul_in_message;
use crate::store::{Fence, NewMessage, OutboxConnection, StoreError, StoreErrorKind, Verdict};
use crate::types::keys::MessageKey;
use crate::types::time::Timestamp;

sql_statements! {
    /// $1, $2 fence; $3 the id of the receiver; $4 to $7 the message; $8 now.
    send = sending(3, FENCE_HOLDS);
    /// $1 the id of the receiver; $2 to $5 the message; $6 now.
    send_unfenced = sending(1, "true");
    /// Why a message was not written. $1 its key; $2 the id of its receiver; $3 its idempotency key; $4 its topic.
    why = "select 0 as sent, (select status from durable.workflows where id = $2) as status,
                  exists (select 1 from durable.messages where key = $1)
                  or exists (select 1 from durable.messages
                              where workflow = (select key from durable.workflows where id = $2)
                                and topic = $4 and idempotency_key = $3) as there";
}

/// Writes a message if its receiver can receive it.
fn sending(first: usize, condition: &str) -> String {
    format!(
        "insert into durable.messages ({}, workflow, sent_at)
         select {}, w.key, ${} from durable.workflows w
          where w.id = ${first} and w.status not in {TERMINAL} and {condition}
         on conflict do nothing",
        names(MESSAGE),
        parameters(MESSAGE, first + 1),
        first + 1 + MESSAGE.len()
    )
}

fn bind_message(query: Query, it: &NewMessage, now: Timestamp) -> Query {
    bind_row(bind_row(query, RECEIVER, it), MESSAGE, it).bind(now)
}

impl SqliteStore {
    pub(super) fn send_statement(&self, fence: Fence, message: &NewMessage, now: Timestamp) -> Query {
        bind_message(self.fenced(&self.sql.messages.send, fence), message, now)
    }

    /// Sends a message, or returns why it cannot be received.
    pub(super) async fn send_or_explain(
        &self,
        transaction: &mut SqliteConnection,
        fence: Fence,
        clock: &mut BatchClock,
        message: &NewMessage,
        written: &mut u64,
    ) -> Result<Option<Verdict>, StoreError> {
        let query = self.send_statement(fence, message, self.time_of(transaction, clock).await?);
        let sent = self.sent(transaction, query, message).await?;
        *written += u64::from(sent == Sent::Now);
        Ok(sent.refusal(&message.to))
    }

    /// Sends a message on a user's connection.
    pub(super) async fn send_on(
        &self,
        connection: &mut SqliteConnection,
        message: &NewMessage,
    ) -> Result<Sent, StoreError> {
        refuse_nul_in_message(message)?;
        let query = bind_message(self.query(&self.sql.messages.send_unfenced), message, self.clock.now());
        self.sent(connection, query, message).await
    }

    async fn sent(
        &self,
        connection: &mut SqliteConnection,
        query: Query,
        message: &NewMessage,
    ) -> Result<Sent, StoreError> {
        if query.execute(&mut *connection).await?.rows_affected() > 0 {
            return Ok(Sent::Now);
        }
        let query = self.query(&self.sql.messages.why).bind(message.key.get()).bind(&message.to);
        let query = query.bind(&message.idempotency_key).bind(&message.topic);
        decode::<_, SentRow, _>(&query.fetch_one(connection).await?)
    }

    pub(super) async fn mark_received(
        &self,
        transaction: &mut SqliteConnection,
        fence: Fence,
        keys: &[MessageKey],
    ) -> Result<u64, StoreError> {
        let query = self.fenced(&self.sql.batch_sql.receive, fence).bind(self.clock.now()).bind(list(&numbers(keys)));
        Ok(query.execute(transaction).await?.rows_affected())
    }

    /// The connection of an outbox call, if it is one to SQLite.
    pub(super) fn own_connection(connection: OutboxConnection<'_>) -> Option<&mut SqliteConnection> {
        #[allow(irrefutable_let_patterns, reason = "there are other kinds where their stores are compiled in")]
        let OutboxConnection::Sqlite(connection) = connection else { return None };
        Some(connection)
    }

    /// Explains the error of a user's connection to a file without the tables of durable.
    pub(super) fn explain_missing_tables(&self, error: StoreError) -> StoreError {
        if !error.message.contains("no such table") {
            return error;
        }
        StoreError::new(
            StoreErrorKind::Refused,
            format_args!(
                "the connection has to be one to the system database, {}, but it leads to a file without the tables \
                 of durable: {}",
                self.location, error.message
            ),
        )
    }
}
