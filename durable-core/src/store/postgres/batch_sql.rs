//! The statement that commits many rows of any kinds: one CTE for each kind that there is.
//!
//! All parts of the statement see the database as it was before it, and all are joined with the one row
//! of the fence. With messages they are joined with the gate instead, which is the fence as long as every
//! message has a receiver. `snapshots/` shows the statements as they are sent.

use std::collections::HashMap;
use std::sync::Arc;

use crate::store::columns::{
    Column, END, END_OF, MESSAGE, PARENT_RUN, PLACEMENT, PUBLICATION, RECEIVER, RECORD, START, are_usual, names,
    names_of, varying,
};
use crate::store::postgres::dialect::{CLOCK, FENCE, after_the_last};
use crate::store::postgres::schema::Schema;
use crate::store::rows_by_kind::{BatchRows, TERMINAL, add_saturating};
use crate::types::sync::{Mutex, lock};

/// The name and the type of a column.
type TypedColumn = (&'static str, &'static str);

/// How long a workflow is DELAYED; NULL if it is ENQUEUED at once.
const DELAY: [TypedColumn; 1] = [("delay", "bigint")];

/// What a record in a batch carries besides its columns: how long its body ran, and whether it is only stored with the
/// end of its run.
const RECORD_EXTRA: [TypedColumn; 2] = [("ran_for", "bigint"), ("ends", "boolean")];

/// The start that a record is only stored with.
const STARTS: [TypedColumn; 1] = [("starts", "bigint")];

/// The end that a row is only stored with.
const ENDS: [TypedColumn; 1] = [("ends", "bigint")];

/// The kinds of rows that a call has, and which of them are usual: each row has the usual value of each column that has
/// one. The server does something for every array, so those columns are constants in the statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
    /// All kinds of rows, none of them usual.
    #[cfg(test)]
    pub(super) const ALL: usize = 255;
    pub(super) const USUAL_STARTS: usize = 256;
    pub(super) const USUAL_FINISHES: usize = 512;
    pub(super) const USUAL_RECORDS: usize = 1024;
    pub(super) const USUAL_QUEUED: usize = 2048;

    pub(super) fn of(rows: &BatchRows<'_>) -> Self {
        let usual_start = |it| are_usual(START, it) && are_usual(PARENT_RUN, it);
        let there = [
            (Self::STARTS, !rows.starts.is_empty()),
            (Self::FINISHES, !rows.finishes.is_empty()),
            (Self::RECORDS, !rows.records.is_empty()),
            (Self::MESSAGES, !rows.messages.is_empty()),
            (Self::RECEIVED, !rows.received.is_empty()),
            (Self::EVENTS, !rows.events.is_empty()),
            (Self::ITEMS, !rows.items.is_empty()),
            (Self::QUEUED, !rows.queued.is_empty()),
            (Self::USUAL_STARTS, rows.starts.iter().all(|it| usual_start(it))),
            (Self::USUAL_FINISHES, rows.finishes.iter().all(|it| are_usual(END, it))),
            (Self::USUAL_RECORDS, rows.records.iter().all(|it| are_usual(RECORD, it.record) && it.starts.is_none())),
            (Self::USUAL_QUEUED, rows.queued.iter().all(|it| usual_start(it.row) && are_usual(PLACEMENT, it.row))),
        ];
        Self(there.into_iter().filter(|(_, there)| *there).map(|(kind, _)| kind).sum())
    }

    pub(super) fn has(self, kind: usize) -> bool {
        self.0 & kind > 0
    }
}

/// One statement for each combination of kinds, so that the server sees a handful of statements and plans
/// each of them once. A text is made when it is first needed: most programs need few of them.
#[derive(Debug)]
pub(super) struct BatchStatements {
    schema: Schema,
    texts: Mutex<HashMap<Kinds, Arc<str>>>,
}

impl BatchStatements {
    pub(super) fn new(schema: Schema) -> Self {
        Self { schema, texts: Mutex::default() }
    }

    pub(super) fn of(&self, kinds: Kinds) -> Arc<str> {
        let mut texts = lock(&self.texts);
        Arc::clone(texts.entry(kinds).or_insert_with(|| self.schema.render(&statement(kinds))))
    }
}

/// The statement for a combination of kinds. Its parameters are the fence and then one array per column,
/// in the order of `batch::bind`.
pub(super) fn statement(kinds: Kinds) -> String {
    let mut arrays = Arrays { next: 3 };
    let gate = if kinds.has(Kinds::MESSAGES) { "gate" } else { "fence" };
    let usual = |kind| kinds.has(kind);
    let (starts_usual, queued_usual) = (usual(Kinds::USUAL_STARTS), usual(Kinds::USUAL_QUEUED));
    let (finishes_usual, records_usual) = (usual(Kinds::USUAL_FINISHES), usual(Kinds::USUAL_RECORDS));
    let only_starts = |usual: bool| if usual { Vec::new() } else { STARTS.to_vec() };
    let starts =
        kinds.has(Kinds::STARTS).then(|| arrays.rows(&[typed(START, starts_usual), typed(PARENT_RUN, starts_usual)]));
    let queued = kinds.has(Kinds::QUEUED).then(|| {
        let placement = typed(PLACEMENT, queued_usual);
        arrays.rows(&[typed(START, queued_usual), typed(PARENT_RUN, queued_usual), placement, DELAY.to_vec()])
    });
    let finishes = kinds.has(Kinds::FINISHES).then(|| arrays.rows(&[typed(END_OF, false), typed(END, finishes_usual)]));
    let records = kinds
        .has(Kinds::RECORDS)
        .then(|| arrays.rows(&[typed(RECORD, records_usual), RECORD_EXTRA.to_vec(), only_starts(records_usual)]));
    let ends = || ENDS.to_vec();
    let messages =
        kinds.has(Kinds::MESSAGES).then(|| arrays.rows(&[typed(RECEIVER, false), typed(MESSAGE, false), ends()]));
    let received = kinds.has(Kinds::RECEIVED).then(|| arrays.rows(&[vec![("key", "bigint")], ends()]));
    let events = kinds.has(Kinds::EVENTS).then(|| arrays.rows(&[typed(PUBLICATION, false), ends()]));
    let items = kinds.has(Kinds::ITEMS).then(|| arrays.rows(&[typed(PUBLICATION, false), ends()]));

    let mut ctes = vec![fence(), clock()];
    ctes.extend(messages.map(|rows| receivers(&rows)));
    ctes.extend(starts.map(|rows| started(&rows, gate, starts_usual)));
    ctes.extend(queued.map(|rows| enqueued(&rows, gate, queued_usual)));
    ctes.extend(finishes.map(|rows| done(&rows, gate, finishes_usual)));
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

/// Arrays as a table `rows`.
struct Rows {
    columns: Vec<(TypedColumn, usize)>,
}

impl Arrays {
    /// The next arrays.
    fn rows(&mut self, columns: &[Vec<TypedColumn>]) -> Rows {
        let first = self.next;
        let columns: Vec<_> = columns.concat().into_iter().zip(first..).collect();
        self.next += columns.len();
        Rows { columns }
    }
}

impl Rows {
    /// All of them, for a statement that looks nothing up for them.
    fn all(&self) -> String {
        format!("unnest({}) as rows ({})", self.arrays(), self.names())
    }

    /// All of them, to be joined with a table.
    ///
    /// The limit keeps every row. It is there for the planner, which takes an unknown limit for a tenth
    /// of the rows: so the generic plan, made while the tables are small and kept while they grow, looks
    /// each row up in the primary key and never scans the table.
    fn to_look_up(&self) -> String {
        let first = self.columns.first().map_or(0, |it| it.1);
        format!("(select * from unnest({}) limit cardinality(${first})) as rows ({})", self.arrays(), self.names())
    }

    /// Those of the columns, to be joined with a table.
    fn only(&self, names: &[&str]) -> Self {
        let columns = self.columns.iter().filter(|((name, _), _)| names.contains(name)).copied().collect();
        Self { columns }
    }

    fn arrays(&self) -> String {
        let array = |((_, kind), number): &(TypedColumn, usize)| format!("${number}::{kind}[]");
        self.columns.iter().map(array).collect::<Vec<_>>().join(", ")
    }

    fn names(&self) -> String {
        self.columns.iter().map(|((name, _), _)| *name).collect::<Vec<_>>().join(", ")
    }
}

/// The names and types of the columns that are parameters.
fn typed<R>(columns: &[Column<R>], usual: bool) -> Vec<TypedColumn> {
    varying(columns, usual).map(|it| (it.name, it.postgres_type())).collect()
}

/// The values of columns: those of `rows`, or the usual ones.
fn values<R>(columns: &[Column<R>], usual: bool) -> Vec<String> {
    let value = |column: &Column<R>| match column.usual.filter(|_| usual) {
        None => format!("rows.{}", column.name),
        Some(value) => format!("{}::{}", value.sql(), column.postgres_type()),
    };
    columns.iter().map(value).collect()
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
fn receivers(rows: &Rows) -> String {
    let rows = rows.to_look_up();
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
fn parents(name: &str, rows: &Rows) -> String {
    let rows = rows.only(&["parent", "parent_attempt"]).to_look_up();
    format!(
        "{name} as materialized (
    select w.key, w.attempt
      from {rows} join durable.workflows w on w.key = rows.parent, clock
     where w.attempt = rows.parent_attempt and w.status = clock.pending
     order by w.key for share of w)"
    )
}

/// Starts of workflows that run at once. The usual ones have no parent.
fn started(rows: &Rows, gate: &str, usual: bool) -> String {
    format!(
        "{}started as (
    insert into durable.workflows ({}, status, executor, attempt, created_at, started_at)
    select {}, 'PENDING', $1::bigint, 1, clock.now, clock.now
      from {}, clock, {gate}
     where {}
    on conflict (id) do nothing
    returning key)",
        if usual { String::new() } else { format!("{},\n", parents("starting", rows)) },
        names(START),
        values(START, usual).join(", "),
        rows.all(),
        has_parent_in("starting", usual)
    )
}

/// Starts of workflows that are enqueued.
fn enqueued(rows: &Rows, gate: &str, usual: bool) -> String {
    format!(
        "{}enqueued as (
    insert into durable.workflows ({}, {}, status, due_at, attempt, created_at)
    select {}, {}, case when rows.delay is null then 'ENQUEUED' else 'DELAYED' end, {}, 0, clock.now
      from {}, clock, {gate}
     where {}
    on conflict do nothing
    returning key)",
        if usual { String::new() } else { format!("{},\n", parents("enqueuing", rows)) },
        names(START),
        names(PLACEMENT),
        values(START, usual).join(", "),
        values(PLACEMENT, usual).join(", "),
        add_saturating("clock.now", "rows.delay"),
        rows.all(),
        has_parent_in("enqueuing", usual)
    )
}

/// A condition: the parent of a start, if it has one, is among these.
fn has_parent_in(parents: &str, usual: bool) -> String {
    if usual {
        return "true".to_owned();
    }
    format!("rows.parent is null or (rows.parent, rows.parent_attempt) in (select key, attempt from {parents})")
}

/// Ends of runs.
fn done(rows: &Rows, gate: &str, usual: bool) -> String {
    let set = END.iter().zip(values(END, usual)).map(|(it, value)| format!("{} = {value}", it.name));
    let set = set.collect::<Vec<_>>().join(", ");
    format!(
        "done as (
    update durable.workflows w
       set {set}, completed_at = case when rows.status = 'PARKED' then null else clock.now end
      from {}, clock, {gate}
     where w.key = rows.key and w.attempt = rows.attempt and w.status = clock.pending and w.executor = $1::bigint
    returning w.key)",
        rows.to_look_up()
    )
}

/// Records. One that goes with an end or a start is only stored if that is.
fn recorded(rows: &Rows, gate: &str, kinds: Kinds) -> String {
    let usual = kinds.has(Kinds::USUAL_RECORDS);
    let mut conditions = vec!["true".to_owned()];
    if kinds.has(Kinds::FINISHES) {
        conditions.push("(not rows.ends or rows.workflow in (select key from done))".to_owned());
    }
    let started: Vec<_> = [(Kinds::STARTS, "started"), (Kinds::QUEUED, "enqueued")]
        .into_iter()
        .filter(|(kind, _)| kinds.has(*kind))
        .map(|(_, name)| format!("select key from {name}"))
        .collect();
    if !started.is_empty() && !usual {
        conditions.push(format!("(rows.starts is null or rows.starts in ({}))", started.join(" union all ")));
    }
    format!(
        "recorded as (
    insert into durable.steps ({}, started_at, completed_at)
    select {}, clock.now - rows.ran_for, clock.now
      from {}, clock, {gate}
     where {})",
        names(RECORD),
        values(RECORD, usual).join(", "),
        rows.all(),
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
fn marked_received(rows: &Rows, gate: &str, kinds: Kinds) -> String {
    let rows_to_look_up = rows.to_look_up();
    format!(
        "received as (
    update durable.messages m set received_at = coalesce(m.received_at, clock.now)
      from {rows_to_look_up}, clock, {gate}
     where m.key = rows.key and {})",
        only_with_its_end("rows", kinds)
    )
}

/// Values of events, or items of streams.
fn published(table: &str, at: &str, rows: &Rows, gate: &str, kinds: Kinds) -> String {
    let rows = rows.to_look_up();
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
