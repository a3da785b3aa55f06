//! The fast path for many rows: one statement of data-modifying CTEs over arrays.

use std::collections::{HashMap, HashSet};

use sqlx::{PgConnection, Row};

use crate::store::columns::{
    END, END_OF, MESSAGE, PARENT_RUN, PLACEMENT, PUBLICATION, RECEIVER, RECORD, START, varying,
};
use crate::store::decode;
use crate::store::enqueue_rows::{QueuedRow, effective_record, start_record};
use crate::store::postgres::PostgresStore;
use crate::store::postgres::batch_sql::Kinds;
use crate::store::postgres::commit::JudgedEntry;
use crate::store::postgres::dialect::{Query, bind_columns, bind_rows, column};
use crate::store::rows_by_kind::{BatchRows, WithEnd};
use crate::store::store_error::is_clash;
use crate::store::{Entry, ExistingWorkflow, Fence, StoreError, Verdict};
use crate::types::keys::WorkflowKey;
use crate::types::time::micros;

impl PostgresStore {
    pub(super) async fn batch(
        &self,
        connection: &mut PgConnection,
        fence: Fence,
        rows: &BatchRows<'_>,
        entries: &[&Entry],
    ) -> Result<JudgedEntry, StoreError> {
        let kinds = Kinds::of(rows);
        let query = bind(self.fenced(&self.batch_sql.of(kinds), fence), rows, kinds);
        let row = match query.fetch_one(&mut *connection).await {
            Err(error) if is_clash(&error) => {
                self.next_transaction(connection, false).await?;
                return Ok(JudgedEntry::unclear(entries));
            }
            other => other?,
        };
        if row.try_get::<i64, _>("fence_holds")? == 0 {
            return Ok(JudgedEntry::all(&Verdict::Fenced, entries));
        }
        if let Some(refused) = row.try_get::<Option<Vec<i64>>, _>("without_receiver")? {
            let statuses: Vec<Option<String>> = row.try_get("statuses")?;
            return without_receivers(entries, &refused.into_iter().zip(statuses).collect());
        }
        let keys = |column: &str| Ok::<_, StoreError>(row.try_get::<Option<Vec<i64>>, _>(column)?.unwrap_or_default());
        let (mut started, done) = (keys("started")?, keys("done")?);
        started.extend(keys("enqueued")?);
        // A record with an end, or of a start, is only stored if that is, so counting the others is enough.
        let records = rows.records.iter().filter(|it| !it.ends && it.starts.is_none()).count();
        let published = without_end(&rows.received) + without_end(&rows.events) + without_end(&rows.items);
        let sent = row.try_get::<i64, _>("sent")?.unsigned_abs();
        self.counter.committed((started.len() + done.len() + records + published) as u64 + sent);
        let missing = rows.starts.len() + rows.queued.len() - started.len() + rows.finishes.len() - done.len();
        let mut judged = JudgedEntry::all(&Verdict::Stored, entries);
        if missing > 0 {
            self.judge(connection, fence, entries, &started, &done, &mut judged).await?;
        }
        Ok(judged)
    }

    /// Finds the verdicts of the entries whose start or end was not written.
    async fn judge(
        &self,
        connection: &mut PgConnection,
        fence: Fence,
        entries: &[&Entry],
        started: &[i64],
        done: &[i64],
        judged: &mut JudgedEntry,
    ) -> Result<(), StoreError> {
        let started: HashSet<i64> = started.iter().copied().collect();
        let done: HashSet<i64> = done.iter().copied().collect();
        let mut missing = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            if entry.finish.as_ref().is_some_and(|it| !done.contains(&it.workflow.get())) {
                judged.unclear.push(index);
            } else if let Some(start) = entry.start.as_ref().filter(|it| !started.contains(&it.key.get())) {
                missing.push((index, start));
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let found =
            self.existing(connection, fence, &missing.iter().map(|(_, it)| it.id.as_str()).collect::<Vec<_>>()).await?;
        let mut deduplicated = Vec::new();
        for (index, start) in missing {
            match (found.get(&start.id), QueuedRow::of(start).filter(|it| it.placement.deduplication_id.is_some())) {
                (Some((existing, _)), _) => {
                    judged.verdicts[index] =
                        self.record_existing(connection, fence, entries[index], existing.clone()).await?;
                }
                (None, Some(queued)) => deduplicated.push((index, queued)),
                (None, None) => judged.unclear.push(index),
            }
        }
        let queued: Vec<QueuedRow<'_>> = deduplicated.iter().map(|(_, it)| *it).collect();
        let found = self.duplicates(connection, fence, &queued).await?;
        for (index, it) in deduplicated {
            let wanted = (it.placement.queue.clone(), it.placement.deduplication_id.clone().unwrap_or_default());
            match found.get(&wanted) {
                Some(existing) => judged.verdicts[index] = Verdict::Duplicate(existing.clone()),
                None => judged.unclear.push(index),
            }
        }
        Ok(())
    }

    /// Records the start of an existing workflow, once it is known which one that is.
    async fn record_existing(
        &self,
        connection: &mut PgConnection,
        fence: Fence,
        entry: &Entry,
        existing: ExistingWorkflow,
    ) -> Result<Verdict, StoreError> {
        let verdict = Verdict::Existing(existing);
        let Some(record) = start_record(entry) else { return Ok(verdict) };
        let query = self.record_statement(fence, &effective_record(record, entry, &verdict));
        match self.write(&mut *connection, query).await {
            Err(error) if is_clash(&error) => {
                self.next_transaction(connection, false).await?;
                Ok(Verdict::Superseded)
            }
            rows => Ok(if rows? > 0 { verdict } else { Verdict::Fenced }),
        }
    }
}

/// Binds the columns of all kinds of rows that there are, in the order of the statement.
fn bind(mut query: Query, rows: &BatchRows<'_>, kinds: Kinds) -> Query {
    let BatchRows { starts, queued, records, finishes, messages, received, events, items } = rows;
    if !starts.is_empty() {
        let (rows, usual) = (starts.iter().copied(), kinds.has(Kinds::USUAL_STARTS));
        query = bind_columns(query, varying(START, usual), rows.clone());
        query = bind_columns(query, varying(PARENT_RUN, usual), rows);
    }
    if !queued.is_empty() {
        let (rows, usual) = (queued.iter().map(|it| it.row), kinds.has(Kinds::USUAL_QUEUED));
        query = bind_columns(query, varying(START, usual), rows.clone());
        query = bind_columns(query, varying(PARENT_RUN, usual), rows.clone());
        query = bind_columns(query, varying(PLACEMENT, usual), rows);
        query = query.bind(column(queued.iter().map(QueuedRow::delay)));
    }
    if !finishes.is_empty() {
        let (rows, usual) = (finishes.iter().copied(), kinds.has(Kinds::USUAL_FINISHES));
        query = bind_columns(bind_rows(query, END_OF, rows.clone()), varying(END, usual), rows);
    }
    if !records.is_empty() {
        let usual = kinds.has(Kinds::USUAL_RECORDS);
        query = bind_columns(query, varying(RECORD, usual), records.iter().map(|it| it.record));
        query = query
            .bind(records.iter().map(|it| micros(it.record.ran_for)).collect::<Vec<_>>())
            .bind(records.iter().map(|it| it.ends).collect::<Vec<_>>());
        if !usual {
            query = query.bind(column(records.iter().map(|it| it.starts.map(WorkflowKey::get))));
        }
    }
    if !messages.is_empty() {
        let rows = messages.iter().map(|it| it.row);
        query = bind_rows(bind_rows(query, RECEIVER, rows.clone()), MESSAGE, rows);
        query = bind_ends(query, messages);
    }
    if !received.is_empty() {
        query = bind_ends(query.bind(received.iter().map(|it| it.row.get()).collect::<Vec<_>>()), received);
    }
    for publications in [events, items] {
        if !publications.is_empty() {
            query = bind_rows(query, PUBLICATION, publications.iter().map(|it| it.row));
            query = bind_ends(query, publications);
        }
    }
    query
}

/// Binds which of the rows depend on which end.
fn bind_ends<T>(query: Query, rows: &[WithEnd<'_, T>]) -> Query {
    query.bind(column(rows.iter().map(|it| it.ends.map(WorkflowKey::get))))
}

/// Nothing was stored, because these messages have no receiver: their entries are judged, and the others
/// are to be sent without them.
fn without_receivers(entries: &[&Entry], refused: &HashMap<i64, Option<String>>) -> Result<JudgedEntry, StoreError> {
    let mut judged = JudgedEntry::all(&Verdict::Stored, entries);
    for (index, entry) in entries.iter().enumerate() {
        let without = entry.messages.iter().find_map(|it| Some((&it.to, refused.get(&it.key.get())?)));
        match without {
            Some((id, word)) => {
                let status = word.as_deref().map(decode::status).transpose()?;
                judged.verdicts[index] = Verdict::NoReceiver { id: id.clone(), status };
            }
            None => judged.unsent.push(index),
        }
    }
    Ok(judged)
}

/// How many of the rows depend on no end.
fn without_end<T>(rows: &[WithEnd<'_, T>]) -> usize {
    rows.iter().filter(|it| it.ends.is_none()).count()
}
