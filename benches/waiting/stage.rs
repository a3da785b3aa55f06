//! One store and one kind of wait: start all workflows, measure their cost, wake some, shut down.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use durable::prelude::*;
use durable_core::store::{PollRequest, StatementCounts};

pub(crate) const SCHEMA: &str = "bench_waiting";
pub(crate) const HEAD: &str = "\
| store | wait | workflows | started in s | KiB each | idle statements/s | idle CPU | poll ms | wake ms p50 / p99 | shutdown s | recovered in s |
|---|---|---|---|---|---|---|---|---|---|---|";

const SHUTDOWN: Duration = Duration::from_mins(5);
const DAY: Duration = Duration::from_hours(24);
const IDLE: Duration = Duration::from_secs(20);
/// How many start workflows at once.
const CALLERS: usize = 256;
/// How many are woken.
const WOKEN: u64 = 100;
/// How many waits the engine polls for with one statement.
const ONE_LOOK: u64 = 20_000;

/// How many bodies have reached their wait.
static ARRIVED: AtomicU64 = AtomicU64::new(0);

#[workflow]
async fn sleeper(number: u64) -> Result<u64> {
    ARRIVED.fetch_add(1, Ordering::Relaxed);
    durable::sleep(DAY).await;
    Ok(number)
}

#[workflow]
async fn receiver(number: u64) -> Result<u64> {
    ARRIVED.fetch_add(1, Ordering::Relaxed);
    let more: Option<u64> = durable::recv("more", DAY).await?;
    Ok(number + more.unwrap_or_default())
}

#[workflow]
async fn ends_at_once(number: u64) -> Result<u64> {
    Ok(number)
}

/// The parameters of one measurement.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) store: String,
    pub(crate) wait: String,
    pub(crate) url: String,
    pub(crate) count: u64,
}

impl Stage {
    pub(crate) fn arguments(&self) -> [String; 4] {
        [self.store.clone(), self.wait.clone(), self.url.clone(), self.count.to_string()]
    }

    pub(crate) fn from_arguments(arguments: &[String]) -> Self {
        let [store, wait, url, count] = arguments else { panic!("a stage has four arguments: {arguments:?}") };
        let count = count.parse().expect("the count is a number");
        Self { store: store.clone(), wait: wait.clone(), url: url.clone(), count }
    }

    #[expect(clippy::cast_precision_loss, reason = "there are fewer than 2^52 workflows")]
    pub(crate) async fn play(&self) {
        let app = self.launch().await;
        app.listening().await;
        start_all(2_000, |number| async move {
            assert_eq!(ends_at_once(number).await.expect("it ends"), number);
        })
        .await;
        quiet(&app).await;
        let before = resident_kib();

        let begun = Instant::now();
        let chosen = self.start_waits().await;
        while ARRIVED.load(Ordering::Relaxed) < self.count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let started = begun.elapsed();
        quiet(&app).await;
        let kib = resident_kib().saturating_sub(before) as f64 / self.count as f64;

        let (costs, cpu) = (app.store().statement_counts(), cpu_seconds());
        tokio::time::sleep(IDLE).await;
        let (costs, cpu) = (app.store().statement_counts() - costs, cpu_seconds() - cpu);
        let (statements, cpu) = (costs.statements as f64 / IDLE.as_secs_f64(), cpu / IDLE.as_secs_f64() * 100.0);

        let poll = if self.wait == "recv" { format!("{:.0}", self.poll_time(&app).await) } else { "–".to_owned() };
        let woken = self.wake(&app, &chosen).await;
        // The usual 20 seconds are too few for a million on Postgres.
        let report = app.shutdown_with(ShutdownOptions::new().total(SHUTDOWN)).await;
        assert!(report.is_clean(), "{report}");
        let recovered = self.recover(self.count - chosen.len() as u64).await;
        println!(
            "| {} | {} | {} | {:.1} | {kib:.2} | {statements:.2} | {cpu:.1} % | {poll} | {:.2} / {:.2} | {:.1} | {recovered:.1} |",
            self.store,
            self.wait,
            self.count,
            started.as_secs_f64(),
            woken[woken.len() / 2],
            woken[woken.len() * 99 / 100],
            report.elapsed.as_secs_f64()
        );
    }

    async fn launch(&self) -> Durable {
        let builder = Durable::builder("waiting").system_database(&self.url).schema(SCHEMA);
        builder.launch().await.expect("the store is there")
    }

    /// The seconds until an engine that is launched anew runs all that still wait.
    async fn recover(&self, waiting: u64) -> f64 {
        ARRIVED.store(0, Ordering::Relaxed);
        let begun = Instant::now();
        let app = self.launch().await;
        while ARRIVED.load(Ordering::Relaxed) < waiting {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let recovered = begun.elapsed().as_secs_f64();
        app.shutdown_with(ShutdownOptions::new().total(SHUTDOWN)).await;
        recovered
    }

    /// Starts all workflows, and returns the ids of some.
    async fn start_waits(&self) -> Vec<String> {
        let mut lots = BTreeSet::new();
        while (lots.len() as u64) < WOKEN.min(self.count) {
            lots.insert(uuid::Uuid::new_v4().as_u64_pair().1 % self.count);
        }
        let (lots, chosen) = (Arc::new(lots), Arc::new(Mutex::new(Vec::new())));
        let (sleeps, of_calls) = (self.wait == "sleep", Arc::clone(&chosen));
        start_all(self.count, move |number| {
            let (lots, chosen) = (Arc::clone(&lots), Arc::clone(&of_calls));
            async move {
                let call = if sleeps { sleeper(number) } else { receiver(number) };
                let handle = call.start().await.expect("the store is there");
                if lots.contains(&number) {
                    chosen.lock().expect("no thread panics").push(handle.id().to_owned());
                }
            }
        })
        .await;
        std::mem::take(&mut chosen.lock().expect("no thread panics"))
    }

    /// The milliseconds of a poll for the messages of all of them.
    async fn poll_time(&self, app: &Durable) -> f64 {
        let begun = Instant::now();
        for from in (0..self.count).step_by(usize::try_from(ONE_LOOK).expect("it is small")) {
            // The keys do not matter: no workflow has a message.
            let to = self.count.min(from + ONE_LOOK);
            let messages = (from..to).map(|it| (it.cast_signed().into(), "more".to_owned())).collect();
            let found = app.store().poll(&PollRequest { messages, ..PollRequest::default() }).await;
            assert!(found.expect("the store is there").messages.is_empty());
        }
        begun.elapsed().as_secs_f64() * 1e3
    }

    /// Wakes them one after the other, and returns the milliseconds until each has ended, sorted.
    async fn wake(&self, app: &Durable, ids: &[String]) -> Vec<f64> {
        let mut took = Vec::new();
        for id in ids {
            let handle = app.retrieve_workflow::<u64>(id).await.expect("it was started");
            let begun = Instant::now();
            if self.wait == "sleep" {
                handle.cancel().await.expect("it can be cancelled");
                assert!(handle.result().await.is_err(), "it was cancelled");
            } else {
                handle.send("more", &1_u64).await.expect("it is there");
                handle.result().await.expect("it ends");
            }
            took.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        took.sort_by(f64::total_cmp);
        took
    }
}

/// Makes `count` calls, many at a time.
async fn start_all<F>(count: u64, call: impl Fn(u64) -> F + Clone + Send + 'static)
where
    F: Future<Output = ()> + Send,
{
    let next = Arc::new(AtomicU64::new(0));
    let mut callers = Vec::new();
    for _ in 0..CALLERS {
        let (next, call) = (Arc::clone(&next), call.clone());
        callers.push(tokio::spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return;
                }
                call(number).await;
            }
        }));
    }
    for caller in callers {
        caller.await.expect("no caller panics");
    }
}

/// Returns once the engine has sent no statements for a second.
async fn quiet(app: &Durable) {
    let mut before = StatementCounts::default();
    while app.store().statement_counts() != before {
        before = app.store().statement_counts();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("this is Linux");
    let line = status.lines().find_map(|it| it.strip_prefix("VmRSS:")).expect("it is always there");
    line.trim_end_matches("kB").trim().parse().expect("it is a number")
}

/// The time of all processors that this process has used; Linux counts it in hundredths.
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("this is Linux");
    let fields: Vec<&str> = stat[stat.rfind(')').expect("the name is in parentheses")..].split(' ').collect();
    let hundredths = |field: usize| fields[field].parse::<f64>().expect("it is a number");
    (hundredths(12) + hundredths(13)) / 100.0
}
