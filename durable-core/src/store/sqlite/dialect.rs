//! Where the SQL of SQLite differs from that of Postgres in the files that both stores share
//! (`store/shared`). `postgres/dialect.rs` has the same items.

use std::sync::Arc;

use sqlx::migrate::Migrator;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Sqlite, SqliteConnection, Transaction};

use crate::store::columns::{Column, Value};

pub(super) type Connection = SqliteConnection;
pub(super) type Query = sqlx::query::Query<'static, Sqlite, SqliteArguments>;
pub(super) type StoreTransaction<'c> = Transaction<'c, Sqlite>;

/// The migrations as they are in the repository.
pub(super) static MIGRATIONS: Migrator = sqlx::migrate!("./migrations/sqlite");
pub(super) const MIGRATIONS_TABLE: &str = "durable_migrations";

/// Inputs above this size have a row of their own: SQLite writes a whole row again to change its status.
pub(super) const LARGE_INPUT: usize = 1024;

/// A condition: the executor `$1` has the epoch `$2`.
pub(super) const FENCE_HOLDS: &str = "exists (select 1 from durable.executors where key = $1 and epoch = $2)";

/// The same for statements that only read. In SQLite neither locks anything.
pub(super) const FENCE_SEEN: &str = FENCE_HOLDS;

/// Behind a select: nothing, because a transaction that writes is alone.
pub(super) const HOLD: &str = "";

/// Behind a select: nothing, for the same reason.
pub(super) const LOCK_ROWS: &str = "";

/// About how many workflows there are: counted to $1 in the smallest index.
pub(super) const ESTIMATE: &str =
    "select count(*) from (select 1 from durable.workflows where completed_at is not null limit $1)";

/// Statements that empty these tables.
pub(super) fn empty_tables(tables: &[&str]) -> Vec<String> {
    tables.iter().map(|it| format!("delete from durable.{it}")).collect()
}

/// The tables with rows of workflows that Postgres does not have.
pub(super) const FURTHER_BELONGING: &[&str] = &["inputs"];

/// The number that the text begins with.
pub(super) fn number_at_start(text: &str) -> String {
    format!("cast({text} as integer)")
}

/// The labels with those of a parameter added; those that are null there are removed.
pub(super) fn merged_labels(labels: &str, parameter: usize) -> String {
    format!("nullif(json_patch(coalesce({labels}, '{{}}'), ${parameter}), '{{}}')")
}

/// What a commit by rows asks first. The lock for writing was taken with the transaction.
pub(super) const LOCK_FENCE: &str = "select 1 from durable.executors where key = $1 and epoch = $2";

/// The executors that own PENDING workflows although they are gone or were taken over, as a table
/// `orphaned (executor)` for a `with recursive`. It goes from owner to owner through the index of
/// PENDING workflows, so it costs one lookup per owner and not one per workflow.
pub(super) const ORPHANED: &str = "
    owners (executor) as (
        select min(executor) from durable.workflows where status = 'PENDING' and executor is not null
        union all
        select (select min(w.executor) from durable.workflows w where w.status = 'PENDING' and w.executor > o.executor)
          from owners o where o.executor is not null),
    orphaned (executor) as (
        select o.executor from owners o
         where o.executor is not null
           and not exists (select 1 from durable.executors e where e.key = o.executor and e.state <> 'DEAD'))";

/// The time: the last parameter, of this number. The database is on this machine, so its clock is
/// that of this machine.
pub(super) fn now(parameter: usize) -> String {
    format!("${parameter}")
}

/// Where the time comes from in Postgres.
pub(super) const FROM_CLOCK: &str = "";

/// The same behind other tables.
pub(super) const AND_CLOCK: &str = "";

/// The greatest and the least of several values.
pub(super) const GREATEST: &str = "max";
pub(super) const LEAST: &str = "min";

/// The input of a workflow `w`, and the table that it may be in besides.
pub(super) const INPUT_OF_W: &str = "coalesce(w.input, i.input)";
pub(super) const JOIN_INPUTS: &str = "left join durable.inputs i on i.workflow = w.key";

/// The parameters of columns, the first of which has this number.
pub(super) fn parameters<R>(columns: &[Column<R>], first: usize) -> String {
    (first..first + columns.len()).map(|number| format!("${number}")).collect::<Vec<_>>().join(", ")
}

/// A condition: the value is in the list that is this parameter.
pub(super) fn is_in(value: &str, parameter: usize) -> String {
    format!("{value} in (select value from json_each(${parameter}))")
}

/// A condition on the rows of a table: their column is in the list of keys that is this parameter.
pub(super) fn belongs_to(_table: &str, _row: &str, column: &str, parameter: usize) -> String {
    is_in(column, parameter)
}

/// A JSON object of expressions, by name.
pub(super) fn json_object(fields: &[(&str, String)]) -> String {
    let fields: Vec<_> = fields.iter().map(|(name, value)| format!("'{name}', {value}")).collect();
    format!("json_object({})", fields.join(", "))
}

/// The rows `s` of a table that belong to the workflow `w`, as a JSON array of these objects.
pub(super) fn json_list(table: &str, object: &str) -> String {
    format!("json((select json_group_array(json({object})) from durable.{table} s where s.workflow = w.key))")
}

/// The fields of the JSON objects in the array that is this parameter, and behind `from` where they come from.
pub(super) fn from_json(_table: &str, fields: &[&str], parameter: usize) -> String {
    let fields: Vec<_> = fields.iter().map(|name| format!("h.value ->> '{name}'")).collect();
    format!("{} from json_each(${parameter}) h", fields.join(", "))
}

/// What separates two texts in one.
pub(super) const LINE_FEED: &str = "char(10)";

/// A condition: the caller can run the workflow `row`. The list that is this parameter holds its name, or its name and
/// version: [`KnownWorkflow`](crate::store::KnownWorkflow).
pub(super) fn is_known(row: &str, parameter: usize) -> String {
    format!("({} or {})", is_in(&format!("{row}.name"), parameter), is_in(&name_and_version(row), parameter))
}

/// The name and the version of a workflow `row`, as a caller that is pinned to versions lists them.
pub(super) fn name_and_version(row: &str) -> String {
    format!("({row}.name || {LINE_FEED} || coalesce({row}.version, ''))")
}

/// The same for what [`name_and_version`] gives.
pub(super) fn is_known_kind(kind: &str, parameter: usize) -> String {
    let name = format!("substr({kind}, 1, instr({kind}, {LINE_FEED}) - 1)");
    format!("({} or {})", is_in(kind, parameter), is_in(&name, parameter))
}

/// The list that is this parameter as a table `wanted (value)`.
pub(super) fn list_table(parameter: usize) -> String {
    format!("(select value from json_each(${parameter})) as wanted")
}

/// A list as a parameter: a JSON array.
pub(super) fn list<T: serde::Serialize>(items: &[T]) -> String {
    serde_json::to_string(items).expect("texts and numbers can always be written as JSON")
}

/// Rows as a table `wanted` with these columns. They are one parameter, whatever their number:
/// [`bind_rows`].
pub(super) fn rows_table<R>(columns: &[Column<R>], first: usize) -> String {
    let column = |(index, column): (usize, &Column<R>)| format!("value ->> {index} as {}", column.name);
    let columns = columns.iter().enumerate().map(column).collect::<Vec<_>>().join(", ");
    format!("(select {columns} from json_each(${first})) as wanted")
}

/// How many parameters a [`rows_table`] has.
pub(super) fn rows_parameters<R>(_: &[Column<R>]) -> usize {
    1
}

/// Binds the rows of a [`rows_table`], as a JSON array of arrays.
pub(super) fn bind_rows<'r, R: 'r>(
    query: Query,
    columns: &[Column<R>],
    rows: impl Iterator<Item = &'r R> + Clone,
) -> Query {
    let json = |column: &Column<R>, row| match &column.value {
        Value::BigInt(value) => serde_json::Value::from(value(row)),
        Value::Integer(value) => value(row).into(),
        Value::Boolean(value) => value(row).into(),
        Value::Text(value) => value(row).into(),
        Value::Input(value) => value(row).into(),
    };
    let rows: Vec<Vec<_>> = rows.map(|row| columns.iter().map(|column| json(column, row)).collect()).collect();
    query.bind(list(&rows))
}

/// Binds the values of one row.
pub(super) fn bind_row<R>(query: Query, columns: &[Column<R>], row: &R) -> Query {
    bind_columns(query, columns.iter(), row)
}

/// Binds the values of these columns of one row.
pub(super) fn bind_columns<'c, R: 'c>(query: Query, columns: impl Iterator<Item = &'c Column<R>>, row: &R) -> Query {
    SharedTexts::default().bind_columns(query, columns, row)
}

/// The texts of the last row, for rows that have some of them in common, such as the names of steps. A text that is
/// bound is shared with SQLite's thread, and freed there.
#[derive(Default)]
pub(super) struct SharedTexts([Option<Arc<str>>; 16]);

impl SharedTexts {
    /// Binds the values of these columns of one row. Each row has the same columns.
    pub(super) fn bind_columns<'c, R: 'c>(
        &mut self,
        query: Query,
        columns: impl Iterator<Item = &'c Column<R>>,
        row: &R,
    ) -> Query {
        columns.enumerate().fold(query, |query, (index, column)| match &column.value {
            Value::BigInt(value) => query.bind(value(row)),
            Value::Integer(value) => query.bind(value(row)),
            Value::Boolean(value) => query.bind(value(row)),
            Value::Text(value) => query.bind(self.text(index, value(row))),
            Value::Input(value) => {
                query.bind(self.text(index, Some(value(row)).filter(|input| input.len() <= LARGE_INPUT)))
            }
        })
    }

    fn text(&mut self, column: usize, value: Option<&str>) -> Option<Arc<str>> {
        let value = value?;
        let Some(last) = self.0.get_mut(column) else { return Some(value.into()) };
        match last {
            Some(last) if **last == *value => {}
            _ => *last = Some(value.into()),
        }
        last.clone()
    }
}

/// The first time behind the last row of an event or a stream: a lookup at the end of the table's key.
pub(super) fn after_the_last(table: &str, at: &str, workflow: &str, name: &str) -> String {
    format!("coalesce((select max({at}) + 1 from durable.{table} where workflow = {workflow} and name = {name}), 0)")
}

/// A statement that Postgres plans each time for its parameters. SQLite keeps one plan.
pub(super) fn planned_each_time(query: Query) -> Query {
    query
}
