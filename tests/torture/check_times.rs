//! What the checker asks of events, streams, ticks, deadlines and timers.

use std::collections::{BTreeSet, HashMap, HashSet};

use durable::prelude::{DateTime, Utc};

use crate::checker::{SLACK, STOPPED_WITHIN, Verdict, by_workflow};
use crate::database::{Outcome, WorkflowRow};
use crate::history::{StepRun, running_times};
use crate::ledger::Ledger;
use crate::workload::{PUBLISHED, SLEEP};

const SECOND: i64 = 1_000_000;
/// Ticks that were due so shortly before the end may not have been started, or not have ended.
pub(crate) const LAST_TICKS: i64 = 10 * SECOND;
/// A process that ran from so long before a tick until so long after it has started the tick, or another one has,
const BEFORE_A_TICK: i64 = SECOND;
const FOR_A_TICK: i64 = 10 * SECOND;
/// if the database recorded steps in so many different seconds of that time: later ticks are skipped.
const ANSWERING_SECONDS: usize = 2;

/// When a workflow was due, if it is a tick of a schedule.
pub(crate) fn tick(row: &WorkflowRow) -> Option<i64> {
    let (_, time) = row.id.split_once('@')?;
    Some(time.parse::<DateTime<Utc>>().ok()?.timestamp_micros())
}

impl Verdict {
    /// The values of an event and the items of a stream are there once and in order, and whatever was read is them.
    pub(crate) fn check_published(&mut self, ledger: &Ledger, outcome: &Outcome) {
        let wanted: Vec<String> = (1..=PUBLISHED).map(|it| it.to_string()).collect();
        for row in outcome.workflows.iter().filter(|it| it.name == "publishes" && it.status == "SUCCESS") {
            let values = outcome.events.get(&row.id).into_iter().flatten();
            let values: Vec<&str> = values.map(|it| it.as_deref().unwrap_or("end")).collect();
            if values != wanted {
                self.violation(format!("{} has the event {values:?}", row.id));
            }
            let items = outcome.streams.get(&row.id).into_iter().flatten();
            let items: Vec<&str> = items.map(|it| it.as_deref().unwrap_or("end")).collect();
            if items.split_last() != Some((&"end", &*wanted.iter().map(|it| &**it).collect::<Vec<_>>())) {
                self.violation(format!("{} has the stream {items:?}", row.id));
            }
        }
        for fact in ledger.of("read").filter(|it| it.detail != wanted.join(",")) {
            self.violation(format!("a reader of {} got the items {}", fact.workflow, fact.detail));
        }
        for fact in ledger.of("event").filter(|it| Some(&it.detail) != wanted.last()) {
            self.violation(format!("a reader of {} got the value {}", fact.workflow, fact.detail));
        }
    }

    /// Each tick is one workflow, and none is left out for which a process was running.
    pub(crate) fn check_ticks(&mut self, ledger: &Ledger, runs: &[StepRun], outcome: &Outcome, ended_at: i64) {
        let running = running_times(ledger);
        let some_process_ran = |second: i64| {
            let (from, to) = (second * SECOND - BEFORE_A_TICK, second * SECOND + FOR_A_TICK);
            running.iter().any(|it| it.0 < from && it.1 > to)
        };
        let answering: BTreeSet<i64> = outcome.steps.iter().map(|it| it.completed_at / SECOND).collect();
        let database_answered = |second: i64| {
            // The tick may have been in the midst of its second when the database went away.
            answering.range(second + 1..second + FOR_A_TICK / SECOND).count() >= ANSWERING_SECONDS
        };
        for (schedule, period, takes_missed_ones) in [("every_second", 1, true), ("every_other_second", 2, false)] {
            let mut ticks: HashMap<i64, usize> = HashMap::new();
            for tick in outcome.workflows.iter().filter(|it| it.name == schedule).filter_map(tick) {
                *ticks.entry(tick / SECOND).or_default() += 1;
            }
            self.ticks += ticks.len();
            let (first, last) = (ticks.keys().min().copied(), ticks.keys().max().copied());
            let (Some(first), Some(last)) = (first, last) else {
                self.violation(format!("no tick of {schedule} was started"));
                continue;
            };
            let lost = (first..last).step_by(period).filter(|it| !ticks.contains_key(it));
            for second in lost.filter(|it| takes_missed_ones || some_process_ran(*it) && database_answered(*it)) {
                self.violation(format!("the tick of {schedule} at {second} is lost"));
            }
            for (second, times) in ticks.iter().filter(|it| *it.1 > 1) {
                self.violation(format!("the tick of {schedule} at {second} was started {times} times"));
            }
            if last * SECOND < ended_at - LAST_TICKS {
                self.violation(format!("{schedule} has stopped at {last}"));
            }
        }
        // What the bodies were given as the time of their tick is that of their id.
        let mut of_tick: HashMap<(&str, &str), HashSet<&str>> = HashMap::new();
        for run in runs.iter().filter(|it| it.step.starts_with("tick-")) {
            let schedule = run.workflow.split('@').next().unwrap_or_default();
            of_tick.entry((schedule, &run.step)).or_default().insert(&run.workflow);
        }
        for ((schedule, tick), workflows) in of_tick.iter().filter(|it| it.1.len() > 1) {
            self.violation(format!("{tick} of {schedule} ran in {} workflows", workflows.len()));
        }
    }

    /// A workflow ends when its time is up, and not before; so does its child.
    pub(crate) fn check_deadlines(&mut self, ledger: &Ledger, runs: &[StepRun], outcome: &Outcome) {
        let of_workflow = by_workflow(runs);
        let rows: HashMap<&str, &WorkflowRow> = outcome.workflows.iter().map(|it| (&*it.id, it)).collect();
        for fact in ledger.of("bounded") {
            let timeout: i64 = fact.detail.parse().unwrap_or_default();
            let first = of_workflow.get(&*fact.workflow).and_then(|it| it.iter().map(|run| run.begun).min());
            for id in [fact.workflow.clone(), format!("{}-child", fact.workflow)] {
                let Some(row) = rows.get(&*id) else { continue };
                let reason = row.reason.as_deref().unwrap_or_default();
                if row.status == "CANCELLED" && reason != "timeout" {
                    self.violation(format!("{id} is CANCELLED, and the reason is {reason}"));
                }
                if row.completed_at.is_some_and(|it| it + SLACK < fact.at + timeout) {
                    self.violation(format!("{id} ended before its time was up"));
                }
                let Some(first) = first else { continue };
                let end = first + timeout + STOPPED_WITHIN;
                let late = of_workflow.get(&*id).into_iter().flatten().filter(|it| it.begun > end).count();
                if late > 0 {
                    self.violation(format!("{late} steps of {id} began after its time was up"));
                }
            }
        }
    }

    /// A timeout of a step and one of a `recv` are what their callers get, and no timer is early.
    pub(crate) fn check_waits(&mut self, runs: &[StepRun], outcome: &Outcome) {
        let of_workflow = by_workflow(runs);
        for row in outcome.workflows.iter().filter(|it| it.name == "patient" && it.status == "SUCCESS") {
            if row.output.as_deref() != Some("[true,null]") {
                self.violation(format!("{} returned {}", row.id, row.output.as_deref().unwrap_or_default()));
            }
            let runs = of_workflow.get(&*row.id).into_iter().flatten();
            let slept = runs.clone().filter(|it| it.step == "before").filter_map(|it| it.ended).min();
            let woken = runs.clone().filter(|it| it.step == "after").map(|it| it.begun).min();
            let sleep = i64::try_from(SLEEP.as_micros()).unwrap_or_default();
            match (slept, woken) {
                (Some(slept), Some(woken)) if woken + SLACK < slept + sleep => {
                    self.violation(format!("the timer of {} was early", row.id));
                }
                (Some(_), Some(_)) => {}
                _ => self.violation(format!("{} ended without its steps", row.id)),
            }
        }
    }
}
