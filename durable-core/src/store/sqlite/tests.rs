//! How SQLite finds the workflows of a filter and of a claim, and what that costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sqlx::{AssertSqlSafe, Row};

use super::SqliteStore;
use super::dialect::{Query, list};
use super::filtered_list::list_statement;
use crate::store::Lifecycle;
use crate::store::rows_by_kind::TOO_MANY_RECOVERIES;
use crate::types::filter::Filter;
use crate::types::status::Status;
use crate::types::time::Timestamp;

/// The steps of the plan of a list.
async fn plan(store: &SqliteStore, filter: &Filter) -> Vec<String> {
    let (text, parameters) = list_statement(filter);
    let query = store.selecting((format!("explain query plan {text}"), parameters));
    let rows = query.fetch_all(&mut *store.reading().await.expect("it is in memory")).await.expect("the text is right");
    rows.iter().map(|it| it.get("detail")).collect()
}

/// The step that reads the workflows, or their labels, first.
async fn first_step(store: &SqliteStore, filter: &Filter) -> String {
    let steps = plan(store, filter).await;
    steps.into_iter().find(|it| it.starts_with("SCAN") || it.starts_with("SEARCH")).unwrap_or_default()
}

#[tokio::test]
async fn every_condition_that_selects_few_workflows_is_found_by_an_index() {
    let store = SqliteStore::open("sqlite::memory:", false).await.expect("it is in memory");
    store.migrate().await.expect("the schema is right");
    let time = Timestamp::local_now().to_date();
    let cases = [
        ("name", Filter::new().name("checkout"), "by_name"),
        ("status", Filter::new().status(Status::Error), "by_status"),
        ("live", Filter::new().status(Status::Pending), "by_status"),
        ("statuses", Filter::new().status(Status::Error).status(Status::Parked), "by_status"),
        ("error", Filter::new().status(Status::Error).error_contains("timeout"), "by_status"),
        ("queue", Filter::new().queue("orders"), "by_queue"),
        ("parent", Filter::new().parent("order-7"), "parent"),
        ("label", Filter::new().label("tenant", "acme"), "labels_by_value"),
        ("ids", Filter::new().id("order-7").id("order-8"), "sqlite_autoindex_durable_workflows"),
        ("prefix", Filter::new().id_prefix("order-"), "sqlite_autoindex_durable_workflows"),
        ("completed", Filter::new().completed_after(time), "completed"),
        ("created", Filter::new().created_after(time), "INTEGER PRIMARY KEY"),
    ];
    for (what, filter, index) in cases {
        for filter in [filter.clone(), filter.newest_first()] {
            let step = first_step(&store, &filter).await;
            assert!(step.starts_with("SEARCH") && step.contains(index), "{what}: {step}");
        }
    }
}

#[tokio::test]
async fn a_list_is_read_in_its_order_and_not_sorted() {
    let store = SqliteStore::open("sqlite::memory:", false).await.expect("it is in memory");
    store.migrate().await.expect("the schema is right");
    let time = Timestamp::local_now().to_date();
    let new = Filter::new;
    let filters = [
        new(),
        new().name("checkout"),
        new().status(Status::Error),
        new().parent("order-7"),
        new().label("tenant", "acme"),
        new().created_after(time),
        new().completed_after(time),
    ];
    for filter in filters {
        for filter in [filter.clone(), filter.newest_first()] {
            let steps = plan(&store, &filter).await;
            assert!(!steps.iter().any(|it| it.contains("B-TREE")), "{filter:?}: {steps:?}");
        }
    }
}

#[tokio::test]
async fn a_claim_goes_along_its_queue_and_sorts_nothing() {
    let store = SqliteStore::open("sqlite::memory:", false).await.expect("it is in memory");
    store.migrate().await.expect("the schema is right");
    let claims = [("claim", &store.sql.claim.claim), ("limited claim", &store.sql.claim_limited.in_order)];
    for (what, text) in claims {
        let query = sqlx::query(AssertSqlSafe(format!("explain query plan {text}")));
        let mut connection = store.reading().await.expect("it is in memory");
        let rows = query.fetch_all(&mut *connection).await.expect("the text is right");
        let steps: Vec<String> = rows.iter().map(|it| it.get("detail")).collect();
        let along = |it: &String| it.contains("durable_workflows_enqueued (queue=?)");
        assert!(steps.iter().any(along), "{what}: {steps:?}");
        assert!(!steps.iter().any(|it| it.contains("B-TREE")), "{what}: {steps:?}");
    }
}

/// How many hundreds of instructions of its virtual machine SQLite executes to choose workflows for a claim of `most`.
async fn cost_of_a_claim(store: &SqliteStore, text: &str, most: i64) -> (u64, usize) {
    let query = sqlx::query(AssertSqlSafe(text.to_owned())).bind(1).bind(1).bind(Timestamp::local_now());
    cost_of(store, query.bind("mail").bind(r#"["checkout"]"#).bind(most)).await
}

/// The same for any statement, and how many rows it returns.
async fn cost_of(store: &SqliteStore, query: Query) -> (u64, usize) {
    let hundreds = Arc::new(AtomicU64::new(0));
    let mut connection = store.writing().await.expect("it is in memory");
    let counter = Arc::clone(&hundreds);
    connection.lock_handle().await.expect("it is open").set_progress_handler(100, move || {
        counter.fetch_add(1, Ordering::Relaxed);
        true
    });
    let rows = query.fetch_all(&mut *connection).await.expect("the text is right");
    connection.lock_handle().await.expect("it is open").remove_progress_handler();
    (hundreds.load(Ordering::Relaxed), rows.len())
}

/// A queue on which so many workflows wait: of this many partition keys, and before them some that are unknown.
async fn waiting(unknown: u32, known: u32, partition_key: &str) -> SqliteStore {
    let store = SqliteStore::open("sqlite::memory:", false).await.expect("it is in memory");
    store.migrate().await.expect("the schema is right");
    let fill = |name: &str, many: u32, key: &str| {
        format!(
            "with recursive n (n) as (select 1 union all select n + 1 from n where n < {many})
             insert into durable_workflows (key, id, name, status, queue, partition_key, created_at, input)
             select first + n, '{name}' || n, '{name}', 'ENQUEUED', 'mail', {key}, first + n, '{{}}'
               from n, (select coalesce(max(key), 0) as first from durable_workflows) where {many} > 0"
        )
    };
    let executor = "insert into durable_executors (key, name, epoch, state, lease_until, started_at, host)
                    values (1, 'me', 1, 'ALIVE', 0, 0, 'here')";
    let queue = "insert into durable_queues (name, created_at) values ('mail', 0)";
    let rows = [fill("foreign", unknown, "''"), fill("checkout", known, partition_key)];
    for text in rows.into_iter().chain([executor.to_owned(), queue.to_owned()]) {
        let mut writer = store.writing().await.expect("it is in memory");
        sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut *writer).await.expect("the text is right");
    }
    store
}

#[tokio::test]
async fn a_claim_costs_the_same_however_many_partition_keys_and_workflows_wait() {
    let mut costs = Vec::new();
    for (keys, workflows) in [(200, 200), (4_000, 12_000)] {
        let store = waiting(0, workflows, &format!("'k' || (n % {keys})")).await;
        let (cost, rows) = cost_of_a_claim(&store, &store.sql.claim_turns.by_partition_turns, 100).await;
        assert_eq!(rows, 100);
        costs.push(cost);
    }
    assert!(costs[1] < costs[0] * 3 / 2 && costs[0] < 1_000, "{costs:?} hundreds of instructions");
}

#[tokio::test]
async fn a_claim_costs_the_same_however_many_unknown_workflows_are_in_front() {
    let mut costs = Vec::new();
    for unknown in [1_000, 20_000] {
        let store = waiting(unknown, 10, "''").await;
        let sql = &store.sql;
        let mut all = 0;
        for (text, expected) in [
            (&sql.claim.look, 1),
            (&sql.claim_limited.in_order, 0),
            (&sql.claim_limited.in_order_by_kind, 1),
            (&sql.claim.claim, 0),
            (&sql.claim.claim_by_kind, 1),
        ] {
            let (cost, rows) = cost_of_a_claim(&store, text, 1).await;
            assert_eq!(rows, expected, "{text}");
            all += cost;
        }
        costs.push(all);
    }
    assert!(costs[1] < costs[0] * 3 / 2, "{costs:?} hundreds of instructions");
}

#[tokio::test]
async fn a_takeover_costs_the_same_however_many_workflows_are_left() {
    // Released ones, those of an executor that is gone, and those that this executor lost.
    for owner in ["null", "2", "1"] {
        let mut costs = Vec::new();
        for many in [1_000, 20_000] {
            let store = waiting(0, many, "''").await;
            let left = format!(
                "update durable_workflows set status = 'PENDING', attempt = 2, queue = null, executor = {owner}"
            );
            let mut writer = store.writing().await.expect("it is in memory");
            sqlx::raw_sql(AssertSqlSafe(left)).execute(&mut *writer).await.expect("the text is right");
            drop(writer);
            // The program knows many workflows, of which this is the last one.
            let mut known: Vec<_> = (0..200).map(|it| (format!("other{it}"), 100)).collect();
            known.push(("checkout".to_owned(), 100));
            let query = store.query(&store.sql.takeover.take_over).bind(1).bind(1);
            let query = query.bind(list(&known)).bind(100).bind("[]");
            let query = TOO_MANY_RECOVERIES.into_iter().fold(query, sqlx::query::Query::bind);
            let (cost, rows) = cost_of(&store, query.bind(Timestamp::local_now())).await;
            assert_eq!(rows, 100, "of the owner {owner}");
            costs.push(cost);
        }
        assert!(
            costs[1] < costs[0] * 3 / 2 && costs[0] < 1_000,
            "{costs:?} hundreds of instructions, of the owner {owner}"
        );
    }
}
