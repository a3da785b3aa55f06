//! The statement that commits many rows of any kinds: one CTE for each kind that there is.
//!
//! All parts of the statement see the database as it was before it, and all are joined with the one row
//! of the fence. With messages they are joined with the gate instead, which is the fence as long as every
//! message has a receiver. `snapshots/` shows the statements as they are sent.

use std::sync::{Arc, OnceLock};

use crate::store::columns::{
    Column, END, END_OF, MESSAGE, PARENT_RUN, PLACEMENT, PUBLICATION, RECEIVER, RECORD, START, names, names_of,
};
use crate::store::postgres::dialect::{CLOCK, FENCE, after_the_last};
use crate::store::postgres::schema::Schema;
use crate::store::rows_by_kind::{BatchRows, TERMINAL, add_saturating};

/// The name and the type of a column.
type TypedColumn = (&'static str, &'static str);

/// How long a workflow is DELAYED; NULL if it is ENQUEUED at once.
const DELAY: [TypedColumn; 1] = [("delay", "bigint")];

/// What a record in a batch carries besides its columns: how long its body ran, whether it is only stored
/// with the end of its run, and the start that it is only stored with.
const RECORD_EXTRA: [TypedColumn; 3] = [("ran_for", "bigint"), ("ends", "boolean"), ("starts", "bigint")];

/// The end that a row is only stored with.
const ENDS: [TypedColumn; 1] = [("ends", "bigint")];

/// The kinds of rows that a call has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kinds(pub(super) usize);

impl Kinds {
    pub(super) const STARTS: usize = 1;
    pub(super) const FINISHES: usize = 2;
    pub(super) const RECORDS: usize = 4;
    pub(super) const MESSAGES: usize = 8;
    pub(super) const RECEIVED: usize = 16;
    pub(super) const EVENTS: usize = 32;
    pub(super) const ITEMS: usize = 64;
    pub(super) const QUEUED: usize = 128;
    /// How many combinations there are.
    pub(super) const COMBINATIONS: usize = 256;

    fn of(rows: &BatchRows<'_>) -> Self {
        let there = [
            (Self::STARTS, !rows.starts.is_empty()),
            (Self::FINISHES, !rows.finishes.is_empty()),
            (Self::RECORDS, !rows.records.is_empty()),
            (Self::MESSAGES, !rows.messages.is_empty()),
            (Self::RECEIVED, !rows.received.is_empty()),
            (Self::EVENTS, !rows.events.is_empty()),
            (Self::ITEMS, !rows.items.is_empty()),
            (Self::QUEUED, !rows.queued.is_empty()),
        ];
        Self(there.into_iter().filter(|(_, there)| *there).map(|(kind, _)| kind).sum())
    }

    fn has(self, kind: usize) -> bool {
        self.0 & kind > 0
    }
}

/// One statement for each combination of kinds, so that the server sees a handful of statements and plans
/// each of them once. A text is made when it is first needed: most programs need few of them.
#[derive(Debug)]
pub(super) struct BatchStatements {
    schema: Schema,
    texts: [OnceLock<Arc<str>>; Kinds::COMBINATIONS],
}

impl BatchStatements {
    pub(super) fn new(schema: Schema) -> Self {
        Self { schema, texts: std::array::from_fn(|_| OnceLock::new()) }
    }

    pub(super) fn of(&self, rows: &BatchRows<'_>) -> &Arc<str> {
        let kinds = Kinds::of(rows);
        self.texts[kinds.0].get_or_init(|| self.schema.render(&statement(kinds)))
    }
}

/// The statement for a combination of kinds. Its parameters are the fence and then one array per column,
/// in the order of `batch::bind`.
pub(super) fn statement(kinds: Kinds) -> String {
    let mut arrays = Arrays { next: 3 };
    let gate = if kinds.has(Kinds::MESSAGES) { "gate" } else { "fence" };
    let starts = kinds.has(Kinds::STARTS).then(|| arrays.table(&[typed(START), typed(PARENT_RUN)]));
    let queued = kinds
        .has(Kinds::QUEUED)
        .then(|| arrays.table(&[typed(START), typed(PARENT_RUN), typed(PLACEMENT), DELAY.to_vec()]));
    let finishes = kinds.has(Kinds::FINISHES).then(|| arrays.table(&[typed(END_OF), typed(END)]));
    let records = kinds.has(Kinds::RECORDS).then(|| arrays.table(&[typed(RECORD), RECORD_EXTRA.to_vec()]));
    let messages = kinds.has(Kinds::MESSAGES).then(|| arrays.table(&[typed(RECEIVER), typed(MESSAGE), ENDS.to_vec()]));
    let received = kinds.has(Kinds::RECEIVED).then(|| arrays.table(&[vec![("key", "bigint")], ENDS.to_vec()]));
    let events = kinds.has(Kinds::EVENTS).then(|| arrays.table(&[typed(PUBLICATION), ENDS.to_vec()]));
    let items = kinds.has(Kinds::ITEMS).then(|| arrays.table(&[typed(PUBLICATION), ENDS.to_vec()]));

    let mut ctes = vec![fence(), clock()];
    ctes.extend(messages.map(|rows| receivers(&rows)));
    ctes.extend(starts.map(|rows| started(&rows, gate)));
    ctes.extend(queued.map(|rows| enqueued(&rows, gate)));
    ctes.extend(finishes.map(|rows| done(&rows, gate)));
    ctes.extend(records.map(|rows| recorded(&rows, gate, kinds)));
    ctes.extend(kinds.has(Kinds::MESSAGES).then(|| sent(kinds)));
    ctes.extend(received.map(|rows| marked_received(&rows, gate, kinds)));
    ctes.extend(events.map(|rows| published("events", "set_at", &rows, gate, kinds)));
    ctes.extend(items.map(|rows| published("streams", "written_at", &rows, gate, kinds)));
    format!("with {}\n{}", ctes.join(",\n"), result(kinds))
}

/// Arrays as tables, with parameters that are numbered as they come.
struct Arrays {
    next: usize,
}

impl Arrays {
    /// The next arrays as a table `rows`.
    ///
    /// The limit keeps every row. It is there for the planner, which takes an unknown limit for a tenth
    /// of the rows: so the generic plan, made while the tables are small and kept while they grow, looks
    /// each row up in the primary key and never scans the table.
    fn table(&mut self, columns: &[Vec<TypedColumn>]) -> String {
        let (first, columns) = (self.next, columns.concat());
        self.next += columns.len();
        let types = columns.iter().zip(first..).map(|((_, kind), number)| format!("${number}::{kind}[]"));
        let types = types.collect::<Vec<_>>().join(", ");
        let names = columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        format!("(select * from unnest({types}) limit cardinality(${first})) as rows ({names})")
    }
}

/// The names and types of columns.
fn typed<R>(columns: &[Column<R>]) -> Vec<TypedColumn> {
    columns.iter().map(|it| (it.name, it.postgres_type())).collect()
}

/// One row while the fence holds, locked against takeovers.
fn fence() -> String {
    format!("fence as materialized {FENCE}")
}

/// The time of the call. The status to compare with comes from here and is no constant: with a constant
/// the planner may use the index of PENDING workflows, which looks cheap on a fresh table, and read all
/// that the executor runs for every commit.
fn clock() -> String {
    format!("clock as materialized (select now, 'PENDING' as pending from {CLOCK} c)")
}

/// The receivers of the messages, the messages without one, and the gate that lets the rest through only
/// if there are none. A message that was sent before may be sent again to a workflow that has ended since.
fn receivers(rows: &str) -> String {
    format!(
        "receivers as materialized (
    select rows.*, w.key as receiver, w.status
      from {rows} left join durable.workflows w on w.id = rows.id),
without_receiver as materialized (
    select r.key, r.status from receivers r
     where r.receiver is null
        or r.status in {TERMINAL}
           and (select m.key from durable.messages m
                 where m.workflow = r.receiver and m.topic = r.topic
                   and m.idempotency_key = r.idempotency_key limit 1) is null),
gate as materialized (select 1 from fence where not exists (select 1 from without_receiver))"
    )
}

/// The parents of these starts that are still in the run that starts a child. The lock makes a
/// cancellation wait for the commit, so that it finds the child; it takes the same order.
fn parents(name: &str, rows: &str) -> String {
    format!(
        "{name} as materialized (
    select w.key, w.attempt
      from {rows} join durable.workflows w on w.key = rows.parent, clock
     where w.attempt = rows.parent_attempt and w.status = clock.pending
     order by w.key for share of w)"
    )
}

/// Starts of workflows that run at once.
fn started(rows: &str, gate: &str) -> String {
    format!(
        "{},
started as (
    insert into durable.workflows ({}, status, executor, attempt, created_at, started_at)
    select {}, 'PENDING', $1::bigint, 1, clock.now, clock.now
      from {rows}, clock, {gate}
     where rows.parent is null or (rows.parent, rows.parent_attempt) in (select key, attempt from starting)
    on conflict (id) do nothing
    returning key)",
        parents("starting", rows),
        names(START),
        names_of("rows", START)
    )
}

/// Starts of workflows that are enqueued.
fn enqueued(rows: &str, gate: &str) -> String {
    format!(
        "{},
enqueued as (
    insert into durable.workflows ({}, {}, status, due_at, attempt, created_at)
    select {}, {}, case when rows.delay is null then 'ENQUEUED' else 'DELAYED' end, {}, 0, clock.now
      from {rows}, clock, {gate}
     where rows.parent is null or (rows.parent, rows.parent_attempt) in (select key, attempt from enqueuing)
    on conflict do nothing
    returning key)",
        parents("enqueuing", rows),
        names(START),
        names(PLACEMENT),
        names_of("rows", START),
        names_of("rows", PLACEMENT),
        add_saturating("clock.now", "rows.delay")
    )
}

/// Ends of runs.
fn done(rows: &str, gate: &str) -> String {
    let set = END.iter().map(|it| format!("{0} = rows.{0}", it.name)).collect::<Vec<_>>().join(", ");
    format!(
        "done as (
    update durable.workflows w
       set {set}, completed_at = case when rows.status = 'PARKED' then null else clock.now end
      from {rows}, clock, {gate}
     where w.key = rows.key and w.attempt = rows.attempt and w.status = clock.pending and w.executor = $1::bigint
    returning w.key)"
    )
}

/// Records. One that goes with an end or a start is only stored if that is.
fn recorded(rows: &str, gate: &str, kinds: Kinds) -> String {
    let mut conditions = vec!["true".to_owned()];
    if kinds.has(Kinds::FINISHES) {
        conditions.push("(not rows.ends or rows.workflow in (select key from done))".to_owned());
    }
    let started: Vec<_> = [(Kinds::STARTS, "started"), (Kinds::QUEUED, "enqueued")]
        .into_iter()
        .filter(|(kind, _)| kinds.has(*kind))
        .map(|(_, name)| format!("select key from {name}"))
        .collect();
    if !started.is_empty() {
        conditions.push(format!("(rows.starts is null or rows.starts in ({}))", started.join(" union all ")));
    }
    format!(
        "recorded as (
    insert into durable.steps ({}, started_at, completed_at)
    select {}, clock.now - rows.ran_for, clock.now
      from {rows}, clock, {gate}
     where {})",
        names(RECORD),
        names_of("rows", RECORD),
        conditions.join(" and ")
    )
}

/// Messages.
fn sent(kinds: Kinds) -> String {
    format!(
        "sent as (
    insert into durable.messages ({}, workflow, sent_at)
    select {}, r.receiver, clock.now
      from receivers r, clock, gate
     where {}
     order by r.id, r.idempotency_key, r.key
    on conflict do nothing
    returning 1)",
        names(MESSAGE),
        names_of("r", MESSAGE),
        only_with_its_end("r", kinds)
    )
}

/// The marks of messages that were received.
fn marked_received(rows: &str, gate: &str, kinds: Kinds) -> String {
    format!(
        "received as (
    update durable.messages m set received_at = coalesce(m.received_at, clock.now)
      from {rows}, clock, {gate}
     where m.key = rows.key and {})",
        only_with_its_end("rows", kinds)
    )
}

/// Values of events, or items of streams.
fn published(table: &str, at: &str, rows: &str, gate: &str, kinds: Kinds) -> String {
    format!(
        "published_in_{table} as (
    insert into durable.{table} ({}, {at})
    select {}, greatest(clock.now, {})
      from {rows}, clock, {gate}
     where {})",
        names(PUBLICATION),
        names_of("rows", PUBLICATION),
        after_the_last(table, at, "rows.workflow", "rows.name"),
        only_with_its_end("rows", kinds)
    )
}

/// A condition: the end that a row goes with is stored.
fn only_with_its_end(rows: &str, kinds: Kinds) -> String {
    if kinds.has(Kinds::FINISHES) {
        format!("({rows}.ends is null or {rows}.ends in (select key from done))")
    } else {
        "true".to_owned()
    }
}

/// What was written, in one row.
fn result(kinds: Kinds) -> String {
    let keys = |kind: usize, name: &str| {
        if kinds.has(kind) { format!("(select array_agg(key) from {name})") } else { "null::bigint[]".to_owned() }
    };
    let with_messages = |value: &'static str, otherwise| if kinds.has(Kinds::MESSAGES) { value } else { otherwise };
    format!(
        "select (select count(*) from fence) as fence_holds,
       {} as started,
       {} as enqueued,
       {} as done,
       {} as without_receiver,
       {} as statuses,
       {} as sent",
        keys(Kinds::STARTS, "started"),
        keys(Kinds::QUEUED, "enqueued"),
        keys(Kinds::FINISHES, "done"),
        keys(Kinds::MESSAGES, "without_receiver"),
        with_messages("(select array_agg(status) from without_receiver)", "null::text[]"),
        with_messages("(select count(*) from sent)", "0::bigint")
    )
}
