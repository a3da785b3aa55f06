//! Concurrent claims. Each case checks afterwards, by the database's clock, when each run began and ended, and
//! samples meanwhile how many run.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use durable_core::store::{Fence, RunRow, Store, StoredLimits, Verdict};
use durable_core::{Filter, WorkflowInfo};

use crate::support::store_database::StoreDatabase;
use crate::support::store_queues::{
    claim, declare_queues, end_run, enqueue_together, on_queue, partitioned, queued_workflow, rate, request,
    with_concurrency, with_deduplication, with_partition, with_rate_limit,
};
use crate::support::store_rows::{begin, register_executor};

/// The workflows that ran, in the order of the claims, by partition key.
type Ledger = Arc<std::sync::Mutex<HashMap<String, Vec<String>>>>;

/// Two processes with some tasks each claim from the queue until all workflows have run once, and return
/// some of the claims. `watch` is a query about running workflows, and the greatest result that it may have.
async fn race(
    database: &StoreDatabase,
    tasks: usize,
    number: usize,
    most: u32,
    watch: Option<(&'static str, i64)>,
) -> Ledger {
    let ledger = Ledger::default();
    let done = Arc::new(AtomicUsize::new(0));
    let mut all = tokio::task::JoinSet::new();
    for process in 0..2 {
        let store = database.second().await;
        let me = register_executor(&*store, &format!("process {process}")).await;
        for task in 0..tasks {
            let (store, done, ledger) = (store.clone(), done.clone(), ledger.clone());
            all.spawn(async move {
                let mut rounds = 0_usize;
                while done.load(Ordering::SeqCst) < number {
                    let runs = claim_patiently(&*store, me, most).await;
                    if runs.is_empty() {
                        tokio::time::sleep(Duration::from_millis(1)).await; // the pause between two claims
                    }
                    for run in runs {
                        rounds += 1;
                        if (rounds + task).is_multiple_of(11) {
                            store.return_claims(me, &[run.key]).await.unwrap();
                            continue;
                        }
                        let key = run.id.split('-').next().unwrap_or_default().to_owned();
                        ledger.lock().expect("nothing panics").entry(key).or_default().push(run.id.to_string());
                        tokio::time::sleep(Duration::from_millis(1)).await; // the work
                        end_run(&*store, me, &run).await;
                        done.fetch_add(1, Ordering::SeqCst);
                    }
                }
            });
        }
    }
    if let Some((question, limit)) = watch {
        let (mut direct, done) = (database.direct_connection().await, done.clone());
        all.spawn(async move {
            while done.load(Ordering::SeqCst) < number {
                let running = direct.number(question).await;
                assert!(running <= limit, "{running} run at once");
                tokio::time::sleep(Duration::from_micros(500)).await; // the pause between two samples
            }
        });
    }
    while let Some(task) = all.join_next().await {
        task.expect("no task panics");
    }
    ledger
}

async fn claim_patiently(store: &dyn Store, me: Fence, most: u32) -> Vec<RunRow> {
    loop {
        match store.claim(&request(me, most)).await {
            Ok(claimed) => return claimed.runs,
            Err(error) => assert!(error.is_temporary(), "{error}"),
        }
    }
}

async fn everything(store: &dyn Store) -> Vec<WorkflowInfo> {
    let all = store.list(&Filter::new().limit(100_000)).await.unwrap();
    assert!(all.iter().all(|it| it.status == durable_core::Status::Success));
    all.items
}

/// How many ran at once at most.
fn most_at_once<'a>(all: impl IntoIterator<Item = &'a WorkflowInfo>) -> i64 {
    let mut moments = Vec::new();
    for it in all {
        moments.push((it.started_at.expect("it ran"), 1));
        moments.push((it.completed_at.expect("it ended"), -1));
    }
    moments.sort_by_key(|(at, change)| (*at, *change));
    let mut running = 0;
    moments
        .iter()
        .map(|(_, change)| {
            running += change;
            running
        })
        .max()
        .unwrap_or(0)
}

pub(crate) async fn concurrent_claims_take_different_workflows_without_waiting(database: StoreDatabase) {
    let me = register_executor(&*database.store, "a").await;
    let all: Vec<_> = (0..600).map(|it| queued_workflow(&format!("w-{it}"), on_queue())).collect();
    enqueue_together(&*database.store, me, &all).await;
    let ledger = race(&database, 4, 600, 7, None).await;
    let mut ran = ledger.lock().expect("nothing panics").remove("w").expect("they ran");
    ran.sort();
    ran.dedup();
    assert_eq!(ran.len(), 600);
    assert!(everything(&*database.store).await.iter().all(|it| it.attempts == 1));
}

pub(crate) async fn concurrent_claims_never_exceed_the_concurrency(database: StoreDatabase) {
    let me = register_executor(&*database.store, "a").await;
    declare_queues(&*database.store, with_concurrency(5)).await;
    let all: Vec<_> = (0..250).map(|it| queued_workflow(&format!("w-{it}"), on_queue())).collect();
    enqueue_together(&*database.store, me, &all).await;
    let running = "select count(*) from durable.workflows where status = 'PENDING' and queue = 'mail'";
    race(&database, 4, 250, 3, Some((running, 5))).await;
    let most = most_at_once(&everything(&*database.store).await);
    assert!((2..=5).contains(&most), "{most} ran at once");
}

pub(crate) async fn concurrent_claims_never_exceed_the_rate_limit(database: StoreDatabase) {
    let me = register_executor(&*database.store, "a").await;
    let period = Duration::from_millis(100);
    declare_queues(&*database.store, with_rate_limit(10, period)).await;
    let all: Vec<_> = (0..60).map(|it| queued_workflow(&format!("w-{it}"), on_queue())).collect();
    enqueue_together(&*database.store, me, &all).await;
    race(&database, 3, 60, 4, None).await;
    let mut starts: Vec<i64> =
        everything(&*database.store).await.iter().filter_map(|it| Some(it.started_at?.timestamp_micros())).collect();
    starts.sort_unstable();
    for window in starts.windows(11) {
        assert!(window[10] - window[0] >= 100_000, "11 began within {} µs", window[10] - window[0]);
    }
}

pub(crate) async fn concurrent_claims_keep_the_order_of_every_partition_key(database: StoreDatabase) {
    let all = keep_the_order(database, Some(StoredLimits { concurrency: Some(6), ..partitioned() })).await;
    assert!(most_at_once(&all) <= 6);
}

pub(crate) async fn concurrent_claims_keep_the_order_of_a_partition_key_on_a_queue_without_limits(
    database: StoreDatabase,
) {
    keep_the_order(database, None).await;
}

/// Workflows of ten keys, and what ran.
async fn keep_the_order(database: StoreDatabase, limits: Option<StoredLimits>) -> Vec<WorkflowInfo> {
    let me = register_executor(&*database.store, "a").await;
    if let Some(limits) = limits {
        declare_queues(&*database.store, limits).await;
    }
    let ids = (0..20).flat_map(|it| (0..10).map(move |key| (format!("k{key}-{it}"), format!("k{key}"))));
    let all: Vec<_> = ids.map(|(id, key)| queued_workflow(&id, with_partition(&key))).collect();
    enqueue_together(&*database.store, me, &all).await;
    let running = "select coalesce(max(many), 0) from (select count(*) as many from durable.workflows
where status = 'PENDING' group by partition_key) as by_key";
    let ledger = race(&database, 4, 200, 3, Some((running, 1))).await;
    for (key, ran) in &*ledger.lock().expect("nothing panics") {
        let expected: Vec<String> = (0..20).map(|it| format!("{key}-{it}")).collect();
        assert_eq!(*ran, expected);
    }
    let all = everything(&*database.store).await;
    for key in 0..10 {
        let of_key = all.iter().filter(|it| it.partition_key.as_deref() == Some(&format!("k{key}")));
        assert_eq!(most_at_once(of_key), 1);
    }
    all
}

pub(crate) async fn concurrent_claims_never_exceed_the_limits_of_a_partition_key(database: StoreDatabase) {
    let me = register_executor(&*database.store, "a").await;
    let limits = StoredLimits {
        partition_concurrency: Some(2),
        partition_rate_limit: Some(rate(4, Duration::from_millis(60))),
        ..StoredLimits::default()
    };
    declare_queues(&*database.store, limits).await;
    let ids = (0..16).flat_map(|it| ["a", "b", "c"].map(|key| (format!("{key}-{it}"), key)));
    let all: Vec<_> = ids.map(|(id, key)| queued_workflow(&id, with_partition(key))).collect();
    enqueue_together(&*database.store, me, &all).await;
    race(&database, 3, 48, 3, None).await;
    let all = everything(&*database.store).await;
    for key in ["a", "b", "c"] {
        let own = || all.iter().filter(|it| it.partition_key.as_deref() == Some(key));
        assert!(most_at_once(own()) <= 2, "{key}");
        let mut starts: Vec<i64> = own().filter_map(|it| Some(it.started_at?.timestamp_micros())).collect();
        starts.sort_unstable();
        assert!(starts.windows(5).all(|it| it[4] - it[0] >= 60_000), "{key}: {starts:?}");
    }
}

pub(crate) async fn of_concurrent_duplicates_one_is_stored(database: StoreDatabase) {
    let mut all = tokio::task::JoinSet::new();
    for process in 0..2 {
        let store = database.second().await;
        let me = register_executor(&*store, "a").await;
        all.spawn(async move {
            let mut won = 0;
            for round in 0..40 {
                let new = |it: &str| {
                    begin(&queued_workflow(&format!("{process}-{round}-{it}"), with_deduplication(&format!("{round}"))))
                };
                let entries = if round % 2 == 0 { vec![new("one")] } else { vec![new("one"), new("two")] };
                let verdicts = loop {
                    match store.commit(me, &entries, false).await {
                        Ok(verdicts) => break verdicts,
                        Err(error) => assert!(error.is_temporary(), "{error}"),
                    }
                };
                for verdict in verdicts {
                    match verdict {
                        Verdict::Stored => won += 1,
                        Verdict::Duplicate(held) => assert!(held.id.contains(&format!("-{round}-"))),
                        other => panic!("{other:?}"),
                    }
                }
            }
            won
        });
    }
    let mut won = 0;
    while let Some(one) = all.join_next().await {
        won += one.expect("no task panics");
    }
    assert_eq!(won, 40);
    let me = register_executor(&*database.store, "b").await;
    assert_eq!(claim(&*database.store, me, 1_000).await.runs.len(), 40);
}

pub(crate) async fn concurrent_debounced_calls_become_one_workflow(database: StoreDatabase) {
    let mut all = tokio::task::JoinSet::new();
    for process in 0..2 {
        let store = database.second().await;
        let me = register_executor(&*store, "a").await;
        all.spawn(async move {
            let mut won = 0;
            for round in 0..60 {
                let placement = crate::support::store_queues::with_debounce("cart", Duration::from_hours(1), None);
                let entry = [begin(&queued_workflow(&format!("{process}-{round}"), placement))];
                let verdict = loop {
                    match store.commit(me, &entry, false).await {
                        Ok(mut verdicts) => break verdicts.remove(0),
                        Err(error) => assert!(error.is_temporary(), "{error}"),
                    }
                };
                won += usize::from(verdict == Verdict::Stored);
                assert!(matches!(verdict, Verdict::Stored | Verdict::Debounced(_)), "{verdict:?}");
            }
            won
        });
    }
    let mut won = 0;
    while let Some(one) = all.join_next().await {
        won += one.expect("no task panics");
    }
    assert_eq!(won, 1);
}
