//! The gauges of the metrics: read when a scrape asks, at most once in some seconds, so that they cost nothing while
//! no scrape comes.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::engine::durable::Durable;
use crate::registry::INTERNAL_QUEUE;
use crate::runtime::Runtime;
use crate::store::{GaugeValues, StoreError, WaitingWork};
use crate::types::executor_listing::ExecutorState;
use crate::types::metrics::{OTHER, metric_list as list, to_float};

/// What was read from the database is shown for so long.
const FRESH: Duration = Duration::from_secs(5);
/// How long the database has to answer.
const READ_TIMEOUT: Duration = Duration::from_secs(3);
/// Where counts stop.
const MOST: u32 = 10_000;

impl Durable {
    /// Sets the gauges of the metrics to the present values: depths and ages of queues, executors, parked workflows,
    /// waiting messages, connections, the lease. The metrics route of `durable::axum` does it for each scrape; call it
    /// yourself before each export where a recorder of yours pushes its metrics.
    ///
    /// The database is read at most every 5 s, with four bounded statements, and has 3 s for its answer: if there is
    /// none, `durable_database_up` becomes 0, and the other gauges that are read from it keep their values.
    pub async fn update_gauges(&self) {
        let runtime = self.runtime();
        set_local_gauges(runtime);
        let mut read_at = runtime.gauges_read_at.lock().await;
        if read_at.is_some_and(|at| at.elapsed() < FRESH) {
            return;
        }
        let answer = tokio::time::timeout(READ_TIMEOUT, read(runtime)).await;
        // Also without an answer, so that scrapes that wait for this one do not wait for another READ_TIMEOUT each.
        *read_at = Some(Instant::now());
        match answer {
            Ok(Ok((values, waiting))) => {
                list::DATABASE_UP.set(1.0, &[]);
                set_database_gauges(runtime, &values, &waiting);
            }
            Ok(Err(error)) => {
                list::DATABASE_UP.set(0.0, &[]);
                tracing::debug!(target: "durable", %error, "the gauges could not be read");
            }
            Err(_) => list::DATABASE_UP.set(0.0, &[]),
        }
    }
}

async fn read(runtime: &Runtime) -> Result<(GaugeValues, Unknown), StoreError> {
    let queues = runtime.registry.queues().iter().map(|it| it.name().to_owned());
    let queues: Vec<_> = queues.chain([INTERNAL_QUEUE.to_owned()]).collect();
    let values = runtime.store.gauges(&queues, MOST).await?;
    let waiting = runtime.store.waiting_work().await?;
    let abandoned = runtime.store.count_unknown(&runtime.known()).await?;
    Ok((values, Unknown { waiting, abandoned }))
}

/// What may wait for a program that has its function.
struct Unknown {
    waiting: Vec<WaitingWork>,
    /// PENDING workflows of dead executors, or of none, by name.
    abandoned: Vec<(String, u64)>,
}

impl Unknown {
    fn count(&self, runtime: &Runtime) -> u64 {
        let is_unknown = |name: &str| runtime.registry.get(name).is_none();
        let on_queues = self.waiting.iter().filter(|it| it.queue.is_some() && is_unknown(&it.name));
        let abandoned = self.abandoned.iter().filter(|(name, _)| is_unknown(name));
        on_queues.map(|it| it.workflows).sum::<u64>() + abandoned.map(|(_, count)| count).sum::<u64>()
    }
}

/// What this process knows by itself.
fn set_local_gauges(runtime: &Runtime) {
    list::WORKFLOWS_RUNNING.set(to_float(runtime.running.count()), &[]);
    list::LEASE_LENGTH.set(runtime.settings.lease.as_secs_f64(), &[]);
    list::HEARTBEAT_AGE.set(runtime.lease.age().as_secs_f64(), &[]);
    for pool in runtime.store.pools() {
        list::POOL_SIZE.set(to_float(pool.size), &[pool.name]);
        list::POOL_CONNECTIONS.set(to_float(pool.held), &[pool.name, "in_use"]);
        list::POOL_CONNECTIONS.set(to_float(pool.open.saturating_sub(pool.held)), &[pool.name, "idle"]);
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts that large are not exact in a chart either")]
fn set_database_gauges(runtime: &Runtime, values: &GaugeValues, unknown: &Unknown) {
    let now = runtime.timers.clock.lower_bound();
    for queue in &values.queues {
        let name = [runtime.registry.queue_label(&queue.name)];
        let age = queue.oldest.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        list::QUEUE_DEPTH.set(queue.waiting as f64, &name);
        list::QUEUE_OLDEST_AGE.set(age.as_secs_f64(), &name);
        list::QUEUE_RUNNING.set(queue.running as f64, &name);
        list::QUEUE_PAUSED.set(f64::from(u8::from(queue.paused)), &name);
    }
    for state in [ExecutorState::Live, ExecutorState::Leaving, ExecutorState::Expired, ExecutorState::Dead] {
        let count = values.executors.get(state.as_str()).copied().unwrap_or_default();
        list::EXECUTORS.set(count as f64, &[state.as_str()]);
    }
    // Each name has a value, so that one with none left goes back to 0.
    let names: BTreeSet<&str> = runtime.registry.all().iter().map(|it| it.name).chain([OTHER]).collect();
    for name in names {
        let counts = values.parked.iter().filter(|(parked, _)| runtime.registry.name_label(parked) == name);
        list::WORKFLOWS_NOW_PARKED.set(counts.map(|(_, count)| count).sum::<u64>() as f64, &[name]);
    }
    list::WORKFLOWS_UNKNOWN.set(unknown.count(runtime) as f64, &[]);
    list::MESSAGES_WAITING.set(values.messages as f64, &[]);
}
