//! What workflows say, read from SQLite; and messages on users' connections.

use crate::store::decode::decode;
use crate::store::decode_messaging::{EventRow, Sent, read_stream};
use crate::store::sql::texts;
use crate::store::sqlite::SqliteStore;
use crate::store::sqlite::commit::refuse_nul_in;
use crate::store::{
    EventValue, Messaging, NewMessage, OutboxConnection, SendOutcome, StoreError, StoreErrorKind, StoreFuture,
    StreamCursor, StreamPage,
};

texts! {
    /// ?1 the workflow's id; ?2 the stream; ?3, ?4 the mark; ?5 limit.
    items =
        "select w.status, s.written_at as at, s.key, s.value
           from durable_workflows w
           left join (
                select written_at, key, value from durable_streams
                 where workflow = (select key from durable_workflows where id = ?1) and name = ?2
                   and (written_at, key) > (?3, ?4)
                 order by written_at, key limit ?5) s on true
          where w.id = ?1
          order by s.written_at, s.key";
    /// ?1 the workflow's id; ?2 the event.
    event_history =
        "select set_at as at, value from durable_events
          where workflow = (select key from durable_workflows where id = ?1) and name = ?2
          order by set_at, key";
}

impl Messaging for SqliteStore {
    fn read_stream<'a>(
        &'a self,
        workflow: &'a str,
        stream: &'a str,
        mark: StreamCursor,
        limit: u32,
    ) -> StoreFuture<'a, StreamPage> {
        Box::pin(async move {
            let query = self.query(&self.texts.talk.items).bind(workflow).bind(stream);
            let query = query.bind(mark.at).bind(mark.key).bind(i64::from(limit));
            read_stream(&query.fetch_all(&mut *self.reading().await?).await?)
        })
    }

    fn event_history<'a>(&'a self, workflow: &'a str, event: &'a str) -> StoreFuture<'a, Vec<EventValue>> {
        Box::pin(async move {
            let query = self.query(&self.texts.talk.event_history).bind(workflow).bind(event);
            query.fetch_all(&mut *self.reading().await?).await?.iter().map(decode::<_, EventRow, _>).collect()
        })
    }

    fn send_in<'a>(
        &'a self,
        connection: OutboxConnection<'a>,
        message: &'a NewMessage,
    ) -> StoreFuture<'a, SendOutcome> {
        Box::pin(async move {
            #[allow(irrefutable_let_patterns, reason = "there are other kinds where their stores are compiled in")]
            let OutboxConnection::Sqlite(connection) = connection else { return Ok(SendOutcome::OtherDatabase) };
            refuse_nul_in(message)?;
            match self.post_on(connection, message).await {
                Ok(Sent::Now | Sent::Before) => Ok(SendOutcome::Posted),
                Ok(Sent::NoReceiver(status)) => Ok(SendOutcome::NoReceiver(status)),
                Err(error) => Err(self.explained(error)),
            }
        })
    }
}

impl SqliteStore {
    /// Says it where the connection is one to a file without our tables.
    pub(super) fn explained(&self, error: StoreError) -> StoreError {
        if !error.message.contains("no such table") {
            return error;
        }
        StoreError::new(
            StoreErrorKind::Refused,
            format_args!(
                "the connection has to be one to the system database, {}, and it goes to a file without the tables of \
                 durable: {}",
                self.location, error.message
            ),
        )
    }
}
