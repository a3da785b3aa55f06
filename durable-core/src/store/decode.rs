//! From rows of either driver to the words of the engine. The columns have the same names in both.

use std::cmp::Ordering;

use chrono::{DateTime, Utc};
use sqlx::FromRow;

use crate::store::rows_by_kind::StoredEnd;
use crate::store::{ExecutorInfo, ExistingWorkflow, FinishedWorkflow, Record, RunRow, StoreError, StoreErrorKind};
use crate::types::listing::{StepInfo, WorkflowInfo};
use crate::types::payload::Outcome;
use crate::types::position::Position;
use crate::types::status::Status;

/// Decodes a row with `$from` and turns it into the type that the caller asked for.
pub(super) fn decode<'r, R, F, T>(row: &'r R) -> Result<T, StoreError>
where
    R: sqlx::Row,
    F: FromRow<'r, R> + Decoded<T>,
{
    F::from_row(row)?.decoded()
}

/// A row that is read, on its way to the type of the engine.
pub(super) trait Decoded<T> {
    fn decoded(self) -> Result<T, StoreError>;
}

pub(super) fn status(word: &str) -> Result<Status, StoreError> {
    word.parse().map_err(|_| {
        StoreError::new(
            StoreErrorKind::Refused,
            format_args!("the database holds the status {word:?}, which this release does not know"),
        )
    })
}

fn outcome(output: Option<String>, error: Option<String>) -> Option<Outcome> {
    error.map(Outcome::Error).or(output.map(Outcome::Output))
}

/// A time of the database; one that no calendar has becomes 1970.
fn time(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or_default()
}

fn count(number: i32) -> u32 {
    u32::try_from(number).unwrap_or_default()
}

#[derive(FromRow)]
pub(super) struct ExistingRow {
    key: i64,
    id: String,
    name: String,
    instance: Option<String>,
    status: String,
}

impl Decoded<ExistingWorkflow> for ExistingRow {
    fn decoded(self) -> Result<ExistingWorkflow, StoreError> {
        let Self { key, id, name, instance, status: word } = self;
        Ok(ExistingWorkflow { key, id, name, instance, status: status(&word)? })
    }
}

#[derive(FromRow)]
pub(super) struct EndedRow {
    id: String,
    status: String,
    output: Option<String>,
    error: Option<String>,
    reason: Option<String>,
}

impl Decoded<FinishedWorkflow> for EndedRow {
    fn decoded(self) -> Result<FinishedWorkflow, StoreError> {
        let status = status(&self.status)?;
        Ok(FinishedWorkflow { id: self.id, status, outcome: outcome(self.output, self.error), reason: self.reason })
    }
}

#[derive(FromRow)]
pub(super) struct StoredEndRow {
    status: String,
    attempt: i32,
    output: Option<String>,
    error: Option<String>,
}

impl Decoded<StoredEnd> for StoredEndRow {
    fn decoded(self) -> Result<StoredEnd, StoreError> {
        let status = status(&self.status)?;
        Ok(StoredEnd { status, attempt: self.attempt, outcome: outcome(self.output, self.error) })
    }
}

#[derive(FromRow)]
pub(super) struct RecordRow {
    workflow: i64,
    branch: String,
    position: i32,
    kind: String,
    name: String,
    child: Option<String>,
    output: Option<String>,
    error: Option<String>,
}

impl Decoded<Record> for RecordRow {
    fn decoded(self) -> Result<Record, StoreError> {
        Ok(Record {
            workflow: self.workflow,
            position: Position::new(self.branch, self.position),
            kind: self.kind,
            name: self.name,
            outcome: outcome(self.output, self.error),
            child: self.child,
        })
    }
}

#[derive(FromRow)]
pub(super) struct ExecutorRow {
    key: i64,
    name: String,
    epoch: i64,
    host: String,
    lock_file: Option<String>,
    expired: bool,
    leaving: bool,
}

impl Decoded<ExecutorInfo> for ExecutorRow {
    fn decoded(self) -> Result<ExecutorInfo, StoreError> {
        let Self { key, name, epoch, host, lock_file, expired, leaving } = self;
        Ok(ExecutorInfo { key, name, epoch, host, lock_file, expired, leaving })
    }
}

#[derive(FromRow)]
pub(super) struct TakeoverRow {
    key: i64,
    id: String,
    name: String,
    instance: Option<String>,
    input: String,
    attempt: i32,
    recoveries: i32,
    fingerprint: i64,
    deadline: Option<i64>,
    parent: Option<i64>,
    queue: Option<String>,
    parked: bool,
}

/// What became of one adopted row.
pub(super) enum TakeoverAs {
    Run(RunRow),
    Parked(String),
    /// Back on this queue.
    Requeued(String),
}

impl Decoded<TakeoverAs> for TakeoverRow {
    fn decoded(self) -> Result<TakeoverAs, StoreError> {
        if self.parked {
            return Ok(TakeoverAs::Parked(self.id));
        }
        if let Some(queue) = self.queue {
            return Ok(TakeoverAs::Requeued(queue));
        }
        let Self { key, id, name, instance, input, attempt, recoveries, fingerprint, deadline, parent, queue, .. } =
            self;
        let id = id.into();
        let run = RunRow { key, id, name, input, instance, attempt, recoveries, fingerprint, deadline, parent, queue };
        Ok(TakeoverAs::Run(run))
    }
}

#[derive(FromRow)]
pub(super) struct WorkflowRow {
    id: String,
    name: String,
    status: String,
    input: String,
    output: Option<String>,
    error: Option<String>,
    reason: Option<String>,
    queue: Option<String>,
    parent: Option<String>,
    executor: Option<String>,
    version: Option<String>,
    attempt: i32,
    recoveries: i32,
    priority: i32,
    partition_key: String,
    deduplication_id: Option<String>,
    due_at: Option<i64>,
    deadline: Option<i64>,
    created_at: i64,
    started_at: Option<i64>,
    completed_at: Option<i64>,
}

impl Decoded<WorkflowInfo> for WorkflowRow {
    fn decoded(self) -> Result<WorkflowInfo, StoreError> {
        Ok(WorkflowInfo {
            status: status(&self.status)?,
            id: self.id,
            name: self.name,
            input: self.input,
            output: self.output,
            error: self.error,
            reason: self.reason,
            queue: self.queue,
            parent: self.parent,
            executor: self.executor,
            version: self.version,
            attempts: count(self.attempt),
            recoveries: count(self.recoveries),
            priority: self.priority,
            partition_key: Some(self.partition_key).filter(|it| !it.is_empty()),
            deduplication_id: self.deduplication_id,
            due_at: self.due_at.map(time),
            deadline: self.deadline.map(time),
            created_at: time(self.created_at),
            started_at: self.started_at.map(time),
            completed_at: self.completed_at.map(time),
        })
    }
}

#[derive(FromRow)]
pub(super) struct StepRow {
    branch: String,
    position: i32,
    kind: String,
    name: String,
    output: Option<String>,
    error: Option<String>,
    child: Option<String>,
    attempts: i32,
    failures: Option<String>,
    started_at: i64,
    completed_at: i64,
}

impl Decoded<StepInfo> for StepRow {
    fn decoded(self) -> Result<StepInfo, StoreError> {
        Ok(StepInfo {
            position: Position::new(self.branch, self.position),
            kind: self.kind,
            name: self.name,
            output: self.output,
            error: self.error,
            child: self.child,
            attempts: count(self.attempts),
            failures: self.failures.and_then(|it| serde_json::from_str(&it).ok()).unwrap_or_default(),
            started_at: time(self.started_at),
            completed_at: time(self.completed_at),
        })
    }
}

/// Orders positions as the body reached them: 2, 3, 3/1, 3/2, 3/10, 4. A database that compares the
/// branches as text would put 10 before 2.
pub(super) fn by_position(a: &StepInfo, b: &StepInfo) -> Ordering {
    path(&a.position).cmp(&path(&b.position))
}

fn path(position: &Position) -> Vec<i32> {
    let branch = position.branch.split('/').filter_map(|it| it.parse().ok());
    branch.chain([position.number]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_ordered_as_numbers_with_branches_behind_their_call() {
        let mut positions = ["4", "3/10", "3", "3/2/1", "3/2", "10", "3/1"].map(|text| match text.rsplit_once('/') {
            Some((branch, number)) => Position::new(branch, number.parse().expect("a number")),
            None => Position::new("", text.parse().expect("a number")),
        });
        positions.sort_by_key(path);
        assert_eq!(positions.map(|it| it.to_string()), ["3", "3/1", "3/2", "3/2/1", "3/10", "4", "10"]);
    }
}
