//! The fast path: everything of one call in one statement and one commit.
//!
//! Such a statement returns how much of it was written. Where that is not everything (a row was there
//! already, an end did not apply), the entries are committed row by row.

use sqlx::PgConnection;

use super::single_rows::set_end;
use crate::store::columns::{END, END_OF, ExistingRow, RECORD, names};
use crate::store::decode::decode;
use crate::store::enqueue_rows::{QueuedRow, depends_on_start, repeats_a_start};
use crate::store::postgres::PostgresStore;
use crate::store::postgres::dialect::{CLOCK, FENCE_HOLDS, Query, bind_row, parameters};
use crate::store::rows_by_kind::{BatchRows, same_for_all};
use crate::store::sql::sql_statements;
use crate::store::store_error::is_clash;
use crate::store::{
    Commit, Entry, ExistingWorkflow, Fence, Finish, NewRecord, NewWorkflow, StoreError, StoreFuture, Verdict,
};
use crate::types::keys::WorkflowKey;
use crate::types::time::micros;

sql_statements! {
    /// $1 key; $2 input.
    set_input = "update durable.workflows set input = $2 where key = $1";
    /// $1, $2 fence; $3, $4 the run; $5 to $8 its end; from $9 its last record, which is only stored
    /// with the end, and how long its body ran.
    record_and_finish = format!(
        "with clock as materialized {CLOCK},
         done as (
             update durable.workflows
                set {}, completed_at = case when $5 = 'PARKED' then null else (select now from clock) end
              where key = $3 and attempt = $4 and status = 'PENDING' and executor = $1 and {FENCE_HOLDS}
             returning key)
         insert into durable.steps ({}, started_at, completed_at)
         select {}, clock.now - ${}, clock.now from done, clock",
        set_end(3 + END_OF.len()),
        names(RECORD),
        parameters(RECORD, FIRST_OF_RECORD),
        FIRST_OF_RECORD + RECORD.len()
    );
}

/// The number of the first parameter of a record behind an end.
const FIRST_OF_RECORD: usize = 3 + END_OF.len() + END.len();

impl Commit for PostgresStore {
    fn commit<'a>(&'a self, fence: Fence, entries: &'a [Entry], again: bool) -> StoreFuture<'a, Vec<Verdict>> {
        self.call(async move {
            let mut connection = self.committing().await?;
            self.commit_on(&mut connection, fence, entries, again).await
        })
    }

    fn commits_at_once(&self) -> usize {
        self.writing.size()
    }
}

/// The result of the fast path.
pub(super) struct JudgedEntry {
    /// A verdict for every entry.
    pub(super) verdicts: Vec<Verdict>,
    /// Entries without a verdict yet; nothing of them is stored.
    pub(super) unclear: Vec<usize>,
    /// Entries that failed because of others, and are to be sent without those.
    pub(super) unsent: Vec<usize>,
}

impl JudgedEntry {
    pub(super) fn all(verdict: &Verdict, entries: &[&Entry]) -> Self {
        Self { verdicts: same_for_all(verdict, entries.len()), unclear: Vec::new(), unsent: Vec::new() }
    }

    pub(super) fn unclear(entries: &[&Entry]) -> Self {
        Self { unclear: (0..entries.len()).collect(), ..Self::all(&Verdict::Stored, entries) }
    }
}

impl PostgresStore {
    async fn commit_on(
        &self,
        connection: &mut PgConnection,
        fence: Fence,
        entries: &[Entry],
        again: bool,
    ) -> Result<Vec<Verdict>, StoreError> {
        let mut verdicts = same_for_all(&Verdict::Stored, entries.len());
        let (mut unclear, mut unsent) = (Vec::new(), (0..entries.len()).collect::<Vec<_>>());
        if again {
            std::mem::swap(&mut unclear, &mut unsent);
        } else if entries.iter().map(Entry::rows).sum::<usize>() > 1 {
            let repeats: Vec<bool> = repeats_a_start(entries).collect();
            (unclear, unsent) =
                unsent.into_iter().partition(|&index| depends_on_start(&entries[index]) || repeats[index]);
        }
        while !unsent.is_empty() {
            let sent: Vec<&Entry> = unsent.iter().map(|&index| &entries[index]).collect();
            if sent.len() < entries.len() {
                self.next_transaction(connection, true).await?;
            }
            let judged = self.commit_fast(connection, fence, &sent).await?;
            for (&index, verdict) in unsent.iter().zip(judged.verdicts) {
                verdicts[index] = verdict;
            }
            unclear.extend(judged.unclear.iter().map(|&entry| unsent[entry]));
            unsent = judged.unsent.iter().map(|&entry| unsent[entry]).collect();
        }
        if !unclear.is_empty() {
            unclear.sort_unstable();
            let found =
                self.commit_rows(connection, fence, unclear.iter().map(|&index| &entries[index]), again).await?;
            for (index, verdict) in unclear.into_iter().zip(found) {
                verdicts[index] = verdict;
            }
        }
        Ok(verdicts)
    }

    /// Sends all entries in one statement.
    async fn commit_fast(
        &self,
        connection: &mut PgConnection,
        fence: Fence,
        entries: &[&Entry],
    ) -> Result<JudgedEntry, StoreError> {
        let rows = BatchRows::of(entries.iter().copied());
        if rows.needs_slow_path(entries) {
            return Ok(JudgedEntry::unclear(entries));
        }
        if rows.has_messaging() {
            return self.batch(connection, fence, &rows, entries).await;
        }
        if let [queued] = rows.queued[..]
            && entries.iter().map(|it| it.rows()).sum::<usize>() == 1
        {
            return self.lone_queued(connection, fence, queued, entries).await;
        }
        let sent = match (&rows.starts[..], &rows.records[..], &rows.finishes[..]) {
            _ if !rows.queued.is_empty() => return self.batch(connection, fence, &rows, entries).await,
            ([], [], []) => return Ok(JudgedEntry::all(&Verdict::Stored, entries)),
            ([start], [], []) => return self.lone_start(connection, fence, start, entries).await,
            ([], [record], []) => {
                let query = self.record_statement(fence, record.record);
                self.write(&mut *connection, query).await.map(|rows| match rows {
                    0 => JudgedEntry::all(&Verdict::Fenced, entries),
                    _ => JudgedEntry::all(&Verdict::Stored, entries),
                })
            }
            ([], [], [finish]) => {
                let query = self.finish_statement(fence, finish);
                self.write(&mut *connection, query).await.map(|rows| match rows {
                    0 => JudgedEntry::unclear(entries),
                    _ => JudgedEntry::all(&Verdict::Stored, entries),
                })
            }
            ([], [record], [finish]) if record.ends => {
                let query = self.record_and_finish_statement(fence, record.record, finish);
                self.write(&mut *connection, query).await.map(|rows| match rows {
                    0 => JudgedEntry::unclear(entries),
                    _ => JudgedEntry::all(&Verdict::Stored, entries),
                })
            }
            _ => return self.batch(connection, fence, &rows, entries).await,
        };
        match sent {
            Err(error) if is_clash(&error) => {
                self.next_transaction(connection, false).await?;
                Ok(JudgedEntry::unclear(entries))
            }
            other => Ok(other?),
        }
    }

    async fn lone_start(
        &self,
        connection: &mut PgConnection,
        fence: Fence,
        start: &NewWorkflow,
        entries: &[&Entry],
    ) -> Result<JudgedEntry, StoreError> {
        if self.write(&mut *connection, self.start_statement(fence, start)).await? > 0 {
            return Ok(JudgedEntry::all(&Verdict::Stored, entries));
        }
        let found = self.existing(connection, fence, &[start.id.as_str()]).await?;
        Ok(match found.into_values().next() {
            Some((existing, true)) => JudgedEntry::all(&Verdict::Existing(existing), entries),
            Some((_, false)) => JudgedEntry::all(&Verdict::Fenced, entries),
            None => JudgedEntry::unclear(entries),
        })
    }

    fn record_and_finish_statement(&self, fence: Fence, record: &NewRecord, finish: &Finish) -> Query {
        let query = self.fenced(&self.sql.commit.record_and_finish, fence);
        let query = bind_row(bind_row(query, END_OF, finish), END, finish);
        bind_row(query, RECORD, record).bind(micros(record.ran_for))
    }

    /// One workflow that is enqueued, and nothing else.
    async fn lone_queued(
        &self,
        connection: &mut PgConnection,
        fence: Fence,
        it: QueuedRow<'_>,
        entries: &[&Entry],
    ) -> Result<JudgedEntry, StoreError> {
        if it.debounce().is_some() {
            let row = match self.debounce_statement(fence, it).fetch_optional(&mut *connection).await {
                Err(error) if is_clash(&error) => {
                    self.next_transaction(connection, false).await?;
                    None
                }
                row => row?,
            };
            // Either the fence no longer holds, or another workflow prevents it.
            let Some(row) = row else { return Ok(JudgedEntry::unclear(entries)) };
            self.counter.committed(1);
            let existing: ExistingWorkflow = decode::<_, ExistingRow, _>(&row)?;
            let verdict = if existing.key == it.row.key { Verdict::Stored } else { Verdict::Debounced(existing) };
            return Ok(JudgedEntry::all(&verdict, entries));
        }
        if self.write(&mut *connection, self.enqueue_statement(fence, it)).await? > 0 {
            return Ok(JudgedEntry::all(&Verdict::Stored, entries));
        }
        let found = self.existing(connection, fence, &[it.row.id.as_str()]).await?;
        if let Some((existing, fence_holds)) = found.into_values().next() {
            let verdict = if fence_holds { Verdict::Existing(existing) } else { Verdict::Fenced };
            return Ok(JudgedEntry::all(&verdict, entries));
        }
        let found = self.duplicates(connection, fence, &[it]).await?;
        Ok(match found.into_values().next() {
            Some(existing) => JudgedEntry::all(&Verdict::Duplicate(existing), entries),
            None => JudgedEntry::unclear(entries),
        })
    }

    /// Sets the input of a workflow.
    pub(super) async fn set_input(
        &self,
        connection: &mut PgConnection,
        key: i64,
        input: &str,
    ) -> Result<(), StoreError> {
        let query = self.query(&self.sql.commit.set_input).bind(key).bind(input.to_owned());
        query.execute(connection).await?;
        Ok(())
    }

    /// In Postgres large inputs are in no table of their own.
    #[allow(clippy::unused_async, reason = "SQLite writes a row")]
    pub(super) async fn store_large_input(&self, _: &mut PgConnection, _: &NewWorkflow) -> Result<(), StoreError> {
        Ok(())
    }

    /// The same for the input that a debounced call replaces.
    #[allow(clippy::unused_async, reason = "SQLite writes a row")]
    pub(super) async fn replace_large_input(
        &self,
        _: &mut PgConnection,
        _key: WorkflowKey,
        _: &NewWorkflow,
    ) -> Result<(), StoreError> {
        Ok(())
    }
}
