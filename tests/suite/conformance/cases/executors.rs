//! Executors: registration, leases, heartbeats, leaving.

use std::time::Duration;

use durable_core::Status;
use durable_core::store::{ExecutorInfo, Fence, ReleaseRequest, RunningPart};

use crate::support::store_database::StoreDatabase;
use crate::support::store_rows::{
    LEASE, begin, cancel, commit, executor, fence_out, finish, register_executor, register_executor_for, start_running,
    success, takeover_request, workflow,
};

const NONE: Duration = Duration::ZERO;
/// Long enough for a lease of no length to lie in the past, on a clock of microseconds.
const MOMENT: Duration = Duration::from_millis(2);

pub(crate) async fn a_heartbeat_extends_the_lease(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor_for(&*store, "a", NONE).await;
    tokio::time::sleep(MOMENT).await; // the lease runs out
    assert!(store.executors().await.unwrap()[0].expired);
    assert!(store.heartbeat(me, LEASE, RunningPart::all(&[])).await.unwrap().fence_holds);
    let all = store.executors().await.unwrap();
    let expected = ExecutorInfo {
        key: me.executor,
        name: "a".to_owned(),
        epoch: me.epoch,
        host: "host".to_owned(),
        lock_file: Some("/run/a.lock".to_owned()),
        expired: false,
        leaving: false,
    };
    assert_eq!(all, [expected]);
}

pub(crate) async fn a_heartbeat_returns_the_databases_time(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let before = store.now().await.unwrap();
    let seen = store.heartbeat(me, LEASE, RunningPart::all(&[])).await.unwrap();
    let after = store.now().await.unwrap();
    assert!(before <= seen.now && seen.now <= after, "{before:?} {:?} {after:?}", seen.now);
    fence_out(&*store, me).await;
    assert!(store.heartbeat(me, LEASE, RunningPart::all(&[])).await.unwrap().now >= after, "also to a fenced executor");
}

pub(crate) async fn a_heartbeat_reports_expired_executors(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let (late, _fine) = (register_executor_for(&*store, "late", NONE).await, register_executor(&*store, "fine").await);
    tokio::time::sleep(MOMENT).await; // the lease runs out
    let seen = store.heartbeat(me, LEASE, RunningPart::all(&[])).await.unwrap();
    assert!(seen.fence_holds && !seen.orphans);
    let names: Vec<_> = seen.expired.iter().map(|it| (&*it.name, it.key, it.epoch, it.expired, it.leaving)).collect();
    assert_eq!(names, [("late", late.executor, 1.into(), true, false)]);
    fence_out(&*store, late).await;
    assert!(store.heartbeat(me, LEASE, RunningPart::all(&[])).await.unwrap().expired.is_empty(), "it is dealt with");
}

pub(crate) async fn a_heartbeat_reports_workflows_without_an_owner(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let orphans = async || store.heartbeat(me, LEASE, RunningPart::all(&[])).await.unwrap().orphans;
    start_running(&*store, me, "own").await;
    assert!(!orphans().await);

    let dead = register_executor(&*store, "dead").await;
    start_running(&*store, dead, "w").await;
    assert!(!orphans().await, "its owner lives");
    fence_out(&*store, dead).await;
    assert!(orphans().await);
    store.take_over(&takeover_request(me, 10)).await.unwrap();
    assert!(!orphans().await);

    let leaving = register_executor(&*store, "leaving").await;
    start_running(&*store, leaving, "v").await;
    store.release(leaving, ReleaseRequest::AllExcept(&[])).await.unwrap();
    assert!(orphans().await);
}

pub(crate) async fn a_heartbeat_reports_runs_that_are_lost_to_the_executor(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let running = [
        start_running(&*store, me, "fine").await,
        start_running(&*store, me, "cancelled").await,
        start_running(&*store, me, "ended").await,
        start_running(&*store, me, "released").await,
    ];
    cancel(&*store, "cancelled", "by hand").await;
    commit(&*store, me, finish(success(running[2], "1"))).await;
    store.release(me, ReleaseRequest::AllExcept(&running[..3])).await.unwrap();
    let mut gone = store.heartbeat(me, LEASE, RunningPart::all(&running)).await.unwrap().no_longer_owned;
    gone.sort_unstable();
    let expected = [(running[1], Status::Cancelled), (running[2], Status::Success), (running[3], Status::Pending)];
    assert_eq!(gone, expected);
    let not_there_yet = store.heartbeat(me, LEASE, RunningPart::all(&[running[0], (-1).into()])).await.unwrap();
    assert!(not_there_yet.no_longer_owned.is_empty());
    let many: Vec<_> = (0..5_000_i64).map(|it| (-it).into()).collect();
    assert!(store.heartbeat(me, LEASE, RunningPart::all(&many)).await.unwrap().fence_holds);
}

pub(crate) async fn a_heartbeat_compares_only_the_part_that_it_is_given(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let mut owned = Vec::new();
    for id in ["v", "w", "x", "y"] {
        owned.push(start_running(&*store, me, id).await);
    }
    owned.sort_unstable();
    let not_running = async |running| store.heartbeat(me, LEASE, running).await.unwrap().not_running;
    assert_eq!(not_running(RunningPart::all(&[])).await, owned);
    assert_eq!(not_running(RunningPart::all(&owned[1..])).await, owned[..1]);
    let part = RunningPart { keys: &owned[1..2], after: owned[0], through: owned[2] };
    assert_eq!(not_running(part).await, [owned[2]], "the first and the last are in other parts");
}

pub(crate) async fn a_heartbeat_tells_an_executor_that_it_is_fenced(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    fence_out(&*store, me).await;
    assert!(!store.heartbeat(me, LEASE, RunningPart::all(&[])).await.unwrap().fence_holds);
    assert!(store.executors().await.unwrap().is_empty());
    let gone = Fence { executor: (-1).into(), epoch: 1.into() };
    assert!(!store.heartbeat(gone, LEASE, RunningPart::all(&[])).await.unwrap().fence_holds, "its row is gone");
}

pub(crate) async fn an_executor_can_announce_that_it_is_leaving(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    store.mark_leaving(me).await.unwrap();
    store.mark_leaving(me).await.unwrap();
    assert!(store.executors().await.unwrap()[0].leaving);
    assert!(
        store.heartbeat(me, NONE, RunningPart::all(&[])).await.unwrap().fence_holds,
        "it still finishes what it runs"
    );
    tokio::time::sleep(MOMENT).await; // the lease runs out
    let other = register_executor(&*store, "b").await;
    let seen = store.heartbeat(other, LEASE, RunningPart::all(&[])).await.unwrap();
    assert!(seen.expired[0].leaving);
    fence_out(&*store, me).await;
    store.mark_leaving(me).await.unwrap();
    assert_eq!(store.executors().await.unwrap().len(), 1, "a fenced executor stays fenced");
}

pub(crate) async fn registering_an_executor_twice_is_idempotent(StoreDatabase { store, .. }: StoreDatabase) {
    let it = executor("a", LEASE);
    let first = store.register_executor(&it).await.unwrap();
    assert_eq!(store.register_executor(&it).await.unwrap(), first);
    assert_eq!(store.executors().await.unwrap().len(), 1);
    fence_out(&*store, first).await;
    let late = store.register_executor(&it).await.unwrap();
    assert!(
        !store.heartbeat(late, LEASE, RunningPart::all(&[])).await.unwrap().fence_holds,
        "a late copy does not bring it back to life"
    );
}

pub(crate) async fn an_executor_with_a_stuck_workflow_keeps_its_row(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let stuck = start_running(&*store, me, "stuck").await;
    commit(&*store, me, begin(&workflow("free"))).await;
    assert_eq!(store.release(me, ReleaseRequest::AllExcept(&[stuck])).await.unwrap().direct, 1);
    store.remove_executor(me).await.unwrap();
    assert_eq!(store.executors().await.unwrap().len(), 1, "its lease has to expire first");
    commit(&*store, me, finish(success(stuck, "1"))).await;
    store.remove_executor(me).await.unwrap();
    store.remove_executor(me).await.unwrap();
    assert!(store.executors().await.unwrap().is_empty());
}
