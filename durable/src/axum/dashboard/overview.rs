//! How things are, read once for all viewers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ::axum::Json;
use ::axum::extract::State;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tracing::Instrument;
use tracing::instrument::WithSubscriber;

use super::api_error::Answer;
use super::json;
use super::source::DashboardSource;
use super::viewer::{Parameters, Viewer};
use super::{Dashboard, LIVE_INTERVAL, MAX_PAGE};
use crate::{
    Error, Filter, GroupBy, ListedExecutor, QueueInfo, Result, Status, ThroughputBucket, UntakenWork, WorkflowInfo,
};

/// Where the count of a status stops.
const MOST: u32 = 100_000;
/// How many parked and failed workflows are shown.
const SHOWN: u32 = 10;
/// How long an overview is shown before it is read again, if that is quick.
const FRESH: Duration = Duration::from_secs(1);
/// Reading may take this part of the time: an overview that is slow to read is read less often.
const SHARE_OF_TIME: u32 = 10;
/// How long stretches of time that are over are not counted again. Workflows that are resumed or deleted change them.
const SETTLED: Duration = Duration::from_mins(1);

/// The overview that was read last.
#[derive(Default)]
pub(super) struct OverviewCache(Arc<Mutex<Cached>>);

#[derive(Default)]
struct Cached {
    overview: Option<Arc<Overview>>,
    read_again: Option<Instant>,
    hour: Option<Series>,
    day: Option<Series>,
}

struct Overview {
    at: DateTime<Utc>,
    statuses: Vec<Value>,
    hour: Vec<ThroughputBucket>,
    day: Vec<ThroughputBucket>,
    queues: Vec<QueueInfo>,
    executors: Vec<ListedExecutor>,
    parked: Vec<WorkflowInfo>,
    failed: Vec<WorkflowInfo>,
    unclaimed: Vec<UntakenWork>,
}

/// `GET overview`
pub(super) async fn overview(
    State(dashboard): State<Arc<Dashboard>>,
    viewer: Viewer,
    parameters: Parameters,
) -> Answer<Json<Value>> {
    parameters.end()?;
    let source = &dashboard.source;
    let it = dashboard.overview.read(source).await?;
    let rows = |rows: &[WorkflowInfo]| -> Vec<Value> {
        rows.iter().map(|it| json::workflow(it, &viewer.redaction, false)).collect()
    };
    Ok(Json(json!({
        "at": it.at,
        "statuses": it.statuses,
        "hour": it.hour,
        "day": it.day,
        "queues": it.queues,
        "executors": it.executors,
        "parked": rows(&it.parked),
        "failed": rows(&it.failed),
        "unclaimed": it.unclaimed,
        "schema_version": source.schema_version(),
        "notifications": source.notifications(),
    })))
}

/// `GET settings`
pub(super) async fn settings(
    State(dashboard): State<Arc<Dashboard>>,
    viewer: Viewer,
    parameters: Parameters,
) -> Answer<Json<Value>> {
    parameters.end()?;
    let source = &dashboard.source;
    Ok(Json(json!({
        "application": source.application(),
        "database": source.location(),
        "library_version": env!("CARGO_PKG_VERSION"),
        "schema_version": source.schema_version(),
        "notifications": source.notifications(),
        "access": viewer.access_word(),
        "user": viewer.user,
        "redacted": viewer.redaction.hides(),
        "csrf_header": super::actions::CSRF_HEADER,
        "page_size": { "default": super::workflows::DEFAULT_PAGE, "max": MAX_PAGE },
        "live_seconds": LIVE_INTERVAL.as_secs_f64(),
    })))
}

impl OverviewCache {
    /// The overview, at most about a second old. Viewers that ask at the same time share one reading.
    /// A reading that has begun goes on when its viewer leaves, for the next one.
    async fn read(&self, source: &DashboardSource) -> Result<Arc<Overview>> {
        let (cache, source) = (Arc::clone(&self.0), source.clone());
        let reading = async move { cache.lock().await.read(&source).await };
        let read = tokio::spawn(reading.in_current_span().with_current_subscriber()).await;
        read.unwrap_or_else(|error| Err(Error::msg(format!("the overview cannot be read: {error}"))))
    }
}

impl Cached {
    async fn read(&mut self, source: &DashboardSource) -> Result<Arc<Overview>> {
        let cached = self;
        if let (Some(overview), Some(at)) = (&cached.overview, cached.read_again)
            && Instant::now() < at
        {
            return Ok(Arc::clone(overview));
        }
        let begun = Instant::now();
        let overview = Arc::new(read(source, &mut cached.hour, &mut cached.day).await?);
        cached.overview = Some(Arc::clone(&overview));
        cached.read_again = Some(Instant::now() + FRESH.max(begun.elapsed() * SHARE_OF_TIME));
        Ok(overview)
    }
}

async fn read(source: &DashboardSource, hour: &mut Option<Series>, day: &mut Option<Series>) -> Result<Overview> {
    let at = source.database_time().await?;
    let mut statuses = Vec::new();
    for status in Status::ALL {
        let counts = source.count_workflows(Filter::new().status(status).limit(MOST), GroupBy::Status).await?;
        statuses.push(json!({ "status": status, "count": counts.total, "capped": counts.capped }));
    }
    let newest = |status| Filter::new().status(status).newest_first().limit(SHOWN);
    let failed = newest(Status::Error).completed_after(at - chrono::TimeDelta::hours(1));
    Ok(Overview {
        at,
        statuses,
        hour: Series::read(hour, Duration::from_mins(1), 60, source, at).await?,
        day: Series::read(day, Duration::from_mins(30), 48, source, at).await?,
        queues: source.list_queues().await?,
        executors: source.list_executors().await?,
        parked: source.list_workflows(newest(Status::Parked)).await?.items,
        failed: source.list_workflows(failed).await?.items,
        unclaimed: source.list_untaken_work().await?,
    })
}

/// The last stretches of time of one length, until now.
struct Series {
    buckets: Vec<ThroughputBucket>,
    counted_at: Instant,
}

impl Series {
    /// Counts what is not known yet: the present stretch and the one before it, in which commits may have been late.
    async fn read(
        known: &mut Option<Self>,
        length: Duration,
        count: u32,
        source: &DashboardSource,
        now: DateTime<Utc>,
    ) -> Result<Vec<ThroughputBucket>> {
        let seconds = i64::try_from(length.as_secs()).unwrap_or(i64::MAX);
        let present = DateTime::from_timestamp(now.timestamp() / seconds * seconds, 0).unwrap_or(now);
        let first = present - length * (count - 1);
        let mut series = known
            .take()
            .filter(|it| it.counted_at.elapsed() < SETTLED)
            .unwrap_or_else(|| Self { buckets: Vec::new(), counted_at: Instant::now() });
        series.buckets.retain(|it| it.from >= first && it.from < present - length);
        let next = series.buckets.last().map_or(first, |it| it.until);
        let missing = (present + length - next).num_seconds() / seconds;
        let missing = u32::try_from(missing).unwrap_or_default().min(count);
        series.buckets.extend(source.throughput(next, length, missing).await?);
        Ok(known.insert(series).buckets.clone())
    }
}
