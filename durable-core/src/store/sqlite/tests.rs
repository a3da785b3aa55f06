//! How SQLite finds the workflows of a filter and of a claim.

use sqlx::{AssertSqlSafe, Row};

use super::SqliteStore;
use super::filtered_list::list_statement;
use crate::store::Lifecycle;
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
