//! The fast path: a lone row as one statement that commits by itself, everything else as one
//! transaction with few statements.

use sqlx::SqliteConnection;

use crate::store::batch_clock::BatchClock;
use crate::store::enqueue_rows::{depends_on_start, repeats_a_start};
use crate::store::rows_by_kind::{BatchRows, same_for_all};
use crate::store::sql::sql_statements;
use crate::store::sqlite::SqliteStore;
use crate::store::sqlite::dialect::LARGE_INPUT;
use crate::store::sqlite::nul_check::refuse_nul;
use crate::store::sqlite::writer_connection::WriterGuard;
use crate::store::store_error::is_clash;
use crate::store::{Commit, Entry, Fence, NewWorkflow, StoreError, StoreFuture, Verdict};
use crate::types::keys::WorkflowKey;

sql_statements! {
    /// $1 key; $2 input.
    input = "insert into durable.inputs (workflow, input) values ($1, $2)";
    /// $1 key; $2 input.
    replace_input =
        "insert into durable.inputs (workflow, input) values ($1, $2)
         on conflict (workflow) do update set input = excluded.input";
    /// $1 key; $2 input, or NULL if it is large.
    set_input = "update durable.workflows set input = $2 where key = $1";
    /// $1 key.
    delete_input = "delete from durable.inputs where workflow = $1";
}

impl Commit for SqliteStore {
    fn commit<'a>(&'a self, fence: Fence, entries: &'a [Entry], again: bool) -> StoreFuture<'a, Vec<Verdict>> {
        self.call(async move {
            refuse_nul(entries)?;
            let mut writer = self.writing().await?;
            let verdicts = if again { None } else { self.commit_fast(&mut writer, fence, entries).await? };
            let verdicts = match verdicts {
                Some(verdicts) => verdicts,
                None => self.commit_rows(&mut writer, fence, entries.iter(), again).await?,
            };
            self.file.check()?; // nothing is confirmed that is in a file which no other process finds
            Ok(verdicts)
        })
    }
}

impl SqliteStore {
    /// Commits all entries together; `None`, with nothing stored, if some row conflicts and a commit
    /// row by row has to find out which.
    async fn commit_fast(
        &self,
        connection: &mut WriterGuard,
        fence: Fence,
        entries: &[Entry],
    ) -> Result<Option<Vec<Verdict>>, StoreError> {
        if entries.iter().any(depends_on_start) || repeats_a_start(entries).any(|it| it) {
            return Ok(None);
        }
        let rows = BatchRows::of(entries);
        if let [queued] = rows.queued[..]
            && !is_large(queued.row)
            && entries.iter().map(Entry::rows).sum::<usize>() == 1
        {
            return self.lone_queued(connection, fence, queued, entries).await;
        }
        if rows.has_messaging() {
            return match entries.iter().map(Entry::rows).sum() {
                1 => self.lone_message_or_publication(connection, fence, &rows, entries).await,
                _ => self.batch(connection, fence, &rows, entries).await,
            };
        }
        let sent = match (&rows.starts[..], &rows.records[..], &rows.finishes[..]) {
            _ if !rows.queued.is_empty() => return self.batch(connection, fence, &rows, entries).await,
            ([], [], []) => return Ok(Some(same_for_all(&Verdict::Stored, entries.len()))),
            ([start], [], []) if !is_large(start) => return self.lone_start(connection, fence, start, entries).await,
            ([], [record], []) => {
                let query = self.record_statement(fence, record.record);
                self.write(connection, query).await.map(|rows| {
                    let verdict = if rows == 0 { Verdict::Fenced } else { Verdict::Stored };
                    Some(same_for_all(&verdict, entries.len()))
                })
            }
            ([], [], [finish]) => {
                let query = self.finish_statement(fence, finish);
                let rows = self.write(connection, query).await;
                rows.map(|rows| (rows > 0).then(|| same_for_all(&Verdict::Stored, entries.len())))
            }
            _ => return self.batch(connection, fence, &rows, entries).await,
        };
        match sent {
            Err(error) if is_clash(&error) => Ok(None),
            other => Ok(other?),
        }
    }

    async fn lone_start(
        &self,
        connection: &mut SqliteConnection,
        fence: Fence,
        start: &NewWorkflow,
        entries: &[Entry],
    ) -> Result<Option<Vec<Verdict>>, StoreError> {
        if self.write(connection, self.start_statement(fence, start)).await? > 0 {
            return Ok(Some(same_for_all(&Verdict::Stored, entries.len())));
        }
        let found = self.existing(connection, fence, &[&start.id]).await?;
        Ok(found.into_values().next().map(|(existing, fence_holds)| {
            let verdict = if fence_holds { Verdict::Existing(existing) } else { Verdict::Fenced };
            same_for_all(&verdict, entries.len())
        }))
    }

    /// Stores a single message or publication; `None` where a message was not stored.
    async fn lone_message_or_publication(
        &self,
        connection: &mut SqliteConnection,
        fence: Fence,
        rows: &BatchRows<'_>,
        entries: &[Entry],
    ) -> Result<Option<Vec<Verdict>>, StoreError> {
        let now = self.clock.now();
        let query = match (&rows.messages[..], &rows.events[..], &rows.items[..]) {
            ([message], ..) => self.send_statement(fence, message.row, now),
            (_, [it], _) | (_, _, [it]) => self.publish_statement(fence, &BatchClock::new(false), now, it.row),
            _ => return Ok(None), // a message was received, and there is no record of it
        };
        let rows = self.write(connection, query).await?;
        Ok((rows > 0).then(|| same_for_all(&Verdict::Stored, entries.len())))
    }

    /// Stores an input that is large in its own table.
    /// Sets the input of a workflow.
    pub(super) async fn set_input(
        &self,
        connection: &mut SqliteConnection,
        key: i64,
        input: &str,
    ) -> Result<(), StoreError> {
        let in_row = Some(input).filter(|it| it.len() <= LARGE_INPUT).map(str::to_owned);
        if in_row.is_none() {
            let query = self.query(&self.sql.commit.replace_input).bind(key).bind(input.to_owned());
            query.execute(&mut *connection).await?;
        }
        self.query(&self.sql.commit.set_input).bind(key).bind(in_row).execute(connection).await?;
        Ok(())
    }

    pub(super) async fn store_large_input(
        &self,
        connection: &mut SqliteConnection,
        it: &NewWorkflow,
    ) -> Result<(), StoreError> {
        if is_large(it) {
            self.query(&self.sql.commit.input).bind(it.key.get()).bind(&it.input).execute(connection).await?;
        }
        Ok(())
    }

    /// Gives the workflow with this key the input of another one.
    pub(super) async fn replace_large_input(
        &self,
        connection: &mut SqliteConnection,
        key: WorkflowKey,
        it: &NewWorkflow,
    ) -> Result<(), StoreError> {
        let query = if is_large(it) {
            self.query(&self.sql.commit.replace_input).bind(key.get()).bind(&it.input)
        } else {
            self.query(&self.sql.commit.delete_input).bind(key.get())
        };
        query.execute(connection).await?;
        Ok(())
    }
}

/// Whether the input has a row of its own.
pub(super) fn is_large(start: &NewWorkflow) -> bool {
    start.input.len() > LARGE_INPUT
}
