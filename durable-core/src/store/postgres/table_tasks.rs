//! Copies all tables of the engine's and the application's schema, sets them back, and reads those of the application:
//! for tests.

use serde_json::{Map, Value};
use sqlx::{AssertSqlSafe, PgConnection, query, query_as, query_scalar, raw_sql};

use crate::store::table_rows::{TableAnswer, TableCopies, TableRows, TableTask};

/// The tables of a schema that hold rows, as SQL names them. $1 the schema.
const TABLES: &str = "select format('%I.%I', n.nspname, c.relname) from pg_catalog.pg_class c \
     join pg_catalog.pg_namespace n on n.oid = c.relnamespace where n.nspname = $1 and c.relkind = 'r' order by c.relname";
/// The columns of a table that can be written. $1 the table.
const COLUMNS: &str = "select string_agg(quote_ident(attname), ', ' order by attnum) from pg_catalog.pg_attribute \
     where attrelid = $1::text::regclass and attnum > 0 and not attisdropped and attgenerated = ''";
/// All columns of a table. $1 the table.
const ALL_COLUMNS: &str = "select attname::text from pg_catalog.pg_attribute \
     where attrelid = $1::text::regclass and attnum > 0 and not attisdropped order by attnum";
/// The sequences of a schema: the name as SQL writes it, the last value or the first one, whether that was given, and
/// the highest one. $1 the schema.
const SEQUENCES: &str = "select format('%I.%I', schemaname, sequencename), coalesce(last_value, start_value), \
     last_value is not null, max_value from pg_catalog.pg_sequences where schemaname = $1";

pub(in crate::store) async fn perform(
    connection: &mut PgConnection,
    schema: &str,
    task: &TableTask<'_>,
) -> Result<TableAnswer, sqlx::Error> {
    match task {
        TableTask::Copy => copy(connection, schema).await.map(TableAnswer::Copies),
        TableTask::Restore(copies, ahead) => {
            restore(connection, schema, copies, i64::from(*ahead)).await.map(|()| TableAnswer::Done)
        }
        TableTask::Forget(_) => forget(connection, schema).await.map(|()| TableAnswer::Done),
        TableTask::Read => read(connection, schema).await.map(TableAnswer::Rows),
    }
}

/// The schema of the copies, as SQL names it.
fn copy_schema(schema: &str) -> String {
    format!("\"{}\"", format!("{schema}_copy").replace('"', "\"\""))
}

async fn run(connection: &mut PgConnection, sql: String) -> Result<(), sqlx::Error> {
    raw_sql(AssertSqlSafe(sql)).execute(connection).await.map(drop)
}

/// The schema of the application's tables: the one in which the connection creates tables.
async fn application_schema(connection: &mut PgConnection) -> Result<Option<String>, sqlx::Error> {
    query_scalar("select current_schema()::text").fetch_one(connection).await
}

async fn tables(connection: &mut PgConnection, schemas: &[String]) -> Result<Vec<String>, sqlx::Error> {
    let mut tables = Vec::new();
    for schema in schemas {
        let found: Vec<String> = query_scalar(TABLES).bind(schema).fetch_all(&mut *connection).await?;
        tables.extend(found);
    }
    Ok(tables)
}

async fn copy(connection: &mut PgConnection, schema: &str) -> Result<TableCopies, sqlx::Error> {
    let application = application_schema(connection).await?.filter(|it| it != schema);
    let schemas: Vec<String> = [schema.to_owned()].into_iter().chain(application).collect();
    let (tables, place) = (tables(connection, &schemas).await?, copy_schema(schema));
    run(connection, format!("drop schema if exists {place} cascade; create schema {place}")).await?;
    for (index, table) in tables.iter().enumerate() {
        run(connection, format!("create table {place}.\"{index}\" as table {table}")).await?;
    }
    let mut afterwards = Vec::new();
    for schema in &schemas {
        let sequences: Vec<(String, i64, bool, i64)> =
            query_as(SEQUENCES).bind(schema).fetch_all(&mut *connection).await?;
        afterwards.extend(sequences.into_iter().map(|(name, last, called, highest)| {
            let name = name.replace('\'', "''");
            // The place of the offset is a number that the caller of `restore` adds.
            format!("select setval('{name}', least({last} + {OFFSET}, {highest}), {called})")
        }));
    }
    Ok(TableCopies { schemas, tables, afterwards })
}

/// Stands for how far ahead a sequence goes on.
const OFFSET: &str = "/*offset*/";

async fn restore(
    connection: &mut PgConnection,
    schema: &str,
    copies: &TableCopies,
    ahead: i64,
) -> Result<(), sqlx::Error> {
    // Without triggers, which have done their work in the copies already, and without checks of foreign keys, which
    // the copies fulfill.
    query("set local session_replication_role = replica").execute(&mut *connection).await?;
    let now = tables(connection, &copies.schemas).await?;
    let (old, new): (Vec<_>, Vec<_>) = now.into_iter().partition(|it| copies.tables.contains(it));
    for table in new {
        run(connection, format!("drop table {table} cascade")).await?;
    }
    run(connection, format!("truncate {}", old.join(", "))).await?;
    let place = copy_schema(schema);
    for (index, table) in copies.tables.iter().enumerate() {
        let columns: Option<String> = query_scalar(COLUMNS).bind(table).fetch_one(&mut *connection).await?;
        let Some(columns) = columns else { continue }; // a table without columns
        let copy = format!("select {columns} from {place}.\"{index}\"");
        run(connection, format!("insert into {table} ({columns}) overriding system value {copy}")).await?;
    }
    for sql in &copies.afterwards {
        run(connection, sql.replace(OFFSET, &ahead.to_string())).await?;
    }
    Ok(())
}

async fn forget(connection: &mut PgConnection, schema: &str) -> Result<(), sqlx::Error> {
    run(connection, format!("drop schema if exists {} cascade", copy_schema(schema))).await
}

async fn read(connection: &mut PgConnection, schema: &str) -> Result<Vec<TableRows>, sqlx::Error> {
    let application = application_schema(connection).await?.filter(|it| it != schema);
    let mut all = Vec::new();
    for table in tables(connection, application.as_slice()).await? {
        let columns: Vec<String> = query_scalar(ALL_COLUMNS).bind(&table).fetch_all(&mut *connection).await?;
        let select = format!("select to_jsonb(it)::text from {table} it order by ctid");
        let found: Vec<String> =
            query_scalar(AssertSqlSafe(select)).persistent(false).fetch_all(&mut *connection).await?;
        let row = |text: &String| {
            let values: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
            columns.iter().map(|it| values.get(it).unwrap_or(&Value::Null).to_string()).collect()
        };
        let rows = found.iter().map(row).collect();
        let name = table.split_once('.').map_or(table.as_str(), |(_, name)| name).to_owned();
        all.push(TableRows { name, columns, rows });
    }
    Ok(all)
}
