//! Taking over the workflows of dead executors.

use std::time::Duration;

use durable_core::Status;
use durable_core::store::{
    Fence, Finish, KnownWorkflow, NewWorkflow, ParkedRun, QueueChange, ReleaseRequest, StoredLimits, TakeoverRequest,
    Timestamp, Verdict, WorkFound, WorkQuery,
};

use crate::support::store_database::StoreDatabase;
use crate::support::store_queues::{QUEUE, declare_queues, enqueue, on_queue, with_delay};
use crate::support::store_rows::{
    begin, cancel, commit, ends, fence_out, finish, known, record, records, register_executor, start_running, status,
    success, takeover_request, workflow,
};

fn parked(id: &str) -> ParkedRun {
    ParkedRun { id: id.to_owned(), name: "checkout".to_owned(), queue: None }
}

pub(crate) async fn workflows_of_a_dead_executor_are_taken_over_and_counted_as_recovered(
    StoreDatabase { store, .. }: StoreDatabase,
) {
    let dead = register_executor(&*store, "dead").await;
    let run = start_running(&*store, dead, "w").await;
    let ended = start_running(&*store, dead, "ended").await;
    commit(&*store, dead, finish(success(ended, "1"))).await;
    fence_out(&*store, dead).await;

    let heir = register_executor(&*store, "heir").await;
    let adopted = store.take_over(&takeover_request(heir, 10)).await.unwrap();
    assert_eq!((adopted.runs.len(), adopted.parked.len()), (1, 0));
    let it = &adopted.runs[0];
    assert_eq!((it.key, &*it.id, &*it.name, &*it.input), (run, "w", "checkout", r#"{"order":1}"#));
    assert_eq!((it.attempt, it.recoveries, it.fingerprint.get()), (2, 1, -7));
    let info = store.show("w").await.unwrap().expect("it was begun");
    assert_eq!((info.status, info.executor.as_deref(), info.attempts), (Status::Pending, Some("heir"), 2));
    assert!(info.started_at > Some(info.created_at));
    assert!(store.take_over(&takeover_request(heir, 10)).await.unwrap().runs.is_empty(), "nothing is left");

    store.fence_out(heir.executor, heir.epoch).await.unwrap();
    let third = register_executor(&*store, "third").await;
    let adopted = store.take_over(&takeover_request(third, 10)).await.unwrap();
    assert_eq!((adopted.runs[0].attempt, adopted.runs[0].recoveries), (3, 2));
}

pub(crate) async fn taking_over_a_released_workflow_is_not_a_recovery(StoreDatabase { store, .. }: StoreDatabase) {
    let leaving = register_executor(&*store, "leaving").await;
    start_running(&*store, leaving, "w").await;
    let released = store.release(leaving, ReleaseRequest::AllExcept(&[])).await.unwrap();
    assert_eq!((released.direct, released.queued), (1, 0));
    assert_eq!(status(&*store, "w").await, Some(Status::Pending));
    store.remove_executor(leaving).await.unwrap();

    let heir = register_executor(&*store, "heir").await;
    let adopted =
        store.take_over(&TakeoverRequest { known: known("checkout", 0), ..takeover_request(heir, 10) }).await.unwrap();
    assert_eq!((adopted.runs[0].attempt, adopted.runs[0].recoveries), (2, 0));
}

pub(crate) async fn taking_over_from_a_process_that_was_alive_is_not_a_recovery(
    StoreDatabase { store, .. }: StoreDatabase,
) {
    let (alive, dead) = (register_executor(&*store, "alive").await, register_executor(&*store, "dead").await);
    start_running(&*store, alive, "w").await;
    start_running(&*store, dead, "v").await;
    store.note_alive(dead.executor).await.unwrap(); // it is not fenced out yet, so this means nothing
    for executor in [alive, dead] {
        fence_out(&*store, executor).await;
    }
    store.note_alive(alive.executor).await.unwrap();
    let heir = register_executor(&*store, "heir").await;
    let never = TakeoverRequest { known: known("checkout", 0), ..takeover_request(heir, 10) };
    let taken = store.take_over(&never).await.unwrap();
    assert_eq!(taken.runs.iter().map(|it| (&*it.id, it.attempt, it.recoveries)).collect::<Vec<_>>(), [("w", 2, 0)]);
    assert_eq!(taken.parked, [parked("v")], "this one has crashed");
}

pub(crate) async fn workflows_of_live_executors_are_not_taken_over(StoreDatabase { store, .. }: StoreDatabase) {
    let (living, leaving) = (register_executor(&*store, "living").await, register_executor(&*store, "leaving").await);
    start_running(&*store, living, "w").await;
    start_running(&*store, leaving, "v").await;
    store.mark_leaving(leaving).await.unwrap();
    let other = register_executor(&*store, "other").await;
    assert!(store.take_over(&takeover_request(other, 10)).await.unwrap().runs.is_empty());
    assert!(store.take_over(&takeover_request(living, 10)).await.unwrap().runs.is_empty(), "its own ones run already");
}

pub(crate) async fn the_oldest_workflows_are_taken_over_first_up_to_the_limit(
    StoreDatabase { store, .. }: StoreDatabase,
) {
    let (dead, leaving) = (register_executor(&*store, "dead").await, register_executor(&*store, "leaving").await);
    let mut keys = Vec::new();
    for number in 0..10 {
        let owner = if number % 3 == 0 { leaving } else { dead };
        keys.push(start_running(&*store, owner, &format!("w-{number}")).await);
    }
    fence_out(&*store, dead).await;
    store.release(leaving, ReleaseRequest::AllExcept(&[])).await.unwrap();
    let heir = register_executor(&*store, "heir").await;
    let mut taken = Vec::new();
    for expected in [4, 4, 2, 0] {
        let runs = store.take_over(&takeover_request(heir, 4)).await.unwrap().runs;
        assert_eq!(runs.len(), expected);
        taken.extend(runs.iter().map(|it| it.key));
    }
    assert_eq!(taken, keys);
}

pub(crate) async fn workflows_unknown_to_the_executor_are_left_and_counted(StoreDatabase { store, .. }: StoreDatabase) {
    let dead = register_executor(&*store, "dead").await;
    for number in 0..3 {
        let foreign = NewWorkflow { name: "foreign".to_owned(), ..workflow(&format!("foreign-{number}")) };
        commit(&*store, dead, begin(&foreign)).await;
    }
    start_running(&*store, dead, "w").await;
    let heir = register_executor(&*store, "heir").await;
    start_running(&*store, heir, "own").await;
    assert!(store.count_unknown(&known("checkout", 1)).await.unwrap().is_empty(), "their executor is alive");
    fence_out(&*store, dead).await;
    assert_eq!(store.count_unknown(&known("checkout", 1)).await.unwrap(), [("foreign".to_owned(), 3)]);
    let all = [("checkout".to_owned(), 1), ("foreign".to_owned(), 3)];
    assert_eq!(store.count_unknown(&[]).await.unwrap(), all);
    let runs = store.take_over(&takeover_request(heir, 2)).await.unwrap().runs;
    assert_eq!(runs.iter().map(|it| &*it.id).collect::<Vec<_>>(), ["w"]);
    let nothing = store.take_over(&TakeoverRequest { known: Vec::new(), ..takeover_request(heir, 2) }).await.unwrap();
    assert!(nothing.runs.is_empty());
}

pub(crate) async fn a_workflow_over_its_recovery_limit_is_parked(StoreDatabase { store, .. }: StoreDatabase) {
    let mut owner = register_executor(&*store, "first").await;
    let run = start_running(&*store, owner, "w").await;
    let known = vec![
        KnownWorkflow { name: "another".to_owned(), max_recoveries: 9 },
        KnownWorkflow { name: "checkout".to_owned(), max_recoveries: 2 },
    ];
    for recovery in 1..=3 {
        fence_out(&*store, owner).await;
        owner = register_executor(&*store, "next").await;
        let adopted =
            store.take_over(&TakeoverRequest { known: known.clone(), ..takeover_request(owner, 10) }).await.unwrap();
        if recovery < 3 {
            assert_eq!((adopted.runs[0].recoveries, adopted.parked.len()), (recovery, 0));
        } else {
            assert!(adopted.runs.is_empty());
            assert_eq!(adopted.parked, [parked("w")]);
        }
    }
    let info = store.show("w").await.unwrap().expect("it was begun");
    assert_eq!((info.status, info.recoveries, info.attempts, info.completed_at), (Status::Parked, 2, 3, None));
    assert_eq!(
        info.reason.as_deref(),
        Some(
            "recovered 2 times without coming to an end (max_recoveries = 2); it may crash the process each time; \
once that is mended: `durable resume w`"
        )
    );
    let ended = ends(&*store, &["w".to_owned()]).await;
    assert_eq!((ended[0].status, &ended[0].reason), (Status::Parked, &info.reason));
    let late = Finish { attempt: 3, ..success(run, "1") };
    assert_eq!(commit(&*store, owner, finish(late)).await, Verdict::Superseded);
}

pub(crate) async fn a_fenced_executor_takes_over_nothing(StoreDatabase { store, .. }: StoreDatabase) {
    let (dead, fenced) = (register_executor(&*store, "dead").await, register_executor(&*store, "fenced").await);
    start_running(&*store, dead, "w").await;
    fence_out(&*store, dead).await;
    fence_out(&*store, fenced).await;
    assert!(store.take_over(&takeover_request(fenced, 10)).await.unwrap().runs.is_empty());
    assert_eq!(store.show("w").await.unwrap().expect("it was begun").attempts, 1);
}

pub(crate) async fn a_run_cannot_end_a_workflow_that_was_taken_over(StoreDatabase { store, .. }: StoreDatabase) {
    // Released and taken over by the same executor: the fence is the same, and only the run differs.
    let me = register_executor(&*store, "a").await;
    let run = start_running(&*store, me, "w").await;
    store.release(me, ReleaseRequest::AllExcept(&[])).await.unwrap();
    assert_eq!(store.take_over(&takeover_request(me, 10)).await.unwrap().runs[0].attempt, 2);
    assert_eq!(commit(&*store, me, finish(success(run, "1"))).await, Verdict::Superseded);
    let both = [finish(success(run, "1")), records([record(run, 1, "1")])];
    let verdicts = store.commit(me, &both, false).await.unwrap();
    assert_eq!(verdicts, [Verdict::Superseded, Verdict::Stored]);
    let second = Finish { attempt: 2, ..success(run, "1") };
    assert_eq!(commit(&*store, me, finish(second)).await, Verdict::Stored);
}

pub(crate) async fn a_taken_over_workflow_keeps_its_deadline(StoreDatabase { store, .. }: StoreDatabase) {
    let dead = register_executor(&*store, "dead").await;
    let at = Some(Timestamp::from_micros(1_234_567));
    let limited = |id| NewWorkflow { deadline: at, ..workflow(id) };
    commit(&*store, dead, begin(&limited("lone"))).await;
    let two = [begin(&limited("one-of-two")), begin(&workflow("unlimited"))];
    store.commit(dead, &two, false).await.unwrap();
    store.commit(dead, &[begin(&limited("careful"))], true).await.unwrap();
    fence_out(&*store, dead).await;
    let heir = register_executor(&*store, "heir").await;
    let mut runs = store.take_over(&takeover_request(heir, 10)).await.unwrap().runs;
    runs.sort_by(|a, b| a.id.cmp(&b.id));
    let deadlines: Vec<_> = runs.iter().map(|it| (&*it.id, it.deadline)).collect();
    assert_eq!(deadlines, [("careful", at), ("lone", at), ("one-of-two", at), ("unlimited", None)]);
}

pub(crate) async fn a_takeover_without_an_answer_can_be_repeated(StoreDatabase { store, .. }: StoreDatabase) {
    let (dead, heir) = (register_executor(&*store, "dead").await, register_executor(&*store, "heir").await);
    let lost = start_running(&*store, dead, "lost").await;
    let has_a_body = start_running(&*store, dead, "has a body").await;
    fence_out(&*store, dead).await;
    assert_eq!(store.take_over(&takeover_request(heir, 10)).await.unwrap().runs.len(), 2); // and the reply is lost
    start_running(&*store, heir, "begun a moment ago").await;

    let unsure =
        TakeoverRequest { running: Some(vec![has_a_body]), known: known("checkout", 1), ..takeover_request(heir, 10) };
    let adopted = store.take_over(&unsure).await.unwrap();
    assert_eq!(adopted.runs.iter().map(|it| it.key).collect::<Vec<_>>(), [lost]);
    assert_eq!((adopted.runs[0].attempt, adopted.runs[0].recoveries), (3, 1), "it was not recovered twice");
    let unsure = TakeoverRequest { running: Some(vec![has_a_body, lost]), ..unsure };
    assert!(store.take_over(&unsure).await.unwrap().runs.is_empty());
}

pub(crate) async fn remaining_work_is_reported(StoreDatabase { store, .. }: StoreDatabase) {
    let (me, other) = (register_executor(&*store, "a").await, register_executor(&*store, "b").await);
    let asks = async |fence: Fence, queue: &str, name: &str| {
        let query = WorkQuery {
            executor: fence.executor,
            queues: vec![queue.to_owned()],
            delayed: true,
            known: known(name, 1),
        };
        store.work_left(&query).await.unwrap()
    };
    let nothing = WorkFound::default();
    assert_eq!(asks(me, QUEUE, "checkout").await, nothing);

    start_running(&*store, me, "w").await;
    assert_eq!(asks(me, QUEUE, "checkout").await, WorkFound { own: true, ..nothing });
    assert_eq!(asks(other, QUEUE, "checkout").await, nothing, "it has an owner");
    store.release(me, ReleaseRequest::AllExcept(&[])).await.unwrap();
    assert_eq!(asks(other, QUEUE, "checkout").await, WorkFound { released: true, ..nothing });
    assert_eq!(asks(other, QUEUE, "refund").await, nothing, "this executor cannot run it");
    cancel(&*store, "w", "by hand").await;

    declare_queues(&*store, StoredLimits::default()).await;
    enqueue(&*store, me, "q", on_queue()).await;
    enqueue(&*store, me, "d", with_delay(Duration::from_hours(1))).await;
    let queued = WorkFound { queued: true, ..nothing };
    assert_eq!(asks(other, QUEUE, "checkout").await, queued);
    assert_eq!(asks(other, "parcels", "checkout").await, nothing);
    assert_eq!(asks(other, QUEUE, "refund").await, nothing);
    store.change_queue(QUEUE, QueueChange::Pause).await.unwrap();
    assert_eq!(asks(other, QUEUE, "checkout").await, nothing, "nothing is claimed from a paused queue");
    store.change_queue(QUEUE, QueueChange::Resume).await.unwrap();
    cancel(&*store, "q", "by hand").await;
    assert_eq!(asks(other, QUEUE, "checkout").await, queued, "the delayed one is still to come");
}

/// More than one statement releases.
pub(crate) async fn a_release_of_many_workflows_releases_all_but_the_exceptions(
    StoreDatabase { store, .. }: StoreDatabase,
) {
    let me = register_executor(&*store, "a").await;
    let all: Vec<NewWorkflow> = (0..50_010).map(|it| workflow(&format!("w-{it}"))).collect();
    for some in all.chunks(1_000) {
        let entries: Vec<_> = some.iter().map(begin).collect();
        assert!(store.commit(me, &entries, false).await.unwrap().iter().all(|it| *it == Verdict::Stored));
    }
    let stuck = [all[0].key, all[50_009].key];
    let released = store.release(me, ReleaseRequest::AllExcept(&stuck)).await.unwrap();
    assert_eq!((released.direct, released.queued), (50_008, 0));
    let released = store.release(me, ReleaseRequest::Only(&stuck)).await.unwrap();
    assert_eq!((released.direct, released.queued), (2, 0), "the exceptions were left");
    assert_eq!(store.release(me, ReleaseRequest::AllExcept(&[])).await.unwrap().direct, 0, "none is left");
}
