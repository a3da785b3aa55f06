//! The multi-row statements of a batch, each of a few fixed sizes.
//!
//! A statement that is not full gets rows of NULLs, which it leaves out, so that a few sizes serve every number of rows.

use std::sync::Arc;

use crate::store::columns::{Column, END, END_OF, MESSAGE, PARENT_RUN, PLACEMENT, PUBLICATION, RECORD, START, names};
use crate::store::rows_by_kind::{TERMINAL, add_saturating};
use crate::store::sqlite::dialect::after_the_last;

/// The numbers of rows for which there are statements.
const SIZES: [usize; 3] = [SMALLEST, MIDDLE, LARGEST];
pub(super) const SMALLEST: usize = 4;
pub(super) const MIDDLE: usize = 16;
pub(super) const LARGEST: usize = 64;

/// The statements of one kind, one for each size.
#[derive(Debug)]
pub(super) struct SizedStatement {
    pub(super) columns: usize,
    texts: [Arc<str>; SIZES.len()],
}

impl SizedStatement {
    fn new(render: &impl Fn(&str) -> Arc<str>, columns: usize, text: impl Fn(&str) -> String) -> Self {
        let row = format!("({})", vec!["?"; columns].join(","));
        let texts = SIZES.map(|size| render(&text(&format!("(values {})", vec![row.as_str(); size].join(",")))));
        Self { columns, texts }
    }

    /// The smallest statement that holds so many rows, and how many it has.
    pub(super) fn of(&self, rows: usize) -> (&Arc<str>, usize) {
        let index = SIZES.iter().position(|size| *size >= rows).unwrap_or(SIZES.len() - 1);
        (&self.texts[index], SIZES[index])
    }
}

/// The statements of a kind whose columns have usual values: for any rows, and for rows that have all of these, which are
/// constants in it. Most rows do, and binding is half of the work.
#[derive(Debug)]
pub(super) struct UsualStatement {
    any: SizedStatement,
    usual: SizedStatement,
}

impl UsualStatement {
    fn new(statement: impl Fn(bool) -> SizedStatement) -> Self {
        Self { any: statement(false), usual: statement(true) }
    }

    pub(super) fn of(&self, usual: bool) -> &SizedStatement {
        if usual { &self.usual } else { &self.any }
    }
}

/// The fence and the time, then the rows. The parameters have no numbers: SQLite keeps those as
/// names in a list, and the driver asks for the name of each, which takes longer than the rows.
#[derive(Debug)]
pub(super) struct Statements {
    pub(super) starts: UsualStatement,
    pub(super) queued: SizedStatement,
    /// In a transaction, which is rolled back when one of them fails. `or fail` spares SQLite the copies of pages with which
    /// it would undo the statement alone.
    pub(super) records: UsualStatement,
    /// Of a statement that commits by itself.
    pub(super) lone_records: UsualStatement,
    pub(super) finishes: UsualStatement,
    pub(super) messages: SizedStatement,
    pub(super) events: SizedStatement,
    pub(super) items: SizedStatement,
    /// The fence, the time, keys.
    pub(super) receive: Arc<str>,
    /// Fails if the statement before it has not written as many rows as its parameter says: a workflow is not null. Nothing
    /// else lets SQLite decide by itself that a transaction is not committed.
    pub(super) expect: Arc<str>,
}

/// The parameters that every statement begins with.
const GIVEN: &str = "with given (executor, epoch, now) as (values (?, ?, ?))";
pub(super) const GIVEN_PARAMETERS: usize = 3;
/// A condition: the executor has its epoch.
const FENCE_HOLDS: &str =
    "exists (select 1 from durable.executors e where e.key = given.executor and e.epoch = given.epoch)";

impl Statements {
    pub(super) fn new(render: &impl Fn(&str) -> Arc<str>) -> Self {
        let starts = UsualStatement::new(|usual| {
            let (values, columns) = values_from(1, START, usual);
            // The usual ones have no parent.
            let (condition, run) =
                if usual { ("true".to_owned(), 0) } else { (parent_is_running(columns + 1), PARENT_RUN.len()) };
            SizedStatement::new(render, columns + run, |rows| {
                format!(
                    "{GIVEN} insert into durable.workflows ({}, status, executor, attempt, created_at, started_at)
                     select {values}, 'PENDING', given.executor, 1, given.now, given.now from given, {rows}
                      where column1 is not null and {FENCE_HOLDS} and {condition}
                     on conflict (id) do nothing",
                    names(START)
                )
            })
        });
        let queued_columns = START.len() + PLACEMENT.len();
        let queued = SizedStatement::new(render, queued_columns + 1 + PARENT_RUN.len(), |rows| {
            let delay = format!("column{}", queued_columns + 1);
            format!(
                "{GIVEN} insert into durable.workflows ({}, {}, due_at, status, attempt, created_at)
                 select {}, {}, case when {delay} is null then 'ENQUEUED' else 'DELAYED' end, 0, given.now
                   from given, {rows} where column1 is not null and {FENCE_HOLDS} and {}
                 on conflict do nothing",
                names(START),
                names(PLACEMENT),
                numbered(queued_columns),
                add_saturating("given.now", &delay),
                parent_is_running(queued_columns + 2)
            )
        });
        let insert_records = |insert| {
            UsualStatement::new(|usual| {
                let (values, columns) = values_from(1, RECORD, usual);
                SizedStatement::new(render, columns + 1, |rows| {
                    format!(
                        "{GIVEN} {insert} into durable.steps ({}, started_at, completed_at)
                         select {values}, given.now - column{}, given.now
                           from given, {rows} where column1 is not null and {FENCE_HOLDS}",
                        names(RECORD),
                        columns + 1
                    )
                })
            })
        };
        let finishes = UsualStatement::new(|usual| {
            let (values, columns) = values_from(END_OF.len() + 1, END, usual);
            SizedStatement::new(render, END_OF.len() + columns, |rows| {
                format!(
                    "{GIVEN} update durable.workflows
                        set ({}) = ({values}),
                            completed_at = case when column3 = 'PARKED' then null else given.now end
                       from given, {rows}
                      where key = column1 and attempt = column2 and status = 'PENDING'
                        and durable.workflows.executor = given.executor and {FENCE_HOLDS}",
                    names(END)
                )
            })
        });
        let messages = SizedStatement::new(render, MESSAGE.len() + 1, |rows| {
            format!(
                "{GIVEN} insert into durable.messages ({}, workflow, sent_at)
                 select {}, w.key, given.now
                   from given cross join {rows} cross join durable.workflows w
                  where w.id = column{} and w.status not in {TERMINAL} and {FENCE_HOLDS}
                 on conflict do nothing",
                names(MESSAGE),
                numbered(MESSAGE.len()),
                MESSAGE.len() + 1
            )
        });
        // The time is that of the rows before the statement: SQLite reads all of a select before it
        // inserts into a table that the select reads.
        let publications = |table, at| {
            SizedStatement::new(render, PUBLICATION.len(), |rows| {
                format!(
                    "{GIVEN} insert into durable.{table} ({}, {at})
                     select {}, max(given.now, {})
                       from given, {rows} where column1 is not null and {FENCE_HOLDS}",
                    names(PUBLICATION),
                    numbered(PUBLICATION.len()),
                    after_the_last(table, at, "column1", "column2")
                )
            })
        };
        let (events, items) = (publications("events", "set_at"), publications("streams", "written_at"));
        let (records, lone_records) = (insert_records("insert or fail"), insert_records("insert"));
        let receive = render(&format!(
            "{GIVEN} update durable.messages set received_at = coalesce(received_at, given.now)
               from given where key in (select value from json_each(?)) and {FENCE_HOLDS}"
        ));
        let expect = render("insert into durable.steps (workflow) select null where changes() <> ?");
        Self { starts, queued, records, lone_records, finishes, messages, events, items, receive, expect }
    }
}

/// A condition on a start in VALUES: its parent, if it has one, is in the run whose number is in
/// this column.
fn parent_is_running(attempt: usize) -> String {
    let parent = START.iter().take_while(|it| it.name != "parent").count() + 1;
    format!(
        "(column{parent} is null or exists (
                      select 1 from durable.workflows p
                       where p.key = column{parent} and p.attempt = column{attempt} and p.status = 'PENDING'))"
    )
}

/// The values of columns, which are the columns of VALUES from this one on or the usual ones, and how many of VALUES
/// they are.
fn values_from<R>(first: usize, columns: &[Column<R>], usual: bool) -> (String, usize) {
    let mut next = first;
    let mut value = |column: &Column<R>| {
        if let Some(value) = column.usual.filter(|_| usual) {
            return value.sql();
        }
        next += 1;
        format!("column{}", next - 1)
    };
    let values = columns.iter().map(&mut value).collect::<Vec<_>>().join(", ");
    (values, next - first)
}

/// The columns of VALUES, from the first on.
fn numbered(columns: usize) -> String {
    (1..=columns).map(|number| format!("column{number}")).collect::<Vec<_>>().join(", ")
}
