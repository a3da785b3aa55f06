//! A small batch as one call of SQLite's thread: `begin`, its statements and `commit` in one text.
//!
//! A call is two switches between threads, and a transaction of two statements would be four calls. Measured with one
//! caller, a workflow of one step: 0.36 ms with four calls at its end, 0.26 ms with one. Larger batches gain nothing: their
//! next statement is made while SQLite carries out the one before. Nor does another driver: with rusqlite on a thread of
//! its own, 0.28 ms, and the same as here for 16 and 64 workflows at a time.

use sqlx::AssertSqlSafe;

use crate::store::rows_by_kind::{BatchRows, numbers};
use crate::store::sqlite::batch::{
    are_usual_ends, are_usual_records, are_usual_starts, bind_chunk, bind_finishes, bind_message, bind_publication,
    bind_queued, bind_records, bind_starts,
};
use crate::store::sqlite::batch_sql::{GIVEN_PARAMETERS, MIDDLE, SMALLEST, SizedStatement};
use crate::store::sqlite::commit::is_large;
use crate::store::sqlite::dialect::{Query, list};
use crate::store::sqlite::writer_connection::{WriterGuard, is_of_a_row};
use crate::store::sqlite::{BEGIN, SqliteStore};
use crate::store::{Fence, StoreError};
use crate::types::time::Timestamp;

impl SqliteStore {
    /// Commits these rows if that gains something, and returns whether it was done. If not, nothing is stored; the reason may
    /// also be that a row conflicts, or could not be written.
    pub(super) async fn in_one_call(
        &self,
        writer: &mut WriterGuard,
        fence: Fence,
        rows: &BatchRows<'_>,
    ) -> Result<bool, StoreError> {
        let counts = rows_by_statement(rows);
        // What was received has no count that proves the fence.
        if counts.iter().all(|rows| *rows == 0) || counts.iter().any(|rows| *rows > MIDDLE) {
            return Ok(false);
        }
        let are_usual =
            (are_usual_starts(&rows.starts), are_usual_ends(&rows.finishes), are_usual_records(&rows.records));
        if !has_few_texts(rows, counts, are_usual == (true, true, true)) || has_large_input(rows) {
            return Ok(false);
        }
        let sql = &self.sql.batch_sql;
        let (starts, finishes) = (sql.starts.of(are_usual.0), sql.finishes.of(are_usual.1));
        let records = sql.records.of(are_usual.2);
        let statements = [starts, &sql.queued, &sql.messages, &sql.events, &sql.items, finishes, records];

        let (mut text, mut parameters, mut sent) = (format!("{BEGIN};"), 0, 2);
        for (statement, rows) in statements.into_iter().zip(counts).filter(|(_, rows)| *rows > 0) {
            let (one, size) = statement.of(rows);
            text.extend([&**one, ";", &*sql.expect, ";"]);
            parameters += GIVEN_PARAMETERS + size * statement.columns + 1;
            sent += 2;
        }
        if !rows.received.is_empty() {
            text.extend([&*sql.receive, ";"]);
            sent += 1;
        }
        text.push_str("commit");

        let part = Part { fence, now: self.clock.now() };
        let mut query = self.with_room(AssertSqlSafe(text), parameters + GIVEN_PARAMETERS + 1);
        query = part.bind(query, starts, &rows.starts, bind_starts(are_usual.0));
        query = part.bind(query, &sql.queued, &rows.queued, bind_queued);
        query = part.bind(query, &sql.messages, &rows.messages, bind_message);
        query = part.bind(query, &sql.events, &rows.events, bind_publication);
        query = part.bind(query, &sql.items, &rows.items, bind_publication);
        query = part.bind(query, finishes, &rows.finishes, bind_finishes(are_usual.1));
        query = part.bind(query, records, &rows.records, bind_records(are_usual.2));
        if !rows.received.is_empty() {
            let keys: Vec<_> = rows.received.iter().map(|it| *it.row).collect();
            query = part.bind_given(query).bind(list(&numbers(&keys)));
        }
        match writer.execute_transaction(query, sent).await {
            Ok(()) => {
                self.counter.committed(counts.iter().map(|rows| *rows as u64).sum());
                Ok(true)
            }
            Err(error) if is_of_a_row(&error) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// How many rows each statement writes, in their order.
fn rows_by_statement(rows: &BatchRows<'_>) -> [usize; 7] {
    let BatchRows { starts, queued, records, finishes, messages, events, items, .. } = rows;
    [starts.len(), queued.len(), messages.len(), events.len(), items.len(), finishes.len(), records.len()]
}

/// Whether the text is one of a few: rows of executions that have usual values, or a few rows of two kinds. A text is prepared
/// for its numbers of rows and kept, and of many different ones the driver's cache would be full.
fn has_few_texts(rows: &BatchRows<'_>, counts: [usize; 7], are_usual: bool) -> bool {
    let BatchRows { starts, finishes, records, received, .. } = rows;
    let of_executions =
        received.is_empty() && starts.len() + finishes.len() + records.len() == counts.iter().sum::<usize>();
    let kinds = counts.iter().filter(|rows| **rows > 0).count() + usize::from(!received.is_empty());
    of_executions && are_usual || kinds <= 2 && counts.iter().all(|rows| *rows <= SMALLEST)
}

fn has_large_input(rows: &BatchRows<'_>) -> bool {
    rows.starts.iter().any(|it| is_large(it)) || rows.queued.iter().any(|it| is_large(it.row))
}

/// What the statements of a call have in common.
struct Part {
    fence: Fence,
    now: Timestamp,
}

impl Part {
    fn bind_given(&self, query: Query) -> Query {
        query.bind(self.fence.executor.get()).bind(self.fence.epoch.get()).bind(self.now)
    }

    /// Binds the rows of a statement, and how many it has to write.
    fn bind<T>(
        &self,
        query: Query,
        statement: &SizedStatement,
        rows: &[T],
        bind: impl FnMut(Query, &T) -> Query,
    ) -> Query {
        if rows.is_empty() {
            return query;
        }
        bind_chunk(self.bind_given(query), statement, rows, bind).bind(i64::try_from(rows.len()).unwrap_or(i64::MAX)) // they are few
    }
}
