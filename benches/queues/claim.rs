//! What a claim of a hundred workflows costs where many wait.

use std::time::{Duration, Instant};

use durable_core::store::{self, ClaimRequest, Fence, NewExecutor, NewQueue, Store, StoredLimits};
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};

use crate::{Site, ratio};

pub(crate) const HEAD: &str = "\
| store | what waits | workflows | claims | ms each, median | pages each |
|---|---|---|---|---|---|";

/// How many workflows a claim takes.
const BATCH: u32 = 100;
const CLAIMS: u32 = 20;
const KEYS: u64 = 10_000;
/// Of the workflows that are in front of those that the claims take.
const UNKNOWN: u64 = 60_000;

/// What waits on a queue of its own.
struct Case {
    queue: &'static str,
    text: String,
    most: u32,
    waiting: u64,
    /// SQL for the name and the partition key of the row `n`.
    name: String,
    key: String,
}

pub(crate) async fn measure(site: &Site, many: u64) {
    let case = |queue, text: &str, most, waiting, name: &str, key: &str| Case {
        queue,
        text: text.to_owned(),
        most,
        waiting,
        name: name.to_owned(),
        key: key.to_owned(),
    };
    let foreign = format!("case when n <= {UNKNOWN} then 'foreign' else 'known' end");
    let cases = [
        case("bench-few", "5,000 workflows", BATCH, 1_000 + 2 * u64::from(BATCH * CLAIMS), "'known'", "''"),
        case("bench-keys", "10,000 partition keys", BATCH, many, "'known'", &format!("'k' || (n % {KEYS})")),
        case("bench-foreign", "60,000 unknown in front", 1, UNKNOWN + 10_000, &foreign, "''"),
    ];
    let tables = store::open(&site.url, &site.schema).await.expect("the store is there");
    tables.migrate().await.expect("its tables can be made");
    let me = tables.register_executor(&executor()).await.expect("the executor signs on");
    for case in cases {
        fill(site, &case).await;
        let queue = NewQueue { name: case.queue.to_owned(), limits: StoredLimits::default() };
        tables.declare_queues(&[queue]).await.expect("the store is there");
        let before = pages(site).await;
        let mut times = Vec::new();
        for _ in 0..CLAIMS {
            times.push(claim(&*tables, me, &case).await);
        }
        let after = pages(site).await;
        times.sort();
        let median = times[times.len() / 2].as_secs_f64() * 1_000.0;
        let pages = match (before, after) {
            (Some(before), Some(after)) => format!("{:.0}", ratio(after - before, CLAIMS.into())),
            _ => "–".to_owned(),
        };
        println!(
            "| {} | {} | {} | {CLAIMS} of {} | {median:.1} | {pages} |",
            site.store, case.text, case.waiting, case.most
        );
    }
    tables.close().await;
    if site.is_postgres() {
        site.clear().await;
    }
}

fn executor() -> NewExecutor {
    NewExecutor {
        key: 1.into(),
        name: "claims".to_owned(),
        host: "here".to_owned(),
        lock_file: None,
        version: "1".to_owned(),
        takes: None,
        lease: Duration::from_hours(1),
    }
}

async fn claim(store: &dyn Store, fence: Fence, case: &Case) -> Duration {
    let request =
        ClaimRequest { fence, queue: case.queue.to_owned(), known: vec!["known".to_owned()], limit: case.most };
    let begun = Instant::now();
    let runs = store.claim(&request).await.expect("the store claims").runs;
    let elapsed = begun.elapsed();
    assert_eq!(runs.len(), case.most as usize, "{}", case.text);
    elapsed
}

async fn fill(site: &Site, case: &Case) {
    let Case { queue, waiting, name, key, .. } = case;
    let rows = |table: &str, numbers: &str| {
        format!(
            "insert into {table} (key, id, name, version, status, attempt, queue, partition_key, created_at, input)
             select coalesce((select max(key) from {table}), 0) + n, '{queue} ' || n, {name}, '0123456789abcdef', 'ENQUEUED', 0,
                    '{queue}', {key}, n, '{{}}' from {numbers}"
        )
    };
    if site.is_postgres() {
        let mut connection = PgConnection::connect(&site.url).await.expect("the server is there");
        let table = format!("{}.workflows", site.schema);
        let text = rows(&table, &format!("generate_series(1, {waiting}) n"));
        for text in [text, format!("vacuum analyze {table}")] {
            sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut connection).await.expect("the server is there");
        }
    } else {
        let mut connection = SqliteConnection::connect(&site.url).await.expect("the file is there");
        let numbers = format!("with recursive n (n) as (select 1 union all select n + 1 from n where n < {waiting}) ");
        let text = numbers + &rows("durable_workflows", "n");
        sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut connection).await.expect("the file is there");
    }
}

/// How many pages of its tables and indexes the server has read, from its memory or not.
async fn pages(site: &Site) -> Option<u64> {
    if !site.is_postgres() {
        return None;
    }
    // A connection publishes its statistics when it has done nothing for ten seconds.
    tokio::time::sleep(Duration::from_secs(11)).await;
    let mut connection = PgConnection::connect(&site.url).await.expect("the server is there");
    let text = format!(
        "select sum(heap_blks_hit + heap_blks_read + coalesce(idx_blks_hit + idx_blks_read, 0))::bigint
           from pg_statio_user_tables where schemaname = '{}'",
        site.schema
    );
    let pages: i64 = sqlx::query_scalar(AssertSqlSafe(text)).fetch_one(&mut connection).await.expect("it is there");
    Some(pages.unsigned_abs())
}
