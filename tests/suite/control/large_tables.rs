//! Lists of a large table: each goes by an index, also where the database compares texts by ICU rules.
//!
//! `DURABLE_TEST_ROWS=1000000 cargo test --test suite control::large_tables -- --nocapture` does the same with a million
//! workflows that have ended and a tenth as many that live, and prints how long the first page of each list takes.

use std::time::Instant;

use durable::prelude::*;
use durable::{Client, GroupBy};

use crate::support::{TestDatabase, database_tests};

database_tests! {
    the_first_page_of_every_list_is_read_by_an_index,
}

/// When the first of the workflows was created; each other one a second later.
const BEGIN: i64 = 1_700_000_000;

fn rows() -> i64 {
    std::env::var("DURABLE_TEST_ROWS").ok().and_then(|it| it.parse().ok()).unwrap_or(20_000)
}

/// Workflows that have ended, behind them a tenth as many that wait or run.
fn fill(postgres: bool, rows: i64) -> Vec<String> {
    let numbers = if postgres {
        format!("(select generate_series(1, {}) as n) numbers", rows + rows / 10)
    } else {
        format!(
            "(with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < {}) select n from numbers)",
            rows + rows / 10
        )
    };
    let key = format!("((cast({BEGIN} as bigint) + n) * 1000000 - 1577836800000000) * 1024");
    let status = format!(
        "case when n > {rows} then (case n % 3 when 0 then 'PENDING' when 1 then 'ENQUEUED' else 'DELAYED' end)
              when n % 100 = 0 then 'ERROR' when n % 1000 = 1 then 'PARKED' else 'SUCCESS' end"
    );
    let has_ended = format!("n <= {rows} and n % 1000 <> 1");
    vec![
        format!(
            "insert into durable.workflows
                 (key, id, name, status, executor, attempt, created_at, started_at, completed_at, queue, due_at, input, output, error, labels)
             select {key}, 'order-' || n, case when n % 5000 = 7 then 'rare' else 'checkout' end, {status}, 1, 1,
                    (cast({BEGIN} as bigint) + n) * 1000000, (cast({BEGIN} as bigint) + n) * 1000000, case when {has_ended} then (cast({BEGIN} as bigint) + n + 1) * 1000000 end,
                    case when n > {rows} then 'orders' end, case when n > {rows} then (cast({BEGIN} as bigint) + n) * 1000000 end, '{{}}', '1',
                    case when n % 100 = 0 then '{{\"message\": \"the card was declined\"}}' end,
                    case when n % 500 = 3 then '{{\"tenant\": \"acme\"}}' when n % 4 = 0 then '{{\"tenant\": \"globex\"}}' end
               from {numbers}"
        ),
        "update durable.workflows set parent = (select w.key from durable.workflows w where w.id = 'order-1') where id in ('order-2', 'order-4')"
            .to_owned(),
    ]
}

fn time(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(BEGIN + second, 0).expect("it is a time")
}

/// What the command line lists.
fn lists(rows: i64) -> Vec<(&'static str, Filter, bool)> {
    let new = Filter::new;
    vec![
        ("all", new(), true),
        ("a name", new().name("rare"), true),
        ("a name without a match", new().name("missing"), false),
        ("a status", new().status(Status::Error), true),
        ("what is parked", new().status(Status::Parked), true),
        ("what runs", new().status(Status::Pending), true),
        ("a status and a name", new().status(Status::Error).name("rare"), false),
        ("success of a rare name", new().status(Status::Success).name("rare"), true),
        ("a queue", new().queue("orders").status(Status::Enqueued), true),
        ("a queue without a match", new().queue("missing"), false),
        ("a label", new().label("tenant", "acme"), true),
        ("a label without a match", new().label("tenant", "missing"), false),
        ("a prefix", new().id_prefix("order-77"), true),
        ("a prefix without a match", new().id_prefix("missing"), false),
        ("ids", new().ids(["order-5", "order-6"]), true),
        ("children", new().parent("order-1"), true),
        ("an error text", new().status(Status::Error).error_contains("declined"), true),
        ("created in a minute", new().created_after(time(rows / 2)).created_before(time(rows / 2 + 60)), true),
        ("ended in a minute", new().completed_after(time(rows / 2)).completed_before(time(rows / 2 + 60)), true),
    ]
}

async fn the_first_page_of_every_list_is_read_by_an_index(database: &TestDatabase) {
    let url = database.url().to_owned();
    check(database, &url, "plain").await;
    if !database.is_postgres() {
        return;
    }
    let name = format!("icu_{}", database.schema());
    let mut connection = database.direct_connection().await;
    connection
        .execute(&format!(
            "create database {name} template template0 locale_provider icu icu_locale 'en-US' locale 'C'"
        ))
        .await;
    let mut icu = url::Url::parse(&url).unwrap();
    icu.set_path(&name);
    check(database, icu.as_str(), "ICU").await;
    connection.execute(&format!("drop database {name} with (force)")).await;
}

async fn check(database: &TestDatabase, url: &str, collation: &str) {
    let rows = rows();
    let client = || Client::builder(url).schema(database.schema());
    client().migrate().await.unwrap();
    let mut connection = crate::support::store_database::DirectConnection::open(url, database.schema()).await;
    for statement in fill(database.is_postgres(), rows) {
        connection.execute(&statement).await;
    }
    if database.is_postgres() {
        connection.execute("analyze durable.workflows").await;
        connection.execute("analyze durable.labels").await;
    }
    println!("{rows} ended and {} living workflows, {collation}:", rows / 10);
    for (what, filter, has_some) in lists(rows) {
        for filter in [filter.clone().limit(50), filter.limit(50).newest_first()] {
            let before = scans(&mut connection, database.is_postgres()).await;
            let reader = client().connect().await.unwrap();
            reader.list_workflows(Filter::new().limit(1)).await.unwrap(); // the connection is open then
            let begun = Instant::now();
            let page = reader.list_workflows(filter).await.unwrap();
            println!("{what:25} {:3} of {:>9.2?}", page.len(), begun.elapsed());
            assert_eq!(!page.is_empty(), has_some, "{what}");
            reader.close().await;
            let after = scans(&mut connection, database.is_postgres()).await;
            assert_eq!(after, before, "{what} read a whole table");
        }
    }
    let reader = client().connect().await.unwrap();
    let begun = Instant::now();
    let counts = reader.count_workflows(Filter::new().limit(10_000), GroupBy::Status).await.unwrap();
    println!("{:25} {} of {:>9.2?}", "a count that is capped", counts.total, begun.elapsed());
    assert!(counts.capped);
    reader.close().await;
}

/// How often the tables of workflows and labels were read from end to end. A connection reports that when it is closed.
async fn scans(connection: &mut crate::support::store_database::DirectConnection, postgres: bool) -> i64 {
    if !postgres {
        return 0; // `store::sqlite::tests` looks at the plans
    }
    connection
        .number(
            "select sum(pg_stat_get_numscans(it))::bigint from unnest(array['durable.workflows'::regclass, 'durable.labels'::regclass]) it",
        )
        .await
}
