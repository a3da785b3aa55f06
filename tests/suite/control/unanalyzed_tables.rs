//! Large changes of tables that Postgres has no statistics of yet, as after a first day with much work: no table is read
//! from end to end. SQLite's planner goes by the indexes in any case.

use durable::Retention;
use durable::prelude::*;

use crate::support::store_database::DirectConnection;
use crate::support::{TestDatabase, fresh, until, url_of};

const FAMILIES: i64 = 10_000;
const TABLES: [&str; 6] = ["workflows", "steps", "labels", "messages", "events", "streams"];

/// Families of a failed parent and its child, with records, labels, messages, events and stream items.
async fn fill(connection: &mut DirectConnection) {
    for table in TABLES {
        connection.execute(&format!("alter table durable.{table} set (autovacuum_enabled = false)")).await;
    }
    let rows = format!("generate_series(1, {}) as n", 2 * FAMILIES);
    for statement in [
        format!(
            "insert into durable.workflows (key, id, name, status, parent, created_at, completed_at, input, error, labels)
             select n, 'w' || n, 'unanalyzed', 'ERROR', case when n % 2 = 0 then n - 1 end, n, n, '{{}}', '{{}}', '{{\"a\": \"b\"}}'
               from {rows}"
        ),
        format!(
            "insert into durable.steps (workflow, branch, position, kind, name, attempts, started_at, completed_at, error)
             select n, '', position, 'step', 's', 1, n, n, case when position = 3 then '{{}}' end
               from {rows}, generate_series(1, 3) position"
        ),
        format!("insert into durable.messages (key, workflow, topic, payload, idempotency_key, sent_at) select n, n, 't', '1', 'k', n from {rows}"),
        format!("insert into durable.events (workflow, name, set_at, key, branch, position, value) select n, 'e', n, n, '', 1, '1' from {rows}"),
        format!("insert into durable.streams (workflow, name, written_at, key, branch, position, value) select n, 's', n, n, '', 1, '1' from {rows}"),
    ] {
        connection.execute(&statement).await;
    }
}

/// How often each table was read from end to end. A connection reports that when it is closed.
async fn scans(connection: &mut DirectConnection) -> Vec<(&'static str, i64)> {
    let mut scans = Vec::new();
    for table in TABLES {
        let number = connection.number(&format!("select pg_stat_get_numscans('durable.{table}'::regclass)")).await;
        scans.push((table, number));
    }
    scans
}

#[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletes_and_resumes_of_many_read_no_table_from_end_to_end() {
    let database = TestDatabase::postgres();
    let name = fresh("unanalyzed");
    let mut url = url_of(database.url());
    url.query_pairs_mut().append_pair("application_name", &name);
    let client = || durable::Client::builder(url.as_str()).schema(database.schema());
    let sessions = format!("select count(*) from pg_stat_activity where application_name = '{name}'");
    client().migrate().await.unwrap();
    let mut connection = database.direct_connection().await;
    fill(&mut connection).await;
    let of_ids = |from: i64| Filter::new().ids((0..20).map(|it| format!("w{}", from + 2 * it)));
    for what in ["delete", "delete many", "resume many", "label many", "retention"] {
        let before = scans(&mut connection).await;
        let changing = client().connect().await.unwrap();
        let changed = match what {
            "delete" => changing.delete_workflow("w1").await.unwrap(),
            "delete many" => changing.bulk(of_ids(1_001)).delete().run(|_| {}).await.unwrap().changed,
            "resume many" => changing.bulk(of_ids(2_001)).resume().run(|_| {}).await.unwrap().changed,
            "label many" => changing.bulk(of_ids(3_001)).set_labels([("a", "c")]).run(|_| {}).await.unwrap().changed,
            _ => {
                let policy = Retention::new().keep(Duration::ZERO).per_second(1_000_000);
                changing.run_retention().policy(policy).await.unwrap().total
            }
        };
        assert!(changed >= 2, "{what}: {changed}");
        changing.close().await;
        until("its sessions have ended, and so have reported", async || connection.number(&sessions).await == 0).await;
        let (mut before, mut after) = (before, scans(&mut connection).await);
        if what == "retention" {
            // It reads some hundred workflows by their keys at once, and there are not many more.
            (before, after) = (before.split_off(1), after.split_off(1));
        }
        assert_eq!(after, before, "{what} has read a whole table");
    }
    let left = connection.number("select count(*) from durable.workflows").await;
    assert_eq!(left, 40, "the resumed parents, and their children");
    database.clear().await;
}
