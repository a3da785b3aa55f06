//! Messages in Postgres, one by one: in a commit row by row, and on users' connections.

use sqlx::PgConnection;

use crate::store::batch_clock::BatchClock;
use crate::store::columns::{MESSAGE, RECEIVER, names};
use crate::store::decode::decode;
use crate::store::decode_messaging::{Sent, SentRow};
use crate::store::hints;
use crate::store::postgres::PostgresStore;
use crate::store::postgres::dialect::{CLOCK, FENCE_HOLDS, Query, bind_row, parameters};
use crate::store::rows_by_kind::{TERMINAL, numbers};
use crate::store::sql::sql_statements;
use crate::store::{Fence, Hint, NewMessage, OutboxConnection, StoreError, StoreErrorKind, Verdict};
use crate::types::keys::MessageKey;
use crate::types::time::Timestamp;

sql_statements! {
    /// $1 the id of the receiver; $2 to $5 the message; $6 when it is sent, or NULL for now.
    send = sending("");
    /// The same, and $7 the channel and $8 the notification, which goes out with the commit of the
    /// transaction that this is in.
    send_and_notify = sending(", (select max(pg_notify($7::text, $8::text)::text) from sent) as notified");
    /// $1, $2 fence; $3 keys. The condition has no `received_at is null`, for which the planner may use
    /// the index of messages that were not received, and read all of it.
    receive = format!(
        "update durable.messages m set received_at = coalesce(m.received_at, c.now)
           from {CLOCK} c where m.key = any($3::bigint[]) and {FENCE_HOLDS}"
    );
}

/// Writes a message if its receiver can receive it, and reads what prevents it otherwise.
fn sending(besides: &str) -> String {
    format!(
        "with target as materialized (select key, status from durable.workflows where id = $1::text),
         sent as (
             insert into durable.messages ({}, workflow, sent_at)
             select {}, t.key, coalesce($6::bigint, c.now)
               from target t, {CLOCK} c
              where t.status not in {TERMINAL}
             on conflict do nothing
             returning 1)
         select (select status from target) as status, (select count(*) from sent) as sent,
                exists (select 1 from durable.messages where key = $2::bigint)
                or exists (select 1 from durable.messages m, target t
                            where m.workflow = t.key and m.topic = $3::text and m.idempotency_key = $4::text) as there{besides}",
        names(MESSAGE),
        parameters(MESSAGE, 2)
    )
}

/// Binds a message and the time at which it is sent.
fn bind_message(query: Query, it: &NewMessage, now: Option<Timestamp>) -> Query {
    bind_row(bind_row(query, RECEIVER, it), MESSAGE, it).bind(now)
}

impl PostgresStore {
    /// Sends a message, or returns why it cannot be received.
    pub(super) async fn send_or_explain(
        &self,
        transaction: &mut PgConnection,
        _fence: Fence,
        clock: &mut BatchClock,
        message: &NewMessage,
        written: &mut u64,
    ) -> Result<Option<Verdict>, StoreError> {
        let now = self.time_of(transaction, clock).await?;
        let query = bind_message(self.query(&self.sql.messages.send), message, Some(now));
        let sent: Sent = decode::<_, SentRow, _>(&query.fetch_one(&mut *transaction).await?)?;
        *written += u64::from(sent == Sent::Now);
        Ok(sent.refusal(&message.to))
    }

    /// Sends a message on a user's connection.
    pub(super) async fn send_on(
        &self,
        connection: &mut PgConnection,
        message: &NewMessage,
    ) -> Result<Sent, StoreError> {
        let hint = hints::text(hints::NO_PROCESS, &[Hint::for_workflow(&message.to)]);
        let query = bind_message(self.query(&self.sql.messages.send_and_notify), message, None);
        decode::<_, SentRow, _>(&query.bind(&*self.channel).bind(hint).fetch_one(connection).await?)
    }

    pub(super) async fn mark_received(
        &self,
        transaction: &mut PgConnection,
        fence: Fence,
        keys: &[MessageKey],
    ) -> Result<u64, StoreError> {
        let query = self.fenced(&self.sql.messages.receive, fence).bind(numbers(keys));
        Ok(query.execute(transaction).await?.rows_affected())
    }

    /// The connection of an outbox call, if it is one to Postgres.
    pub(super) fn own_connection(connection: OutboxConnection<'_>) -> Option<&mut PgConnection> {
        #[allow(irrefutable_let_patterns, reason = "there are other kinds where their stores are compiled in")]
        let OutboxConnection::Postgres(connection) = connection else { return None };
        Some(connection)
    }

    /// Explains the error of a user's connection to a database without the tables of durable.
    pub(super) fn explain_missing_tables(&self, error: StoreError) -> StoreError {
        if !["(SQLSTATE 42P01)", "(SQLSTATE 3F000)"].iter().any(|code| error.message.contains(code)) {
            return error;
        }
        StoreError::new(
            StoreErrorKind::Refused,
            format_args!(
                "the connection has to be one to the system database, {}, but it leads to a database without the \
                 tables of durable in the schema {}: {}",
                self.location,
                self.schema.quoted(),
                error.message
            ),
        )
    }
}
