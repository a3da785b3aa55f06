//! The statements that write one row of an execution: a start, a record, an end. Each holds the fence.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::Row;

use super::SqlStore;
use super::dialect::{
    Connection, FENCE_HOLDS, FENCE_SEEN, FROM_CLOCK, Query, bind_row, list, list_table, now, parameters,
};
use crate::store::columns::{END, END_OF, ExistingRow, RECORD, START, names, select};
use crate::store::decode::decode;
use crate::store::sql::sql_statements;
use crate::store::{ExistingWorkflow, Fence, Finish, NewRecord, NewWorkflow, StoreError};
use crate::types::time::micros;

sql_statements! {
    /// $1, $2 fence; $3 to $12 the workflow; $13 now.
    start = format!(
        "insert into durable.workflows ({}, status, executor, attempt, created_at, started_at)
         select {}, 'PENDING', $1, 1, {now}, {now} {FROM_CLOCK}
          where {FENCE_HOLDS}
         on conflict (id) do nothing",
        names(START),
        parameters(START, 3),
        now = now(3 + START.len())
    );
    /// $1, $2 fence; $3 to $12 the record; $13 how long its body ran; $14 now. A record at the same
    /// position is a unique violation. Checking for it in every statement (`on conflict`) would slow down
    /// every record, and only a lost race needs it.
    record = recording("");
    /// The same, and writes nothing where there is a record at the position.
    record_if_absent = recording("on conflict (workflow, branch, position) do nothing");
    /// $1, $2 fence; $3, $4 the run; $5 to $8 its end; $9 now.
    finish = format!(
        "update durable.workflows set {}, completed_at = case when $5 = 'PARKED' then null else {} end
           {FROM_CLOCK}
          where key = $3 and attempt = $4 and status = 'PENDING' and executor = $1 and {FENCE_HOLDS}",
        set_end(3 + END_OF.len()),
        now(3 + END_OF.len() + END.len())
    );
    /// Workflows by id, and whether the fence holds. $1, $2 fence; $3 ids.
    existing = format!(
        "select {}, {FENCE_SEEN} as fence_holds
           from {} cross join durable.workflows w where w.id = wanted.value",
        select("w", ExistingRow::COLUMNS, &[]),
        list_table(3)
    );
}

fn recording(on_conflict: &str) -> String {
    let ran_for = 3 + RECORD.len();
    let now = now(ran_for + 1);
    format!(
        "insert into durable.steps ({}, started_at, completed_at)
         select {}, {now} - ${ran_for}, {now} {FROM_CLOCK}
          where {FENCE_HOLDS} {on_conflict}",
        names(RECORD),
        parameters(RECORD, 3)
    )
}

/// The assignments of an end. Its parameters begin at this number.
pub(super) fn set_end(first: usize) -> String {
    let set =
        |(column, number): (&crate::store::columns::Column<Finish>, usize)| format!("{} = ${number}", column.name);
    END.iter().zip(first..).map(set).collect::<Vec<_>>().join(", ")
}

impl SqlStore {
    /// A statement with the fence as its first two parameters.
    pub(super) fn fenced(&self, text: &Arc<str>, fence: Fence) -> Query {
        self.query(text).bind(fence.executor.get()).bind(fence.epoch.get())
    }

    pub(super) fn start_statement(&self, fence: Fence, it: &NewWorkflow) -> Query {
        self.bind_now(bind_row(self.fenced(&self.sql.single_rows.start, fence), START, it))
    }

    pub(super) fn record_statement(&self, fence: Fence, it: &NewRecord) -> Query {
        self.bind_record(self.fenced(&self.sql.single_rows.record, fence), it)
    }

    pub(super) fn record_if_absent_statement(&self, fence: Fence, it: &NewRecord) -> Query {
        self.bind_record(self.fenced(&self.sql.single_rows.record_if_absent, fence), it)
    }

    fn bind_record(&self, query: Query, it: &NewRecord) -> Query {
        self.bind_now(bind_row(query, RECORD, it).bind(micros(it.ran_for)))
    }

    pub(super) fn finish_statement(&self, fence: Fence, it: &Finish) -> Query {
        let query = bind_row(self.fenced(&self.sql.single_rows.finish, fence), END_OF, it);
        self.bind_now(bind_row(query, END, it))
    }

    /// The workflows of these ids, each with whether the fence holds.
    pub(super) async fn existing(
        &self,
        connection: &mut Connection,
        fence: Fence,
        ids: &[&str],
    ) -> Result<HashMap<String, (ExistingWorkflow, bool)>, StoreError> {
        let query = self.fenced(&self.sql.single_rows.existing, fence).bind(list(ids));
        query
            .fetch_all(connection)
            .await?
            .iter()
            .map(|row| {
                let existing: ExistingWorkflow = decode::<_, ExistingRow, _>(row)?;
                Ok((existing.id.clone(), (existing, row.try_get("fence_holds")?)))
            })
            .collect()
    }
}
