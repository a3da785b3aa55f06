//! The fast path: everything of one call in one statement and one commit.
//!
//! Such a statement says how much of it was written. What it says nothing about (a row was there
//! already, an end did not apply) is left to the careful path, entry by entry.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::{PgConnection, Row};

use crate::store::decode::{ExistingRow, decode};
use crate::store::enqueue_rows::hangs_on_its_begin;
use crate::store::postgres::sql_text::{CLOCK, FENCE};
use crate::store::postgres::{PgQuery, PostgresStore};
use crate::store::rows_by_kind::{BatchRows, all, error_of, output_of};
use crate::store::sql::texts;
use crate::store::store_error::is_clash;
use crate::store::{
    Commit, Entry, ExistingWorkflow, Fence, Finish, NewRecord, NewWorkflow, StoreError, StoreErrorKind, StoreFuture,
    Verdict,
};
use crate::types::time::micros;

texts! {
    /// $1, $2 fence; $3 to $12 the workflow.
    begin = format!(
        "insert into durable.workflows
            (key, id, name, instance, parent, version, fingerprint, input, timeout, deadline, status, executor, attempt,
             created_at, started_at)
         select $3::bigint, $4::text, $5::text, $6::text, $7::bigint, $8::text, $9::bigint, $10::text,
                $11::bigint, $12::bigint, 'PENDING', $1::bigint, 1, c.now, c.now
           from {CLOCK} c
          where {FENCE} = 1
         on conflict (id) do nothing"
    );
    /// $1, $2 fence; $3 to $13 the record. A record in the way is a unique violation: looking for
    /// it in every statement (`on conflict`) would cost each record what only a lost race needs.
    record = format!(
        "insert into durable.steps
            (workflow, branch, position, kind, name, child, attempts, started_at, completed_at, output, error, failures)
         select $3::bigint, $4::text, $5::integer, $6::text, $7::text, $8::text, $9::integer,
                c.now - $10::bigint, c.now, $11::text, $12::text, $13::text
           from {CLOCK} c
          where {FENCE} = 1"
    );
    /// $1, $2 fence; $3 to $8 the end.
    finish = format!(
        "update durable.workflows
            set status = $5::text, output = $6::text, error = $7::text, reason = $8::text,
                completed_at = case when $5::text = 'PARKED' then null else {CLOCK} end
          where key = $3::bigint and attempt = $4::integer and status = 'PENDING' and executor = $1::bigint
            and {FENCE} = 1"
    );
    /// $1, $2 fence; $3 to $8 the end; $9 to $18 its last record, which is only stored with the end.
    record_and_finish = format!(
        "with clock as materialized {CLOCK},
         done as (
             update durable.workflows
                set status = $5::text, output = $6::text, error = $7::text, reason = $8::text,
                    completed_at = case when $5::text = 'PARKED' then null else (select now from clock) end
              where key = $3::bigint and attempt = $4::integer and status = 'PENDING' and executor = $1::bigint
                and {FENCE} = 1
             returning key)
         insert into durable.steps
            (workflow, branch, position, kind, name, child, attempts, started_at, completed_at, output, error, failures)
         select d.key, $9::text, $10::integer, $11::text, $12::text, $13::text, $14::integer,
                c.now - $15::bigint, c.now, $16::text, $17::text, $18::text
           from done d, clock c"
    );
    /// Workflows by id, and whether the fence holds. $1, $2 fence; $3 ids. The limit keeps every
    /// row; it is there for the planner, see `batch`.
    existing =
        "select w.key, w.id, w.name, w.instance, w.status,
                exists (select 1 from durable.executors where key = $1::bigint and epoch = $2::bigint) as ours
           from (select * from unnest($3::text[]) limit cardinality($3::text[])) as wanted (id)
           join durable.workflows w on w.id = wanted.id";
}

impl Commit for PostgresStore {
    fn commit<'a>(&'a self, fence: Fence, entries: &'a [Entry], again: bool) -> StoreFuture<'a, Vec<Verdict>> {
        Box::pin(async move {
            let mut lane = self.take_lane().await?;
            let result = self.commit_on(&mut lane, fence, entries, again).await;
            match &result {
                // The connection itself is at fault, or nobody knows in which state it is.
                Err(error) if error.kind == StoreErrorKind::Unreachable => drop(lane),
                _ => self.give_lane_back(lane),
            }
            result
        })
    }
}

/// What the fast path found out.
pub(super) struct JudgedEntry {
    /// A verdict for every entry.
    pub(super) verdicts: Vec<Verdict>,
    /// Entries about which nothing can be said yet; nothing of them is stored.
    pub(super) unclear: Vec<usize>,
    /// Entries that were held up by others, and are to be sent without those.
    pub(super) unsent: Vec<usize>,
}

impl JudgedEntry {
    pub(super) fn all(verdict: &Verdict, entries: &[&Entry]) -> Self {
        Self { verdicts: all(verdict, entries.len()), unclear: Vec::new(), unsent: Vec::new() }
    }

    pub(super) fn unclear(entries: &[&Entry]) -> Self {
        Self { unclear: (0..entries.len()).collect(), ..Self::all(&Verdict::Stored, entries) }
    }
}

impl PostgresStore {
    async fn commit_on(
        &self,
        lane: &mut PgConnection,
        fence: Fence,
        entries: &[Entry],
        again: bool,
    ) -> Result<Vec<Verdict>, StoreError> {
        let mut verdicts = all(&Verdict::Stored, entries.len());
        let (mut unclear, mut unsent) = (Vec::new(), (0..entries.len()).collect::<Vec<_>>());
        if again {
            std::mem::swap(&mut unclear, &mut unsent);
        } else if entries.iter().map(Entry::rows).sum::<usize>() > 1 {
            (unclear, unsent) = unsent.into_iter().partition(|&index| hangs_on_its_begin(&entries[index]));
        }
        while !unsent.is_empty() {
            let sent: Vec<&Entry> = unsent.iter().map(|&index| &entries[index]).collect();
            let judged = self.at_once(lane, fence, &sent).await?;
            for (&index, verdict) in unsent.iter().zip(judged.verdicts) {
                verdicts[index] = verdict;
            }
            unclear.extend(judged.unclear.iter().map(|&place| unsent[place]));
            unsent = judged.unsent.iter().map(|&place| unsent[place]).collect();
        }
        if !unclear.is_empty() {
            unclear.sort_unstable();
            let looked_at = self.one_by_one(lane, fence, unclear.iter().map(|&index| &entries[index]), again).await?;
            for (index, verdict) in unclear.into_iter().zip(looked_at) {
                verdicts[index] = verdict;
            }
        }
        Ok(verdicts)
    }

    /// Sends all entries in one statement.
    async fn at_once(
        &self,
        lane: &mut PgConnection,
        fence: Fence,
        entries: &[&Entry],
    ) -> Result<JudgedEntry, StoreError> {
        let parts = BatchRows::of(entries.iter().copied());
        if parts.need_care(entries) {
            return Ok(JudgedEntry::unclear(entries));
        }
        if parts.talks() {
            return self.batch(lane, fence, &parts, entries).await;
        }
        if let [queued] = parts.queued[..]
            && entries.iter().map(|it| it.rows()).sum::<usize>() == 1
        {
            return self.lone_queued(lane, fence, queued, entries).await;
        }
        let sent = match (&parts.begins[..], &parts.records[..], &parts.finishes[..]) {
            _ if !parts.queued.is_empty() => return self.batch(lane, fence, &parts, entries).await,
            ([], [], []) => return Ok(JudgedEntry::all(&Verdict::Stored, entries)),
            ([begin], [], []) => return self.lone_begin(lane, fence, begin, entries).await,
            ([], [record], []) => {
                let query = self.record_statement(fence, record.record);
                self.write(&mut *lane, query).await.map(|rows| match rows {
                    0 => JudgedEntry::all(&Verdict::Fenced, entries),
                    _ => JudgedEntry::all(&Verdict::Stored, entries),
                })
            }
            ([], [], [finish]) => {
                let query = bind_finish(self.fenced(&self.texts.commit.finish, fence), finish);
                self.write(&mut *lane, query).await.map(|rows| match rows {
                    0 => JudgedEntry::unclear(entries),
                    _ => JudgedEntry::all(&Verdict::Stored, entries),
                })
            }
            ([], [record], [finish]) if record.ends => {
                let query = bind_finish(self.fenced(&self.texts.commit.record_and_finish, fence), finish);
                self.write(&mut *lane, bind_record(query, record.record)).await.map(|rows| match rows {
                    0 => JudgedEntry::unclear(entries),
                    _ => JudgedEntry::all(&Verdict::Stored, entries),
                })
            }
            _ => return self.batch(lane, fence, &parts, entries).await,
        };
        match sent {
            Err(error) if is_clash(&error) => Ok(JudgedEntry::unclear(entries)),
            other => Ok(other?),
        }
    }

    async fn lone_begin(
        &self,
        lane: &mut PgConnection,
        fence: Fence,
        begin: &NewWorkflow,
        entries: &[&Entry],
    ) -> Result<JudgedEntry, StoreError> {
        if self.write(&mut *lane, self.begin_statement(fence, begin)).await? > 0 {
            return Ok(JudgedEntry::all(&Verdict::Stored, entries));
        }
        let found = self.existing(lane, fence, vec![begin.id.as_str()]).await?;
        Ok(match found.into_values().next() {
            Some((held, true)) => JudgedEntry::all(&Verdict::Existing(held), entries),
            Some((_, false)) => JudgedEntry::all(&Verdict::Fenced, entries),
            None => JudgedEntry::unclear(entries),
        })
    }

    pub(super) fn begin_statement(&self, fence: Fence, it: &NewWorkflow) -> PgQuery {
        bind_begin(self.fenced(&self.texts.commit.begin, fence), it)
    }

    pub(super) fn record_statement(&self, fence: Fence, it: &NewRecord) -> PgQuery {
        bind_record(self.fenced(&self.texts.commit.record, fence).bind(it.workflow), it)
    }

    /// The workflows of these ids, each with whether the fence holds.
    pub(super) async fn existing(
        &self,
        lane: &mut PgConnection,
        fence: Fence,
        ids: Vec<&str>,
    ) -> Result<HashMap<String, (ExistingWorkflow, bool)>, StoreError> {
        let rows = self.fenced(&self.texts.commit.existing, fence).bind(ids).fetch_all(lane).await?;
        rows.iter()
            .map(|row| {
                let held: ExistingWorkflow = decode::<_, ExistingRow, _>(row)?;
                Ok((held.id.clone(), (held, row.try_get("ours")?)))
            })
            .collect()
    }

    /// A statement whose first two parameters are the fence.
    pub(super) fn fenced(&self, text: &Arc<str>, fence: Fence) -> PgQuery {
        self.query(text).bind(fence.executor).bind(fence.epoch)
    }
}

pub(super) fn bind_begin(query: PgQuery, it: &NewWorkflow) -> PgQuery {
    let query = query.bind(it.key).bind(&it.id).bind(&it.name).bind(&it.instance).bind(it.parent);
    let query = query.bind(&it.version).bind(it.fingerprint).bind(&it.input);
    query.bind(it.timeout.map(micros)).bind(it.deadline)
}

/// Binds all of a record but its workflow.
pub(super) fn bind_record(query: PgQuery, it: &NewRecord) -> PgQuery {
    let query = query.bind(&*it.position.branch).bind(it.position.number).bind(it.kind).bind(&it.name).bind(&it.child);
    let query = query.bind(it.attempts).bind(micros(it.ran_for));
    query.bind(output_of(it.outcome.as_ref())).bind(error_of(it.outcome.as_ref())).bind(&it.failures)
}

pub(super) fn bind_finish(query: PgQuery, it: &Finish) -> PgQuery {
    let query = query.bind(it.workflow).bind(it.attempt).bind(it.status.as_str());
    query.bind(output_of(it.outcome.as_ref())).bind(error_of(it.outcome.as_ref())).bind(&it.reason)
}
