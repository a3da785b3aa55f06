//! The runs of steps, put together from the ledgers.

use std::collections::HashMap;
use std::time::Duration;

use crate::ledger::Ledger;

/// One run of a step's body.
#[derive(Debug, Clone)]
pub(crate) struct StepRun {
    pub(crate) workflow: String,
    pub(crate) process: String,
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
            process: it.process.clone(),
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

/// When each process was certainly running: from its launch until it was first killed, stopped or asked to end.
pub(crate) fn running_times(ledger: &Ledger) -> Vec<(i64, i64)> {
    let mut ends: HashMap<&str, i64> = HashMap::new();
    for fact in ["killed", "signaled", "left"].into_iter().flat_map(|it| ledger.of(it)) {
        let end = ends.entry(&fact.detail).or_insert(fact.at);
        *end = fact.at.min(*end);
    }
    let launched = ledger.of("launched");
    launched.map(|it| (it.at, ends.get(&*it.detail).copied().unwrap_or(i64::MAX))).collect()
}

/// How long it took, in milliseconds, until a step that was under way in a process when it was killed began again
/// elsewhere.
pub(crate) fn recovery_times(ledger: &Ledger, runs: &[StepRun]) -> Vec<u64> {
    let mut begins: HashMap<(&str, &str), Vec<i64>> = HashMap::new();
    let mut open: HashMap<&str, Vec<&StepRun>> = HashMap::new();
    for run in runs {
        begins.entry((&run.workflow, &run.step)).or_default().push(run.begun);
        if run.ended.is_none() && run.step != "too-slow" {
            open.entry(&run.process).or_default().push(run);
        }
    }
    let mut times = Vec::new();
    for kill in ledger.of("killed") {
        for run in open.get(&*kill.detail).into_iter().flatten() {
            let was_under_way = run.begun <= kill.at && run.begun > kill.at - 1_000_000;
            let again = begins[&(&*run.workflow, &*run.step)].iter().filter(|it| **it > kill.at).min();
            if let Some(again) = again.filter(|_| was_under_way) {
                times.push((again - kill.at).unsigned_abs() / 1_000);
            }
        }
    }
    times
}
