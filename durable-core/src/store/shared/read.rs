//! Reading workflows and their records.

use super::SqlStore;
use super::dialect::{list, list_table};
use crate::store::columns::{ExistingRow, RecordRow, select};
use crate::store::decode::decode;
use crate::store::rows_by_kind::numbers;
use crate::store::sql::sql_statements;
use crate::store::{ExistingWorkflow, PollRequest, PollResult, Read, Record, StoreFuture};
use crate::types::keys::WorkflowKey;
use crate::types::time::Timestamp;

sql_statements! {
    /// $1 id.
    find = format!("select {} from durable.workflows w where id = $1", select("w", ExistingRow::COLUMNS, &[]));
    /// $1 keys.
    records = format!(
        "select {} from {} cross join durable.steps s where s.workflow = wanted.value
          order by s.workflow, s.branch, s.position",
        select("s", RecordRow::COLUMNS, &[]),
        list_table(1)
    );
}

impl Read for SqlStore {
    fn now(&self) -> StoreFuture<'_, Timestamp> {
        self.call(self.ask_clock())
    }

    fn find<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Option<ExistingWorkflow>> {
        self.call(async move { self.find_on(&mut *self.reading().await?, id).await })
    }

    fn poll<'a>(&'a self, wanted: &'a PollRequest) -> StoreFuture<'a, PollResult> {
        self.call(self.poll_all(wanted))
    }

    fn records<'a>(&'a self, keys: &'a [WorkflowKey]) -> StoreFuture<'a, Vec<Record>> {
        self.call(async move {
            let query = self.query(&self.sql.read.records).bind(list(&numbers(keys)));
            let rows = query.fetch_all(&mut *self.reading().await?).await?;
            rows.iter().map(decode::<_, RecordRow, _>).collect()
        })
    }
}
