//! Copies all tables of a database, sets them back, and reads those of the application: for tests.

use sqlx::{AssertSqlSafe, Row, SqliteConnection, query, query_as, query_scalar, raw_sql};

use crate::store::table_rows::{TableAnswer, TableCopies, TableRows, TableTask};

/// The prefix of copies. The engine's own tables begin with `durable_`, too.
const PREFIX: &str = "durable_copy_";

/// The tables that hold rows, the one of the numbers given last. Those in which a virtual table keeps its rows change with that one.
const TABLES: &str = "select name from pragma_table_list where schema = 'main' and type in ('table', 'virtual') \
     and (name not like 'sqlite\\_%' escape '\\' or name = 'sqlite_sequence') and name not like 'durable\\_copy\\_%' escape '\\' \
     order by name = 'sqlite_sequence', name";
/// The columns of a table that can be written. $1 the table.
const COLUMNS: &str = "select name from pragma_table_xinfo($1) where hidden = 0 order by cid";
const TRIGGERS: &str = "select name, sql from sqlite_master where type = 'trigger' order by name";
/// Separates the values of a row.
const SEPARATOR: char = '\u{1f}';

pub(in crate::store) async fn perform(
    connection: &mut SqliteConnection,
    task: &TableTask<'_>,
) -> Result<TableAnswer, sqlx::Error> {
    match task {
        TableTask::Copy => copy(connection).await.map(TableAnswer::Copies),
        TableTask::Restore(copies, _) => restore(connection, copies).await.map(|()| TableAnswer::Done),
        TableTask::Forget(copies) => forget(connection, copies).await.map(|()| TableAnswer::Done),
        TableTask::Read => read(connection).await.map(TableAnswer::Rows),
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

async fn run(connection: &mut SqliteConnection, sql: String) -> Result<(), sqlx::Error> {
    raw_sql(AssertSqlSafe(sql)).execute(connection).await.map(drop)
}

async fn tables(connection: &mut SqliteConnection) -> Result<Vec<String>, sqlx::Error> {
    query_scalar(TABLES).fetch_all(connection).await
}

async fn columns(connection: &mut SqliteConnection, table: &str) -> Result<Vec<String>, sqlx::Error> {
    query_scalar(COLUMNS).bind(table).fetch_all(connection).await
}

async fn copy(connection: &mut SqliteConnection) -> Result<TableCopies, sqlx::Error> {
    let tables = tables(connection).await?;
    for (index, table) in tables.iter().enumerate() {
        let columns = list(&columns(connection, table).await?);
        let copy = format!("create table {PREFIX}{index} as select {columns} from {}", quoted(table));
        run(connection, format!("drop table if exists {PREFIX}{index}; {copy}")).await?;
    }
    Ok(TableCopies { schemas: Vec::new(), tables, afterwards: Vec::new() })
}

fn list(columns: &[String]) -> String {
    columns.iter().map(|it| quoted(it)).collect::<Vec<_>>().join(", ")
}

async fn restore(connection: &mut SqliteConnection, copies: &TableCopies) -> Result<(), sqlx::Error> {
    // Without triggers, which have done their work in the copies already.
    let triggers: Vec<(String, String)> = query_as(TRIGGERS).fetch_all(&mut *connection).await?;
    for (name, _) in &triggers {
        run(connection, format!("drop trigger {}", quoted(name))).await?;
    }
    query("pragma defer_foreign_keys = on").execute(&mut *connection).await?;
    for table in tables(connection).await? {
        let is_new = !copies.tables.contains(&table) && table != "sqlite_sequence";
        let clear = if is_new { "drop table" } else { "delete from" };
        run(connection, format!("{clear} {}", quoted(&table))).await?;
    }
    for (index, table) in copies.tables.iter().enumerate() {
        let columns = list(&columns(connection, table).await?);
        let table = quoted(table);
        if table == "\"sqlite_sequence\"" {
            run(connection, format!("delete from {table}")).await?; // the rows that were just inserted are counted there
        }
        run(connection, format!("insert into {table} ({columns}) select {columns} from {PREFIX}{index}")).await?;
    }
    for (_, sql) in triggers {
        run(connection, sql).await?;
    }
    Ok(())
}

async fn forget(connection: &mut SqliteConnection, copies: &TableCopies) -> Result<(), sqlx::Error> {
    for index in 0..copies.tables.len() {
        run(connection, format!("drop table if exists {PREFIX}{index}")).await?;
    }
    Ok(())
}

async fn read(connection: &mut SqliteConnection) -> Result<Vec<TableRows>, sqlx::Error> {
    let mut all = Vec::new();
    for name in tables(connection).await? {
        if name.starts_with("durable_") || name.starts_with("sqlite_") {
            continue;
        }
        let columns = columns(connection, &name).await?;
        let quoted_values: Vec<_> = columns.iter().map(|it| format!("quote({})", quoted(it))).collect();
        let row = quoted_values.join(" || char(31) || ");
        let select = format!("select {row} from {}", quoted(&name));
        let found = query(AssertSqlSafe(select)).persistent(false).fetch_all(&mut *connection).await?;
        let mut rows = Vec::new();
        for row in found {
            let text: String = row.try_get(0)?;
            rows.push(text.split(SEPARATOR).map(str::to_owned).collect());
        }
        all.push(TableRows { name, columns, rows });
    }
    Ok(all)
}
