//! Postgres only: how many rows and index entries claims read, and what they pay for long queues.

use std::time::Duration;

use durable_core::store::{RunningPart, StoredLimits, WorkflowKey};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

use crate::support::postgres_store_tests;
use crate::support::store_database::StoreDatabase;
use crate::support::store_queues::{
    claim, declare_queues, enqueue, enqueue_together, on_queue, partitioned, queued_workflow, rate, request,
    with_concurrency, with_partition,
};
use crate::support::store_rows::register_executor;

postgres_store_tests! {
a_claim_reads_no_more_than_it_takes,
claims_by_partition_key_cost_the_same_in_a_long_queue,
a_claim_reads_no_more_however_many_partition_keys_wait,
a_claim_reads_no_more_behind_many_unknown_workflows,
the_backlog_of_a_queue_reads_no_more_than_its_limit,
a_heartbeat_does_not_compare_each_running_workflow_with_each,
}

/// Fills a queue with this many workflows, with plain SQL.
async fn fill(database: &StoreDatabase, number: usize, key: &str) {
    fill_with("checkout", database, number, key).await;
}

/// The same with workflows of this name.
async fn fill_with(name: &str, database: &StoreDatabase, number: usize, key: &str) {
    let sql = format!(
        "insert into durable.workflows (key, id, name, status, attempt, queue, partition_key, created_at, input)
select 10000000 + n, 'w-' || n, '{name}', 'ENQUEUED', 0, 'mail', {key}, 1, '{{}}' from generate_series(1, {number}) n"
    );
    database.direct_connection().await.execute(&sql).await;
}

/// Lets every write publish what its connection has read: otherwise a server waits for up to ten seconds. Call it before
/// plans are made, because it has them made anew.
async fn publish_statistics(database: &StoreDatabase) {
    let mut direct = database.direct_connection().await;
    for sql in [
        // A vacuum or an analyze of the server's own would be counted too.
        "alter table durable.workflows set (autovacuum_enabled = false)",
        "create function durable.publish_statistics() returns trigger language plpgsql as
         $$ begin perform pg_stat_force_next_flush(); return null; end $$",
        "create trigger publish_statistics after insert or update on durable.workflows
         execute function durable.publish_statistics()",
    ] {
        direct.execute(sql).await;
    }
}

/// How many rows and index entries were read while this ran, as far as it was published.
async fn rows_read<T>(database: &StoreDatabase, work: impl Future<Output = T>) -> (i64, T) {
    let mut direct = database.direct_connection().await;
    let question = format!(
        "select (select sum(seq_tup_read) from pg_stat_user_tables where schemaname = '{0}')::bigint
+ (select sum(idx_tup_read) from pg_stat_user_indexes where schemaname = '{0}')::bigint",
        database.schema
    );
    let before = direct.number(&question).await;
    let result = work.await;
    (direct.number(&question).await - before, result)
}

async fn a_claim_reads_no_more_than_it_takes(database: StoreDatabase) {
    publish_statistics(&database).await;
    let store = &*database.store;
    let me = register_executor(store, "a").await;
    // The plans are made, and kept, while the table is empty.
    for _ in 0..8 {
        assert!(claim(store, me, 10).await.runs.is_empty());
    }
    let few: Vec<_> = (0..80).map(|it| queued_workflow(&format!("first-{it}"), on_queue())).collect();
    enqueue_together(store, me, &few).await;
    for _ in 0..8 {
        assert_eq!(claim(store, me, 10).await.runs.len(), 10);
    }
    fill(&database, 100_000, "''").await;
    for analyzed in [false, true] {
        if analyzed {
            database.direct_connection().await.execute("analyze durable.workflows").await;
        }
        let (read, runs) = rows_read(&database, async {
            let mut runs = 0;
            for _ in 0..10 {
                runs += claim(store, me, 10).await.runs.len();
            }
            runs
        })
        .await;
        assert_eq!(runs, 100);
        assert!((100..5_000).contains(&read), "{read} rows for a hundred workflows (analyzed: {analyzed})");
    }
}

async fn claims_by_partition_key_cost_the_same_in_a_long_queue(database: StoreDatabase) {
    publish_statistics(&database).await;
    let store = &*database.store;
    let me = register_executor(store, "a").await;
    declare_queues(store, StoredLimits { partition_concurrency: Some(1_000), ..partitioned() }).await;
    for _ in 0..8 {
        claim(store, me, 10).await;
    }
    fill(&database, 100_000, "'k' || n % 10").await;
    let most = request(me, 10).limit;
    let (read, runs) = rows_read(&database, async {
        let mut runs = 0;
        for _ in 0..10 {
            runs += claim(store, me, most).await.runs.len();
        }
        runs
    })
    .await;
    assert_eq!(runs, 100);
    assert!((100..10_000).contains(&read), "{read} rows for a hundred workflows");
}

async fn a_claim_reads_no_more_however_many_partition_keys_wait(database: StoreDatabase) {
    publish_statistics(&database).await;
    let store = &*database.store;
    let me = register_executor(store, "a").await;
    let limits = StoredLimits { partition_rate_limit: Some(rate(2, Duration::from_hours(1))), ..partitioned() };
    declare_queues(store, limits).await;
    // The plans are made, and kept, while the table is empty.
    for number in 0..8 {
        enqueue(store, me, &format!("first-{number}"), with_partition("first")).await;
        claim(store, me, 10).await;
    }
    fill(&database, 20_000, "'k' || n % 5000").await;
    for analyzed in [false, true] {
        if analyzed {
            database.direct_connection().await.execute("analyze durable.workflows").await;
        }
        let (read, runs) = rows_read(&database, async {
            let mut runs = 0;
            for _ in 0..3 {
                runs += claim(store, me, 100).await.runs.len();
            }
            runs
        })
        .await;
        assert_eq!(runs, 300);
        assert!((300..6_000).contains(&read), "{read} rows for 300 workflows (analyzed: {analyzed})");
    }
}

async fn a_claim_reads_no_more_behind_many_unknown_workflows(database: StoreDatabase) {
    publish_statistics(&database).await;
    let store = &*database.store;
    let me = register_executor(store, "a").await;
    for _ in 0..8 {
        claim(store, me, 10).await;
    }
    fill_with("foreign", &database, 60_000, "''").await;
    for limits in [StoredLimits::default(), with_concurrency(1_000), partitioned()] {
        declare_queues(store, limits).await;
        let some: Vec<_> = (0..10).map(|it| queued_workflow(&format!("known-{it} {limits:?}"), on_queue())).collect();
        enqueue_together(store, me, &some).await;
        let (read, runs) = rows_read(&database, async {
            let mut runs = 0;
            for _ in 0..10 {
                runs += claim(store, me, 1).await.runs.len();
            }
            runs
        })
        .await;
        assert_eq!(runs, 10);
        assert!((10..10_000).contains(&read), "{read} rows for ten workflows ({limits:?})");
    }
}

async fn the_backlog_of_a_queue_reads_no_more_than_its_limit(database: StoreDatabase) {
    fill(&database, 60_000, "''").await;
    let ended = "insert into durable.workflows (key, id, name, status, queue, created_at, completed_at, input)
                 select n, 'ended-' || n, 'checkout', 'SUCCESS', 'mail', 1, 1, '{}' from generate_series(1, 60000) n";
    database.direct_connection().await.execute(ended).await;
    let (read, backlog) = rows_read(&database, async {
        let backlog = database.store.queue_backlog("mail", 500).await;
        // A connection that has published nothing for a second does so before its next statement.
        tokio::time::sleep(Duration::from_millis(1_200)).await; // there is no signal for it
        assert!(database.store.queue_backlog("mail", 0).await.is_ok());
        backlog
    })
    .await;
    assert_eq!(backlog.unwrap().waiting, 500);
    assert!((500..600).contains(&read), "{read} rows");

    let mut user = PgConnection::connect(&database.url).await.expect("the server is there");
    let explain = format!("explain (analyze, buffers) select * from {}.queue_backlog('mail', 500)", database.schema);
    let mut pages = Vec::new();
    for _ in 0..2 {
        let rows = sqlx::query(AssertSqlSafe(explain.clone())).fetch_all(&mut user).await.unwrap();
        let lines: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        let hits = lines.iter().find_map(|it| it.split("shared hit=").nth(1)).expect("the plan has its buffers");
        pages.push(hits.split_whitespace().next().and_then(|it| it.parse::<u64>().ok()).expect("it is a number"));
    }
    // The first call also reads the catalog. The tables and indexes have thousands of pages.
    assert!(pages[1] < 150, "{pages:?} pages");
}

/// Without statistics about the table a planner may compare each with each, for 50,000 of them half a minute: the heartbeat
/// ends with an error after a third of the lease then.
async fn a_heartbeat_does_not_compare_each_running_workflow_with_each(database: StoreDatabase) {
    let me = register_executor(&*database.store, "a").await;
    let mut direct = database.direct_connection().await;
    direct.execute("alter table durable.workflows set (autovacuum_enabled = false)").await;
    let sql = format!(
        "insert into durable.workflows (key, id, name, status, attempt, executor, created_at, input)
         select n, 'w-' || n, 'checkout', 'PENDING', 1, {}, 1, '{{}}' from generate_series(1, 50000) n",
        me.executor.get()
    );
    direct.execute(&sql).await;
    let running: Vec<_> = (1..50_000).map(WorkflowKey::new).collect();
    let beat = database
        .store
        .heartbeat(me, Duration::from_secs(30), RunningPart::all(&running))
        .await
        .expect("it ends in time");
    assert!(beat.fence_holds && beat.no_longer_owned.is_empty(), "{beat:?}");
    assert_eq!(beat.not_running, [WorkflowKey::new(50_000)]);
}
