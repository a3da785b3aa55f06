//! Closing a store, dropping and migrating its tables.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use durable_core::Filter;
use durable_core::store::{Fence, ReleaseRequest, RunningPart, StoreError, StoreErrorKind, Verdict};

use crate::support::store_database::StoreDatabase;
use crate::support::store_rows::{
    LEASE, begin, ending, outcomes, record, records, register_executor, start_running, success, workflow,
};

fn fault<T>(result: Result<T, StoreError>) -> Option<StoreErrorKind> {
    result.err().map(|it| it.kind)
}

pub(crate) async fn after_close_work_rows_can_still_be_released(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    start_running(&*store, me, "w").await;
    store.close_work_pool();
    store.close_work_pool();

    assert_eq!(fault(store.commit(me, &[begin(&workflow("v"))], false).await), Some(StoreErrorKind::Closed));
    assert_eq!(fault(store.find("w").await), Some(StoreErrorKind::Closed));
    assert_eq!(fault(store.now().await), Some(StoreErrorKind::Closed));
    assert_eq!(fault(store.cancel(&["w".to_owned()], "why", false).await), Some(StoreErrorKind::Closed));

    assert!(store.heartbeat(me, LEASE, RunningPart::all(&[])).await.unwrap().fence_holds);
    assert_eq!(store.release(me, ReleaseRequest::AllExcept(&[])).await.unwrap().direct, 1);
    store.remove_executor(me).await.unwrap();
    assert!(store.executors().await.unwrap().is_empty());
    store.close().await;
    assert_eq!(fault(store.executors().await), Some(StoreErrorKind::Closed));
    store.close().await;
}

pub(crate) async fn everything_can_be_dropped_and_migrated_again(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    start_running(&*store, me, "w").await;
    store.drop_everything().await.unwrap();
    assert_eq!(store.find("w").await.expect_err("there is no table").kind, StoreErrorKind::Unavailable);
    store.drop_everything().await.unwrap();
    store.migrate().await.unwrap();
    assert!(store.find("w").await.unwrap().is_none());
    let fresh = register_executor(&*store, "a").await;
    assert_eq!(fresh, Fence { executor: fresh.executor, epoch: 1.into() });
    start_running(&*store, fresh, "w").await;
}

pub(crate) async fn a_commit_dropped_midway_can_be_retried(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let mut dropped = 0;
    for round in 0..60 {
        let run = start_running(&*store, me, &format!("w-{round}")).await;
        let mut entries = vec![ending([record(run, 1, "1")], success(run, "1"))];
        if round % 2 == 0 {
            entries.extend((0..40).map(|number| begin(&workflow(&format!("w-{round}-{number}")))));
            entries.extend((2..40).map(|number| records([record(run, number, "1")])));
        }
        let patience = Duration::from_micros(30 * round);
        let result = if let Ok(result) = tokio::time::timeout(patience, store.commit(me, &entries, false)).await {
            result
        } else {
            dropped += 1;
            store.commit(me, &entries, true).await
        };
        assert_eq!(result.unwrap(), vec![Verdict::Stored; entries.len()], "round {round}");
        assert_eq!(outcomes(&*store, run).await.len(), if round % 2 == 0 { 39 } else { 1 });
    }
    assert!(dropped > 0, "some commit took longer than nothing");
    assert_eq!(store.list(&Filter::new().limit(10_000)).await.unwrap().len(), 60 + 30 * 40);
}

pub(crate) async fn the_database_time_advances(StoreDatabase { store, .. }: StoreDatabase) {
    let here = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_micros();
    let there = u128::try_from(store.now().await.unwrap().as_micros()).expect("it is after 1970");
    assert!(there.abs_diff(here) < 3_600_000_000, "{there} and {here} are of the same hour");
}
