//! The runs of steps, put together from the ledgers.

use std::collections::HashMap;
use std::time::Duration;

use crate::ledger::Ledger;

/// One run of a step's body.
#[derive(Debug, Clone)]
pub(crate) struct StepRun {
    pub(crate) workflow: String,
    /// Which step of the workflow.
    pub(crate) step: String,
    /// What the step returned, which no other run did.
    pub(crate) token: String,
    pub(crate) begun: i64,
    /// `None` if it was dropped, or its process was killed.
    pub(crate) ended: Option<i64>,
}

impl StepRun {
    /// When it was under way. A run that was dropped or killed counts for a moment. One that lasted longer than
    /// the lease does not count: its process was stopped, another one has taken its place, and it noticed when it
    /// went on.
    pub(crate) fn interval(&self, lease: Duration) -> Option<(i64, i64)> {
        let ended = self.ended.unwrap_or(self.begun);
        (Duration::from_micros(ended.abs_diff(self.begun)) < lease).then_some((self.begun, ended))
    }
}

pub(crate) fn step_runs(ledger: &Ledger) -> Vec<StepRun> {
    let ends: HashMap<&str, i64> = ledger.of("end").map(|it| (&*it.detail, it.at)).collect();
    ledger
        .of("begin")
        .map(|it| StepRun {
            workflow: it.workflow.clone(),
            step: it.detail.split('/').next().unwrap_or_default().to_owned(),
            token: it.detail.clone(),
            begun: it.at,
            ended: ends.get(&*it.detail).copied(),
        })
        .collect()
}

/// The most of these that were under way at one time.
pub(crate) fn most_at_once(intervals: impl Iterator<Item = (i64, i64)>) -> usize {
    let mut changes: Vec<(i64, i32)> = intervals.flat_map(|(from, to)| [(from, 1), (to, -1)]).collect();
    changes.sort_unstable(); // an end comes before a begin at the same time
    let (mut now, mut most) = (0_i32, 0_i32);
    for (_, change) in changes {
        now += change;
        most = most.max(now);
    }
    usize::try_from(most).unwrap_or_default()
}

/// The value below which this part of the values is.
pub(crate) fn percentile(mut values: Vec<u64>, percent: usize) -> u64 {
    values.sort_unstable();
    let index = (values.len() * percent / 100).min(values.len().saturating_sub(1));
    values.get(index).copied().unwrap_or_default()
}
