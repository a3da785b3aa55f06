//! Compares what the processes noted with what the database holds. It knows the workload, and nothing of the engine.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::database::{Outcome, WorkflowRow};
use crate::history::{StepRun, most_at_once, percentile, step_runs};
use crate::ledger::Ledger;
use crate::options::TortureOptions;
use crate::workload::{ACCOUNTS, LIMIT, MESSAGES};

/// Times of two processes and the database are compared: a line is written a moment after what it is about.
const SLACK: i64 = 50_000;
/// A cancelled workflow is stopped within a second in whichever process it runs.
const STOPPED_WITHIN: i64 = 1_500_000;

#[derive(Debug, Default)]
pub(crate) struct Verdict {
    pub(crate) violations: Vec<String>,
    lease: Duration,
    workflows: usize,
    transfers: usize,
    messages: usize,
    starts: Vec<u64>,
    answers: Vec<u64>,
}

impl Verdict {
    pub(crate) fn of(ledger: &Ledger, outcome: &Outcome, lease: Duration) -> Self {
        let mut verdict = Self {
            lease,
            workflows: outcome.workflows.len(),
            transfers: outcome.transfers.len(),
            starts: numbers(ledger, "started"),
            answers: numbers(ledger, "answered"),
            ..Self::default()
        };
        let runs = step_runs(ledger);
        verdict.check_ends(ledger, outcome);
        verdict.check_orders(outcome);
        verdict.check_transfers(outcome);
        verdict.check_repeats(&runs, outcome);
        verdict.check_limit(&runs);
        verdict.check_order_of_keys(&runs);
        verdict.check_cancelled(ledger, &runs, outcome);
        verdict
    }

    fn violation(&mut self, text: impl Into<String>) {
        self.violations.push(text.into());
    }

    /// Everything that was acknowledged is there and has ended as it should.
    fn check_ends(&mut self, ledger: &Ledger, outcome: &Outcome) {
        let there: HashMap<&str, &WorkflowRow> = outcome.workflows.iter().map(|it| (&*it.id, it)).collect();
        for fact in ["started", "enqueued", "running"].into_iter().flat_map(|it| ledger.of(it)) {
            if !there.contains_key(&*fact.workflow) {
                self.violation(format!("{} was acknowledged and is lost", fact.workflow));
            }
        }
        for fact in ledger.of("refused") {
            self.violation(format!("the call of {} ({}) failed for good", fact.workflow, fact.detail));
        }
        for row in &outcome.workflows {
            let Some(wanted) = wanted_status(row, ledger) else { continue };
            if row.status != wanted {
                let reason = row.reason.as_deref().unwrap_or_default();
                self.violation(format!("{} is {} instead of {wanted}: {reason}", row.id, row.status));
            }
        }
    }

    /// Each order has received its messages once and in order.
    fn check_orders(&mut self, outcome: &Outcome) {
        for row in outcome.workflows.iter().filter(|it| it.name == "order" && it.status == "SUCCESS") {
            let text = row.output.as_deref().unwrap_or_default();
            let received: Vec<u32> = serde_json::from_str(text).unwrap_or_default();
            let in_order: Vec<u32> = (1..=MESSAGES).collect();
            self.messages += received.len();
            if received.get(..in_order.len()) != Some(&in_order) || received.len() > in_order.len() + 1 {
                self.violation(format!("{} received {received:?}", row.id));
            }
        }
    }

    /// Each order's money was moved once.
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
        for row in outcome.workflows.iter().filter(|it| it.name == "order" && it.status == "SUCCESS") {
            if !applied.contains_key(&*row.id) {
                self.violation(format!("the transfer of {} is lost", row.id));
            }
        }
    }

    /// No step runs again once it is recorded, and what is recorded is what a run returned.
    fn check_repeats(&mut self, runs: &[StepRun], outcome: &Outcome) {
        let mut recorded: HashMap<(&str, String), (i64, String)> = HashMap::new();
        for step in &outcome.steps {
            let token: String = step.output.as_deref().and_then(|it| serde_json::from_str(it).ok()).unwrap_or_default();
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
        for fact in ledger.of("cancelled") {
            let child = format!("{}-child", fact.workflow);
            let family = |id: &str| id == fact.workflow || id == child;
            let late = runs.iter().filter(|it| family(&it.workflow) && it.begun > fact.at + STOPPED_WITHIN).count();
            if late > 0 {
                self.violation(format!("{late} steps of {} began after it was cancelled", fact.workflow));
            }
            for row in outcome.workflows.iter().filter(|it| family(&it.id) && it.status != "CANCELLED") {
                self.violation(format!("{} is {} after it was cancelled", row.id, row.status));
            }
        }
    }

    /// A line of the table.
    pub(crate) fn row(&self, options: &TortureOptions, times: u64) -> String {
        let nemesis = if times == 0 { options.nemesis.clone() } else { format!("{} x{times}", options.nemesis) };
        let pair = |values: &Vec<u64>| format!("{}/{}", percentile(values.clone(), 50), percentile(values.clone(), 99));
        format!(
            "| {nemesis}, {} | {}/{}/{} | {} | {} | {} |",
            options.store,
            self.workflows,
            self.transfers,
            self.messages,
            self.violations.len(),
            pair(&self.starts),
            pair(&self.answers)
        )
    }
}

/// How a workflow has to end. One that runs until it is cancelled, whose client was killed first, may run on.
fn wanted_status(row: &WorkflowRow, ledger: &Ledger) -> Option<&'static str> {
    match &*row.name {
        "endless" => {
            let root = row.id.strip_suffix("-child").unwrap_or(&row.id);
            ledger.of("cancelled").any(|it| it.workflow == root).then_some("CANCELLED")
        }
        "long_transactions" => None,
        _ => Some("SUCCESS"),
    }
}

fn numbers(ledger: &Ledger, fact: &str) -> Vec<u64> {
    ledger.of(fact).filter_map(|it| it.detail.parse().ok()).collect()
}
