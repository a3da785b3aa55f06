//! Fills a database with workflows that ended long ago, and with workflows that wait.

use std::ops::RangeInclusive;

use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};

/// Before this time in microseconds since 1970 there are no keys.
const EPOCH: i64 = 1_577_836_800_000_000;
const FUTURE: i64 = 32_000_000_000_000_000;

/// When the workflows were created, in microseconds since 1970: number `n` at `start + n * apart`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Past {
    pub(crate) start: i64,
    pub(crate) apart: i64,
}

impl Past {
    /// In November 2023, a second after the other.
    pub(crate) const LONG_AGO: Self = Self { start: 1_700_000_000_000_000, apart: 1_000_000 };
}

/// Adds `ended` workflows with two records each, by their numbers, and `waiting` ones that are DELAYED for centuries.
pub(crate) async fn fill(url: &str, schema: &str, past: Past, ended: RangeInclusive<u64>, waiting: u64) {
    let (first, last) = ended.into_inner();
    let time = format!("({} + cast(n as bigint) * {})", past.start, past.apart);
    let key = format!("(({time} - {EPOCH}) * 1024)");
    let postgres = url.starts_with("postgres");
    let table = |name: &str| if postgres { format!("{schema}.{name}") } else { format!("durable_{name}") };
    let numbers = |from: u64, to: u64| {
        if postgres {
            format!("(select generate_series({from}, {to}) as n) numbers")
        } else {
            format!(
                "(with recursive numbers (n) as (select {from} union all select n + 1 from numbers where n < {to}) select n from numbers)"
            )
        }
    };
    let workflows = table("workflows");
    let mut statements = vec![format!(
        "insert into {workflows}
                 (key, id, name, status, attempt, created_at, started_at, completed_at, input, output)
             select {key}, 'ended-' || n, 'old', 'SUCCESS', 1, {time}, {time}, {time} + 1000000, '{{}}', '1'
               from {}",
        numbers(first, last)
    )];
    if waiting > 0 {
        statements.push(format!(
            "insert into {workflows}
                 (key, id, name, status, attempt, created_at, queue, due_at, input)
             select {key}, 'waiting-' || n, 'load', 'DELAYED', 0, {time}, 'durable', {FUTURE}, '{{}}'
               from {}",
            numbers(last + 1, last + waiting)
        ));
    }
    for position in [1, 2] {
        statements.push(format!(
            "insert into {} (workflow, branch, position, kind, name, attempts, started_at, completed_at, output)
             select {key}, '', {position}, 'step', 'small', 1, {time}, {time}, '1'
               from {}",
            table("steps"),
            numbers(first, last)
        ));
    }
    statements.push(if postgres { format!("analyze {workflows}") } else { "analyze".to_owned() });
    for statement in statements {
        let statement = sqlx::raw_sql(AssertSqlSafe(statement));
        if postgres {
            let mut connection = PgConnection::connect(url).await.expect("the server answers");
            statement.execute(&mut connection).await.expect("the rows can be added");
        } else {
            let mut connection = SqliteConnection::connect(url).await.expect("the file is there");
            statement.execute(&mut connection).await.expect("the rows can be added");
        }
    }
}
