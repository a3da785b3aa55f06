//! Events and streams in SQLite, one by one: alone, and on the careful path.

use sqlx::{Row, SqliteConnection};

use crate::store::batch_clock::BatchClock;
use crate::store::rows_by_kind::value_of;
use crate::store::sql::texts;
use crate::store::sqlite::commit::FENCE;
use crate::store::sqlite::{LiteQuery, SqliteStore};
use crate::store::{Fence, Publication, PublicationKind, StoreError};
use crate::types::id::local_micros;

texts! {
    event = showing("durable_events", "set_at");
    item = showing("durable_streams", "written_at");
}

/// ?1, ?2 fence; ?3 now; ?4 to ?9 the emission; ?10 when this call has written there before; ?11
/// whether it may have been written by an earlier call. The time is later than that of every earlier
/// row, also where the clock went back.
fn showing(table: &str, at: &str) -> String {
    format!(
        "insert into {table} (workflow, name, key, branch, position, value, {at})
         select ?4, ?5, ?6, ?7, ?8, ?9, coalesce(?10, max(?3, {}))
          where {FENCE} and not (?11 and exists (
                select 1 from {table} where workflow = ?4 and name = ?5 and key = ?6))
         returning {at} as at",
        after_the_last(table, at, "?4", "?5")
    )
}

/// The first moment behind the last row of an event or a stream: a look at the end of the table's key.
pub(super) fn after_the_last(table: &str, at: &str, workflow: &str, name: &str) -> String {
    format!("coalesce((select max({at}) + 1 from {table} where workflow = {workflow} and name = {name}), 0)")
}

impl SqliteStore {
    /// Shows something, unless an earlier sending of the call has.
    pub(super) async fn show_or_find(
        &self,
        connection: &mut SqliteConnection,
        fence: Fence,
        moment: &mut BatchClock,
        it: &Publication,
        written: &mut u64,
    ) -> Result<(), StoreError> {
        let query = self.emission_statement(fence, moment, it);
        if let Some(row) = query.fetch_optional(&mut *connection).await? {
            moment.note(it, row.try_get("at")?);
            *written += 1;
        }
        Ok(())
    }

    pub(super) fn emission_statement(&self, fence: Fence, moment: &mut BatchClock, it: &Publication) -> LiteQuery {
        let now = *moment.now.get_or_insert_with(local_micros);
        let texts = &self.texts.shows;
        let query = self.fenced(if it.kind == PublicationKind::Event { &texts.event } else { &texts.item }, fence);
        bind_emission(query.bind(now), it).bind(moment.shown(it)).bind(moment.again)
    }
}

pub(super) fn bind_emission(query: LiteQuery, it: &Publication) -> LiteQuery {
    let query = query.bind(it.workflow).bind(&it.name).bind(it.key);
    query.bind(&*it.position.branch).bind(it.position.number).bind(value_of(it))
}
