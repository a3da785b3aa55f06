//! The careful path: one transaction, entry by entry, row by row. It is for what may have been
//! written before, and for races; it looks at every row that is in the way.

use sqlx::PgConnection;

use crate::store::batch_clock::BatchClock;
use crate::store::decode::{ExistingRow, RecordRow, StoredEndRow, decode};
use crate::store::enqueue_rows::{QueuedRow, StartedRow, of_whom, record_of_a_debounce};
use crate::store::postgres::PostgresStore;
use crate::store::postgres::commit::{bind_finish, bind_record};
use crate::store::postgres::sql_text::CLOCK;
use crate::store::rows_by_kind::{StoredEnd, all, is_same_end, is_same_record};
use crate::store::sql::texts;
use crate::store::{
    Entry, ExistingWorkflow, Fence, Finish, NewRecord, NewWorkflow, Record, StoreError, StoreErrorKind, Verdict,
};

texts! {
    /// $1, $2 fence. This lock waits for every statement that holds the row by its own fence: an
    /// earlier call whose answer was lost may still be at work, and the two would take the same rows
    /// in different orders.
    fence = "select 1 from durable.executors where key = $1::bigint and epoch = $2::bigint for update";
    /// $1 to $11 the record.
    record = format!(
        "insert into durable.steps
            (workflow, branch, position, kind, name, child, attempts, started_at, completed_at, output, error, failures)
         select $1::bigint, $2::text, $3::integer, $4::text, $5::text, $6::text, $7::integer,
                c.now - $8::bigint, c.now, $9::text, $10::text, $11::text
           from {CLOCK} c
         on conflict (workflow, branch, position) do nothing"
    );
    stored_record =
        "select workflow, branch, position, kind, name, child, output, error from durable.steps
          where workflow = $1 and branch = $2 and position = $3";
    stored_end = "select status, attempt, output, error from durable.workflows where key = $1";
    savepoint = "savepoint entry";
    release = "release savepoint entry";
    undo = "rollback to savepoint entry";
}

impl PostgresStore {
    /// Commits the entries one by one in one transaction, and says of each what became of it.
    pub(super) async fn one_by_one<'a>(
        &self,
        lane: &mut PgConnection,
        fence: Fence,
        entries: impl ExactSizeIterator<Item = &'a Entry>,
        again: bool,
    ) -> Result<Vec<Verdict>, StoreError> {
        let mut transaction = self.begin(lane).await?;
        if self.fenced(&self.texts.careful.fence, fence).fetch_optional(&mut *transaction).await?.is_none() {
            self.undo(transaction).await?;
            return Ok(all(&Verdict::Fenced, entries.len()));
        }
        let mut moment = BatchClock::new(again);
        let (mut verdicts, mut written) = (Vec::with_capacity(entries.len()), 0);
        for entry in entries {
            let (verdict, rows) = self.all_or_nothing(&mut transaction, fence, &mut moment, entry).await?;
            verdicts.push(verdict);
            written += rows;
        }
        self.end(transaction, written).await?;
        Ok(verdicts)
    }

    /// Writes one entry, or takes back what of it was written. Gives the rows that stay.
    async fn all_or_nothing(
        &self,
        transaction: &mut PgConnection,
        fence: Fence,
        moment: &mut BatchClock,
        entry: &Entry,
    ) -> Result<(Verdict, u64), StoreError> {
        let mut written = 0;
        if entry.rows() < 2 {
            let verdict = self.write_entry(transaction, fence, moment, entry, &mut written).await?;
            return Ok((verdict, written));
        }
        self.query(&self.texts.careful.savepoint).execute(&mut *transaction).await?;
        let verdict = self.write_entry(transaction, fence, moment, entry, &mut written).await?;
        if matches!(verdict, Verdict::Superseded | Verdict::NoReceiver { .. } | Verdict::Duplicate(_)) {
            self.query(&self.texts.careful.undo).execute(&mut *transaction).await?;
            written = 0;
        }
        self.query(&self.texts.careful.release).execute(&mut *transaction).await?;
        Ok((verdict, written))
    }

    async fn write_entry(
        &self,
        transaction: &mut PgConnection,
        fence: Fence,
        moment: &mut BatchClock,
        entry: &Entry,
        written: &mut u64,
    ) -> Result<Verdict, StoreError> {
        let mut verdict = Verdict::Stored;
        if let Some(begin) = &entry.start {
            let before = if moment.again { self.debounced_before(transaction, entry).await? } else { None };
            let begun = match (before, QueuedRow::of(begin)) {
                (Some(held), _) => StartedRow::Debounced(held),
                (None, Some(queued)) => self.enqueue_or_find(transaction, fence, queued, written).await?,
                (None, None) => self.begin_or_find(transaction, fence, begin, written).await?,
            };
            verdict = begun.verdict();
            if let Verdict::Duplicate(_) = verdict {
                return Ok(verdict);
            }
        }
        for record in &entry.records {
            let record = &*of_whom(record, entry, &verdict);
            if !self.record_or_compare(transaction, record, written).await? {
                return Ok(Verdict::Superseded);
            }
        }
        for message in &entry.messages {
            if let Some(nobody) = self.send_or_explain(transaction, moment, message, written).await? {
                return Ok(nobody);
            }
        }
        if !entry.received.is_empty() {
            self.receive(transaction, &entry.received, written).await?;
        }
        for emission in &entry.publications {
            self.show_or_find(transaction, moment, emission, written).await?;
        }
        if let Some(finish) = &entry.finish
            && !self.finish_or_compare(transaction, fence, finish, written).await?
        {
            return Ok(Verdict::Superseded);
        }
        Ok(verdict)
    }

    /// Where an earlier sending of this call gave the arguments to a workflow that waited, gives that
    /// workflow, which may have begun to run since.
    async fn debounced_before(
        &self,
        transaction: &mut PgConnection,
        entry: &Entry,
    ) -> Result<Option<ExistingWorkflow>, StoreError> {
        let Some(record) = record_of_a_debounce(entry) else { return Ok(None) };
        let Some(Record { child: Some(child), .. }) = self.stored_record(transaction, record).await? else {
            return Ok(None);
        };
        let row = self.query(&self.texts.read.find).bind(child).fetch_optional(transaction).await?;
        let held: Option<ExistingWorkflow> = row.map(|row| decode::<_, ExistingRow, _>(&row)).transpose()?;
        Ok(held.filter(|it| entry.start.as_ref().is_some_and(|begin| begin.id != it.id)))
    }

    async fn stored_record(
        &self,
        transaction: &mut PgConnection,
        record: &NewRecord,
    ) -> Result<Option<Record>, StoreError> {
        let query = self.query(&self.texts.careful.stored_record).bind(record.workflow);
        let query = query.bind(&*record.position.branch).bind(record.position.number);
        let stored = query.fetch_optional(transaction).await?;
        stored.as_ref().map(decode::<_, RecordRow, _>).transpose()
    }

    /// Begins a workflow, or gives the other one of its id.
    async fn begin_or_find(
        &self,
        transaction: &mut PgConnection,
        fence: Fence,
        begin: &NewWorkflow,
        written: &mut u64,
    ) -> Result<StartedRow, StoreError> {
        let rows = self.begin_statement(fence, begin).execute(&mut *transaction).await?.rows_affected();
        *written += rows;
        if rows > 0 {
            return Ok(StartedRow::Stored);
        }
        let row = self.query(&self.texts.read.find).bind(&begin.id).fetch_optional(&mut *transaction).await?;
        let held: ExistingWorkflow = match row {
            Some(row) => decode::<_, ExistingRow, _>(&row)?,
            // It was deleted in between: trying again starts it.
            None => {
                return Err(StoreError::new(StoreErrorKind::Contended, "a workflow went away while it was started"));
            }
        };
        Ok(if held.key == begin.key { StartedRow::Stored } else { StartedRow::Existing(held) })
    }

    /// Gives whether the record is stored now.
    async fn record_or_compare(
        &self,
        transaction: &mut PgConnection,
        record: &NewRecord,
        written: &mut u64,
    ) -> Result<bool, StoreError> {
        let query = bind_record(self.query(&self.texts.careful.record).bind(record.workflow), record);
        let rows = query.execute(&mut *transaction).await?.rows_affected();
        *written += rows;
        if rows > 0 {
            return Ok(true);
        }
        let stored = self.stored_record(transaction, record).await?;
        Ok(stored.is_some_and(|stored| is_same_record(&stored, record)))
    }

    /// Gives whether the run has ended just so.
    async fn finish_or_compare(
        &self,
        transaction: &mut PgConnection,
        fence: Fence,
        finish: &Finish,
        written: &mut u64,
    ) -> Result<bool, StoreError> {
        let query = bind_finish(self.fenced(&self.texts.commit.finish, fence), finish);
        let rows = query.execute(&mut *transaction).await?.rows_affected();
        *written += rows;
        if rows > 0 {
            return Ok(true);
        }
        let stored = self.query(&self.texts.careful.stored_end).bind(finish.workflow);
        let stored = stored.fetch_optional(&mut *transaction).await?;
        let stored: Option<StoredEnd> = stored.as_ref().map(decode::<_, StoredEndRow, _>).transpose()?;
        Ok(stored.is_some_and(|stored| is_same_end(&stored, finish)))
    }
}
