//! Compares what the processes noted with what the database holds. It knows the workload, and nothing of the engine.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::check_times::{LAST_TICKS, tick};
use crate::database::{Outcome, WorkflowRow};
use crate::history::{StepRun, most_at_once, recovery_times, step_runs};
use crate::ledger::Ledger;
use crate::workload::{ACCOUNTS, BATCH, LIMIT, MESSAGES};

/// Times of two processes and the database are compared: a line is written a moment after what it is about.
pub(crate) const SLACK: i64 = 50_000;
/// A workflow that was cancelled, or whose time is up, is stopped within a second in whichever process it runs.
pub(crate) const STOPPED_WITHIN: i64 = 1_500_000;

#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) violations: Vec<String>,
    lease: Duration,
    pub(crate) workflows: usize,
    pub(crate) transfers: usize,
    pub(crate) messages: usize,
    pub(crate) ticks: usize,
    pub(crate) starts: Vec<u64>,
    pub(crate) answers: Vec<u64>,
    pub(crate) recoveries: Vec<u64>,
}

impl Verdict {
    /// `ended_at` is when the processes were asked to end.
    pub(crate) fn of(ledger: &Ledger, outcome: &Outcome, lease: Duration, ended_at: i64) -> Self {
        let runs = step_runs(ledger);
        let mut verdict = Self {
            lease,
            workflows: outcome.workflows.len(),
            transfers: outcome.transfers.len(),
            starts: numbers(ledger, "started"),
            answers: numbers(ledger, "answered"),
            recoveries: recovery_times(ledger, &runs),
            ..Self::default()
        };
        if let Some(damage) = &outcome.damage {
            verdict.violation(format!("the file of the database is damaged: {damage}"));
        }
        verdict.check_ends(ledger, outcome, ended_at);
        verdict.check_messages(outcome);
        verdict.check_transfers(outcome);
        verdict.check_repeats(&runs, outcome);
        verdict.check_limit(&runs);
        verdict.check_order_of_keys(&runs);
        verdict.check_cancelled(ledger, &runs, outcome);
        verdict.check_published(ledger, outcome);
        verdict.check_ticks(ledger, &runs, outcome, ended_at);
        verdict.check_deadlines(ledger, &runs, outcome);
        verdict.check_waits(&runs, outcome);
        verdict
    }

    pub(crate) fn violation(&mut self, text: impl Into<String>) {
        self.violations.push(text.into());
    }

    /// Everything that was acknowledged is there and has ended as it should.
    fn check_ends(&mut self, ledger: &Ledger, outcome: &Outcome, ended_at: i64) {
        let there: HashMap<&str, &WorkflowRow> = outcome.workflows.iter().map(|it| (&*it.id, it)).collect();
        for fact in ["started", "enqueued", "running"].into_iter().flat_map(|it| ledger.of(it)) {
            if !there.contains_key(&*fact.workflow) {
                self.violation(format!("{} was acknowledged and is lost", fact.workflow));
            }
        }
        for fact in ledger.of("refused") {
            self.violation(format!("the call of {} ({}) failed for good", fact.workflow, fact.detail));
        }
        let cancelled: HashSet<&str> = ledger.of("cancelled").map(|it| &*it.workflow).collect();
        for row in &outcome.workflows {
            let Some(wanted) = wanted_status(row, &cancelled, ended_at) else { continue };
            if row.status != wanted {
                let reason = row.reason.as_deref().unwrap_or_default();
                self.violation(format!("{} is {} instead of {wanted}: {reason}", row.id, row.status));
            }
        }
    }

    /// Each receiver has got its messages once and in order.
    fn check_messages(&mut self, outcome: &Outcome) {
        for row in outcome.workflows.iter().filter(|it| it.status == "SUCCESS") {
            // An order may have got the message from outside.
            let (wanted, may_have_more) = match &*row.name {
                "order" => (MESSAGES, 1),
                "batch" => (BATCH, 0),
                _ => continue,
            };
            let text = row.output.as_deref().unwrap_or_default();
            let received: Vec<u32> = serde_json::from_str(text).unwrap_or_default();
            let in_order: Vec<u32> = (1..=wanted).collect();
            self.messages += received.len();
            if received.get(..in_order.len()) != Some(&in_order) || received.len() > in_order.len() + may_have_more {
                self.violation(format!("{} received {received:?}", row.id));
            }
        }
    }

    /// The money of each order and of each part of a batch was moved once.
    fn check_transfers(&mut self, outcome: &Outcome) {
        if outcome.cents != ACCOUNTS * 1_000 {
            self.violation(format!("the accounts hold {} cents", outcome.cents));
        }
        let mut applied: HashMap<&str, usize> = HashMap::new();
        for id in &outcome.transfers {
            *applied.entry(id).or_default() += 1;
        }
        for (id, times) in applied.iter().filter(|it| *it.1 > 1) {
            self.violation(format!("the transfer of {id} was applied {times} times"));
        }
        for row in outcome.workflows.iter().filter(|it| it.status == "SUCCESS") {
            let transfers = match &*row.name {
                "order" => vec![row.id.clone()],
                "batch" => (0..BATCH).map(|part| format!("{}-{part}", row.id)).collect(),
                _ => continue,
            };
            for lost in transfers.iter().filter(|it| !applied.contains_key(&***it)) {
                self.violation(format!("the transfer of {lost} is lost"));
            }
        }
    }

    /// No step runs again once it is recorded, and what is recorded is what a run returned.
    fn check_repeats(&mut self, runs: &[StepRun], outcome: &Outcome) {
        let mut recorded: HashMap<(&str, String), (i64, String)> = HashMap::new();
        for step in &outcome.steps {
            let Some(output) = &step.output else { continue }; // it failed
            let token: String = serde_json::from_str(output).unwrap_or_default();
            let name = token.split('/').next().unwrap_or_default().to_owned();
            recorded.insert((&step.workflow, name), (step.completed_at, token));
        }
        let tokens: HashSet<&str> = runs.iter().filter(|it| it.ended.is_some()).map(|it| &*it.token).collect();
        for ((workflow, step), (_, token)) in &recorded {
            if !tokens.contains(&**token) {
                self.violation(format!("the record of {step} of {workflow} is of no run that ended"));
            }
        }
        for run in runs {
            let record = recorded.get(&(&*run.workflow, run.step.clone()));
            if record.is_some_and(|(at, token)| *token != run.token && run.begun > at + SLACK) {
                self.violation(format!("{} of {} ran again after it was recorded", run.step, run.workflow));
            }
        }
    }

    /// The limit of the fleet.
    fn check_limit(&mut self, runs: &[StepRun]) {
        let limited = runs.iter().filter(|it| it.step == "limited").filter_map(|it| it.interval(self.lease));
        let most = most_at_once(limited);
        if most > LIMIT as usize {
            self.violation(format!("{most} of the queue `limited` ran at once"));
        }
    }

    /// Workflows of one key run one after the other, in the order in which they were enqueued.
    fn check_order_of_keys(&mut self, runs: &[StepRun]) {
        let mut keys: HashMap<&str, Vec<(&str, i64, i64)>> = HashMap::new();
        for run in runs.iter().filter(|it| it.workflow.starts_with("key-")) {
            let Some((key, number)) = run.workflow.rsplit_once('-') else { continue };
            let (from, to) = run.interval(self.lease).unwrap_or((run.begun, run.begun));
            keys.entry(key).or_default().push((number, from, to));
        }
        for (key, runs) in keys {
            if runs.windows(2).any(|pair| pair[1].0 < pair[0].0) {
                self.violation(format!("{key} ran in the order {:?}", runs.iter().map(|it| it.0).collect::<Vec<_>>()));
            }
            if most_at_once(runs.iter().map(|it| (it.1, it.2))) > 1 {
                self.violation(format!("workflows of {key} ran at once"));
            }
        }
    }

    /// After a cancellation was acknowledged no step of the workflow or its child begins.
    fn check_cancelled(&mut self, ledger: &Ledger, runs: &[StepRun], outcome: &Outcome) {
        let of_workflow = by_workflow(runs);
        let rows: HashMap<&str, &WorkflowRow> = outcome.workflows.iter().map(|it| (&*it.id, it)).collect();
        for fact in ledger.of("cancelled") {
            for id in [fact.workflow.clone(), format!("{}-child", fact.workflow)] {
                let runs = of_workflow.get(&*id).into_iter().flatten();
                let late = runs.filter(|it| it.begun > fact.at + STOPPED_WITHIN).count();
                if late > 0 {
                    self.violation(format!("{late} steps of {id} began after it was cancelled"));
                }
                if let Some(row) = rows.get(&*id).filter(|it| it.status != "CANCELLED") {
                    self.violation(format!("{id} is {} after it was cancelled", row.status));
                }
            }
        }
    }
}

pub(crate) fn by_workflow(runs: &[StepRun]) -> HashMap<&str, Vec<&StepRun>> {
    let mut of_workflow: HashMap<&str, Vec<&StepRun>> = HashMap::new();
    for run in runs {
        of_workflow.entry(&run.workflow).or_default().push(run);
    }
    of_workflow
}

/// How a workflow has to end. One whose client was killed before it cancelled it may run on, and so may the last ticks.
fn wanted_status(row: &WorkflowRow, cancelled: &HashSet<&str>, ended_at: i64) -> Option<&'static str> {
    match &*row.name {
        "endless" => {
            let root = row.id.strip_suffix("-child").unwrap_or(&row.id);
            cancelled.contains(root).then_some("CANCELLED")
        }
        "past_deadline" => Some("CANCELLED"),
        "long_transactions" => None,
        _ => tick(row).is_none_or(|due| due < ended_at - LAST_TICKS).then_some("SUCCESS"),
    }
}

fn numbers(ledger: &Ledger, fact: &str) -> Vec<u64> {
    ledger.of(fact).filter_map(|it| it.detail.parse().ok()).collect()
}
