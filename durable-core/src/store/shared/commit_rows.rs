//! A commit row by row: one transaction, entry by entry. It is for entries that may have been written
//! before, and for races; it reads every row that conflicts.

use super::SqlStore;
use super::dialect::{Connection, HOLD, LOCK_FENCE};
use crate::store::batch_clock::BatchClock;
use crate::store::columns::{ExistingRow, RecordRow, select};
use crate::store::decode::{StoredEndRow, decode};
use crate::store::enqueue_rows::{QueuedRow, StartedRow, debounce_record, disappeared, effective_record};
use crate::store::rows_by_kind::{StoredEnd, is_same_end, is_same_record, same_for_all};
use crate::store::sql::sql_statements;
use crate::store::{Entry, ExistingWorkflow, Fence, Finish, NewRecord, NewWorkflow, Record, StoreError, Verdict};

sql_statements! {
    /// $1, $2 fence.
    lock_fence = LOCK_FENCE;
    /// $1, $2, $3 the position.
    stored_record = format!(
        "select {} from durable.steps s where workflow = $1 and branch = $2 and position = $3",
        select("s", RecordRow::COLUMNS, &[])
    );
    /// $1 key.
    stored_end = "select status, attempt, output, error from durable.workflows where key = $1";
    /// The run of a parent, locked so that it is not cancelled before the commit. $1 key, $2 attempt.
    hold_parent = format!(
        "select 1 from durable.workflows where key = $1 and attempt = $2 and status = 'PENDING' {HOLD}"
    );
    savepoint = "savepoint entry";
    release = "release savepoint entry";
    roll_back = "rollback to savepoint entry";
}

impl SqlStore {
    /// Commits the entries one by one in one transaction, with a verdict for each.
    pub(super) async fn commit_rows<'a>(
        &self,
        connection: &mut Connection,
        fence: Fence,
        entries: impl ExactSizeIterator<Item = &'a Entry>,
        again: bool,
    ) -> Result<Vec<Verdict>, StoreError> {
        let mut transaction = self.begin(connection).await?;
        if !self.lock_fence(&mut transaction, fence).await? {
            self.roll_back(transaction).await?;
            return Ok(same_for_all(&Verdict::Fenced, entries.len()));
        }
        let mut clock = BatchClock::new(again);
        let (mut verdicts, mut written) = (Vec::with_capacity(entries.len()), 0);
        for entry in entries {
            let (verdict, rows) = self.commit_entry(&mut transaction, fence, &mut clock, entry).await?;
            verdicts.push(verdict);
            written += rows;
        }
        self.end(transaction, written).await?;
        Ok(verdicts)
    }

    /// Waits for statements of this executor that still run, and returns whether the fence holds.
    pub(super) async fn lock_fence(&self, transaction: &mut Connection, fence: Fence) -> Result<bool, StoreError> {
        let query = self.fenced(&self.sql.commit_rows.lock_fence, fence);
        Ok(query.fetch_optional(transaction).await?.is_some())
    }

    /// Writes one entry, or nothing of it. Returns how many rows were written.
    async fn commit_entry(
        &self,
        transaction: &mut Connection,
        fence: Fence,
        clock: &mut BatchClock,
        entry: &Entry,
    ) -> Result<(Verdict, u64), StoreError> {
        let mut written = 0;
        if entry.rows() < 2 {
            let verdict = self.write_entry(transaction, fence, clock, entry, &mut written).await?;
            return Ok((verdict, written));
        }
        self.query(&self.sql.commit_rows.savepoint).execute(&mut *transaction).await?;
        let verdict = self.write_entry(transaction, fence, clock, entry, &mut written).await?;
        if matches!(verdict, Verdict::Superseded | Verdict::NoReceiver { .. } | Verdict::Duplicate(_)) {
            self.query(&self.sql.commit_rows.roll_back).execute(&mut *transaction).await?;
            written = 0;
        }
        self.query(&self.sql.commit_rows.release).execute(&mut *transaction).await?;
        Ok((verdict, written))
    }

    async fn write_entry(
        &self,
        transaction: &mut Connection,
        fence: Fence,
        clock: &mut BatchClock,
        entry: &Entry,
        written: &mut u64,
    ) -> Result<Verdict, StoreError> {
        let mut verdict = Verdict::Stored;
        if let Some(start) = &entry.start {
            let before = if clock.again { self.debounced_before(transaction, entry).await? } else { None };
            if before.is_none() && !self.may_start(transaction, start, clock.again).await? {
                return Ok(Verdict::Superseded);
            }
            let started = match (before, QueuedRow::of(start)) {
                (Some(existing), _) => StartedRow::Debounced(existing),
                (None, Some(queued)) => self.enqueue_or_find(transaction, fence, queued, written).await?,
                (None, None) => self.start_or_find(transaction, fence, start, written).await?,
            };
            verdict = started.verdict();
            if let Verdict::Duplicate(_) = verdict {
                return Ok(verdict);
            }
        }
        for record in &entry.records {
            let record = &*effective_record(record, entry, &verdict);
            if !self.record_or_compare(transaction, fence, record, written).await? {
                return Ok(Verdict::Superseded);
            }
        }
        for message in &entry.messages {
            if let Some(refused) = self.send_or_explain(transaction, fence, clock, message, written).await? {
                return Ok(refused);
            }
        }
        if !entry.received.is_empty() {
            *written += self.mark_received(transaction, fence, &entry.received).await?;
        }
        for publication in &entry.publications {
            self.publish_or_find(transaction, fence, clock, publication, written).await?;
        }
        if let Some(finish) = &entry.finish
            && !self.finish_or_compare(transaction, fence, finish, written).await?
        {
            return Ok(Verdict::Superseded);
        }
        Ok(verdict)
    }

    /// Whether the parent of a start, if it has one, is still in the run that starts it, or the start was
    /// stored by an earlier attempt of this call.
    async fn may_start(
        &self,
        transaction: &mut Connection,
        start: &NewWorkflow,
        again: bool,
    ) -> Result<bool, StoreError> {
        let Some(parent) = start.parent else { return Ok(true) };
        let query = self.query(&self.sql.commit_rows.hold_parent).bind(parent.key.get()).bind(parent.attempt);
        if query.fetch_optional(&mut *transaction).await?.is_some() {
            return Ok(true);
        }
        Ok(again && self.find_on(transaction, &start.id).await?.is_some_and(|it| it.key == start.key))
    }

    /// The DELAYED workflow that an earlier attempt of this call gave the arguments to, if there was
    /// one. It may have begun to run since.
    async fn debounced_before(
        &self,
        transaction: &mut Connection,
        entry: &Entry,
    ) -> Result<Option<ExistingWorkflow>, StoreError> {
        let Some(record) = debounce_record(entry) else { return Ok(None) };
        let Some(Record { child: Some(child), .. }) = self.stored_record(transaction, record).await? else {
            return Ok(None);
        };
        let existing = self.find_on(transaction, &child).await?;
        Ok(existing.filter(|it| entry.start.as_ref().is_some_and(|start| start.id != it.id)))
    }

    async fn stored_record(
        &self,
        transaction: &mut Connection,
        record: &NewRecord,
    ) -> Result<Option<Record>, StoreError> {
        let query = self.query(&self.sql.commit_rows.stored_record).bind(record.workflow.get());
        let query = query.bind(&*record.position.branch).bind(record.position.number);
        let stored = query.fetch_optional(transaction).await?;
        stored.as_ref().map(decode::<_, RecordRow, _>).transpose()
    }

    /// The workflow with this id.
    pub(super) async fn find_on(
        &self,
        connection: &mut Connection,
        id: &str,
    ) -> Result<Option<ExistingWorkflow>, StoreError> {
        let row = self.query(&self.sql.read.find).bind(id).fetch_optional(connection).await?;
        row.as_ref().map(decode::<_, ExistingRow, _>).transpose()
    }

    /// Starts a workflow, or returns the existing one with its id.
    async fn start_or_find(
        &self,
        transaction: &mut Connection,
        fence: Fence,
        start: &NewWorkflow,
        written: &mut u64,
    ) -> Result<StartedRow, StoreError> {
        let rows = self.start_statement(fence, start).execute(&mut *transaction).await?.rows_affected();
        *written += rows;
        if rows > 0 {
            self.store_large_input(transaction, start).await?;
            return Ok(StartedRow::Stored);
        }
        // If it was deleted in between, trying again starts it.
        let existing = self.find_on(transaction, &start.id).await?.ok_or_else(disappeared)?;
        Ok(if existing.key == start.key { StartedRow::Stored } else { StartedRow::Existing(existing) })
    }

    /// Returns whether the record is stored now.
    async fn record_or_compare(
        &self,
        transaction: &mut Connection,
        fence: Fence,
        record: &NewRecord,
        written: &mut u64,
    ) -> Result<bool, StoreError> {
        let query = self.record_if_absent_statement(fence, record);
        let rows = query.execute(&mut *transaction).await?.rows_affected();
        *written += rows;
        if rows > 0 {
            return Ok(true);
        }
        let stored = self.stored_record(transaction, record).await?;
        Ok(stored.is_some_and(|stored| is_same_record(&stored, record)))
    }

    /// Returns whether the stored end of the run is `finish`.
    async fn finish_or_compare(
        &self,
        transaction: &mut Connection,
        fence: Fence,
        finish: &Finish,
        written: &mut u64,
    ) -> Result<bool, StoreError> {
        let rows = self.finish_statement(fence, finish).execute(&mut *transaction).await?.rows_affected();
        *written += rows;
        if rows > 0 {
            return Ok(true);
        }
        let stored = self.query(&self.sql.commit_rows.stored_end).bind(finish.workflow.get());
        let stored = stored.fetch_optional(&mut *transaction).await?;
        let stored: Option<StoredEnd> = stored.as_ref().map(decode::<_, StoredEndRow, _>).transpose()?;
        Ok(stored.is_some_and(|stored| is_same_end(&stored, finish)))
    }
}
