/// Docs.
#[queue]
pub(crate) static TASKS: Queue = Queue::new("tasks").worker_concurrency(5);

#[queue(crate = "renamed")]
#[cfg(unix)]
static API: Queue = Queue::new("api").rate_limit(100, Duration::from_secs(60));

#[workflow(queue = crate::queues::TASKS)]
async fn backup() -> Result<()> {
    todo!()
}
