//! The columns of `steps`.

use super::{Column, Usual, read_row};
use crate::store::decode::{LenientText, count, json_or_default, outcome, text};
use crate::store::rows_by_kind::{error_of, output_of};
use crate::store::{NewRecord, Record};
use crate::types::listing::StepInfo;
use crate::types::position::Position;
use crate::types::time::Timestamp;

/// The columns of a record, besides the start of its body and the time of the record.
pub(in crate::store) const RECORD: &[Column<NewRecord>] = &[
    Column::big_int("workflow", |it| Some(it.workflow.get())),
    Column::usually(Usual::Text(""), Column::text("branch", |it| Some(&it.position.branch))),
    Column::integer("position", |it| Some(it.position.number)),
    Column::text("kind", |it| Some(it.kind)),
    Column::text("name", |it| Some(&it.name)),
    Column::usually(Usual::Null, Column::text("child", |it| it.child.as_deref())),
    Column::usually(Usual::Integer(1), Column::integer("attempts", |it| Some(it.attempts))),
    Column::text("output", |it| output_of(it.outcome.as_ref())),
    Column::usually(Usual::Null, Column::text("error", |it| error_of(it.outcome.as_ref()))),
    Column::usually(Usual::Null, Column::text("failures", |it| it.failures.as_deref())),
];

read_row! {
    /// A record, for a replay.
    RecordRow => Record {
        workflow: i64 => workflow: workflow.into(),
        branch: String => position: Position::new(branch, position),
        position: i32,
        kind: String => kind,
        name: String => name,
        child: Option<String> => child,
        output: Option<LenientText> => outcome: outcome(text(output), text(error)),
        error: Option<LenientText>,
    }
}

read_row! {
    /// A record in a listing.
    StepRow => StepInfo {
        branch: String => position: Position::new(branch, position),
        position: i32,
        kind: String => kind,
        name: String => name,
        output: Option<LenientText> => output: text(output),
        error: Option<LenientText> => error: text(error),
        child: Option<String> => child,
        attempts: i32 => attempts: count(attempts),
        failures: Option<LenientText> =>
            failures: json_or_default(failures),
        started_at: Timestamp => started_at: started_at.to_date(),
        completed_at: Timestamp => completed_at: completed_at.to_date(),
    }
}
