//! Claims from queues without limits, and the claimed workflows.

use std::time::Duration;

use durable_core::Status;
use durable_core::store::{
    ClaimRequest, KnownWorkflow, NewQueue, NewWorkflow, QueueChange, QueuePlacement, RunningPart, StatementCounts,
    StoredLimits, TakeoverRequest, Timestamp, Verdict,
};

use crate::support::store_database::StoreDatabase;
use crate::support::store_queues::{
    QUEUE, claim, claim_ids, declare_queues, end_run, enqueue, enqueue_together, on_queue, queued_workflow, request,
    with_concurrency, with_deduplication, with_delay, with_priority, with_rate_limit,
};
use crate::support::store_rows::{
    begin, commit, fence_out, known, register_executor, start_running, status, takeover_request, workflow,
};

pub(crate) async fn claims_follow_priority_and_then_enqueue_time(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    for (id, priority) in [("c", 0), ("e", 5), ("a", -1), ("d", 0)] {
        enqueue(&*store, me, id, with_priority(priority)).await;
    }
    enqueue_together(
        &*store,
        me,
        &[queued_workflow("b-2", with_priority(-1)), queued_workflow("b-1", with_priority(-1))],
    )
    .await;
    enqueue(&*store, me, "elsewhere", QueuePlacement { queue: "letters".to_owned(), ..with_priority(-9) }).await;
    start_running(&*store, me, "direct").await;
    assert_eq!(claim_ids(&*store, me, 4).await, ["a", "b-2", "b-1", "c"]);
    assert_eq!(claim_ids(&*store, me, 0).await, [""; 0]);
    assert_eq!(claim_ids(&*store, me, 4).await, ["d", "e"]);
    assert_eq!(claim_ids(&*store, me, 4).await, [""; 0]);
    assert_eq!(status(&*store, "elsewhere").await, Some(Status::Enqueued));
}

pub(crate) async fn a_claimed_workflow_is_pending_and_owned_by_the_claimer(StoreDatabase { store, .. }: StoreDatabase) {
    let other = register_executor(&*store, "other").await;
    let me = register_executor(&*store, "me").await;
    let new = NewWorkflow { instance: Some("i".to_owned()), ..queued_workflow("w", on_queue()) };
    commit(&*store, other, begin(&new)).await;
    let run = claim(&*store, me, 1).await.runs.remove(0);
    assert_eq!((run.key, &*run.id, &*run.name, &*run.input), (new.key, "w", "checkout", &*new.input));
    assert_eq!((run.instance.as_deref(), run.queue.as_deref(), run.deadline), (Some("i"), Some(QUEUE), None));
    assert_eq!((run.attempt, run.recoveries, run.fingerprint.get()), (1, 0, -7));
    let info = store.show("w").await.unwrap().expect("it runs");
    assert_eq!((info.status, info.executor.as_deref(), info.attempts), (Status::Pending, Some("me"), 1));
    assert!(info.started_at >= Some(info.created_at));
    end_run(&*store, me, &run).await;
    assert_eq!(status(&*store, "w").await, Some(Status::Success));
}

pub(crate) async fn workflows_unknown_to_the_claimer_stay_in_the_queue(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let foreign = NewWorkflow { name: "foreign".to_owned(), ..queued_workflow("foreign", on_queue()) };
    enqueue_together(&*store, me, &[foreign, queued_workflow("w", on_queue()), queued_workflow("v", on_queue())]).await;
    assert_eq!(claim_ids(&*store, me, 1).await, ["w"]);
    let nothing = ClaimRequest { known: Vec::new(), ..request(me, 9) };
    assert!(store.claim(&nothing).await.unwrap().runs.is_empty());
    let both = ClaimRequest { known: vec!["foreign".to_owned(), "checkout".to_owned()], ..request(me, 9) };
    let runs = store.claim(&both).await.unwrap().runs;
    assert_eq!(runs.iter().map(|it| &*it.id).collect::<Vec<_>>(), ["foreign", "v"]);
}

pub(crate) async fn nothing_is_claimed_from_a_paused_queue(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    for limits in
        [StoredLimits::default(), with_concurrency(5), StoredLimits { partitioned: true, ..with_concurrency(5) }]
    {
        declare_queues(&*store, limits).await;
        enqueue(&*store, me, &format!("w {limits:?}"), on_queue()).await;
        assert!(store.change_queue(QUEUE, QueueChange::Pause).await.unwrap());
        let claimed = claim(&*store, me, 9).await;
        assert_eq!((claimed.runs.len(), claimed.paused, claimed.limits), (0, true, limits));
        assert!(store.change_queue(QUEUE, QueueChange::Resume).await.unwrap());
        let claimed = claim(&*store, me, 9).await;
        assert_eq!((claimed.runs.len(), claimed.paused, claimed.limits), (1, false, limits));
        end_run(&*store, me, &claimed.runs[0]).await;
    }
    assert!(!store.change_queue("nowhere", QueueChange::Pause).await.unwrap());
}

pub(crate) async fn a_fenced_executor_claims_nothing(StoreDatabase { store, .. }: StoreDatabase) {
    let (me, dead) = (register_executor(&*store, "me").await, register_executor(&*store, "dead").await);
    fence_out(&*store, dead).await;
    let limited =
        [StoredLimits::default(), with_concurrency(5), StoredLimits { partitioned: true, ..with_rate_limit(9, LONG) }];
    for (number, limits) in limited.into_iter().enumerate() {
        declare_queues(&*store, limits).await;
        let id = format!("w-{number}");
        enqueue(&*store, me, &id, on_queue()).await;
        let claimed = claim(&*store, dead, 9).await;
        assert_eq!((claimed.runs.len(), claimed.limits), (0, limits));
        let runs = claim(&*store, me, 9).await.runs;
        assert_eq!(runs.iter().map(|it| &*it.id).collect::<Vec<_>>(), [&*id]);
        end_run(&*store, me, &runs[0]).await;
    }
}

const LONG: Duration = Duration::from_hours(1);

pub(crate) async fn a_queued_timeout_starts_at_the_claim(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let timeout = Some(Duration::from_secs(10));
    let limited = NewWorkflow { timeout, ..queued_workflow("limited", on_queue()) };
    let deadline = Some(Timestamp::from_micros(1_234_567));
    let inherited = NewWorkflow { timeout, deadline, ..queued_workflow("inherited", on_queue()) };
    enqueue_together(&*store, me, &[limited, inherited, queued_workflow("unlimited", on_queue())]).await;
    assert_eq!(store.show("limited").await.unwrap().expect("it waits").deadline, None);
    let runs = claim(&*store, me, 9).await.runs;
    let started = store.show("limited").await.unwrap().expect("it runs").started_at.expect("it runs");
    let deadlines: Vec<_> = runs.iter().map(|it| it.deadline).collect();
    assert_eq!(
        deadlines,
        [Some(Timestamp::from_date(started).saturating_add(Duration::from_secs(10))), deadline, None]
    );

    // A returned claim has not started; a recovered one has.
    let keys: Vec<_> = runs.iter().map(|it| it.key).collect();
    store.return_claims(me, &keys).await.unwrap();
    assert_eq!(store.show("limited").await.unwrap().expect("it waits").deadline, None);
    let at = store.show("inherited").await.unwrap().expect("it waits").deadline;
    assert_eq!(at.map(Timestamp::from_date), deadline);
    let first = claim(&*store, me, 1).await.runs.remove(0);
    fence_out(&*store, me).await;
    let heir = register_executor(&*store, "heir").await;
    store.take_over(&takeover_request(heir, 10)).await.unwrap();
    let second = claim(&*store, heir, 1).await.runs.remove(0);
    assert_eq!((second.key, second.deadline), (first.key, first.deadline));
    store.return_claims(heir, &[second.key]).await.unwrap();
    let third = claim(&*store, heir, 1).await.runs.remove(0);
    assert_eq!((third.key, third.deadline), (first.key, first.deadline), "it had begun before that claim");
}

pub(crate) async fn a_returned_claim_keeps_its_position_in_the_queue(StoreDatabase { store, .. }: StoreDatabase) {
    let (me, other) = (register_executor(&*store, "me").await, register_executor(&*store, "other").await);
    let direct = start_running(&*store, me, "direct").await;
    for id in ["a", "b", "c", "d"] {
        enqueue(&*store, me, id, on_queue()).await;
    }
    let mine = claim(&*store, me, 2).await.runs;
    let theirs = claim(&*store, other, 1).await.runs;
    end_run(&*store, me, &mine[0]).await;
    let keys = [mine[0].key, mine[1].key, theirs[0].key, direct, 999_999.into()];
    store.return_claims(me, &keys).await.unwrap();
    store.return_claims(me, &keys).await.unwrap();
    assert_eq!(status(&*store, "a").await, Some(Status::Success));
    assert_eq!(status(&*store, "c").await, Some(Status::Pending), "it is another one's");
    assert_eq!(status(&*store, "direct").await, Some(Status::Pending), "it came from no queue");
    let info = store.show("b").await.unwrap().expect("it waits");
    assert_eq!((info.status, info.executor, info.started_at, info.attempts), (Status::Enqueued, None, None, 0));
    let runs = claim(&*store, other, 9).await.runs;
    assert_eq!(runs.iter().map(|it| (&*it.id, it.attempt)).collect::<Vec<_>>(), [("b", 1), ("d", 1)]);
    store.return_claims(me, &[runs[0].key]).await.unwrap();
    fence_out(&*store, other).await;
    store.return_claims(other, &[runs[0].key]).await.unwrap();
    assert_eq!(status(&*store, "b").await, Some(Status::Pending), "a deposed executor gives nothing back");
}

pub(crate) async fn workflows_of_a_claim_without_an_answer_are_released(StoreDatabase { store, .. }: StoreDatabase) {
    let (me, other) = (register_executor(&*store, "me").await, register_executor(&*store, "other").await);
    declare_queues(&*store, with_rate_limit(9, LONG)).await;
    start_running(&*store, me, "direct").await;
    let elsewhere = QueuePlacement { queue: "letters".to_owned(), ..on_queue() };
    enqueue(&*store, me, "elsewhere", elsewhere).await;
    for id in ["a", "b", "c", "d"] {
        enqueue(&*store, me, id, on_queue()).await;
    }
    let held = claim(&*store, me, 1).await.runs;
    claim(&*store, other, 1).await;
    let letters = ClaimRequest { queue: "letters".to_owned(), ..request(me, 1) };
    assert_eq!(store.claim(&letters).await.unwrap().runs.len(), 1);
    drop(claim(&*store, me, 2).await);
    assert_eq!(store.release_unknown_claims(me, QUEUE, &[held[0].key]).await.unwrap(), 2);
    assert_eq!(store.release_unknown_claims(me, QUEUE, &[held[0].key]).await.unwrap(), 0);
    assert_eq!(claim_ids(&*store, other, 9).await, ["c", "d"]);
    for id in ["a", "b", "direct", "elsewhere"] {
        assert_eq!(status(&*store, id).await, Some(Status::Pending), "{id}");
    }
    fence_out(&*store, me).await;
    assert_eq!(store.release_unknown_claims(me, QUEUE, &[]).await.unwrap(), 0);
}

pub(crate) async fn queued_workflows_of_a_dead_executor_go_back_to_their_queues(
    StoreDatabase { store, .. }: StoreDatabase,
) {
    let dead = register_executor(&*store, "dead").await;
    let letters = QueuePlacement { queue: "letters".to_owned(), ..on_queue() };
    let foreign = NewWorkflow { name: "foreign".to_owned(), ..queued_workflow("foreign", letters) };
    enqueue_together(
        &*store,
        dead,
        &[queued_workflow("a", on_queue()), foreign, queued_workflow("b", with_deduplication("k"))],
    )
    .await;
    enqueue(&*store, dead, "waits", on_queue()).await;
    start_running(&*store, dead, "direct").await;
    assert_eq!(claim_ids(&*store, dead, 2).await, ["a", "b"]);
    let all = ClaimRequest { queue: "letters".to_owned(), known: vec!["foreign".to_owned()], ..request(dead, 2) };
    assert_eq!(store.claim(&all).await.unwrap().runs.len(), 1);
    fence_out(&*store, dead).await;

    let heir = register_executor(&*store, "heir").await;
    assert!(store.heartbeat(heir, LONG, RunningPart::all(&[])).await.unwrap().orphans);
    assert!(store.count_unknown(&known("checkout", 1)).await.unwrap().is_empty(), "other programs may claim it");
    let adopted = store.take_over(&takeover_request(heir, 10)).await.unwrap();
    assert_eq!(adopted.runs.iter().map(|it| (&*it.id, &it.queue)).collect::<Vec<_>>(), [("direct", &None)]);
    assert_eq!((adopted.parked.len(), adopted.requeued), (0, vec!["letters".to_owned(), QUEUE.to_owned()]));
    for id in ["a", "b", "foreign"] {
        let info = store.show(id).await.unwrap().expect("it waits");
        assert_eq!((info.status, info.executor, info.started_at), (Status::Enqueued, None, None), "{id}");
        assert_eq!((info.attempts, info.recoveries), (1, 1), "{id}");
    }
    assert!(!store.heartbeat(heir, LONG, RunningPart::all(&[])).await.unwrap().orphans);
    let nothing = store.take_over(&takeover_request(heir, 10)).await.unwrap();
    assert!(nothing.runs.is_empty() && nothing.requeued.is_empty());
    let runs = claim(&*store, heir, 9).await.runs;
    let text: Vec<_> = runs.iter().map(|it| (&*it.id, it.attempt, it.recoveries)).collect();
    assert_eq!(text, [("a", 2, 1), ("b", 2, 1), ("waits", 1, 0)]);
}

pub(crate) async fn a_queued_workflow_over_its_recovery_limit_is_parked(StoreDatabase { store, .. }: StoreDatabase) {
    let mut owner = register_executor(&*store, "first").await;
    enqueue(&*store, owner, "w", on_queue()).await;
    for recovery in 1..=3 {
        assert_eq!(claim(&*store, owner, 1).await.runs[0].attempt, recovery);
        fence_out(&*store, owner).await;
        owner = register_executor(&*store, "next").await;
        let known = vec![KnownWorkflow { name: "checkout".to_owned(), max_recoveries: 2 }];
        let adopted = store.take_over(&TakeoverRequest { known, ..takeover_request(owner, 10) }).await.unwrap();
        let expected = if recovery < 3 { (0, vec![QUEUE.to_owned()]) } else { (1, Vec::new()) };
        assert_eq!((adopted.parked.len(), adopted.requeued), expected);
    }
    let info = store.show("w").await.unwrap().expect("it is parked");
    assert_eq!((info.status, info.recoveries, info.attempts), (Status::Parked, 2, 3));
    assert!(info.reason.is_some_and(|it| it.contains("max_recoveries = 2")));
}

pub(crate) async fn limits_come_from_the_code_until_they_are_changed(StoreDatabase { store, .. }: StoreDatabase) {
    let limits = async || {
        let row = store.queues().await.unwrap().into_iter().find(|it| it.name == QUEUE).expect("it was declared");
        (row.limits, row.changed)
    };
    store.declare_queues(&[]).await.unwrap();
    let everything = StoredLimits {
        concurrency: Some(7),
        worker_concurrency: Some(3),
        partitioned: true,
        partition_concurrency: Some(2),
        partition_rate_limit: Some(crate::support::store_queues::rate(4, Duration::from_millis(1_500))),
        ..with_rate_limit(100, LONG)
    };
    let letters = NewQueue { name: "letters".to_owned(), limits: with_concurrency(1) };
    store.declare_queues(&[NewQueue { name: QUEUE.to_owned(), limits: everything }, letters]).await.unwrap();
    assert_eq!(limits().await, (everything, false));
    declare_queues(&*store, with_concurrency(2)).await;
    assert_eq!(limits().await, (with_concurrency(2), false));
    let before = store.statement_counts();
    declare_queues(&*store, with_concurrency(2)).await;
    assert_eq!(
        store.statement_counts() - before,
        StatementCounts { statements: 1, commits: 0, notifications: 0 },
        "nothing is new"
    );
    assert!(store.change_queue(QUEUE, QueueChange::Limits(everything)).await.unwrap());
    declare_queues(&*store, with_concurrency(3)).await;
    assert_eq!(limits().await, (everything, true), "what was changed stays");
    assert!(store.change_queue(QUEUE, QueueChange::LimitsOfCode(with_concurrency(3))).await.unwrap());
    assert_eq!(limits().await, (with_concurrency(3), false));
    declare_queues(&*store, StoredLimits::default()).await;
    assert_eq!(limits().await, (StoredLimits::default(), false));
    assert!(!store.change_queue("nowhere", QueueChange::Limits(with_concurrency(1))).await.unwrap());
}

pub(crate) async fn queues_report_their_depth(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    declare_queues(&*store, with_concurrency(9)).await;
    store.declare_queues(&[NewQueue { name: "empty".to_owned(), limits: StoredLimits::default() }]).await.unwrap();
    start_running(&*store, me, "direct").await;
    for id in ["a", "b", "c", "d"] {
        enqueue(&*store, me, id, on_queue()).await;
    }
    enqueue(&*store, me, "late", with_delay(LONG)).await;
    enqueue(&*store, me, "undeclared", QueuePlacement { queue: "letters".to_owned(), ..on_queue() }).await;
    let run = claim(&*store, me, 2).await.runs.remove(0);
    end_run(&*store, me, &run).await;
    let rows = store.queues().await.unwrap();
    let text: Vec<_> = rows.iter().map(|it| (&*it.name, it.enqueued, it.delayed, it.running)).collect();
    assert_eq!(text, [("empty", 0, 0, 0), ("letters", 1, 0, 0), (QUEUE, 2, 1, 1)]);
    let oldest = Timestamp::from_date(store.show("c").await.unwrap().expect("it waits").created_at);
    assert_eq!((rows[0].oldest, rows[2].oldest, rows[2].paused), (None, Some(oldest), false));
    assert_eq!((rows[1].limits, rows[2].limits), (StoredLimits::default(), with_concurrency(9)));
    store.change_queue(QUEUE, QueueChange::Pause).await.unwrap();
    assert!(store.queues().await.unwrap()[2].paused);
}

pub(crate) async fn claims_execute_a_fixed_number_of_statements(database: StoreDatabase) {
    let store = &*database.store;
    let me = register_executor(store, "a").await;
    let costs = |postgres, sqlite, commits| {
        let statements = if database.is_postgres() { postgres } else { sqlite };
        StatementCounts { statements, commits, notifications: 0 }
    };
    let many: Vec<_> = (0..100).map(|it| queued_workflow(&format!("w-{it}"), on_queue())).collect();
    let mut before = store.statement_counts();
    let mut spent = || {
        let now = store.statement_counts();
        let spent = now - before;
        before = now;
        spent
    };
    for limits in [None, Some(StoredLimits::default())] {
        if let Some(limits) = limits {
            declare_queues(store, limits).await;
        }
        spent();
        claim(store, me, 9).await;
        assert_eq!(spent(), costs(1, 1, 0), "nothing is there");
        enqueue_together(
            store,
            me,
            &many.iter().map(|it| queued_workflow(&format!("{} {limits:?}", it.id), on_queue())).collect::<Vec<_>>(),
        )
        .await;
        spent();
        assert_eq!(claim(store, me, 64).await.runs.len(), 64);
        assert_eq!(spent(), costs(1, 2, 1), "in SQLite a look before it");
        claim(store, me, 64).await;
        spent();
    }
    declare_queues(store, with_concurrency(130)).await;
    enqueue_together(store, me, &many).await;
    let run = claim(store, me, 0).await;
    assert!(run.runs.is_empty());
    spent();
    claim(store, me, 0).await;
    spent();
    // 200 run already, so nothing may be claimed.
    claim(store, me, 9).await;
    assert_eq!(spent(), costs(1, 1, 0), "it is full");
    declare_queues(store, with_concurrency(210)).await;
    spent();
    assert_eq!(claim(store, me, 64).await.runs.len(), 10);
    // The check; then begin, the queue's limits, the claim (in SQLite a select and an update), commit.
    assert_eq!(spent(), costs(5, 6, 1));
    store.promote().await.unwrap();
    assert_eq!(spent(), costs(1, 1, 0));
    store.queues().await.unwrap();
    assert_eq!(spent(), costs(1, 1, 0));
    commit(store, me, begin(&workflow("direct"))).await;
    assert_eq!(spent(), costs(1, 1, 1), "what goes on no queue costs what it cost");
    assert_eq!(commit(store, me, begin(&queued_workflow("late", with_delay(LONG)))).await, Verdict::Stored);
    assert_eq!(spent(), costs(1, 1, 1));
}

pub(crate) async fn one_statement_asks_which_queues_have_work(StoreDatabase { store, .. }: StoreDatabase) {
    let store = &*store;
    let me = register_executor(store, "a").await;
    let on = |queue: &str| QueuePlacement { queue: queue.to_owned(), ..on_queue() };
    enqueue(store, me, "w", on_queue()).await;
    enqueue(store, me, "elsewhere", on("of others")).await;
    enqueue(store, me, "late", QueuePlacement { delay: Some(LONG), ..on("letters") }).await;
    let names: Vec<_> = ["letters", "mail", "nothing ever"].map(str::to_owned).into();
    let before = store.statement_counts();
    assert_eq!(store.queues_with_work(&names).await.unwrap(), [QUEUE]);
    let spent = store.statement_counts() - before;
    assert_eq!((spent.statements, spent.commits), (1, 0));
    assert_eq!(claim_ids(store, me, 1).await, ["w"]);
    assert!(store.queues_with_work(&names).await.unwrap().is_empty());
    assert!(store.queues_with_work(&[]).await.unwrap().is_empty());
}
