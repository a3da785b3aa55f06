//! What a verification compares: the operations that a body asks for with those that are recorded. Nothing is run and
//! nothing is written: an operation without a record never returns.

use std::collections::BTreeSet;

use crate::store::Record;
use crate::types::position::Position;
use crate::types::replay_report::{OperationName, ReplayOutcome};
use crate::types::sync::{Mutex, lock};

/// The operations that a body under verification has asked for.
#[derive(Debug, Default)]
pub(crate) struct ReplayCheck {
    state: Mutex<CheckState>,
}

#[derive(Debug, Default)]
struct CheckState {
    /// The positions of records that it asked for.
    compared: BTreeSet<Position>,
    mismatch: Option<ReplayOutcome>,
    /// The first operation without a record.
    unrecorded: Option<(Position, OperationName)>,
}

impl ReplayCheck {
    /// Compares a record with the operation that the body asks for at its position. Returns whether they are the same.
    pub(super) fn compare(&self, record: &Record, kind: &str, name: &str) -> bool {
        let mut state = lock(&self.state);
        state.compared.insert(record.position.clone());
        let is_same = record.kind == kind && record.name == name;
        if !is_same {
            state.mismatch.get_or_insert_with(|| ReplayOutcome::Mismatch {
                position: record.position.clone(),
                recorded: OperationName::new(&record.kind, &record.name),
                now: OperationName::new(kind, name),
            });
        }
        is_same
    }

    /// The body waits for an operation that is not recorded, or not over.
    pub(super) fn note_unrecorded(&self, position: &Position, kind: &str, name: &str) {
        lock(&self.state).unrecorded.get_or_insert_with(|| (position.clone(), OperationName::new(kind, name)));
    }

    /// The mismatch, if there is one.
    pub(crate) fn mismatch(&self) -> Option<ReplayOutcome> {
        lock(&self.state).mismatch.clone()
    }

    /// The first operation that the body waits for.
    pub(crate) fn unrecorded(&self) -> Option<(Position, OperationName)> {
        lock(&self.state).unrecorded.clone()
    }

    /// How many records were asked for.
    pub(crate) fn compared(&self) -> usize {
        lock(&self.state).compared.len()
    }

    /// The first record that a body which has returned did not ask for, and how many there are.
    ///
    /// Records of branches count only if nothing was asked for where the branch was made: a replay leaves out what the
    /// losing arms of a `select!` recorded, the items behind an error, and the deadlines of waits that are over.
    pub(crate) fn missing(&self, records: &[Record]) -> Option<ReplayOutcome> {
        let state = lock(&self.state);
        let asked: BTreeSet<i32> = state.compared.iter().map(Position::number_in_body).collect();
        let is_missing = |it: &&Record| {
            if it.position.branch.is_empty() {
                !state.compared.contains(&it.position)
            } else {
                !asked.contains(&it.position.number_in_body())
            }
        };
        let first = records.iter().filter(is_missing).min_by_key(|it| (it.position.number_in_body(), &it.position))?;
        let count = records.iter().filter(is_missing).count();
        Some(ReplayOutcome::Missing {
            position: first.position.clone(),
            recorded: OperationName::new(&first.kind, &first.name),
            count: u32::try_from(count).unwrap_or(u32::MAX),
        })
    }
}
