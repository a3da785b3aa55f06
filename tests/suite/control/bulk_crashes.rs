//! Changes of all that match, with a crash at every commit of the workflow that carries them out: exactly what the filter
//! selects is changed.

use std::sync::Arc;

use durable::prelude::*;
use durable::{Bulk, BulkCall, GroupBy};
use durable_core::store::Store;

use crate::support::store_database::DirectConnection;
use crate::support::{FaultMode, TestDatabase, database_tests, failing_at, fresh};

database_tests! {
    a_bulk_change_that_is_interrupted_labels_exactly_what_matches,
    a_bulk_change_that_is_interrupted_deletes_exactly_what_matches,
    a_bulk_change_that_is_interrupted_restarts_each_workflow_once,
}

/// More than two batches.
const MATCHING: u64 = 420;
const OTHERS: u64 = 30;

/// Workflows of two names that were cancelled.
async fn insert(connection: &mut DirectConnection, postgres: bool, name: &str, first_key: u64) {
    let last = MATCHING + OTHERS;
    let numbers = if postgres {
        format!("(select generate_series(1, {last}) as n) numbers")
    } else {
        format!(
            "(with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < {last}) select n from numbers)"
        )
    };
    connection
        .execute(&format!(
            "insert into durable.workflows (key, id, name, status, created_at, completed_at, input)
             select {first_key} + n, '{name}-' || n, case when n <= {MATCHING} then '{name}' else '{name}-other' end, 'CANCELLED', 1, 1, '{{}}'
               from {numbers}"
        ))
        .await;
}

/// Carries a change out with a crash at each commit in turn, and checks what it has done.
async fn crash_everywhere(
    database: &TestDatabase,
    mode: FaultMode,
    change: impl Fn(Bulk) -> BulkCall,
    check: impl AsyncFn(&Durable, &mut DirectConnection, &str),
) {
    database.builder("app").launch().await.unwrap().shutdown().await; // makes the tables
    let mut connection = database.direct_connection().await;
    let mut at = 0;
    loop {
        at += 1;
        let name = fresh("bulk");
        let first_key = at * 1_000 + if mode == FaultMode::Before { 0 } else { 1_000_000 };
        insert(&mut connection, database.is_postgres(), &name, first_key).await;
        let filter = || Filter::new().name(&name);
        let faulty = failing_at(database, mode, at).await;
        let builder = database.builder("app").listen_to::<&str>([]);
        let app = builder.store(Arc::clone(&faulty) as Arc<dyn Store>).launch().await.unwrap();
        let call = change(app.bulk(filter())).id(format!("change of {name}"));
        faulty.result_or_death(app.spawn_scoped(async move { call.start().await?.result().await })).await;
        let was_reached = faulty.was_reached();
        drop(app);
        faulty.close().await;

        let app = database.builder("app").listen_to::<&str>([]).launch().await.unwrap();
        let call = change(app.bulk(filter())).id(format!("change of {name}"));
        let report = call.start().await.unwrap().result().await.unwrap();
        assert_eq!(report.refused, 0, "{mode:?} at commit {at}: {report:?}");
        check(&app, &mut connection, &name).await;
        let others = app.count_workflows(Filter::new().name(format!("{name}-other")), GroupBy::Status).await.unwrap();
        assert_eq!(others.total, OTHERS, "{mode:?} at commit {at}");
        app.shutdown().await;
        if !was_reached {
            assert!(at > 5, "a start, the begin and three batches were interrupted: {at}");
            return;
        }
    }
}

async fn a_bulk_change_that_is_interrupted_labels_exactly_what_matches(database: &TestDatabase) {
    for mode in [FaultMode::Before, FaultMode::After] {
        let change = |bulk: Bulk| bulk.set_labels([("bulk", "changed")]);
        crash_everywhere(database, mode, change, async |app, connection, name| {
            let labeled = Filter::new().label("bulk", "changed").name(name);
            assert_eq!(app.count_workflows(labeled, GroupBy::Status).await.unwrap().total, MATCHING, "{mode:?}");
            let others = format!(
                "select count(*) from durable.labels l join durable.workflows w on w.key = l.workflow where w.name = '{name}-other'"
            );
            assert_eq!(connection.number(&others).await, 0, "{mode:?}");
        })
        .await;
    }
}

async fn a_bulk_change_that_is_interrupted_deletes_exactly_what_matches(database: &TestDatabase) {
    for mode in [FaultMode::Before, FaultMode::After] {
        crash_everywhere(
            database,
            mode,
            |bulk| bulk.delete(),
            async |app, _, name| {
                let left = app.count_workflows(Filter::new().name(name), GroupBy::Status).await.unwrap();
                assert_eq!(left.total, 0, "{mode:?}");
            },
        )
        .await;
    }
}

async fn a_bulk_change_that_is_interrupted_restarts_each_workflow_once(database: &TestDatabase) {
    for mode in [FaultMode::Before, FaultMode::After] {
        crash_everywhere(database, mode, |bulk| bulk.restart(), async |app, connection, name| {
            let all = app.count_workflows(Filter::new().name(name), GroupBy::Status).await.unwrap();
            assert_eq!(all.total, 2 * MATCHING, "{mode:?}: {all:?}");
            let sources = format!(
                "select count(distinct forked_from) from durable.workflows where name = '{name}' and forked_from is not null"
            );
            assert_eq!(connection.number(&sources).await.unsigned_abs(), MATCHING, "{mode:?}");
        })
        .await;
    }
}
