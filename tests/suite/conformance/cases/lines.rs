//! Who gets a turn on a queue without limits, and what becomes of those who had one.

use std::time::Duration;

use durable_core::Status;
use durable_core::store::{
    ClaimRequest, KnownWorkflow, NewQueue, NewWorkflow, QueueChange, QueuePlacement, StatementCounts, StoredLimits,
    TakeoverRequest, Verdict,
};

use super::super::line::{
    MAIL, all_enqueued, at_once, claim, declare_queues, delayed, ended, enqueued, mail, of_key, placed, rated, request,
    sole, taken, urgent,
};
use super::super::make::{adopting, begin, commit, fence_out, known, register_executor, running, status, workflow};
use super::super::site::Site;

pub(crate) async fn turns_go_by_priority_and_then_by_time(Site { store, .. }: Site) {
    let me = register_executor(&*store, "a").await;
    for (id, priority) in [("c", 0), ("e", 5), ("a", -1), ("d", 0)] {
        enqueued(&*store, me, id, urgent(priority)).await;
    }
    all_enqueued(&*store, me, &[placed("b-2", urgent(-1)), placed("b-1", urgent(-1))]).await;
    enqueued(&*store, me, "elsewhere", QueuePlacement { queue: "letters".to_owned(), ..urgent(-9) }).await;
    running(&*store, me, "direct").await;
    assert_eq!(taken(&*store, me, 4).await, ["a", "b-2", "b-1", "c"]);
    assert_eq!(taken(&*store, me, 0).await, [""; 0]);
    assert_eq!(taken(&*store, me, 4).await, ["d", "e"]);
    assert_eq!(taken(&*store, me, 4).await, [""; 0]);
    assert_eq!(status(&*store, "elsewhere").await, Some(Status::Enqueued));
}

pub(crate) async fn a_claimed_workflow_is_the_claimers_and_runs(Site { store, .. }: Site) {
    let other = register_executor(&*store, "other").await;
    let me = register_executor(&*store, "me").await;
    let new = NewWorkflow { instance: Some("i".to_owned()), ..placed("w", mail()) };
    commit(&*store, other, begin(&new)).await;
    let run = claim(&*store, me, 1).await.runs.remove(0);
    assert_eq!((run.key, &*run.id, &*run.name, &run.input), (new.key, "w", "checkout", &new.input));
    assert_eq!((run.instance.as_deref(), run.queue.as_deref(), run.deadline), (Some("i"), Some(MAIL), None));
    assert_eq!((run.attempt, run.recoveries, run.fingerprint), (1, 0, -7));
    let info = store.show("w").await.unwrap().expect("it runs");
    assert_eq!((info.status, info.executor.as_deref(), info.attempts), (Status::Pending, Some("me"), 1));
    assert!(info.started_at >= Some(info.created_at));
    ended(&*store, me, &run).await;
    assert_eq!(status(&*store, "w").await, Some(Status::Success));
}

pub(crate) async fn unknown_names_are_left_for_those_who_know_them(Site { store, .. }: Site) {
    let me = register_executor(&*store, "a").await;
    let foreign = NewWorkflow { name: "foreign".to_owned(), ..placed("foreign", mail()) };
    all_enqueued(&*store, me, &[foreign, placed("w", mail()), placed("v", mail())]).await;
    assert_eq!(taken(&*store, me, 1).await, ["w"]);
    let nothing = ClaimRequest { known: Vec::new(), ..request(me, 9) };
    assert!(store.claim(&nothing).await.unwrap().runs.is_empty());
    let both = ClaimRequest { known: vec!["foreign".to_owned(), "checkout".to_owned()], ..request(me, 9) };
    let runs = store.claim(&both).await.unwrap().runs;
    assert_eq!(runs.iter().map(|it| &*it.id).collect::<Vec<_>>(), ["foreign", "v"]);
}

pub(crate) async fn a_paused_queue_gives_nothing(Site { store, .. }: Site) {
    let me = register_executor(&*store, "a").await;
    for limits in [StoredLimits::default(), at_once(5), StoredLimits { partitioned: true, ..at_once(5) }] {
        declare_queues(&*store, limits).await;
        enqueued(&*store, me, &format!("w {limits:?}"), mail()).await;
        assert!(store.change_queue(MAIL, QueueChange::Pause).await.unwrap());
        let claimed = claim(&*store, me, 9).await;
        assert_eq!((claimed.runs.len(), claimed.paused, claimed.limits), (0, true, limits));
        assert!(store.change_queue(MAIL, QueueChange::Resume).await.unwrap());
        let claimed = claim(&*store, me, 9).await;
        assert_eq!((claimed.runs.len(), claimed.paused, claimed.limits), (1, false, limits));
        ended(&*store, me, &claimed.runs[0]).await;
    }
    assert!(!store.change_queue("nowhere", QueueChange::Pause).await.unwrap());
}

pub(crate) async fn a_deposed_executor_claims_nothing(Site { store, .. }: Site) {
    let (me, dead) = (register_executor(&*store, "me").await, register_executor(&*store, "dead").await);
    fence_out(&*store, dead).await;
    let limited = [StoredLimits::default(), at_once(5), StoredLimits { partitioned: true, ..rated(9, LONG) }];
    for (number, limits) in limited.into_iter().enumerate() {
        declare_queues(&*store, limits).await;
        let id = format!("w-{number}");
        enqueued(&*store, me, &id, mail()).await;
        let claimed = claim(&*store, dead, 9).await;
        assert_eq!((claimed.runs.len(), claimed.limits), (0, limits));
        let runs = claim(&*store, me, 9).await.runs;
        assert_eq!(runs.iter().map(|it| &*it.id).collect::<Vec<_>>(), [&*id]);
        ended(&*store, me, &runs[0]).await;
    }
}

const LONG: Duration = Duration::from_hours(1);

pub(crate) async fn a_deadline_begins_with_the_claim(Site { store, .. }: Site) {
    let me = register_executor(&*store, "a").await;
    let timeout = Some(Duration::from_secs(10));
    let limited = NewWorkflow { timeout, ..placed("limited", mail()) };
    let inherited = NewWorkflow { timeout, deadline: Some(1_234_567), ..placed("inherited", mail()) };
    all_enqueued(&*store, me, &[limited, inherited, placed("unlimited", mail())]).await;
    assert_eq!(store.show("limited").await.unwrap().expect("it waits").deadline, None);
    let runs = claim(&*store, me, 9).await.runs;
    let started = store.show("limited").await.unwrap().expect("it runs").started_at.expect("it runs");
    let deadlines: Vec<_> = runs.iter().map(|it| it.deadline).collect();
    assert_eq!(deadlines, [Some(started.timestamp_micros() + 10_000_000), Some(1_234_567), None]);

    // What was given back has not begun; what was recovered has.
    let keys: Vec<_> = runs.iter().map(|it| it.key).collect();
    store.return_claims(me, &keys).await.unwrap();
    assert_eq!(store.show("limited").await.unwrap().expect("it waits").deadline, None);
    let at = store.show("inherited").await.unwrap().expect("it waits").deadline;
    assert_eq!(at.map(|it| it.timestamp_micros()), Some(1_234_567));
    let first = claim(&*store, me, 1).await.runs.remove(0);
    fence_out(&*store, me).await;
    let heir = register_executor(&*store, "heir").await;
    store.take_over(&adopting(heir, 10)).await.unwrap();
    let second = claim(&*store, heir, 1).await.runs.remove(0);
    assert_eq!((second.key, second.deadline), (first.key, first.deadline));
    store.return_claims(heir, &[second.key]).await.unwrap();
    let third = claim(&*store, heir, 1).await.runs.remove(0);
    assert_eq!((third.key, third.deadline), (first.key, first.deadline), "it had begun before that claim");
}

pub(crate) async fn what_is_given_back_stands_in_its_old_place(Site { store, .. }: Site) {
    let (me, other) = (register_executor(&*store, "me").await, register_executor(&*store, "other").await);
    let direct = running(&*store, me, "direct").await;
    for id in ["a", "b", "c", "d"] {
        enqueued(&*store, me, id, mail()).await;
    }
    let mine = claim(&*store, me, 2).await.runs;
    let theirs = claim(&*store, other, 1).await.runs;
    ended(&*store, me, &mine[0]).await;
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

pub(crate) async fn what_a_lost_claim_took_is_given_back(Site { store, .. }: Site) {
    let (me, other) = (register_executor(&*store, "me").await, register_executor(&*store, "other").await);
    declare_queues(&*store, rated(9, LONG)).await;
    running(&*store, me, "direct").await;
    let elsewhere = QueuePlacement { queue: "letters".to_owned(), ..mail() };
    enqueued(&*store, me, "elsewhere", elsewhere).await;
    for id in ["a", "b", "c", "d"] {
        enqueued(&*store, me, id, mail()).await;
    }
    let held = claim(&*store, me, 1).await.runs;
    claim(&*store, other, 1).await;
    let letters = ClaimRequest { queue: "letters".to_owned(), ..request(me, 1) };
    assert_eq!(store.claim(&letters).await.unwrap().runs.len(), 1);
    drop(claim(&*store, me, 2).await);
    assert_eq!(store.release_unknown_claims(me, MAIL, &[held[0].key]).await.unwrap(), 2);
    assert_eq!(store.release_unknown_claims(me, MAIL, &[held[0].key]).await.unwrap(), 0);
    assert_eq!(taken(&*store, other, 9).await, ["c", "d"]);
    for id in ["a", "b", "direct", "elsewhere"] {
        assert_eq!(status(&*store, id).await, Some(Status::Pending), "{id}");
    }
    fence_out(&*store, me).await;
    assert_eq!(store.release_unknown_claims(me, MAIL, &[]).await.unwrap(), 0);
}

pub(crate) async fn queued_workflows_of_the_dead_go_back_to_their_queues(Site { store, .. }: Site) {
    let dead = register_executor(&*store, "dead").await;
    let letters = QueuePlacement { queue: "letters".to_owned(), ..mail() };
    let foreign = NewWorkflow { name: "foreign".to_owned(), ..placed("foreign", letters) };
    all_enqueued(&*store, dead, &[placed("a", mail()), foreign, placed("b", sole("k"))]).await;
    enqueued(&*store, dead, "waits", mail()).await;
    running(&*store, dead, "direct").await;
    assert_eq!(taken(&*store, dead, 2).await, ["a", "b"]);
    let all = ClaimRequest { queue: "letters".to_owned(), known: vec!["foreign".to_owned()], ..request(dead, 2) };
    assert_eq!(store.claim(&all).await.unwrap().runs.len(), 1);
    fence_out(&*store, dead).await;

    let heir = register_executor(&*store, "heir").await;
    assert!(store.heartbeat(heir, LONG, &[]).await.unwrap().orphans);
    assert_eq!(store.count_unknown(&known("checkout", 1)).await.unwrap(), 0, "a queue leaves them for those who know");
    let adopted = store.take_over(&adopting(heir, 10)).await.unwrap();
    assert_eq!(adopted.runs.iter().map(|it| (&*it.id, &it.queue)).collect::<Vec<_>>(), [("direct", &None)]);
    assert_eq!((adopted.parked.len(), adopted.requeued), (0, vec!["letters".to_owned(), MAIL.to_owned()]));
    for id in ["a", "b", "foreign"] {
        let info = store.show(id).await.unwrap().expect("it waits");
        assert_eq!((info.status, info.executor, info.started_at), (Status::Enqueued, None, None), "{id}");
        assert_eq!((info.attempts, info.recoveries), (1, 1), "{id}");
    }
    assert!(!store.heartbeat(heir, LONG, &[]).await.unwrap().orphans);
    let nothing = store.take_over(&adopting(heir, 10)).await.unwrap();
    assert!(nothing.runs.is_empty() && nothing.requeued.is_empty());
    let runs = claim(&*store, heir, 9).await.runs;
    let told: Vec<_> = runs.iter().map(|it| (&*it.id, it.attempt, it.recoveries)).collect();
    assert_eq!(told, [("a", 2, 1), ("b", 2, 1), ("waits", 1, 0)]);
}

pub(crate) async fn a_queued_workflow_that_was_recovered_too_often_is_parked(Site { store, .. }: Site) {
    let mut owner = register_executor(&*store, "first").await;
    enqueued(&*store, owner, "w", mail()).await;
    for recovery in 1..=3 {
        assert_eq!(claim(&*store, owner, 1).await.runs[0].attempt, recovery);
        fence_out(&*store, owner).await;
        owner = register_executor(&*store, "next").await;
        let known = vec![KnownWorkflow { name: "checkout".to_owned(), max_recoveries: 2 }];
        let adopted = store.take_over(&TakeoverRequest { known, ..adopting(owner, 10) }).await.unwrap();
        let expected = if recovery < 3 { (0, vec![MAIL.to_owned()]) } else { (1, Vec::new()) };
        assert_eq!((adopted.parked.len(), adopted.requeued), expected);
    }
    let info = store.show("w").await.unwrap().expect("it is parked");
    assert_eq!((info.status, info.recoveries, info.attempts), (Status::Parked, 2, 3));
    assert!(info.reason.is_some_and(|it| it.contains("max_recoveries = 2")));
}

pub(crate) async fn the_code_says_the_limits_until_somebody_changes_them(Site { store, .. }: Site) {
    let limits = async || {
        let row = store.queues().await.unwrap().into_iter().find(|it| it.name == MAIL).expect("it was declared");
        (row.limits, row.changed)
    };
    store.declare_queues(&[]).await.unwrap();
    let everything = StoredLimits {
        concurrency: Some(7),
        worker_concurrency: Some(3),
        partitioned: true,
        partition_concurrency: Some(2),
        partition_rate_limit: Some(super::super::line::rate(4, Duration::from_millis(1_500))),
        ..rated(100, LONG)
    };
    let letters = NewQueue { name: "letters".to_owned(), limits: at_once(1) };
    store.declare_queues(&[NewQueue { name: MAIL.to_owned(), limits: everything }, letters]).await.unwrap();
    assert_eq!(limits().await, (everything, false));
    declare_queues(&*store, at_once(2)).await;
    assert_eq!(limits().await, (at_once(2), false));
    let before = store.statement_counts();
    declare_queues(&*store, at_once(2)).await;
    assert_eq!(
        store.statement_counts() - before,
        StatementCounts { statements: 1, commits: 0, notifications: 0 },
        "nothing is new"
    );
    assert!(store.change_queue(MAIL, QueueChange::Limits(everything)).await.unwrap());
    declare_queues(&*store, at_once(3)).await;
    assert_eq!(limits().await, (everything, true), "what was changed stays");
    assert!(store.change_queue(MAIL, QueueChange::LimitsOfCode(at_once(3))).await.unwrap());
    assert_eq!(limits().await, (at_once(3), false));
    declare_queues(&*store, StoredLimits::default()).await;
    assert_eq!(limits().await, (StoredLimits::default(), false));
    assert!(!store.change_queue("nowhere", QueueChange::Limits(at_once(1))).await.unwrap());
}

pub(crate) async fn queues_say_what_waits_in_them(Site { store, .. }: Site) {
    let me = register_executor(&*store, "a").await;
    declare_queues(&*store, at_once(9)).await;
    store.declare_queues(&[NewQueue { name: "empty".to_owned(), limits: StoredLimits::default() }]).await.unwrap();
    running(&*store, me, "direct").await;
    for id in ["a", "b", "c", "d"] {
        enqueued(&*store, me, id, of_key("k")).await;
    }
    enqueued(&*store, me, "late", delayed(LONG)).await;
    enqueued(&*store, me, "undeclared", QueuePlacement { queue: "letters".to_owned(), ..mail() }).await;
    let run = claim(&*store, me, 2).await.runs.remove(0);
    ended(&*store, me, &run).await;
    let rows = store.queues().await.unwrap();
    let told: Vec<_> = rows.iter().map(|it| (&*it.name, it.enqueued, it.delayed, it.running)).collect();
    assert_eq!(told, [("empty", 0, 0, 0), ("letters", 1, 0, 0), (MAIL, 2, 1, 1)]);
    let oldest = store.show("c").await.unwrap().expect("it waits").created_at.timestamp_micros();
    assert_eq!((rows[0].oldest, rows[2].oldest, rows[2].paused), (None, Some(oldest), false));
    assert_eq!((rows[1].limits, rows[2].limits), (StoredLimits::default(), at_once(9)));
    store.change_queue(MAIL, QueueChange::Pause).await.unwrap();
    assert!(store.queues().await.unwrap()[2].paused);
}

pub(crate) async fn claims_cost_what_they_cost(site: Site) {
    let store = &*site.store;
    let me = register_executor(store, "a").await;
    let costs = |postgres, sqlite, commits| {
        let statements = if site.is_postgres() { postgres } else { sqlite };
        StatementCounts { statements, commits, notifications: 0 }
    };
    let many: Vec<_> = (0..100).map(|it| placed(&format!("w-{it}"), mail())).collect();
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
        all_enqueued(
            store,
            me,
            &many.iter().map(|it| placed(&format!("{} {limits:?}", it.id), mail())).collect::<Vec<_>>(),
        )
        .await;
        spent();
        assert_eq!(claim(store, me, 64).await.runs.len(), 64);
        assert_eq!(spent(), costs(1, 2, 1), "in SQLite a look before it");
        claim(store, me, 64).await;
        spent();
    }
    declare_queues(store, at_once(130)).await;
    all_enqueued(store, me, &many).await;
    let run = claim(store, me, 0).await;
    assert!(run.runs.is_empty());
    spent();
    claim(store, me, 0).await;
    spent();
    // 200 run already, so no more than none may be claimed, which a look tells.
    claim(store, me, 9).await;
    assert_eq!(spent(), costs(1, 1, 0), "it is full");
    declare_queues(store, at_once(210)).await;
    spent();
    assert_eq!(claim(store, me, 64).await.runs.len(), 10);
    // The look; then begin, the queue's limits, the claim (in SQLite first whom, then the change), commit.
    assert_eq!(spent(), costs(5, 6, 1));
    store.promote().await.unwrap();
    assert_eq!(spent(), costs(1, 1, 0));
    store.queues().await.unwrap();
    assert_eq!(spent(), costs(1, 1, 0));
    commit(store, me, begin(&workflow("direct"))).await;
    assert_eq!(spent(), costs(1, 1, 1), "what goes on no queue costs what it cost");
    assert_eq!(commit(store, me, begin(&placed("late", delayed(LONG)))).await, Verdict::Stored);
    assert_eq!(spent(), costs(1, 1, 1));
}

pub(crate) async fn what_waits_is_asked_of_all_queues_at_once(Site { store, .. }: Site) {
    let store = &*store;
    let me = register_executor(store, "a").await;
    let on = |queue: &str| QueuePlacement { queue: queue.to_owned(), ..mail() };
    enqueued(store, me, "w", mail()).await;
    enqueued(store, me, "elsewhere", on("of others")).await;
    enqueued(store, me, "late", QueuePlacement { delay: Some(LONG), ..on("letters") }).await;
    let names: Vec<_> = ["letters", "mail", "nothing ever"].map(str::to_owned).into();
    let before = store.statement_counts();
    assert_eq!(store.queues_with_work(&names).await.unwrap(), [MAIL]);
    let spent = store.statement_counts() - before;
    assert_eq!((spent.statements, spent.commits), (1, 0));
    assert_eq!(taken(store, me, 1).await, ["w"]);
    assert!(store.queues_with_work(&names).await.unwrap().is_empty());
    assert!(store.queues_with_work(&[]).await.unwrap().is_empty());
}
