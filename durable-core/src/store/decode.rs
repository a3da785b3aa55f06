//! Decodes rows of either driver into the types of the traits. The columns have the same names in both.

use std::cmp::Ordering;

use sqlx::FromRow;

use crate::store::columns::RunColumns;
use crate::store::rows_by_kind::StoredEnd;
use crate::store::{ParkedRun, RunRow, StoreError, StoreErrorKind, Takeover};
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

/// A decoded row that is converted to a type of the engine.
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

/// A text that is read also if the database holds no text there: then it says so, and is no JSON. One
/// damaged row must not keep those beside it from being read.
#[derive(Debug)]
pub(super) struct LenientText(String);

impl LenientText {
    pub(super) fn into_string(self) -> String {
        self.0
    }
}

impl<D: sqlx::Database> sqlx::Type<D> for LenientText
where
    String: sqlx::Type<D>,
{
    fn type_info() -> D::TypeInfo {
        <String as sqlx::Type<D>>::type_info()
    }

    fn compatible(_: &D::TypeInfo) -> bool {
        true
    }
}

impl<'r, D: sqlx::Database> sqlx::Decode<'r, D> for LenientText
where
    String: sqlx::Decode<'r, D>,
{
    fn decode(value: D::ValueRef<'r>) -> Result<Self, sqlx::error::BoxDynError> {
        let text = <String as sqlx::Decode<'r, D>>::decode(value);
        Ok(Self(text.unwrap_or_else(|error| format!("<the database holds no text here: {error}>"))))
    }
}

/// The text of a column that may be NULL.
pub(super) fn text(it: Option<LenientText>) -> Option<String> {
    it.map(LenientText::into_string)
}

/// The value of a column that the engine itself wrote as JSON, or nothing if it is damaged.
pub(super) fn json_or_default<T: serde::de::DeserializeOwned + Default>(it: Option<LenientText>) -> T {
    text(it).and_then(|it| serde_json::from_str(&it).ok()).unwrap_or_default()
}

pub(super) fn outcome(output: Option<String>, error: Option<String>) -> Option<Outcome> {
    error.map(Outcome::Error).or(output.map(Outcome::Output))
}

pub(super) fn count(number: i32) -> u32 {
    u32::try_from(number).unwrap_or_default()
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

/// A workflow that was taken over. Only one that was requeued or parked has a `queue`.
#[derive(FromRow)]
pub(super) struct TakeoverRow {
    #[sqlx(flatten)]
    run: RunColumns,
    parked: bool,
}

/// The result of a takeover for one workflow.
pub(super) enum TakenOver {
    Run(RunRow),
    Parked(ParkedRun),
    /// Back on this queue.
    Requeued(String),
}

impl Decoded<TakenOver> for TakeoverRow {
    fn decoded(self) -> Result<TakenOver, StoreError> {
        let Self { run, parked } = self;
        Ok(match (parked, run.queue) {
            (true, queue) => TakenOver::Parked(ParkedRun { id: run.id, name: run.name, queue }),
            (false, Some(queue)) => TakenOver::Requeued(queue),
            (false, None) => TakenOver::Run(RunColumns { queue: None, ..run }.decoded()?),
        })
    }
}

impl Takeover {
    /// Sorts the rows of a takeover by their result.
    pub(super) fn of<'r, R>(rows: &'r [R]) -> Result<Self, StoreError>
    where
        R: sqlx::Row,
        TakeoverRow: FromRow<'r, R>,
    {
        let mut takeover = Self::default();
        for row in rows {
            match decode::<_, TakeoverRow, _>(row)? {
                TakenOver::Run(run) => takeover.runs.push(run),
                TakenOver::Parked(parked) => takeover.parked.push(parked),
                TakenOver::Requeued(queue) => takeover.requeued.push(queue),
            }
        }
        takeover.requeued.sort_unstable();
        takeover.requeued.dedup();
        takeover.runs.sort_unstable_by_key(|it| it.key); // the oldest first
        Ok(takeover)
    }
}

/// Orders positions as the body reached them: 2, 3, 3/1, 3/2, 3/10, 4. A database that compares the
/// branches as text would put 10 before 2.
pub(super) fn by_position(a: &Position, b: &Position) -> Ordering {
    path(a).cmp(&path(b))
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
