//! Ratios between the systems of one run.

use std::collections::BTreeMap;
use std::time::Duration;

/// The samples: by store and number of callers, the workflows and seconds of each system.
#[derive(Debug, Default)]
pub(crate) struct Ratios {
    measured: BTreeMap<(&'static str, u64), BTreeMap<&'static str, Vec<f64>>>,
}

impl Ratios {
    /// Adds one sample.
    pub(crate) fn add(
        &mut self,
        store: &'static str,
        callers: u64,
        system: &'static str,
        iterations: u64,
        elapsed: Duration,
    ) {
        #[expect(clippy::cast_precision_loss, reason = "there are fewer than 2^52 workflows")]
        let rate = iterations as f64 / elapsed.as_secs_f64();
        self.measured.entry((store, callers)).or_default().entry(system).or_default().push(rate);
    }

    /// Prints the medians and their ratios.
    pub(crate) fn print(&self) {
        println!("\nWorkflows of 10 steps per second (median of the samples), and durable's part of the floors:\n");
        println!("| store | callers | naive floor | batched floor | durable | of naive | of batched |");
        println!("|---|---|---|---|---|---|---|");
        for ((store, callers), systems) in &self.measured {
            let rate = |system: &str| systems.get(system).map_or(f64::NAN, |it| median(it));
            let (naive, batched, durable) = (rate("naive"), rate("batched"), rate("durable"));
            println!(
                "| {store} | {callers} | {naive:.0} | {batched:.0} | {durable:.0} | {:.2} | {:.2} |",
                durable / naive,
                durable / batched
            );
        }
    }
}

/// The median of the later half of the samples: the earlier ones are a warm-up.
fn median(samples: &[f64]) -> f64 {
    let mut later = samples[samples.len() / 2..].to_vec();
    later.sort_by(f64::total_cmp);
    later[later.len() / 2]
}
