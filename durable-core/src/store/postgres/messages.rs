//! Messages in Postgres, one by one: on the careful path, and on users' connections.

use sqlx::PgConnection;

use crate::store::batch_clock::BatchClock;
use crate::store::decode::decode;
use crate::store::decode_messaging::{Sent, SentRow};
use crate::store::postgres::sql_text::CLOCK;
use crate::store::postgres::{PgQuery, PostgresStore};
use crate::store::rows_by_kind::TERMINAL;
use crate::store::sql::texts;
use crate::store::{NewMessage, StoreError, Verdict};

texts! {
    /// $1 to $5 the message; $6 when it is sent, or NULL for now.
    send = sending("");
    /// The same, and $7 the channel and $8 the notification, which goes out with the commit of the
    /// transaction that this is in.
    post = sending(", (select max(pg_notify($7::text, $8::text)::text) from sent) as told");
    /// $1 keys. The condition has no `received_at is null`, for which the planner may take the index
    /// of waiting messages and read all of it.
    receive = format!(
        "update durable.messages m set received_at = coalesce(m.received_at, c.now)
           from {CLOCK} c where m.key = any($1::bigint[])"
    );
}

/// Writes a message unless there is nobody to receive it, and looks at whatever was in the way.
fn sending(besides: &str) -> String {
    format!(
        "with target as materialized (select key, status from durable.workflows where id = $2::text),
         sent as (
             insert into durable.messages (key, workflow, topic, idempotency_key, payload, sent_at)
             select $1::bigint, t.key, $3::text, $4::text, $5::text, coalesce($6::bigint, c.now)
               from target t, {CLOCK} c
              where t.status not in {TERMINAL}
             on conflict do nothing
             returning 1)
         select (select status from target) as status, (select count(*) from sent) as sent,
                exists (select 1 from durable.messages where key = $1::bigint)
                or exists (select 1 from durable.messages m, target t
                            where m.workflow = t.key and m.idempotency_key = $4::text) as there{besides}"
    )
}

/// Binds a message and the time at which it is sent.
pub(super) fn bind_message(query: PgQuery, it: &NewMessage, now: Option<i64>) -> PgQuery {
    let query = query.bind(it.key).bind(&it.to).bind(&it.topic);
    query.bind(&it.idempotency_key).bind(&it.payload).bind(now)
}

impl PostgresStore {
    /// Sends a message, or says why not.
    pub(super) async fn send_or_explain(
        &self,
        transaction: &mut PgConnection,
        moment: &mut BatchClock,
        message: &NewMessage,
        written: &mut u64,
    ) -> Result<Option<Verdict>, StoreError> {
        let now = self.moment(transaction, moment).await?;
        let query = bind_message(self.query(&self.texts.mail.send), message, Some(now));
        Ok(match decode::<_, SentRow, _>(&query.fetch_one(&mut *transaction).await?)? {
            Sent::Now => {
                *written += 1;
                None
            }
            Sent::Before => None,
            Sent::NoReceiver(status) => Some(Verdict::NoReceiver { id: message.to.clone(), status }),
        })
    }

    pub(super) async fn receive(
        &self,
        transaction: &mut PgConnection,
        keys: &[i64],
        written: &mut u64,
    ) -> Result<(), StoreError> {
        *written += self.query(&self.texts.mail.receive).bind(keys).execute(transaction).await?.rows_affected();
        Ok(())
    }
}
