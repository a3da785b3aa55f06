//! The fast path for many rows: one statement of data-modifying CTEs over arrays.

use std::collections::{HashMap, HashSet};

use sqlx::{PgConnection, Row};

use crate::store::decode;
use crate::store::enqueue_rows::{QueuedRow, of_whom, record_of_the_begin};
use crate::store::postgres::commit::JudgedEntry;
use crate::store::postgres::{PgQuery, PostgresStore};
use crate::store::rows_by_kind::{BatchRows, WithEnd, error_of, output_of, value_of};
use crate::store::store_error::is_clash;
use crate::store::{Entry, ExistingWorkflow, Fence, StoreError, Verdict};
use crate::types::time::micros;

impl PostgresStore {
    pub(super) async fn batch(
        &self,
        lane: &mut PgConnection,
        fence: Fence,
        parts: &BatchRows<'_>,
        entries: &[&Entry],
    ) -> Result<JudgedEntry, StoreError> {
        let query = bind(self.fenced(self.texts.batch.of(parts), fence), parts);
        let row = match query.fetch_one(&mut *lane).await {
            Err(error) if is_clash(&error) => return Ok(JudgedEntry::unclear(entries)),
            other => other?,
        };
        if row.try_get::<i64, _>("held")? == 0 {
            return Ok(JudgedEntry::all(&Verdict::Fenced, entries));
        }
        if let Some(lacking) = row.try_get::<Option<Vec<i64>>, _>("lacking")? {
            let statuses: Vec<Option<String>> = row.try_get("statuses")?;
            return without_receivers(entries, &lacking.into_iter().zip(statuses).collect());
        }
        let keys = |column: &str| Ok::<_, StoreError>(row.try_get::<Option<Vec<i64>>, _>(column)?.unwrap_or_default());
        let (mut begun, done) = (keys("begun")?, keys("done")?);
        begun.extend(keys("enqueued")?);
        // A record with an end, or of a begin, is only there if that is, so the others are enough to count.
        let records = parts.records.iter().filter(|it| !it.ends && it.begins.is_none()).count();
        let said = of_no_end(&parts.received) + of_no_end(&parts.events) + of_no_end(&parts.items);
        let sent = row.try_get::<i64, _>("sent")?.unsigned_abs();
        self.meter.committed((begun.len() + done.len() + records + said) as u64 + sent);
        let lacking = parts.begins.len() + parts.queued.len() - begun.len() + parts.finishes.len() - done.len();
        let mut judged = JudgedEntry::all(&Verdict::Stored, entries);
        if lacking > 0 {
            self.judge(lane, fence, entries, &begun, &done, &mut judged).await?;
        }
        Ok(judged)
    }

    /// Finds out about the entries whose begin or end was not written.
    async fn judge(
        &self,
        lane: &mut PgConnection,
        fence: Fence,
        entries: &[&Entry],
        begun: &[i64],
        done: &[i64],
        judged: &mut JudgedEntry,
    ) -> Result<(), StoreError> {
        let begun: HashSet<i64> = begun.iter().copied().collect();
        let done: HashSet<i64> = done.iter().copied().collect();
        let mut there = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            if entry.finish.as_ref().is_some_and(|it| !done.contains(&it.workflow)) {
                judged.unclear.push(index);
            } else if let Some(begin) = entry.start.as_ref().filter(|it| !begun.contains(&it.key)) {
                there.push((index, begin));
            }
        }
        if there.is_empty() {
            return Ok(());
        }
        let found = self.existing(lane, fence, there.iter().map(|(_, it)| it.id.as_str()).collect()).await?;
        let mut twins = Vec::new();
        for (index, begin) in there {
            match (found.get(&begin.id), QueuedRow::of(begin).filter(|it| it.place.deduplication_id.is_some())) {
                (Some((held, _)), _) => {
                    judged.verdicts[index] = self.record_existing(lane, fence, entries[index], held.clone()).await?;
                }
                (None, Some(queued)) => twins.push((index, queued)),
                (None, None) => judged.unclear.push(index),
            }
        }
        let queued: Vec<QueuedRow<'_>> = twins.iter().map(|(_, it)| *it).collect();
        let found = self.duplicates(lane, fence, &queued).await?;
        for (index, it) in twins {
            let twin = (it.place.queue.clone(), it.place.deduplication_id.clone().unwrap_or_default());
            match found.get(&twin) {
                Some(held) => judged.verdicts[index] = Verdict::Duplicate(held.clone()),
                None => judged.unclear.push(index),
            }
        }
        Ok(())
    }

    /// Records the start of a workflow that was there already, once it is known which one that is.
    async fn record_existing(
        &self,
        lane: &mut PgConnection,
        fence: Fence,
        entry: &Entry,
        held: ExistingWorkflow,
    ) -> Result<Verdict, StoreError> {
        let verdict = Verdict::Existing(held);
        let Some(record) = record_of_the_begin(entry) else { return Ok(verdict) };
        let query = self.record_statement(fence, &of_whom(record, entry, &verdict));
        match self.write(&mut *lane, query).await {
            Err(error) if is_clash(&error) => Ok(Verdict::Superseded),
            rows => Ok(if rows? > 0 { verdict } else { Verdict::Fenced }),
        }
    }
}

/// Binds the columns of all parts that are there, in the order of the text.
fn bind(mut query: PgQuery, parts: &BatchRows<'_>) -> PgQuery {
    /// One array of a column's values.
    macro_rules! column {
        ($rows:expr, $row:ident => $value:expr) => {
            $rows.iter().map(|$row| $value).collect::<Vec<_>>()
        };
    }
    let BatchRows { begins, queued, records, finishes, messages, received, events, items } = parts;
    if !begins.is_empty() {
        query = query
            .bind(column!(begins, it => it.key))
            .bind(column!(begins, it => it.id.as_str()))
            .bind(column!(begins, it => it.name.as_str()))
            .bind(column!(begins, it => it.instance.as_deref()))
            .bind(column!(begins, it => it.parent))
            .bind(column!(begins, it => it.version.as_str()))
            .bind(column!(begins, it => it.fingerprint))
            .bind(column!(begins, it => it.input.as_str()))
            .bind(column!(begins, it => it.timeout.map(micros)))
            .bind(column!(begins, it => it.deadline));
    }
    if !queued.is_empty() {
        query = query
            .bind(column!(queued, it => it.row.key))
            .bind(column!(queued, it => it.row.id.as_str()))
            .bind(column!(queued, it => it.row.name.as_str()))
            .bind(column!(queued, it => it.row.instance.as_deref()))
            .bind(column!(queued, it => it.row.parent))
            .bind(column!(queued, it => it.row.version.as_str()))
            .bind(column!(queued, it => it.row.fingerprint))
            .bind(column!(queued, it => it.row.input.as_str()))
            .bind(column!(queued, it => it.row.timeout.map(micros)))
            .bind(column!(queued, it => it.row.deadline))
            .bind(column!(queued, it => it.place.queue.as_str()))
            .bind(column!(queued, it => it.place.priority))
            .bind(column!(queued, it => it.partition()))
            .bind(column!(queued, it => it.place.deduplication_id.as_deref()))
            .bind(column!(queued, it => it.delay()));
    }
    if !finishes.is_empty() {
        query = query
            .bind(column!(finishes, it => it.workflow))
            .bind(column!(finishes, it => it.attempt))
            .bind(column!(finishes, it => it.status.as_str()))
            .bind(column!(finishes, it => output_of(it.outcome.as_ref())))
            .bind(column!(finishes, it => error_of(it.outcome.as_ref())))
            .bind(column!(finishes, it => it.reason.as_deref()));
    }
    if !records.is_empty() {
        query = query
            .bind(column!(records, it => it.ends))
            .bind(column!(records, it => it.record.workflow))
            .bind(column!(records, it => &*it.record.position.branch))
            .bind(column!(records, it => it.record.position.number))
            .bind(column!(records, it => it.record.kind))
            .bind(column!(records, it => it.record.name.as_str()))
            .bind(column!(records, it => it.record.child.as_deref()))
            .bind(column!(records, it => it.record.attempts))
            .bind(column!(records, it => micros(it.record.ran_for)))
            .bind(column!(records, it => output_of(it.record.outcome.as_ref())))
            .bind(column!(records, it => error_of(it.record.outcome.as_ref())))
            .bind(column!(records, it => it.record.failures.as_deref()));
        if !begins.is_empty() || !queued.is_empty() {
            query = query.bind(column!(records, it => it.begins));
        }
    }
    if !messages.is_empty() {
        query = query
            .bind(column!(messages, it => it.ends))
            .bind(column!(messages, it => it.row.key))
            .bind(column!(messages, it => it.row.to.as_str()))
            .bind(column!(messages, it => it.row.topic.as_str()))
            .bind(column!(messages, it => it.row.idempotency_key.as_deref()))
            .bind(column!(messages, it => it.row.payload.as_str()));
    }
    if !received.is_empty() {
        query = query.bind(column!(received, it => it.ends)).bind(column!(received, it => *it.row));
    }
    for emissions in [events, items] {
        if !emissions.is_empty() {
            query = query
                .bind(column!(emissions, it => it.ends))
                .bind(column!(emissions, it => it.row.workflow))
                .bind(column!(emissions, it => it.row.name.as_str()))
                .bind(column!(emissions, it => it.row.key))
                .bind(column!(emissions, it => &*it.row.position.branch))
                .bind(column!(emissions, it => it.row.position.number))
                .bind(column!(emissions, it => value_of(it.row)));
        }
    }
    query
}

/// Nothing was stored, because these messages have nobody to receive them: their entries are judged,
/// and the others are to be sent without them.
fn without_receivers(entries: &[&Entry], lacking: &HashMap<i64, Option<String>>) -> Result<JudgedEntry, StoreError> {
    let mut judged = JudgedEntry::all(&Verdict::Stored, entries);
    for (index, entry) in entries.iter().enumerate() {
        let nobody = entry.messages.iter().find_map(|it| Some((&it.to, lacking.get(&it.key)?)));
        match nobody {
            Some((id, word)) => {
                let status = word.as_deref().map(decode::status).transpose()?;
                judged.verdicts[index] = Verdict::NoReceiver { id: id.clone(), status };
            }
            None => judged.unsent.push(index),
        }
    }
    Ok(judged)
}

/// How many of the rows do not depend on an end.
fn of_no_end<T>(rows: &[WithEnd<'_, T>]) -> usize {
    rows.iter().filter(|it| it.ends.is_none()).count()
}
