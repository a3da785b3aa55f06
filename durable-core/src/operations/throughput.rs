//! How many workflows end, by stretch of time.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::journal::checkpoint::Operation;
use crate::operations::look::Look;
use crate::runtime::Runtime;
use crate::types::error::{Error, ErrorKind, Result};
use crate::types::filter::Filter;
use crate::types::page::{GroupBy, WorkflowCounts};
use crate::types::status::Status;

/// Where the count of one stretch stops.
const MOST: u32 = 10_000;
/// How many stretches are counted at most.
const MOST_BUCKETS: u32 = 1_000;

/// How many workflows ended in a stretch of time. As JSON the fields have these names and times are RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ThroughputBucket {
    /// When it begins.
    pub from: DateTime<Utc>,
    /// Before when it ends.
    pub until: DateTime<Utc>,
    /// How many succeeded.
    pub success: u64,
    /// How many failed.
    pub error: u64,
    /// How many were cancelled.
    pub cancelled: u64,
    /// Whether the count stopped at its limit, so that there are more: 10,000 of a stretch are counted.
    pub capped: bool,
}

/// How many workflows ended in each of so many stretches of time of one length, the first of which begins at `from`.
///
/// It takes milliseconds whatever there is, because each stretch is counted in the order of the ends, to 10,000 at
/// most. Workflows that were deleted do not count.
///
/// In a workflow's body the answer is recorded, at a position that is reserved when this is called.
///
/// # Errors
/// There are more than 1,000 stretches; no engine runs; it was called in a transaction; the database cannot be reached
/// (in a body the workflow waits for it).
///
/// # Example
///
/// ```no_run
/// # use durable_core as durable;
/// # use std::time::Duration;
/// # async fn example() -> durable::Result<()> {
/// let hour_ago = chrono::Utc::now() - Duration::from_secs(3_600);
/// for minute in durable::throughput(hour_ago, Duration::from_secs(60), 60).await? {
///     println!("{}: {} succeeded, {} failed", minute.from, minute.success, minute.error);
/// }
/// # Ok(())
/// # }
/// ```
pub fn throughput(
    from: DateTime<Utc>,
    length: Duration,
    stretches: u32,
) -> impl Future<Output = Result<Vec<ThroughputBucket>>> + Send {
    count(None, from, length, stretches)
}

pub(crate) fn count(
    engine: Option<&Arc<Runtime>>,
    from: DateTime<Utc>,
    length: Duration,
    stretches: u32,
) -> impl Future<Output = Result<Vec<ThroughputBucket>>> + Send + use<> {
    let look = Look::through(engine);
    async move {
        if stretches > MOST_BUCKETS {
            let message = format!(
                "{stretches} stretches of time are more than the {MOST_BUCKETS} that are counted at once: take longer ones"
            );
            return Err(Error::new(ErrorKind::Misuse, message));
        }
        let question = move |runtime: Arc<Runtime>| async move {
            let mut buckets = Vec::new();
            for number in 0..stretches {
                let (from, until) = (from + length * number, from + length * (number + 1));
                let filter = Filter::new().completed_after(from).completed_before(until);
                let counts = runtime.store.count(&filter, GroupBy::Status, MOST).await?;
                buckets.push(bucket(from, until, &counts));
            }
            Ok(Ok(buckets))
        };
        look.ask(Operation::once("throughput"), "count the workflows that ended", question).await
    }
}

fn bucket(from: DateTime<Utc>, until: DateTime<Utc>, counts: &WorkflowCounts) -> ThroughputBucket {
    let of = |status: Status| {
        let group = counts.groups.iter().find(|it| it.value.as_deref() == Some(status.as_str()));
        group.map_or(0, |it| it.count)
    };
    let (success, error, cancelled) = (of(Status::Success), of(Status::Error), of(Status::Cancelled));
    ThroughputBucket { from, until, success, error, cancelled, capped: counts.capped }
}
