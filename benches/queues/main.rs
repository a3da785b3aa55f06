//! Queues: the latency of a start, the throughput of enqueueing and draining, the cost of an idle engine.
//!
//! ```text
//! cargo bench --bench queues                           everything, on both stores
//! cargo bench --bench queues -- drain postgres         one part, on one store
//! cargo bench --bench queues -- drain 50000            with so many workflows, and not 20,000
//! cargo bench --bench queues -- claim 1000000          claims from a queue of so many, and not 100,000
//! ```
//!
//! The parts are `latency`, `enqueue`, `drain`, `claim` and `idle`. The first three are compared with the raw floor of the
//! same run: hand-written SQL that does the same to the same tables with the fewest statements and
//! commits (see `floor`). Absolute figures depend on the machine; compare the ratios. The body does
//! nothing and has no step, because this measures queues.

mod claim;
mod drain;
mod enqueue;
mod floor;
mod idle;
mod latency;
#[path = "../support/load.rs"]
mod load;
#[path = "../support/samples.rs"]
mod samples;
#[path = "../support/mod.rs"]
mod support;

use std::path::Path;

use durable::prelude::*;
use durable_core::store;

/// A database of one measurement.
#[derive(Debug, Clone)]
struct Site {
    store: &'static str,
    url: String,
    schema: String,
}

impl Site {
    /// On the server with the URL `postgres`, or without one in a SQLite file in the folder.
    fn new(name: &str, postgres: Option<&str>, folder: &Path) -> Self {
        let schema = format!("bench_queues_{name}");
        if let Some(url) = postgres {
            return Self { store: "postgres", url: url.to_owned(), schema };
        }
        let url = format!("sqlite:{}", folder.join(format!("{schema}.sqlite")).display());
        Self { store: "sqlite", url, schema }
    }

    fn is_postgres(&self) -> bool {
        self.store == "postgres"
    }

    async fn migrate(&self) {
        let tables = store::open(&self.url, &self.schema).await.expect("the store is there");
        tables.migrate().await.expect("its tables can be made");
        tables.close().await;
    }

    /// An engine that claims from these queues.
    async fn launch(&self, name: &str, queues: &[&Queue]) -> Durable {
        let builder = Durable::builder("queues").executor_id(name).system_database(&self.url).schema(&self.schema);
        let app = builder.listen_to(queues).launch().await.expect("the store is there");
        app.listening().await;
        app
    }

    async fn clear(&self) {
        support::clear(&self.url, &self.schema).await;
    }
}

async fn down(app: Durable) {
    let report = app.shutdown().await;
    assert!(report.is_clean(), "{report}");
}

/// The ratio of two numbers.
#[expect(clippy::cast_precision_loss, reason = "the counts are below 2^52")]
fn ratio(of: u64, to: u64) -> f64 {
    of as f64 / to as f64
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let among = |word: &str, words: &[&str]| {
        let named: Vec<_> = arguments.iter().filter(|it| words.contains(&it.as_str())).collect();
        named.is_empty() || named.iter().any(|it| *it == word)
    };
    let wanted = |part: &str| among(part, &["latency", "enqueue", "drain", "claim", "idle"]);
    let many: Option<u32> = arguments.iter().find_map(|it| it.parse().ok());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime can be built");
    let folder = tempfile::tempdir().expect("the directory for temporary files is writable");
    let server = if among("postgres", &["sqlite", "postgres"]) { support::postgres(&runtime) } else { None };
    let mut stores = Vec::new();
    if among("sqlite", &["sqlite", "postgres"]) {
        stores.push(None);
    }
    match &server {
        Some(url) => stores.push(Some(url.as_str())),
        None => println!("postgres: not measured"),
    }
    let site = |name: &str, server: Option<&str>| Site::new(name, server, folder.path());

    if wanted("latency") {
        println!("\n{}", latency::HEAD);
        for server in &stores {
            runtime.block_on(latency::measure(&site("latency", *server), many.unwrap_or(200)));
        }
    }
    if wanted("enqueue") {
        println!("\n{}", enqueue::HEAD);
        for server in &stores {
            runtime.block_on(enqueue::measure(&|name| site(name, *server)));
        }
    }
    if wanted("drain") {
        println!("\n{}", drain::HEAD);
        for server in &stores {
            runtime.block_on(drain::measure(&|name| site(name, *server), many.map_or(20_000, u64::from)));
        }
    }
    if wanted("claim") {
        println!("\n{}", claim::HEAD);
        for server in &stores {
            runtime.block_on(claim::measure(&site("claim", *server), many.map_or(100_000, u64::from)));
        }
    }
    if wanted("idle") {
        println!("\n{}", idle::HEAD);
        for server in &stores {
            runtime.block_on(idle::measure(&site("idle", *server)));
        }
    }
}
