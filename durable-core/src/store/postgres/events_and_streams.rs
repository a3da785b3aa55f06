//! Events and streams in Postgres, one by one on the careful path.

use sqlx::{PgConnection, Row};

use crate::store::batch_clock::BatchClock;
use crate::store::postgres::PostgresStore;
use crate::store::rows_by_kind::value_of;
use crate::store::sql::texts;
use crate::store::{Publication, PublicationKind, StoreError};

texts! {
    event = showing("events", "set_at");
    item = showing("streams", "written_at");
}

/// $1 to $6 the emission; $7 now; $8 when this call has written there before; $9 whether it may have
/// been written by an earlier call. The time is later than that of every earlier row, also where the
/// clock went back.
fn showing(table: &str, at: &str) -> String {
    format!(
        "insert into durable.{table} (workflow, name, key, branch, position, value, {at})
         select $1::bigint, $2::text, $3::bigint, $4::text, $5::integer, $6::text,
                coalesce($8::bigint, greatest($7::bigint, {}))
          where not ($9::boolean and exists (
                select 1 from durable.{table} where workflow = $1::bigint and name = $2::text and key = $3::bigint))
         returning {at} as at",
        after_the_last(table, at, "$1::bigint", "$2::text")
    )
}

/// The first moment behind the last row of an event or a stream: a look at the end of an index.
pub(super) fn after_the_last(table: &str, at: &str, workflow: &str, name: &str) -> String {
    format!(
        "(select last.{at} + 1 from durable.{table} last
           where last.workflow = {workflow} and last.name = {name}
           order by last.{at} desc, last.key desc limit 1)"
    )
}

impl PostgresStore {
    /// Shows something, unless an earlier sending of the call has.
    pub(super) async fn show_or_find(
        &self,
        transaction: &mut PgConnection,
        moment: &mut BatchClock,
        it: &Publication,
        written: &mut u64,
    ) -> Result<(), StoreError> {
        let now = self.moment(transaction, moment).await?;
        let texts = &self.texts.shows;
        let query = self.query(if it.kind == PublicationKind::Event { &texts.event } else { &texts.item });
        let query = query.bind(it.workflow).bind(&it.name).bind(it.key);
        let query = query.bind(&*it.position.branch).bind(it.position.number).bind(value_of(it));
        let query = query.bind(now).bind(moment.shown(it)).bind(moment.again);
        if let Some(row) = query.fetch_optional(&mut *transaction).await? {
            moment.note(it, row.try_get("at")?);
            *written += 1;
        }
        Ok(())
    }

    /// The one time of a call.
    pub(super) async fn moment(
        &self,
        transaction: &mut PgConnection,
        moment: &mut BatchClock,
    ) -> Result<i64, StoreError> {
        if let Some(now) = moment.now {
            return Ok(now);
        }
        let now = self.query(&self.texts.read.now).fetch_one(transaction).await?.try_get(0)?;
        moment.now = Some(now);
        Ok(now)
    }
}
