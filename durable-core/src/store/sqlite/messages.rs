//! Messages in SQLite, one by one: alone, on the careful path, and on users' connections.

use sqlx::SqliteConnection;

use crate::store::batch_clock::BatchClock;
use crate::store::decode::decode;
use crate::store::decode_messaging::{Sent, SentRow};
use crate::store::rows_by_kind::TERMINAL;
use crate::store::sql::texts;
use crate::store::sqlite::commit::FENCE;
use crate::store::sqlite::read::json;
use crate::store::sqlite::{LiteQuery, SqliteStore};
use crate::store::{Fence, NewMessage, StoreError, Verdict};
use crate::types::id::local_micros;

texts! {
    /// ?1, ?2 fence; ?3 now; ?4 to ?8 the message.
    send = format!(
        "insert into durable_messages (key, workflow, topic, idempotency_key, payload, sent_at)
         select ?4, w.key, ?6, ?7, ?8, ?3 from durable_workflows w
          where w.id = ?5 and w.status not in {TERMINAL} and {FENCE}
         on conflict do nothing"
    );
    /// ?1 now; ?2 to ?6 the message.
    post = format!(
        "insert into durable_messages (key, workflow, topic, idempotency_key, payload, sent_at)
         select ?2, w.key, ?4, ?5, ?6, ?1 from durable_workflows w
          where w.id = ?3 and w.status not in {TERMINAL}
         on conflict do nothing"
    );
    /// Why a message was not written. ?1 its key; ?2 the id it is for; ?3 its idempotency key.
    why = "select 0 as sent, (select status from durable_workflows where id = ?2) as status,
                  exists (select 1 from durable_messages where key = ?1)
                  or exists (select 1 from durable_messages
                              where workflow = (select key from durable_workflows where id = ?2)
                                and idempotency_key = ?3) as there";
    /// ?1, ?2 fence; ?3 now; ?4 keys.
    receive = format!(
        "update durable_messages set received_at = coalesce(received_at, ?3)
          where key in (select value from json_each(?4)) and {FENCE}"
    );
}

pub(super) fn bind_message(query: LiteQuery, it: &NewMessage) -> LiteQuery {
    query.bind(it.key).bind(&it.to).bind(&it.topic).bind(&it.idempotency_key).bind(&it.payload)
}

impl SqliteStore {
    /// Sends a message, or says why not.
    pub(super) async fn send_or_explain(
        &self,
        connection: &mut SqliteConnection,
        fence: Fence,
        moment: &mut BatchClock,
        message: &NewMessage,
        written: &mut u64,
    ) -> Result<Option<Verdict>, StoreError> {
        let now = *moment.now.get_or_insert_with(local_micros);
        let query = bind_message(self.fenced(&self.texts.mail.send, fence).bind(now), message);
        Ok(match self.sent(connection, query, message).await? {
            Sent::Now => {
                *written += 1;
                None
            }
            Sent::Before => None,
            Sent::NoReceiver(status) => Some(Verdict::NoReceiver { id: message.to.clone(), status }),
        })
    }

    /// Sends a message on a user's connection.
    pub(super) async fn post_on(
        &self,
        connection: &mut SqliteConnection,
        message: &NewMessage,
    ) -> Result<Sent, StoreError> {
        let query = bind_message(self.query(&self.texts.mail.post).bind(local_micros()), message);
        self.sent(connection, query, message).await
    }

    async fn sent(
        &self,
        connection: &mut SqliteConnection,
        query: LiteQuery,
        message: &NewMessage,
    ) -> Result<Sent, StoreError> {
        if query.execute(&mut *connection).await?.rows_affected() > 0 {
            return Ok(Sent::Now);
        }
        let query = self.query(&self.texts.mail.why).bind(message.key).bind(&message.to);
        decode::<_, SentRow, _>(&query.bind(&message.idempotency_key).fetch_one(connection).await?)
    }

    pub(super) async fn receive(
        &self,
        connection: &mut SqliteConnection,
        fence: Fence,
        keys: &[i64],
    ) -> Result<u64, sqlx::Error> {
        let query = self.timed(&self.texts.mail.receive, fence).bind(json(keys));
        Ok(query.execute(connection).await?.rows_affected())
    }
}
