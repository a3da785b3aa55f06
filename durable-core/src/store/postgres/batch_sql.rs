//! The statements of the fast path for many rows: one for every set of parts.

use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

use crate::store::postgres::enqueue;
use crate::store::postgres::events_and_streams::after_the_last;
use crate::store::postgres::sql_text::{CLOCK, FENCE, Schema};
use crate::store::rows_by_kind::{BatchRows, TERMINAL, later};

const BEGIN_COLUMNS: [(&str, &str); 10] = [
    ("key", "bigint"),
    ("id", "text"),
    ("name", "text"),
    ("instance", "text"),
    ("parent", "bigint"),
    ("version", "text"),
    ("fingerprint", "bigint"),
    ("input", "text"),
    ("timeout", "bigint"),
    ("deadline", "bigint"),
];
const FINISH_COLUMNS: [(&str, &str); 6] = [
    ("key", "bigint"),
    ("attempt", "integer"),
    ("status", "text"),
    ("output", "text"),
    ("error", "text"),
    ("reason", "text"),
];
const RECORD_COLUMNS: [(&str, &str); 12] = [
    ("ends", "boolean"),
    ("workflow", "bigint"),
    ("branch", "text"),
    ("position", "integer"),
    ("kind", "text"),
    ("name", "text"),
    ("child", "text"),
    ("attempts", "integer"),
    ("ran_for", "bigint"),
    ("output", "text"),
    ("error", "text"),
    ("failures", "text"),
];

/// The same where something is begun.
const RECORD_OF_BEGIN_COLUMNS: [(&str, &str); 13] = {
    let mut columns = [("begins", "bigint"); 13];
    let mut index = 0;
    while index < RECORD_COLUMNS.len() {
        columns[index] = RECORD_COLUMNS[index];
        index += 1;
    }
    columns
};

const MESSAGE_COLUMNS: [(&str, &str); 6] = [
    ("ends", "bigint"),
    ("key", "bigint"),
    ("id", "text"),
    ("topic", "text"),
    ("idempotency_key", "text"),
    ("payload", "text"),
];
const RECEIVED_COLUMNS: [(&str, &str); 2] = [("ends", "bigint"), ("key", "bigint")];
const EMISSION_COLUMNS: [(&str, &str); 7] = [
    ("ends", "bigint"),
    ("workflow", "bigint"),
    ("name", "text"),
    ("key", "bigint"),
    ("branch", "text"),
    ("position", "integer"),
    ("value", "text"),
];

/// Which parts a call has.
#[derive(Debug, Clone, Copy)]
struct Set(usize);

impl Set {
    const BEGINS: usize = 1;
    const FINISHES: usize = 2;
    const RECORDS: usize = 4;
    const MESSAGES: usize = 8;
    const RECEIVED: usize = 16;
    const EVENTS: usize = 32;
    const ITEMS: usize = 64;
    const QUEUED: usize = 128;
    /// How many sets there are.
    const ALL: usize = 256;

    fn of(parts: &BatchRows<'_>) -> Self {
        let mut set = 0;
        for (bit, there) in [
            (Self::BEGINS, !parts.begins.is_empty()),
            (Self::FINISHES, !parts.finishes.is_empty()),
            (Self::RECORDS, !parts.records.is_empty()),
            (Self::MESSAGES, !parts.messages.is_empty()),
            (Self::RECEIVED, !parts.received.is_empty()),
            (Self::EVENTS, !parts.events.is_empty()),
            (Self::ITEMS, !parts.items.is_empty()),
            (Self::QUEUED, !parts.queued.is_empty()),
        ] {
            set += if there { bit } else { 0 };
        }
        Self(set)
    }

    fn has(self, part: usize) -> bool {
        self.0 & part > 0
    }
}

/// One text for every set of parts, so that the server sees a handful of statements and plans each
/// of them once. A text is made when it is first needed: most programs need few of them.
#[derive(Debug)]
pub(super) struct Texts {
    schema: Schema,
    made: [OnceLock<Arc<str>>; Set::ALL],
}

impl Texts {
    pub(super) fn new(schema: Schema) -> Self {
        Self { schema, made: std::array::from_fn(|_| OnceLock::new()) }
    }

    pub(super) fn of(&self, parts: &BatchRows<'_>) -> &Arc<str> {
        let set = Set::of(parts);
        self.made[set.0].get_or_init(|| self.schema.render(&text(set)))
    }
}

/// The statement for a set of parts. All parts see the database as it was before the statement, and
/// all hang on the fence, whose one row they are joined with. Where there are messages they hang on
/// the gate, which is the fence as long as every message has somebody to receive it.
fn text(set: Set) -> String {
    let mut next = 3; // behind the fence
    let mut arrays = |columns: &[(&str, &str)]| {
        let first = next;
        next += columns.len();
        let types = columns.iter().zip(first..).map(|((_, kind), number)| format!("${number}::{kind}[]"));
        let types = types.collect::<Vec<_>>().join(", ");
        let names = columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        // The limit keeps every row. It is there for the planner: it takes an unknown limit for a
        // tenth of the rows, so that the generic plan, made while the tables are small and kept
        // while they grow, looks each row up in the primary key and never scans the table.
        format!("(select * from unnest({types}) limit cardinality(${first})) as rows ({names})")
    };
    let gate = if set.has(Set::MESSAGES) { "gate" } else { "fence" };
    // What goes with an end is only stored if the end is.
    let only_with_its_end = |rows: &str| {
        if set.has(Set::FINISHES) {
            format!("({rows}.ends is null or {rows}.ends in (select key from done))")
        } else {
            "true".to_owned()
        }
    };
    // The status to compare with comes from a row and is no constant: with a constant the planner
    // may take the index of PENDING workflows, which looks cheap on a fresh table, and read all that
    // the executor has in flight for every flush.
    let mut text = format!(
        "with fence as materialized {FENCE}, clock as materialized (select now, 'PENDING' as pending from {CLOCK} c)"
    );
    let begins = set.has(Set::BEGINS).then(|| arrays(&BEGIN_COLUMNS));
    let queued = set.has(Set::QUEUED).then(|| arrays(&enqueue::COLUMNS));
    let finishes = set.has(Set::FINISHES).then(|| arrays(&FINISH_COLUMNS));
    let begun: Vec<_> = [(Set::BEGINS, "begun"), (Set::QUEUED, "enqueued")]
        .into_iter()
        .filter(|(part, _)| set.has(*part))
        .map(|(_, name)| format!("select key from {name}"))
        .collect();
    let record_columns: &[_] = if begun.is_empty() { &RECORD_COLUMNS } else { &RECORD_OF_BEGIN_COLUMNS };
    let records = set.has(Set::RECORDS).then(|| arrays(record_columns));
    if set.has(Set::MESSAGES) {
        let rows = arrays(&MESSAGE_COLUMNS);
        // One that was sent before may be sent again to a workflow that has ended since.
        let _ = write!(
            text,
            ", receivers as materialized (
                select rows.*, w.key as receiver, w.status
                  from {rows} left join durable.workflows w on w.id = rows.id),
            lacking as materialized (
                select r.key, r.status from receivers r
                 where r.receiver is null
                    or r.status in {TERMINAL}
                       and (select m.key from durable.messages m
                             where m.workflow = r.receiver and m.idempotency_key = r.idempotency_key limit 1) is null),
            gate as materialized (select 1 from fence where not exists (select 1 from lacking))"
        );
    }
    if let Some(rows) = begins {
        let _ = write!(
            text,
            ", begun as (
                insert into durable.workflows
                    (key, id, name, instance, parent, version, fingerprint, input, timeout, deadline, status, executor, attempt,
                     created_at, started_at)
                select rows.*, 'PENDING', $1::bigint, 1, clock.now, clock.now
                  from {rows}, clock, {gate}
                on conflict (id) do nothing
                returning key)"
        );
    }
    if let Some(rows) = queued {
        let names = enqueue::NAMES;
        let values = names.split(", ").map(|name| format!("rows.{name}")).collect::<Vec<_>>().join(", ");
        let due = later("clock.now", "rows.delay");
        let _ = write!(
            text,
            ", enqueued as (
                insert into durable.workflows ({names}, status, due_at, attempt, created_at)
                select {values}, case when rows.delay is null then 'ENQUEUED' else 'DELAYED' end, {due}, 0, clock.now
                  from {rows}, clock, {gate}
                on conflict do nothing
                returning key)"
        );
    }
    if let Some(rows) = finishes {
        let _ = write!(
            text,
            ", done as (
                update durable.workflows w
                   set status = rows.status, output = rows.output, error = rows.error, reason = rows.reason,
                       completed_at = case when rows.status = 'PARKED' then null else clock.now end
                  from {rows}, clock, {gate}
                 where w.key = rows.key and w.attempt = rows.attempt and w.status = clock.pending and w.executor = $1::bigint
                returning w.key)"
        );
    }
    if let Some(rows) = records {
        let ended = "and (not rows.ends or rows.workflow in (select key from done))";
        let ended = if set.has(Set::FINISHES) { ended } else { "" };
        let begun = begun.join(" union all ");
        let begun =
            if begun.is_empty() { begun } else { format!("and (rows.begins is null or rows.begins in ({begun}))") };
        let _ = write!(
            text,
            ", recorded as (
                insert into durable.steps
                    (workflow, branch, position, kind, name, child, attempts, started_at, completed_at, output, error, failures)
                select rows.workflow, rows.branch, rows.position, rows.kind, rows.name, rows.child, rows.attempts,
                       clock.now - rows.ran_for, clock.now, rows.output, rows.error, rows.failures
                  from {rows}, clock, {gate}
                 where true {ended} {begun})"
        );
    }
    if set.has(Set::MESSAGES) {
        let _ = write!(
            text,
            ", sent as (
                insert into durable.messages (key, workflow, topic, sent_at, idempotency_key, payload)
                select r.key, r.receiver, r.topic, clock.now, r.idempotency_key, r.payload
                  from receivers r, clock, gate
                 where {}
                 order by r.id, r.idempotency_key, r.key
                on conflict do nothing
                returning 1)",
            only_with_its_end("r")
        );
    }
    if set.has(Set::RECEIVED) {
        let rows = arrays(&RECEIVED_COLUMNS);
        let _ = write!(
            text,
            ", received as (
                update durable.messages m set received_at = coalesce(m.received_at, clock.now)
                  from {rows}, clock, {gate}
                 where m.key = rows.key and {})",
            only_with_its_end("rows")
        );
    }
    for (part, table, at) in [(Set::EVENTS, "events", "set_at"), (Set::ITEMS, "streams", "written_at")] {
        if set.has(part) {
            let rows = arrays(&EMISSION_COLUMNS);
            let _ = write!(
                text,
                ", shown_in_{table} as (
                    insert into durable.{table} (workflow, name, {at}, key, branch, position, value)
                    select rows.workflow, rows.name, greatest(clock.now, {}), rows.key, rows.branch, rows.position, rows.value
                      from {rows}, clock, {gate}
                     where {})",
                after_the_last(table, at, "rows.workflow", "rows.name"),
                only_with_its_end("rows")
            );
        }
    }
    let keys = |part: usize, name: &str| {
        if set.has(part) { format!("(select array_agg(key) from {name})") } else { "null::bigint[]".to_owned() }
    };
    let _ = write!(
        text,
        " select (select count(*) from fence) as held, {} as begun, {} as enqueued, {} as done, {} as lacking, {} as statuses, {} as sent",
        keys(Set::BEGINS, "begun"),
        keys(Set::QUEUED, "enqueued"),
        keys(Set::FINISHES, "done"),
        keys(Set::MESSAGES, "lacking"),
        if set.has(Set::MESSAGES) { "(select array_agg(status) from lacking)" } else { "null::text[]" },
        if set.has(Set::MESSAGES) { "(select count(*) from sent)" } else { "0::bigint" },
    );
    text
}
