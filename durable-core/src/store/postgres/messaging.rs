//! What workflows say, read from Postgres; and messages on users' connections.

use crate::store::decode::decode;
use crate::store::decode_messaging::{EventRow, Sent, SentRow, read_stream};
use crate::store::hints;
use crate::store::postgres::PostgresStore;
use crate::store::postgres::messages::bind_message;
use crate::store::sql::texts;
use crate::store::{
    EventValue, Hint, Messaging, NewMessage, OutboxConnection, SendOutcome, StoreError, StoreErrorKind, StoreFuture,
    StreamCursor, StreamPage,
};

texts! {
    /// $1 the workflow's id; $2 the stream; $3, $4 the mark; $5 limit.
    items =
        "select w.status, s.written_at as at, s.key, s.value
           from durable.workflows w
           left join lateral (
                select written_at, key, value from durable.streams
                 where workflow = w.key and name = $2::text and (written_at, key) > ($3::bigint, $4::bigint)
                 order by written_at, key limit $5::bigint) s on true
          where w.id = $1::text
          order by s.written_at, s.key";
    /// $1 the workflow's id; $2 the event.
    event_history =
        "select e.set_at as at, e.value
           from durable.workflows w join durable.events e on e.workflow = w.key
          where w.id = $1::text and e.name = $2::text
          order by e.set_at, e.key";
}

impl Messaging for PostgresStore {
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
            read_stream(&query.fetch_all(self.work()?).await?)
        })
    }

    fn event_history<'a>(&'a self, workflow: &'a str, event: &'a str) -> StoreFuture<'a, Vec<EventValue>> {
        Box::pin(async move {
            let query = self.query(&self.texts.talk.event_history).bind(workflow).bind(event);
            query.fetch_all(self.work()?).await?.iter().map(decode::<_, EventRow, _>).collect()
        })
    }

    fn send_in<'a>(
        &'a self,
        connection: OutboxConnection<'a>,
        message: &'a NewMessage,
    ) -> StoreFuture<'a, SendOutcome> {
        Box::pin(async move {
            #[allow(irrefutable_let_patterns, reason = "there are other kinds where their stores are compiled in")]
            let OutboxConnection::Postgres(connection) = connection else { return Ok(SendOutcome::OtherDatabase) };
            let query = bind_message(self.query(&self.texts.mail.post), message, None);
            let query = query.bind(&*self.channel).bind(hints::text(hints::NOBODY, &[Hint::for_workflow(&message.to)]));
            let row = query.fetch_one(connection).await.map_err(|error| self.explained(error))?;
            Ok(match decode::<_, SentRow, _>(&row)? {
                Sent::Now | Sent::Before => SendOutcome::Posted,
                Sent::NoReceiver(status) => SendOutcome::NoReceiver(status),
            })
        })
    }
}

impl PostgresStore {
    /// Says it where the connection is one to a database without our tables.
    pub(super) fn explained(&self, error: sqlx::Error) -> StoreError {
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        if !matches!(code.as_deref(), Some("42P01" | "3F000")) {
            return error.into();
        }
        let why = format_args!(
            "the connection has to be one to the system database, {}, and it goes to a database without the tables of \
             durable in the schema {}: {error}",
            self.location,
            self.schema.quoted()
        )
        .to_string();
        StoreError::new(StoreErrorKind::Refused, why)
    }
}
