//! Events and streams, one by one: alone, and in a commit row by row.

use sqlx::Row;

use super::SqlStore;
use super::dialect::{Connection, FENCE_HOLDS, GREATEST, Query, after_the_last, bind_row, parameters};
use crate::store::batch_clock::BatchClock;
use crate::store::columns::{PUBLICATION, names};
use crate::store::sql::sql_statements;
use crate::store::{Fence, Publication, PublicationKind, StoreError};
use crate::types::time::Timestamp;

sql_statements! {
    event = publishing("events", "set_at");
    item = publishing("streams", "written_at");
}

/// $1, $2 fence; $3 to $8 the publication; $9 now; $10 when this call has published there before; $11
/// whether it may have been written by an earlier call. The time is later than that of every earlier
/// row, also where the clock went back.
fn publishing(table: &str, at: &str) -> String {
    format!(
        "insert into durable.{table} ({}, {at})
         select {}, coalesce($10, {GREATEST}($9, {}))
          where {FENCE_HOLDS}
            and not ($11 and exists (select 1 from durable.{table} where workflow = $3 and name = $4 and key = $5))
         returning {at} as at",
        names(PUBLICATION),
        parameters(PUBLICATION, 3),
        after_the_last(table, at, "$3", "$4")
    )
}

impl SqlStore {
    /// Publishes a value, unless an earlier attempt of the call has done so.
    pub(super) async fn publish_or_find(
        &self,
        connection: &mut Connection,
        fence: Fence,
        clock: &mut BatchClock,
        it: &Publication,
        written: &mut u64,
    ) -> Result<(), StoreError> {
        let now = self.time_of(connection, clock).await?;
        let query = self.publish_statement(fence, clock, now, it);
        if let Some(row) = query.fetch_optional(&mut *connection).await? {
            clock.note(it, row.try_get("at")?);
            *written += 1;
        }
        Ok(())
    }

    pub(super) fn publish_statement(
        &self,
        fence: Fence,
        clock: &BatchClock,
        now: Timestamp,
        it: &Publication,
    ) -> Query {
        let sql = &self.sql.events_and_streams;
        let query = self.fenced(if it.kind == PublicationKind::Event { &sql.event } else { &sql.item }, fence);
        bind_row(query, PUBLICATION, it).bind(now).bind(clock.published(it)).bind(clock.again)
    }

    /// The time that all rows of a call share.
    pub(super) async fn time_of(
        &self,
        connection: &mut Connection,
        clock: &mut BatchClock,
    ) -> Result<Timestamp, StoreError> {
        if clock.now.is_none() {
            clock.now = Some(self.now_on(connection).await?);
        }
        Ok(clock.now.unwrap_or_default())
    }
}
