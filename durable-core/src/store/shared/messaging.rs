//! Reading events and streams; and messages on users' connections.

use super::SqlStore;
use crate::store::decode::decode;
use crate::store::decode_messaging::{EventRow, Sent, read_stream};
use crate::store::sql::sql_statements;
use crate::store::{
    Messaging, NewMessage, OutboxConnection, SendOutcome, StoreFuture, StoredEventValue, StreamCursor, StreamPage,
};

sql_statements! {
    /// $1 the workflow's id; $2 the stream; $3, $4 the cursor; $5 limit.
    items =
        "select w.status, s.written_at as at, s.key, s.value
           from durable.workflows w
           left join (
                select written_at, key, value from durable.streams
                 where workflow = (select key from durable.workflows where id = $1) and name = $2
                   and (written_at, key) > ($3, $4)
                 order by written_at, key limit $5) s on true
          where w.id = $1
          order by s.written_at, s.key";
    /// $1 the workflow's id; $2 the event.
    event_history =
        "select set_at as at, value from durable.events
          where workflow = (select key from durable.workflows where id = $1) and name = $2
          order by set_at, key";
}

impl Messaging for SqlStore {
    fn read_stream<'a>(
        &'a self,
        workflow: &'a str,
        stream: &'a str,
        cursor: StreamCursor,
        limit: u32,
    ) -> StoreFuture<'a, StreamPage> {
        self.call(async move {
            let query = self.query(&self.sql.messaging.items).bind(workflow).bind(stream);
            let query = query.bind(cursor.at).bind(cursor.key.get()).bind(i64::from(limit));
            read_stream(&query.fetch_all(&mut *self.reading().await?).await?)
        })
    }

    fn event_history<'a>(&'a self, workflow: &'a str, event: &'a str) -> StoreFuture<'a, Vec<StoredEventValue>> {
        self.call(async move {
            let query = self.query(&self.sql.messaging.event_history).bind(workflow).bind(event);
            query.fetch_all(&mut *self.reading().await?).await?.iter().map(decode::<_, EventRow, _>).collect()
        })
    }

    fn send_in<'a>(
        &'a self,
        connection: OutboxConnection<'a>,
        message: &'a NewMessage,
    ) -> StoreFuture<'a, SendOutcome> {
        self.call(async move {
            let Some(connection) = Self::own_connection(connection) else { return Ok(SendOutcome::OtherDatabase) };
            let sent = self.send_on(connection, message).await;
            Ok(outcome(sent.map_err(|error| self.explain_missing_tables(error))?))
        })
    }

    fn send<'a>(&'a self, message: &'a NewMessage) -> StoreFuture<'a, SendOutcome> {
        self.call(async move {
            let sent = self.send_on(&mut *self.writing().await?, message).await?;
            self.counter.committed(u64::from(sent == Sent::Now));
            Ok(outcome(sent))
        })
    }
}

fn outcome(sent: Sent) -> SendOutcome {
    match sent {
        Sent::Now | Sent::Before => SendOutcome::Posted,
        Sent::NoReceiver(status) => SendOutcome::NoReceiver(status),
    }
}
