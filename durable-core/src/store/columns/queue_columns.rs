//! The columns of `queues`.

use std::time::Duration;

use super::Column;
use crate::store::decode::Decoded;
use crate::store::{NewQueue, QueueRow, RateLimit, StoreError, StoredLimits};
use crate::types::time::{Timestamp, micros};

/// The columns that a declaration of a queue writes: its name and its limits.
pub(in crate::store) const QUEUE: &[Column<NewQueue>] = &[
    Column::text("name", |it| Some(&it.name)),
    Column::integer("concurrency", |it| limit(it.limits.concurrency)),
    Column::integer("worker_concurrency", |it| limit(it.limits.worker_concurrency)),
    Column::integer("rate_starts", |it| limit(it.limits.rate_limit.map(|it| it.starts))),
    Column::big_int("rate_period", |it| it.limits.rate_limit.map(|it| micros(it.period))),
    Column::boolean("partitioned", |it| Some(it.limits.partitioned)),
    Column::integer("partition_concurrency", |it| limit(it.limits.partition_concurrency)),
    Column::integer("partition_rate_starts", |it| limit(it.limits.partition_rate_limit.map(|it| it.starts))),
    Column::big_int("partition_rate_period", |it| it.limits.partition_rate_limit.map(|it| micros(it.period))),
];

/// The columns of the limits.
pub(in crate::store) const LIMITS: &[Column<NewQueue>] = QUEUE.split_at(1).1;

fn limit(limit: Option<u32>) -> Option<i32> {
    limit.map(|it| i32::try_from(it).unwrap_or(i32::MAX))
}

fn number(number: Option<i32>) -> Option<u32> {
    number.map(|it| u32::try_from(it).unwrap_or_default())
}

/// The limits of a queue as they are read; all NULL for a queue that no program has declared.
#[derive(Debug, sqlx::FromRow)]
pub(in crate::store) struct LimitsRow {
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
    pub(in crate::store) fn is_paused(&self) -> bool {
        self.paused == Some(true)
    }

    pub(in crate::store) fn limits(&self) -> StoredLimits {
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

/// The columns of a queue `q` that a [`LimitsRow`] is read from.
pub(in crate::store) fn limits_of(q: &str) -> String {
    format!("{}, {q}.paused", super::names_of(q, LIMITS))
}

/// A queue in a listing. The counts are computed.
#[derive(Debug, sqlx::FromRow)]
pub(in crate::store) struct QueueInfoRow {
    name: String,
    #[sqlx(flatten)]
    limits: LimitsRow,
    changed: Option<bool>,
    enqueued: i64,
    delayed: i64,
    running: i64,
    oldest: Option<Timestamp>,
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
