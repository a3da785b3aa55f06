//! The columns of `workflows`.

use super::{Column, Usual, Value, read_row};
use crate::store::decode::{LenientText, count, json_or_default, outcome, status, text};
use crate::store::rows_by_kind::{error_of, output_of};
use crate::store::{ExistingWorkflow, Finish, FinishedWorkflow, NewWorkflow, RunRow, WorkflowKey};
use crate::types::listing::WorkflowInfo;
use crate::types::time::{Timestamp, micros};

/// The columns that every start writes.
pub(in crate::store) const START: &[Column<NewWorkflow>] = &[
    Column::big_int("key", |it| Some(it.key.get())),
    Column::text("id", |it| Some(&it.id)),
    Column::text("name", |it| Some(&it.name)),
    Column::usually(Usual::Null, Column::text("instance", |it| it.instance.as_deref())),
    Column::usually(Usual::Null, Column::big_int("parent", |it| it.parent.map(|it| it.key.get()))),
    Column::text("version", |it| it.version.as_deref()),
    Column::big_int("fingerprint", |it| Some(it.fingerprint.get())),
    Column::usually(Usual::Null, Column::big_int("timeout", |it| it.timeout.map(micros))),
    Column::usually(Usual::Null, Column::big_int("deadline", |it| it.deadline.map(Timestamp::as_micros))),
    Column::text("application", |it| it.context.application.as_deref()),
    Column::usually(Usual::Null, Column::text("started_by", |it| it.context.started_by.as_deref())),
    Column::usually(Usual::Null, Column::text("trace_context", |it| it.context.trace_context.as_deref())),
    Column::usually(Usual::Null, Column::text("labels", |it| it.context.labels.as_deref())),
    Column { name: "input", value: Value::Input(|it| &it.input), usual: None },
];

/// The run of the parent, which a start is compared with and does not write.
pub(in crate::store) const PARENT_RUN: &[Column<NewWorkflow>] =
    &[Column::usually(Usual::Null, Column::integer("parent_attempt", |it| it.parent.map(|it| it.attempt)))];

/// The columns that the start of a queued workflow writes in addition.
pub(in crate::store) const PLACEMENT: &[Column<NewWorkflow>] = &[
    Column::text("queue", |it| it.placement.as_ref().map(|it| &*it.queue)),
    Column::integer("priority", |it| it.placement.as_ref().map(|it| it.priority)),
    Column::text("partition_key", |it| it.placement.as_ref().map(|it| it.partition.as_deref().unwrap_or_default())),
    Column::usually(
        Usual::Null,
        Column::text("deduplication_id", |it| it.placement.as_ref()?.deduplication_id.as_deref()),
    ),
];

/// The columns that identify the run that ends.
pub(in crate::store) const END_OF: &[Column<Finish>] =
    &[Column::big_int("key", |it| Some(it.workflow.get())), Column::integer("attempt", |it| Some(it.attempt))];

/// The columns that an end writes.
pub(in crate::store) const END: &[Column<Finish>] = &[
    Column::text("status", |it| Some(it.status.as_str())),
    Column::text("output", |it| output_of(it.outcome.as_ref())),
    Column::usually(Usual::Null, Column::text("error", |it| error_of(it.outcome.as_ref()))),
    Column::usually(Usual::Null, Column::text("reason", |it| it.reason.as_deref())),
];

read_row! {
    /// A workflow that has an id, a deduplication id or a debounce key.
    ExistingRow => ExistingWorkflow {
        key: i64 => key: key.into(),
        id: String => id,
        name: String => name,
        instance: Option<String> => instance,
        status: String => status: self::status(&status)?,
    }
}

read_row! {
    /// A workflow to run, as a claim or a takeover gives it.
    RunColumns => RunRow {
        key: i64 => key: key.into(),
        id: String => id: id.into(),
        name: String => name: name.into(),
        instance: Option<String> => instance: instance.map(Into::into),
        input: LenientText => input: input.into_string().into(),
        attempt: i32 => attempt,
        forked_from: Option<String> => is_fork: forked_from.is_some(),
        recoveries: i32 => recoveries,
        version: Option<String> => version: version.map(Into::into),
        fingerprint: i64 => fingerprint: fingerprint.into(),
        deadline: Option<Timestamp> => deadline,
        parent: Option<i64> => parent: parent.map(WorkflowKey::new),
        queue: Option<String> => queue: queue.map(Into::into),
        partition_key: String => keyed: !partition_key.is_empty(),
        created_at: Timestamp => waits_since: Some(due_at.map_or(created_at, |due_at| created_at.max(due_at))),
        due_at: Option<Timestamp>,
        trace_context: Option<String> => trace_context: trace_context.map(Into::into),
    }
}

/// What the order of claimed workflows needs besides what a run needs.
pub(in crate::store) const CLAIM_ORDER: &[&str] = &["priority"];

read_row! {
    /// A workflow that has ended or is parked.
    FinishedRow => FinishedWorkflow {
        id: String => id,
        status: String => status: self::status(&status)?,
        output: Option<LenientText> => outcome: outcome(text(output), text(error)),
        error: Option<LenientText>,
        reason: Option<String> => reason,
    }
}

read_row! {
    /// A workflow in a listing.
    WorkflowRow => WorkflowInfo {
        id: String => id,
        name: String => name,
        status: String => status: self::status(&status)?,
        instance: Option<String> => instance,
        input: Option<LenientText> => input: text(input),
        output: Option<LenientText> => output: text(output),
        error: Option<LenientText> => error: text(error),
        reason: Option<String> => reason,
        queue: Option<String> => queue,
        parent: Option<String> => parent,
        forked_from: Option<String> => forked_from,
        labels: Option<LenientText> => labels: json_or_default(labels),
        application: Option<String> => application,
        started_by: Option<String> => started_by,
        trace_context: Option<String> => trace_context,
        executor: Option<String> => executor,
        version: Option<String> => version,
        attempt: i32 => attempts: count(attempt),
        recoveries: i32 => recoveries: count(recoveries),
        priority: i32 => priority,
        partition_key: String => partition_key: Some(partition_key).filter(|it| !it.is_empty()),
        deduplication_id: Option<String> => deduplication_id,
        due_at: Option<Timestamp> => due_at: due_at.map(Timestamp::to_date),
        deadline: Option<Timestamp> => deadline: deadline.map(Timestamp::to_date),
        created_at: Timestamp => created_at: created_at.to_date(),
        started_at: Option<Timestamp> => started_at: started_at.map(Timestamp::to_date),
        completed_at: Option<Timestamp> => completed_at: completed_at.map(Timestamp::to_date),
    }
}
