//! Decodes rows about queues into the types of the traits.

use sqlx::FromRow;

use crate::store::columns::{ExistingRow, LimitsRow, RunColumns};
use crate::store::decode::{Decoded, decode};
use crate::store::{Claimed, ExistingWorkflow, RunRow, StoreError, StoredLimits, Timestamp, WorkflowKey};

/// Whether starts are counted.
pub(super) fn has_rate(limits: &StoredLimits) -> bool {
    limits.rate_limit.is_some() || limits.partition_rate_limit.is_some()
}

/// Whether there is a workflow in a row.
#[derive(FromRow)]
pub(super) struct KeyRow {
    key: Option<i64>,
}

impl Decoded<Option<i64>> for KeyRow {
    fn decoded(self) -> Result<Option<i64>, StoreError> {
        Ok(self.key)
    }
}

/// A claimed workflow, and its position on the queue.
#[derive(FromRow)]
pub(super) struct ClaimedRow {
    #[sqlx(flatten)]
    run: RunColumns,
    priority: i32,
    created_at: Timestamp,
}

impl Decoded<((i32, Timestamp, WorkflowKey), RunRow)> for ClaimedRow {
    fn decoded(self) -> Result<((i32, Timestamp, WorkflowKey), RunRow), StoreError> {
        let run: RunRow = self.run.decoded()?;
        Ok(((self.priority, self.created_at, run.key), run))
    }
}

/// The claimed workflows in their order. Rows without a key only carry the other columns.
pub(super) fn runs<'r, R>(rows: &'r [R]) -> Result<Vec<RunRow>, StoreError>
where
    R: sqlx::Row,
    Option<i64>: sqlx::Type<R::Database> + sqlx::Decode<'r, R::Database>,
    for<'c> &'c str: sqlx::ColumnIndex<R>,
    ClaimedRow: FromRow<'r, R>,
    KeyRow: FromRow<'r, R>,
{
    let mut runs = Vec::with_capacity(rows.len());
    for row in rows {
        if decode::<_, KeyRow, _>(row)?.is_some() {
            runs.push(decode::<_, ClaimedRow, _>(row)?);
        }
    }
    runs.sort_unstable_by_key(|(position, _)| *position);
    Ok(runs.into_iter().map(|(_, run)| run).collect())
}

impl Claimed {
    /// An empty result, from a queue with these limits.
    pub(super) fn of(limits: &LimitsRow) -> Self {
        Self { limits: limits.limits(), paused: limits.is_paused(), ..Self::default() }
    }
}

/// The workflow that has the deduplication id on the queue.
#[derive(FromRow)]
pub(super) struct DuplicateRow {
    queue: String,
    deduplication_id: String,
    #[sqlx(flatten)]
    existing: ExistingRow,
}

impl Decoded<((String, String), ExistingWorkflow)> for DuplicateRow {
    fn decoded(self) -> Result<((String, String), ExistingWorkflow), StoreError> {
        Ok(((self.queue, self.deduplication_id), self.existing.decoded()?))
    }
}
