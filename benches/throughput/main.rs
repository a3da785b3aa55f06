//! Workflows of ten steps at 1, 16 and 256 callers, beside two raw floors in the same run.
//!
//! ```text
//! cargo bench --bench throughput                  both stores
//! cargo bench --bench throughput -- sqlite        one of them
//! ```
//!
//! The floors write the same rows by hand-written SQL into the same tables: `naive` with one commit
//! per row, as a framework without batching would at best; `batched` with one writer that puts the
//! rows of concurrent callers into one commit, which is about the fewest statements there can be.
//! Absolute figures depend on the machine; compare the ratios at the end.
//!
//! Postgres is the server that `DURABLE_TEST_POSTGRES_URL` names, else a throw-away one, which is
//! set to sync its commits as a real one does. Each step is a no-op: this measures the engine.

mod floor;
#[path = "../support/load.rs"]
mod load;
mod ratios;
#[path = "../support/mod.rs"]
mod support;

use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use durable::prelude::*;
use tokio::runtime::Runtime;

use self::floor::{Floor, Mode};
use self::load::closed_loop;
use self::ratios::Ratios;

const CALLERS: [u64; 3] = [1, 16, 256];
const STEPS: u32 = 10;

#[step]
async fn no_op(number: u32) -> u32 {
    number
}

#[workflow]
async fn ten_steps(steps: u32) -> Result<u32> {
    let mut sum = 0;
    for number in 0..steps {
        sum += no_op(number).await;
    }
    Ok(sum)
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime can be built");
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(4))
        .configure_from_args();
    let mut ratios = Ratios::default();
    let folder = tempfile::tempdir().expect("the directory for temporary files is writable");
    let file = |name: &str| format!("sqlite:{}", folder.path().join(name).display());
    bench_store(&mut criterion, &runtime, &mut ratios, "sqlite", &file);
    let postgres = support::postgres(&runtime);
    if let Some(url) = &postgres {
        bench_store(&mut criterion, &runtime, &mut ratios, "postgres", &|_| url.clone());
    } else {
        println!("postgres: not measured, there is no server");
    }
    criterion.final_summary();
    ratios.print();
}

fn bench_store(
    criterion: &mut Criterion,
    runtime: &Runtime,
    ratios: &mut Ratios,
    store: &'static str,
    url: &dyn Fn(&str) -> String,
) {
    for callers in CALLERS {
        let mut group = criterion.benchmark_group(format!("{store}/{callers}"));
        group.throughput(Throughput::Elements(1));

        for mode in [Mode::Naive, Mode::Batched] {
            let schema = format!("bench_{mode:?}_{callers}").to_lowercase();
            let floor = runtime.block_on(Floor::new(&url(&schema), &schema, mode));
            let floor = Arc::new(floor);
            group.bench_function(BenchmarkId::from_parameter(mode), |bencher| {
                bencher.iter_custom(|iterations| {
                    let floor = Arc::clone(&floor);
                    let elapsed = runtime.block_on(closed_loop(callers, iterations, move || {
                        let floor = Arc::clone(&floor);
                        async move { floor.workflow(STEPS).await }
                    }));
                    ratios.add(store, callers, mode.name(), iterations, elapsed);
                    elapsed
                });
            });
            runtime.block_on(floor.clear());
        }

        let schema = format!("bench_durable_{callers}");
        let url = url(&schema);
        let app = runtime.block_on(async {
            Durable::builder("bench").system_database(&url).schema(&schema).launch().await.expect("the store is there")
        });
        group.bench_function("durable", |bencher| {
            bencher.iter_custom(|iterations| {
                let of_calls = app.clone();
                let elapsed = runtime.block_on(app.scope(closed_loop(callers, iterations, move || {
                    let app = of_calls.clone();
                    async move {
                        app.scope(async { assert_eq!(ten_steps(STEPS).await.expect("it succeeds"), 45) }).await;
                    }
                })));
                ratios.add(store, callers, "durable", iterations, elapsed);
                elapsed
            });
        });
        let report = runtime.block_on(app.shutdown());
        assert!(report.is_clean(), "{report}");
        runtime.block_on(support::clear(&url, &schema));
        group.finish();
    }
}
