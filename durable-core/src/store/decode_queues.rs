//! From rows about queues to the words of the engine.

use std::time::Duration;

use sqlx::FromRow;

use crate::store::decode::{Decoded, decode};
use crate::store::{Claimed, ExistingWorkflow, QueueRow, RateLimit, RunRow, StoreError, StoredLimits};
use crate::types::time::micros;

/// The limits of a queue as the database has them; all NULL where nobody declared it.
#[derive(Debug, FromRow)]
pub(super) struct LimitsRow {
    concurrency: Option<i32>,
    worker_concurrency: Option<i32>,
    rate_starts: Option<i32>,
    rate_period: Option<i64>,
    partitioned: Option<bool>,
    partition_concurrency: Option<i32>,
    partition_rate_starts: Option<i32>,
    partition_rate_period: Option<i64>,
    paused: Option<bool>,
}

impl LimitsRow {
    pub(super) fn is_paused(&self) -> bool {
        self.paused == Some(true)
    }

    pub(super) fn limits(&self) -> StoredLimits {
        let rate = |starts: Option<i32>, period: Option<i64>| {
            let (starts, period) = (number(starts)?, Duration::from_micros(period?.unsigned_abs()));
            Some(RateLimit { starts, period })
        };
        StoredLimits {
            concurrency: number(self.concurrency),
            worker_concurrency: number(self.worker_concurrency),
            rate_limit: rate(self.rate_starts, self.rate_period),
            partitioned: self.partitioned == Some(true),
            partition_concurrency: number(self.partition_concurrency),
            partition_rate_limit: rate(self.partition_rate_starts, self.partition_rate_period),
        }
    }
}

impl Decoded<Self> for LimitsRow {
    fn decoded(self) -> Result<Self, StoreError> {
        Ok(self)
    }
}

fn number(number: Option<i32>) -> Option<u32> {
    number.map(|it| u32::try_from(it).unwrap_or_default())
}

/// A limit as a column holds it.
pub(super) fn column(limit: Option<u32>) -> Option<i32> {
    limit.map(|it| i32::try_from(it).unwrap_or(i32::MAX))
}

/// The two columns of a rate limit.
pub(super) fn columns(limit: Option<RateLimit>) -> (Option<i32>, Option<i64>) {
    (column(limit.map(|it| it.starts)), limit.map(|it| micros(it.period)))
}

/// Whether each partition key has its own line.
pub(super) fn by_partition(limits: &StoredLimits) -> bool {
    limits.partitioned || limits.partition_concurrency.is_some() || limits.partition_rate_limit.is_some()
}

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

/// A workflow that was claimed, and its place in the line.
#[derive(FromRow)]
pub(super) struct ClaimedRow {
    key: i64,
    id: String,
    name: String,
    instance: Option<String>,
    input: String,
    attempt: i32,
    recoveries: i32,
    fingerprint: i64,
    deadline: Option<i64>,
    parent: Option<i64>,
    queue: Option<String>,
    priority: i32,
    created_at: i64,
}

impl Decoded<((i32, i64, i64), RunRow)> for ClaimedRow {
    fn decoded(self) -> Result<((i32, i64, i64), RunRow), StoreError> {
        let Self { key, id, name, instance, input, attempt, recoveries, fingerprint, deadline, parent, queue, .. } =
            self;
        let id = id.into();
        let run = RunRow { key, id, name, input, instance, attempt, recoveries, fingerprint, deadline, parent, queue };
        Ok(((self.priority, self.created_at, key), run))
    }
}

/// The claimed workflows in their order; rows without a key are there for what else is in them.
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
    runs.sort_unstable_by_key(|(place, _)| *place);
    Ok(runs.into_iter().map(|(_, run)| run).collect())
}

impl Claimed {
    /// Nothing yet, from a queue with such limits.
    pub(super) fn of(limits: &LimitsRow) -> Self {
        Self { limits: limits.limits(), paused: limits.is_paused(), ..Self::default() }
    }
}

/// The one that has the deduplication id on the queue.
#[derive(FromRow)]
pub(super) struct DuplicateRow {
    queue: String,
    deduplication_id: String,
    #[sqlx(flatten)]
    held: crate::store::decode::ExistingRow,
}

impl Decoded<((String, String), ExistingWorkflow)> for DuplicateRow {
    fn decoded(self) -> Result<((String, String), ExistingWorkflow), StoreError> {
        Ok(((self.queue, self.deduplication_id), self.held.decoded()?))
    }
}

/// A queue, as people see it.
#[derive(FromRow)]
pub(super) struct QueueInfoRow {
    name: String,
    #[sqlx(flatten)]
    limits: LimitsRow,
    changed: Option<bool>,
    enqueued: i64,
    delayed: i64,
    running: i64,
    oldest: Option<i64>,
}

impl Decoded<QueueRow> for QueueInfoRow {
    fn decoded(self) -> Result<QueueRow, StoreError> {
        Ok(QueueRow {
            name: self.name,
            limits: self.limits.limits(),
            changed: self.changed == Some(true),
            paused: self.limits.is_paused(),
            enqueued: self.enqueued.unsigned_abs(),
            delayed: self.delayed.unsigned_abs(),
            running: self.running.unsigned_abs(),
            oldest: self.oldest,
        })
    }
}
