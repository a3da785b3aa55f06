//! Where the SQL of Postgres differs from that of SQLite in the files that both stores share
//! (`store/shared`). `sqlite/dialect.rs` has the same items.

use sqlx::migrate::Migrator;
use sqlx::postgres::PgArguments;
use sqlx::{PgConnection, Postgres, Transaction};

use crate::store::columns::{Column, Value, names};

pub(super) type Connection = PgConnection;
pub(super) type Query = sqlx::query::Query<'static, Postgres, PgArguments>;
pub(super) type StoreTransaction<'c> = Transaction<'c, Postgres>;

/// The migrations as they are in the repository.
pub(super) static MIGRATIONS: Migrator = sqlx::migrate!("./migrations/postgres");
pub(super) const MIGRATIONS_TABLE: &str = "durable._migrations";

/// The microseconds since 1970, once per statement. A subquery with a volatile function is not
/// flattened, so that all rows of a statement get the same time.
pub(super) const CLOCK: &str = "(select (extract(epoch from clock_timestamp()) * 1000000)::bigint as now)";

/// The fence as a scalar: 1 while the executor `$1` has the epoch `$2`. The share lock makes a
/// takeover wait for this statement, and this statement for a takeover that came first.
pub(super) const FENCE: &str =
    "(select 1 from durable.executors where key = $1::bigint and epoch = $2::bigint for key share)";

/// A condition: the fence holds.
pub(super) const FENCE_HOLDS: &str =
    "(select 1 from durable.executors where key = $1::bigint and epoch = $2::bigint for key share) = 1";

/// The same for statements that only read, and lock nothing.
pub(super) const FENCE_SEEN: &str =
    "exists (select 1 from durable.executors where key = $1::bigint and epoch = $2::bigint)";

/// Behind a select: keeps the rows as they are until the commit.
pub(super) const HOLD: &str = "for share";

/// Behind a select: locks the rows until the commit.
pub(super) const LOCK_ROWS: &str = "for update";

/// About how many workflows there are, as the server has counted them last.
pub(super) const ESTIMATE: &str = "select least(greatest(c.reltuples, 0)::bigint, $1::bigint) from pg_class c where c.oid = 'durable.workflows'::regclass";

/// Statements that empty these tables.
pub(super) fn empty_tables(tables: &[&str]) -> Vec<String> {
    let tables = tables.iter().map(|it| format!("durable.{it}")).collect::<Vec<_>>();
    vec![format!("truncate {}", tables.join(", "))]
}

/// The tables with rows of workflows that only SQLite has.
pub(super) const FURTHER_BELONGING: &[&str] = &[];

/// The number that the text begins with, before a slash.
pub(super) fn number_at_start(text: &str) -> String {
    format!("cast(split_part({text}, '/', 1) as integer)")
}

/// The labels with those of a parameter added; those that are null there are removed.
pub(super) fn merged_labels(labels: &str, parameter: usize) -> String {
    format!("nullif(jsonb_strip_nulls(coalesce({labels}, '{{}}')::jsonb || ${parameter}::jsonb)::text, '{{}}')")
}

/// The lock on the executor's row that a commit by rows takes first. It waits for every statement that
/// holds the row by its own fence: an earlier call that got no reply may still be running, and the two
/// would lock the same rows in different orders.
pub(super) const LOCK_FENCE: &str =
    "select 1 from durable.executors where key = $1::bigint and epoch = $2::bigint for update";

/// The executors that own PENDING workflows although they are gone or were taken over, as a table
/// `orphaned (executor)` for a `with recursive`. It goes from owner to owner through the index of
/// PENDING workflows, so it costs one lookup per owner and not one per workflow.
pub(super) const ORPHANED: &str = "
    owners (executor) as (
        (select executor from durable.workflows
          where status = 'PENDING' and executor is not null order by executor limit 1)
        union all
        select (select w.executor from durable.workflows w
                 where w.status = 'PENDING' and w.executor > o.executor order by w.executor limit 1)
          from owners o where o.executor is not null),
    orphaned (executor) as (
        select o.executor from owners o
         where o.executor is not null
           and not exists (select 1 from durable.executors e where e.key = o.executor and e.state <> 'DEAD'))";

/// The time, in a statement with [`FROM_CLOCK`]. SQLite takes it as its last parameter, of this number.
pub(super) fn now(_parameter: usize) -> String {
    "clock.now".to_owned()
}

/// Where the time comes from.
pub(super) const FROM_CLOCK: &str =
    "from (select (extract(epoch from clock_timestamp()) * 1000000)::bigint as now) clock";

/// The same behind other tables.
pub(super) const AND_CLOCK: &str = ", (select (extract(epoch from clock_timestamp()) * 1000000)::bigint as now) clock";

/// The greatest and the least of several values.
pub(super) const GREATEST: &str = "greatest";
pub(super) const LEAST: &str = "least";

/// The input of a workflow `w`, and the table that it may be in besides.
pub(super) const INPUT_OF_W: &str = "w.input";
pub(super) const JOIN_INPUTS: &str = "";

/// The parameters of columns, the first of which has this number.
pub(super) fn parameters<R>(columns: &[Column<R>], first: usize) -> String {
    let parameter = |(column, number): (&Column<R>, usize)| format!("${number}::{}", column.postgres_type());
    columns.iter().zip(first..).map(parameter).collect::<Vec<_>>().join(", ")
}

/// A condition: the value is in the list that is this parameter.
pub(super) fn is_in(value: &str, parameter: usize) -> String {
    format!("{value} = any(${parameter})")
}

/// A condition on the rows of a table: their column is in the list of keys that is this parameter. `row` identifies a
/// row: its primary key, or `ctid`.
///
/// The rows of each key are looked up one key after the other: the offset keeps the planner from joining otherwise. On a
/// table that was never analyzed it would take hundreds of keys for all of the table, and read it from end to end.
pub(super) fn belongs_to(table: &str, row: &str, column: &str, parameter: usize) -> String {
    format!(
        "{row} = any(array(select found.{row} from unnest(${parameter}::bigint[]) as wanted (value)
                   cross join lateral (select {row} from durable.{table} where {column} = wanted.value offset 0) found))"
    )
}

/// A JSON object of expressions, by name.
pub(super) fn json_object(fields: &[(&str, String)]) -> String {
    let fields: Vec<_> = fields.iter().map(|(name, value)| format!("'{name}', {value}")).collect();
    format!("json_build_object({})", fields.join(", "))
}

/// The rows `s` of a table that belong to the workflow `w`, as a JSON array of these objects.
pub(super) fn json_list(table: &str, object: &str) -> String {
    format!("coalesce((select json_agg({object}) from durable.{table} s where s.workflow = w.key), '[]')")
}

/// The fields of the JSON objects in the array that is this parameter, and behind `from` where they come from.
pub(super) fn from_json(table: &str, fields: &[&str], parameter: usize) -> String {
    let fields: Vec<_> = fields.iter().map(|name| format!("h.{name}")).collect();
    let fields = fields.join(", ");
    format!("{fields} from json_populate_recordset(null::durable.{table}, (${parameter}::text)::json) h")
}

/// What separates two texts in one.
pub(super) const LINE_FEED: &str = "chr(10)";

/// A condition: the caller can run the workflow `row`. The list that is this parameter holds its name, or its name and
/// version: [`KnownWorkflow`](crate::store::KnownWorkflow).
pub(super) fn is_known(row: &str, parameter: usize) -> String {
    format!("({row}.name = any(${parameter}::text[]) or {} = any(${parameter}::text[]))", name_and_version(row))
}

/// The name and the version of a workflow `row`, as a caller that is pinned to versions lists them.
pub(super) fn name_and_version(row: &str) -> String {
    format!("({row}.name || {LINE_FEED} || coalesce({row}.version, ''))")
}

/// The same for what [`name_and_version`] gives.
pub(super) fn is_known_kind(kind: &str, parameter: usize) -> String {
    format!("({kind} = any(${parameter}::text[]) or split_part({kind}, {LINE_FEED}, 1) = any(${parameter}::text[]))")
}

/// The list that is this parameter as a table `wanted (value)`.
///
/// The limit keeps every row. It is there for the planner, which takes an unknown limit for a tenth of
/// the rows: so the generic plan, made while the tables are small and kept while they grow, looks each
/// row up by its key and never scans the table.
pub(super) fn list_table(parameter: usize) -> String {
    format!("(select * from unnest(${parameter}) limit cardinality(${parameter})) as wanted (value)")
}

/// A list as a parameter.
pub(super) fn list<T: Clone>(items: &[T]) -> Vec<T> {
    items.to_vec()
}

/// Rows as a table `wanted` with these columns. They are parameters from `first` on: [`bind_rows`].
pub(super) fn rows_table<R>(columns: &[Column<R>], first: usize) -> String {
    let types = columns.iter().zip(first..).map(|(it, number)| format!("${number}::{}[]", it.postgres_type()));
    let (types, names) = (types.collect::<Vec<_>>().join(", "), names(columns));
    format!("(select * from unnest({types}) limit cardinality(${first})) as wanted ({names})")
}

/// How many parameters a [`rows_table`] has.
pub(super) fn rows_parameters<R>(columns: &[Column<R>]) -> usize {
    columns.len()
}

/// A column of rows as a parameter. One that is NULL in each row is an empty array, because `unnest` gives NULL where an
/// array has ended: most optional columns are NULL in most batches, and cost nothing then. Not for the first column of a
/// table, whose length is that of the table; it is never NULL.
pub(super) fn column<T>(values: impl Iterator<Item = Option<T>>) -> Vec<Option<T>> {
    let values: Vec<_> = values.collect();
    if values.iter().all(Option::is_none) { Vec::new() } else { values }
}

/// Binds the rows of a [`rows_table`], column by column.
#[allow(clippy::needless_pass_by_value, reason = "it is made for this call")]
pub(super) fn bind_rows<'r, R: 'r>(
    query: Query,
    columns: &[Column<R>],
    rows: impl Iterator<Item = &'r R> + Clone,
) -> Query {
    bind_columns(query, columns.iter(), rows)
}

/// Binds these columns of rows.
#[allow(clippy::needless_pass_by_value, reason = "it is made for this call")]
pub(super) fn bind_columns<'c, 'r, R: 'r + 'c>(
    query: Query,
    columns: impl Iterator<Item = &'c Column<R>>,
    rows: impl Iterator<Item = &'r R> + Clone,
) -> Query {
    columns.fold(query, |query, column| {
        let rows = rows.clone();
        match &column.value {
            Value::BigInt(value) => query.bind(self::column(rows.map(value))),
            Value::Integer(value) => query.bind(self::column(rows.map(value))),
            Value::Boolean(value) => query.bind(self::column(rows.map(value))),
            Value::Text(value) => query.bind(self::column(rows.map(value))),
            Value::Input(value) => query.bind(rows.map(value).collect::<Vec<_>>()),
        }
    })
}

/// Binds the values of one row.
pub(super) fn bind_row<R>(query: Query, columns: &[Column<R>], row: &R) -> Query {
    columns.iter().fold(query, |query, column| match &column.value {
        Value::BigInt(value) => query.bind(value(row)),
        Value::Integer(value) => query.bind(value(row)),
        Value::Boolean(value) => query.bind(value(row)),
        Value::Text(value) => query.bind(value(row)),
        Value::Input(value) => query.bind(value(row)),
    })
}

/// The first time behind the last row of an event or a stream: a lookup at the end of an index.
pub(super) fn after_the_last(table: &str, at: &str, workflow: &str, name: &str) -> String {
    format!(
        "(select last.{at} + 1 from durable.{table} last
           where last.workflow = {workflow} and last.name = {name}
           order by last.{at} desc, last.key desc limit 1)"
    )
}

/// A statement that is planned for its parameters each time. A generic plan, or one that was made while
/// the tables were small, would read the whole table.
pub(super) fn planned_each_time(query: Query) -> Query {
    query.persistent(false)
}
