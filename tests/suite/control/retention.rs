//! Retention: workflows are deleted when they have been kept for their time.

use std::sync::Arc;

use durable::prelude::*;
use durable::{Retention, RetentionReport};
use durable_core::store::{Store, Timestamp};

use crate::support::store_database::DirectConnection;
use crate::support::store_rows::{register_executor, start_running};
use crate::support::{LogCapture, TestDatabase, database_tests, until};

database_tests! {
    workflows_go_when_their_time_is_over_and_others_stay,
    everything_that_belongs_to_a_workflow_goes_with_it,
    a_family_goes_together_when_all_of_it_has_ended,
    a_parked_workflow_keeps_its_family,
    a_workflow_that_lives_is_not_deleted_by_a_late_batch,
    a_dry_run_deletes_nothing_and_reports_what_would_go,
    the_last_of_each_name_are_kept,
    many_workflows_go_in_several_transactions,
    one_executor_at_a_time_has_the_turn,
    the_background_deletes_and_another_process_follows_a_gone_one,
    a_policy_that_cannot_be_meant_is_refused,
    a_run_without_a_policy_is_refused,
    a_launch_without_a_policy_says_so_once_there_is_much,
}

const DAY: Duration = Retention::days(1);

#[workflow]
async fn kept(number: u32) -> Result<u32> {
    match number {
        0 => Err(Error::msg("it failed")),
        1 => {
            kept(2).id("started").start().await?;
            Ok(1)
        }
        2 => durable::recv::<u32>("go", Duration::from_hours(1)).await.map(Option::unwrap_or_default),
        _ => Ok(number),
    }
}

#[workflow]
async fn audit(number: u32) -> Result<u32> {
    durable::set_event("event", &number).await?;
    durable::write_stream("stream", &number).await?;
    durable::recv::<u32>("none", Duration::ZERO).await?;
    kept(number).await
}

/// Makes workflows end so many days earlier.
async fn age(database: &TestDatabase, ids: &str, days: u32) {
    let age = Retention::days(days).as_micros();
    let sql = format!("update durable.workflows set completed_at = completed_at - {age} where id like '{ids}'");
    database.direct_connection().await.execute(&sql).await;
}

async fn ids(app: &Durable) -> Vec<String> {
    let mut ids: Vec<_> = app.list_workflows(Filter::new()).await.unwrap().into_iter().map(|it| it.id).collect();
    ids.sort();
    ids
}

fn groups(report: &RetentionReport) -> Vec<(&str, Status, u64)> {
    report.groups.iter().map(|it| (&*it.name, it.status, it.count)).collect()
}

async fn workflows_go_when_their_time_is_over_and_others_stay(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        for (id, number, days) in [("young", 9, 1), ("old", 9, 31), ("failed", 0, 31), ("failed-long-ago", 0, 91)] {
            let _ = kept(number).id(id).await;
            age(database, id, days).await;
        }
        audit(9).id("audited").await.unwrap();
        age(database, "%", 0).await;
        age(database, "audited", 400).await;
        let policy =
            Retention::new().keep(30 * DAY).keep_status(Status::Error, 90 * DAY).keep_name("audit", Retention::FOREVER);
        let report = app.run_retention().policy(policy.clone()).await.unwrap();
        assert_eq!(groups(&report), [("kept", Status::Success, 1), ("kept", Status::Error, 1)]);
        assert_eq!((report.total, report.dry_run), (2, false));
        assert!(!ids(&app).await.contains(&"old".to_owned()));
        let left: Vec<_> = ids(&app).await.into_iter().filter(|it| !it.starts_with("audited")).collect();
        assert_eq!(left, ["failed", "young"]);
        assert!(app.workflow("audited").await.unwrap().is_some());
        assert_eq!(app.run_retention().policy(policy).await.unwrap().total, 0);
    })
    .await;
    app.shutdown().await;
}

async fn everything_that_belongs_to_a_workflow_goes_with_it(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        let handle = audit(7).id("w").label("tenant", "acme").start().await.unwrap();
        let _ = handle.send("other", &1).await; // it may have ended
        handle.result().await.unwrap();
        age(database, "%", 2).await;
        let report = app.run_retention().policy(Retention::new().keep(DAY)).await.unwrap();
        assert_eq!(report.total, 2);
        for table in ["workflows", "steps", "labels", "messages", "events", "streams"] {
            let sql = format!("select count(*) from durable.{table}");
            assert_eq!(database.direct_connection().await.number(&sql).await, 0, "{table}");
        }
    })
    .await;
    app.shutdown().await;
}

async fn a_family_goes_together_when_all_of_it_has_ended(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        kept(1).id("root").await.unwrap();
        age(database, "root", 2).await;
        let run = || app.run_retention().policy(Retention::new().keep(DAY));
        assert_eq!(run().await.unwrap().total, 0, "what it has started lives");
        app.send("started", "go", &5).await.unwrap();
        app.retrieve_workflow::<u32>("started").await.unwrap().result().await.unwrap();
        assert_eq!(run().await.unwrap().total, 0, "what it has started ended a moment ago");
        age(database, "started", 2).await;
        assert_eq!(run().await.unwrap().total, 2);
        assert_eq!(ids(&app).await, [""; 0]);
    })
    .await;
    app.shutdown().await;
}

async fn a_parked_workflow_keeps_its_family(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        kept(1).id("root").await.unwrap();
        app.cancel_workflow("started").await.unwrap();
        age(database, "%", 2).await;
        let park = "update durable.workflows set status = 'PARKED', completed_at = null where id = 'started'";
        database.direct_connection().await.execute(park).await;
        let report = app.run_retention().policy(Retention::new().keep(DAY)).await.unwrap();
        assert_eq!((report.total, ids(&app).await), (0, vec!["root".to_owned(), "started".to_owned()]));
    })
    .await;
    app.shutdown().await;
}

/// A batch is chosen before its transaction begins: a workflow may have been resumed in between.
async fn a_workflow_that_lives_is_not_deleted_by_a_late_batch(database: &TestDatabase) {
    let app = database.launch().await;
    let store = app.store();
    let me = register_executor(&*store, "b").await;
    let key = start_running(&*store, me, "lives").await;
    for dry_run in [true, false] {
        assert_eq!(store.delete_ended(&[key], Timestamp::LATEST, dry_run).await.unwrap(), []);
    }
    assert!(app.workflow("lives").await.unwrap().is_some());
    drop(store);
    app.shutdown().await;
}

async fn a_dry_run_deletes_nothing_and_reports_what_would_go(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        for number in 0..4 {
            kept(9).id(format!("old-{number}")).await.unwrap();
        }
        kept(0).id("old-failed").await.unwrap_err();
        kept(1).id("old-root").await.unwrap();
        age(database, "old-%", 3).await;
        kept(9).id("young").await.unwrap();
        let before = ids(&app).await;
        let run = || app.run_retention().policy(Retention::new().keep(DAY));
        let expected = run().dry_run().await.unwrap();
        assert_eq!(groups(&expected), [("kept", Status::Success, 4), ("kept", Status::Error, 1)]);
        assert!(expected.dry_run && expected.total == 5);
        let first = app.workflow("old-0").await.unwrap().unwrap().completed_at;
        assert_eq!(Some(expected.groups[0].oldest), first);
        assert_eq!(ids(&app).await, before);
        let done = run().await.unwrap();
        assert_eq!(done.groups, expected.groups);
        assert_eq!(ids(&app).await, ["old-root", "started", "young"]);
    })
    .await;
    app.shutdown().await;
}

async fn the_last_of_each_name_are_kept(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        for number in 0..6 {
            kept(9).id(format!("kept-{number}")).await.unwrap();
        }
        audit(9).id("audit-0").await.unwrap();
        let own = |ids: Vec<String>| ids.into_iter().filter(|it| !it.starts_with("audit-0-")).collect::<Vec<_>>();
        age(database, "kept-%", 2).await;
        let both = Retention::new().keep(30 * DAY).keep_last(2);
        assert_eq!(app.run_retention().policy(both).await.unwrap().total, 0, "their time is not over");
        let run = |number| app.run_retention().policy(Retention::new().keep_last(number));
        assert_eq!(run(6).await.unwrap().total, 0);
        assert_eq!(run(2).await.unwrap().total, 4);
        assert_eq!(own(ids(&app).await)[..3], ["audit-0", "kept-4", "kept-5"].map(str::to_owned)[..]);
    })
    .await;
    app.shutdown().await;
}

/// Ended workflows, made without an engine.
async fn fill(direct: &mut DirectConnection, number: u32) {
    let large = match direct {
        DirectConnection::Postgres(..) => "null",
        DirectConnection::Sqlite(_) => "n",
    };
    let sql = format!(
        "insert into durable.workflows (key, id, name, status, created_at, completed_at, input)
         with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < {number})
         select n, 'old-' || n, 'kept', 'SUCCESS', 1, 1 + n, '{{}}' from numbers where {large} is null or n > 0"
    );
    direct.execute(&sql).await;
}

async fn many_workflows_go_in_several_transactions(database: &TestDatabase) {
    let app = database.launch().await;
    fill(&mut database.direct_connection().await, 2_500).await;
    let before = app.store().statement_counts();
    let report = app.run_retention().policy(Retention::new().keep(DAY).per_second(1_000_000)).await.unwrap();
    let commits = (app.store().statement_counts() - before).commits;
    assert_eq!(report.total, 2_500);
    assert!(commits >= 5, "{commits} transactions, of 500 workflows at most");
    app.shutdown().await;
}

async fn one_executor_at_a_time_has_the_turn(database: &TestDatabase) {
    let app = database.launch().await;
    let store: Arc<dyn Store> = app.store();
    let (a, b) = (register_executor(&*store, "a").await, register_executor(&*store, "b").await);
    let hour = Duration::from_hours(1);
    assert!(store.take_turn(a.executor, "retention", hour).await.unwrap());
    assert!(!store.take_turn(b.executor, "retention", hour).await.unwrap());
    assert!(store.take_turn(b.executor, "other", hour).await.unwrap());
    assert!(store.take_turn(a.executor, "retention", Duration::ZERO).await.unwrap(), "its own turn again");
    until("the turn is over", async || store.take_turn(b.executor, "retention", hour).await.unwrap()).await;
    assert!(!store.take_turn(a.executor, "retention", hour).await.unwrap());
    assert!(store.fence_out(b.executor, b.epoch).await.unwrap());
    assert!(store.take_turn(a.executor, "retention", hour).await.unwrap(), "a dead executor has no turn");
    drop(store);
    app.shutdown().await;
}

async fn the_background_deletes_and_another_process_follows_a_gone_one(database: &TestDatabase) {
    let policy = || Retention::new().keep(DAY).every(Duration::from_millis(20));
    let launch = async |name: &str| database.builder("app").executor_id(name).retention(policy()).launch().await;
    let first = launch("first").await.unwrap();
    let mut direct = database.direct_connection().await;
    let left = "select count(*) from durable.workflows";
    fill(&mut direct, 50).await;
    direct.wait_for_number(left, |it| it == 0).await;
    let second = launch("second").await.unwrap();
    first.shutdown().await;
    fill(&mut direct, 50).await;
    direct.wait_for_number(left, |it| it == 0).await;
    second.shutdown().await;
}

async fn a_policy_that_cannot_be_meant_is_refused(database: &TestDatabase) {
    for (policy, named) in [
        (Retention::new().keep_status(Status::Parked, DAY), "keep_status(PARKED)"),
        (Retention::new().keep(DAY).per_second(0), "per_second(0)"),
        (Retention::new().keep(DAY).every(Duration::ZERO), "every"),
    ] {
        let refused = database.builder("app").retention(policy).launch().await.unwrap_err();
        assert!(refused.kind() == durable::ErrorKind::Config && refused.to_string().contains(named), "{refused}");
    }
}

async fn a_run_without_a_policy_is_refused(database: &TestDatabase) {
    let app = database.launch().await;
    let refused = app.run_retention().await.unwrap_err();
    assert!(refused.to_string().contains("`.retention(..)`"), "{refused}");
    app.shutdown().await;
    let app = database.builder("app").retention(Retention::new().keep(DAY)).launch().await.unwrap();
    assert_eq!(app.run_retention().await.unwrap().total, 0);
    app.shutdown().await;
}

async fn a_launch_without_a_policy_says_so_once_there_is_much(database: &TestDatabase) {
    let launch_and_read_log = async |policy: Option<Retention>| {
        let log = LogCapture::default();
        let recording = log.record();
        let builder = database.builder("app");
        let builder = if let Some(policy) = policy { builder.retention(policy) } else { builder };
        builder.launch().await.unwrap().shutdown().await;
        drop(recording);
        log.lines("they are kept forever").len()
    };
    assert_eq!(launch_and_read_log(None).await, 0);
    let mut direct = database.direct_connection().await;
    fill(&mut direct, 100_000).await;
    direct.execute(if database.is_postgres() { "analyze durable.workflows" } else { "select 1" }).await;
    assert_eq!(launch_and_read_log(None).await, 1);
    assert_eq!(launch_and_read_log(Some(Retention::new())).await, 0);
}
