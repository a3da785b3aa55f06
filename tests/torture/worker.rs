//! One process: an engine, and clients that start workflows and wait for them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use durable::{Durable, Error, ErrorKind};

use crate::AnyResult;
use crate::ledger;
use crate::options::WorkerOptions;
use crate::random::Random;
use crate::workload::{
    Kind, ORDERED, batch, endless, long_transactions, order, ordered, past_deadline, patient, publishes,
};

/// Clients of one process, each of which does one thing after the other.
const CLIENTS: u64 = 4;
/// While this file is there, clients start nothing new.
pub(crate) const STOP_FILE: &str = "stop";

/// Launches the engine, and runs until SIGTERM or the end of the process.
pub(crate) async fn run(options: WorkerOptions) -> AnyResult<()> {
    let filter = tracing_subscriber::EnvFilter::from_default_env(); // RUST_LOG, errors by default
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::io::stderr).init();
    ledger::open(&options.folder, &options.name)?;
    let app = launch(&options).await?;
    ledger::note("launched", "-", &options.name);
    let options = Arc::new(options);
    let running = Arc::new(AtomicU32::new(0));
    for client in 0..CLIENTS {
        running.fetch_add(1, Ordering::SeqCst);
        let (of_client, running, name) = (Client::new(&options, client), Arc::clone(&running), options.name.clone());
        app.spawn_scoped(async move {
            of_client.run().await;
            if running.fetch_sub(1, Ordering::SeqCst) == 1 {
                ledger::note("stopped", "-", &name);
            }
        });
    }
    if options.long_transactions {
        for number in 0..20 {
            let id = format!("{}-slow{number}", options.name);
            app.scope(long_transactions(20).id(id).start()).await?;
        }
    }
    let name = options.name.clone();
    let report = app.run_until_signal().await;
    ledger::note("left", "-", &name);
    eprintln!("{report}");
    Ok(())
}

/// A launch that fails is tried again, as a supervisor would.
async fn launch(options: &WorkerOptions) -> AnyResult<Durable> {
    loop {
        let kind = Kind { is_postgres: options.url.starts_with("postgres") };
        let builder = Durable::builder("torture").system_database(&options.url).lease(options.lease);
        let builder = builder.transaction_idle_timeout(options.idle_timeout);
        match builder.state(kind).launch().await {
            Ok(app) => return Ok(app),
            Err(error) => eprintln!("the launch failed: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

struct Client {
    options: Arc<WorkerOptions>,
    name: String,
    random: Random,
}

impl Client {
    fn new(options: &Arc<WorkerOptions>, number: u64) -> Self {
        let random = Random::seeded(options.seed.wrapping_mul(31).wrapping_add(number));
        Self { options: Arc::clone(options), name: format!("{}.{number}", options.name), random }
    }

    fn is_stopping(&self) -> bool {
        is_stopping(&self.options.folder)
    }

    async fn run(mut self) {
        for number in 0.. {
            if self.is_stopping() {
                return;
            }
            match self.random.below(10) {
                0 => self.cancel_one(number).await,
                1 => self.enqueue_in_order(number).await,
                2 => self.publish(number).await,
                3 => self.miss_deadline(number).await,
                4 => self.be_patient(number).await,
                5 | 6 => self.batch(number).await,
                _ => self.order(number).await,
            }
            tokio::time::sleep(self.random.millis(20, 200)).await;
        }
    }

    /// An order from its start to its result.
    async fn order(&mut self, number: u32) {
        let id = format!("order-{}-{number}", self.name);
        let amount = self.amount();
        let since = Instant::now();
        if tried_again(|| order(id.clone(), amount).id(&id).start()).await.is_none() {
            return ledger::note("refused", &id, "start");
        }
        ledger::note("started", &id, &millis(since));
        for _ in 0..2 {
            let send = durable::send(&id, "extra", &100).idempotency_key("extra");
            if send.await.is_ok() {
                ledger::note("sent", &id, "extra");
            }
        }
        let answer = tried_again(|| async { durable::retrieve_workflow::<Vec<u32>>(&id).await?.await }).await;
        ledger::note(if answer.is_some() { "answered" } else { "refused" }, &id, &millis(since));
    }

    fn amount(&mut self) -> i64 {
        i64::try_from(self.random.below(1_000)).expect("it is small")
    }

    async fn batch(&mut self, number: u32) {
        let (id, amount) = (format!("batch-{}-{number}", self.name), self.amount());
        let since = Instant::now();
        if tried_again(|| batch(id.clone(), amount).id(&id).start()).await.is_none() {
            return ledger::note("refused", &id, "start");
        }
        ledger::note("started", &id, &millis(since));
    }

    /// A stream, read from here, and the event that was set before its end.
    async fn publish(&mut self, number: u32) {
        let id = format!("publishes-{}-{number}", self.name);
        if tried_again(|| publishes(id.clone()).id(&id).start()).await.is_none() {
            return ledger::note("refused", &id, "start");
        }
        ledger::note("running", &id, "-");
        let items = tried_again(|| async { read_all(&id).await }).await;
        match items {
            Some(items) => ledger::note("read", &id, &items.join(",")),
            None => ledger::note("refused", &id, "read"),
        }
        let event = tried_again(|| durable::get_event::<u32>(&id, "progress", Duration::from_mins(1))).await;
        ledger::note("event", &id, &event.flatten().unwrap_or_default().to_string());
    }

    /// A workflow that runs with its child until its time is up.
    async fn miss_deadline(&mut self, number: u32) {
        let (id, timeout) = (format!("deadline-{}-{number}", self.name), self.random.millis(200, 1_500));
        ledger::note("bounded", &id, &timeout.as_micros().to_string());
        let started = tried_again(|| past_deadline(id.clone(), true).id(&id).timeout(timeout).start()).await;
        ledger::note(if started.is_some() { "running" } else { "refused" }, &id, "start");
    }

    /// Waits that end by themselves.
    async fn be_patient(&mut self, number: u32) {
        let id = format!("patient-{}-{number}", self.name);
        let started = tried_again(|| patient(id.clone()).id(&id).start()).await;
        ledger::note(if started.is_some() { "running" } else { "refused" }, &id, "start");
    }

    /// A workflow with a child that runs until it is cancelled.
    async fn cancel_one(&mut self, number: u32) {
        let id = format!("endless-{}-{number}", self.name);
        if tried_again(|| endless(id.clone(), true).id(&id).start()).await.is_none() {
            return ledger::note("refused", &id, "start");
        }
        ledger::note("running", &id, "-");
        tokio::time::sleep(self.random.millis(0, 300)).await;
        let cancelled = tried_again(|| durable::cancel_workflow(&id).cancel_children()).await;
        ledger::note(if cancelled.is_some() { "cancelled" } else { "refused" }, &id, "cancel");
    }

    /// Five workflows of one key, which run in this order.
    async fn enqueue_in_order(&mut self, number: u32) {
        let key = format!("key-{}-{number}", self.name);
        for step in 0..5 {
            let (id, name) = (format!("{key}-{step}"), format!("{step}"));
            let enqueued =
                tried_again(|| ordered(id.clone(), name.clone()).id(&id).queue(&ORDERED).partition(&key).start());
            ledger::note(if enqueued.await.is_some() { "enqueued" } else { "refused" }, &id, "-");
        }
    }
}

/// All items of the stream, which its workflow closes.
async fn read_all(id: &str) -> Result<Vec<String>, Error> {
    let (mut reader, mut items) = (durable::read_stream::<u32>(id, "items"), Vec::new());
    while let Some(item) = reader.next().await {
        items.push(item?.to_string());
    }
    Ok(items)
}

/// Whether clients start nothing new.
fn is_stopping(folder: &Path) -> bool {
    folder.join(STOP_FILE).exists()
}

fn millis(since: Instant) -> String {
    since.elapsed().as_millis().to_string()
}

/// The result of a call that can be made again, because it has an id. `None` if it failed for good.
async fn tried_again<T, F>(call: impl Fn() -> F + Send) -> Option<T>
where
    F: Future<Output = Result<T, Error>> + Send,
{
    use ErrorKind::{Database, Interrupted, ShuttingDown, Unconfirmed};
    loop {
        match call().await {
            Ok(value) => return Some(value),
            Err(error) => {
                eprintln!("a call failed: {:?}: {error}", error.kind());
                if !matches!(error.kind(), Database | Interrupted | ShuttingDown | Unconfirmed) {
                    return None;
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
