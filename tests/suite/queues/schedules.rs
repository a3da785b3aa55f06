//! The workflows that schedules start, and their times.

use std::sync::Arc;

use durable::prelude::*;
use durable::{Misfire, Overlap, ScheduleInfo};
use durable_core::store::Store;

use crate::support::{
    FaultPlan, FaultyStore, TestDatabase, arrived, count, counted, database_tests, fresh, gate, until,
};

database_tests! {
each_tick_is_started_once_and_on_time,
misfire_skips_missed_ticks_or_starts_one_or_all,
overlap_skip_leaves_out_a_tick_while_the_previous_one_runs,
a_paused_schedule_does_not_fire_until_it_is_resumed,
a_pause_and_the_last_tick_survive_a_restart,
a_deleted_schedule_does_not_fire,
a_schedule_is_triggered_by_hand,
a_backfill_starts_every_tick_of_a_period_once,
a_schedule_in_code_gets_the_scheduled_and_the_actual_time,
of_two_processes_only_one_starts_a_tick,
ticks_due_during_an_outage_are_missed,
schedules_that_could_not_be_read_are_read_again,
an_invalid_schedule_is_refused_and_not_stored,
a_schedule_of_an_unknown_workflow_does_not_affect_the_others,
}

#[workflow]
async fn sends_report(of: String) -> Result<String> {
    Ok(of)
}

/// Tests start it by hand, and do not wait for a leap day.
#[scheduled("0 0 29 2 *", tz = "Europe/Warsaw")]
#[workflow]
async fn leap_day(scheduled: DateTime<Utc>, actual: DateTime<Utc>) -> Result<(DateTime<Utc>, bool)> {
    Ok((scheduled, actual > scheduled))
}

#[workflow]
async fn long_report(key: String) -> Result<()> {
    holds(&key).await;
    Ok(())
}

#[step]
async fn holds(key: &str) {
    count(key);
    gate(key).acquire().await.unwrap().forget();
}

const HOUR: Duration = Duration::from_hours(1);

/// Each hour, half an hour from now at first: no tick falls into the time that a test takes.
fn every_hour() -> String {
    format!("{} * * * *", (Utc::now().timestamp() / 60 + 30) % 60)
}

/// The ids of the workflows that a schedule has started, in the order of their ticks.
async fn started(database: &TestDatabase, name: &str) -> Vec<String> {
    let prefix = format!("{name}@");
    let mut ids: Vec<_> =
        database.workflows().await.into_iter().map(|it| it.id).filter(|it| it.starts_with(&prefix)).collect();
    ids.sort_unstable();
    ids
}

/// Waits until a schedule has started this many workflows.
async fn fired(database: &TestDatabase, name: &str, count: usize) -> Vec<String> {
    until("the schedule has fired", async || started(database, name).await.len() >= count).await;
    started(database, name).await
}

async fn info(name: &str) -> Option<ScheduleInfo> {
    durable::list_schedules().await.unwrap().into_iter().find(|it| it.name == name)
}

/// Waits until the engine has recorded this tick as done.
async fn handled(name: &str, id: &str) {
    let (_, tick) = id.split_once('@').expect("the id of a tick names its moment");
    let tick: DateTime<Utc> = tick.parse().expect("it is a date");
    until("the tick is noted", async || info(name).await.expect("it is there").last_tick >= tick).await;
}

async fn each_tick_is_started_once_and_on_time(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        sends_report("sales".into()).schedule("hourly", every_hour()).misfire(Misfire::All).await.unwrap();
        assert_eq!(started(database, "hourly").await, [""; 0]);
        for count in 1..=3 {
            app.skip_time(HOUR);
            let ids = fired(database, "hourly", count).await;
            let handle = durable::retrieve_workflow::<String>(&ids[count - 1]).await.unwrap();
            assert_eq!(handle.await.unwrap(), "sales");
            handled("hourly", &ids[count - 1]).await;
        }
        let hourly = info("hourly").await.unwrap();
        assert_eq!((hourly.workflow.as_str(), hourly.in_code), ("sends_report", false));
        assert_eq!(hourly.next_tick, Some(hourly.last_tick + HOUR));
    })
    .await;
    app.shutdown().await;
    assert_eq!(started(database, "hourly").await.len(), 3);
}

async fn misfire_skips_missed_ticks_or_starts_one_or_all(database: &TestDatabase) {
    let (app, hourly) = (database.launch().await, every_hour());
    app.scope(async {
        // Later by five hours than the database, which notes when the schedules were made. Ticks that a test skips
        // are missed only by schedules that are made after the engine has seen it.
        sends_report("first".into()).schedule("first", hourly.as_str()).misfire(Misfire::All).await.unwrap();
        app.skip_time(5 * HOUR);
        fired(database, "first", 5).await;
        // "once" is the last: when it has fired, the engine has read all of them.
        for (name, misfire) in [("skip", Misfire::Skip), ("all", Misfire::All), ("once", Misfire::Once)] {
            sends_report(name.into()).schedule(name, hourly.as_str()).misfire(misfire).await.unwrap();
        }
        let all = fired(database, "all", 5).await;
        let once = fired(database, "once", 1).await;
        assert_eq!(once[0].split_once('@').unwrap().1, all[all.len() - 1].split_once('@').unwrap().1, "it is the last");
        handled("once", &once[0]).await;
        app.skip_time(HOUR);
        assert_eq!(fired(database, "all", 6).await.len(), 6);
        assert_eq!(fired(database, "once", 2).await.len(), 2);
        assert_eq!(fired(database, "skip", 1).await.len(), 1, "only the one that was not missed");
    })
    .await;
    app.shutdown().await;
}

async fn overlap_skip_leaves_out_a_tick_while_the_previous_one_runs(database: &TestDatabase) {
    let key = fresh("overlap");
    let app = database.launch().await;
    app.scope(async {
        long_report(key.clone())
            .schedule("alone", every_hour())
            .misfire(Misfire::All)
            .overlap(Overlap::Skip)
            .await
            .unwrap();
        app.skip_time(HOUR);
        arrived(&key, 1).await;
        let ids = started(database, "alone").await;
        handled("alone", &ids[0]).await;
        let first = info("alone").await.unwrap().last_tick;
        app.skip_time(HOUR);
        until("the next tick is noted", async || info("alone").await.unwrap().last_tick != first).await;
        assert_eq!(started(database, "alone").await, ids, "the second one was left out");
        gate(&key).add_permits(2);
        durable::retrieve_workflow::<()>(&ids[0]).await.unwrap().await.unwrap();
        app.skip_time(HOUR);
        assert_eq!(fired(database, "alone", 2).await.len(), 2);
        arrived(&key, 2).await;
    })
    .await;
    app.shutdown().await;
    assert_eq!(counted(&key), 2);
}

async fn a_paused_schedule_does_not_fire_until_it_is_resumed(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        for name in ["paused", "other"] {
            sends_report(name.into()).schedule(name, every_hour()).misfire(Misfire::All).await.unwrap();
        }
        durable::pause_schedule("paused").await.unwrap();
        let paused = info("paused").await.unwrap();
        assert!(paused.paused && paused.next_tick.is_none());
        app.skip_time(HOUR);
        fired(database, "other", 1).await;
        assert_eq!(started(database, "paused").await, [""; 0]);
        durable::resume_schedule("paused").await.unwrap();
        let resumed = info("paused").await.unwrap();
        assert!(!resumed.paused && resumed.last_tick >= paused.last_tick);
        app.skip_time(HOUR);
        fired(database, "other", 2).await;
        fired(database, "paused", 1).await;
    })
    .await;
    app.shutdown().await;
}

async fn a_pause_and_the_last_tick_survive_a_restart(database: &TestDatabase) {
    let app = database.launch().await;
    let before = app
        .scope(async {
            durable::pause_schedule("leap_day").await.unwrap();
            info("leap_day").await.unwrap()
        })
        .await;
    app.shutdown().await;
    let app = database.launch().await;
    let after = app.scope(info("leap_day")).await.unwrap();
    assert!(after.paused && after.in_code);
    assert_eq!(after.last_tick, before.last_tick);
    app.shutdown().await;
}

async fn a_deleted_schedule_does_not_fire(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        for name in ["deleted", "stays"] {
            sends_report(name.into()).schedule(name, every_hour()).misfire(Misfire::All).await.unwrap();
        }
        durable::delete_schedule("deleted").await.unwrap();
        assert!(info("deleted").await.is_none());
        app.skip_time(HOUR);
        fired(database, "stays", 1).await;
        let error = durable::delete_schedule("deleted").await.expect_err("it is gone");
        assert_eq!(error.kind(), durable::ErrorKind::NotFound);
    })
    .await;
    app.shutdown().await;
    assert_eq!(started(database, "deleted").await, [""; 0]);
}

async fn a_schedule_is_triggered_by_hand(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        sends_report("now".into()).schedule("by-hand", every_hour()).await.unwrap();
        durable::pause_schedule("by-hand").await.unwrap();
        let ids =
            [durable::trigger_schedule("by-hand").await.unwrap(), durable::trigger_schedule("by-hand").await.unwrap()];
        assert_ne!(ids[0], ids[1], "each time is another one");
        for id in &ids {
            assert!(id.starts_with("by-hand@"), "{id}");
            assert_eq!(durable::retrieve_workflow::<String>(id).await.unwrap().await.unwrap(), "now");
        }
    })
    .await;
    app.shutdown().await;
}

async fn a_backfill_starts_every_tick_of_a_period_once(database: &TestDatabase) {
    let moment = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
    let app = database.launch().await;
    app.scope(async {
        sends_report("old".into()).schedule("old", "0 0 * * *").await.unwrap();
        let (from, to) = (moment("2026-01-01T00:00:00Z"), moment("2026-01-04T00:00:00Z"));
        assert_eq!(durable::backfill_schedule("old", from, to).await.unwrap(), 3);
        assert_eq!(durable::backfill_schedule("old", from, to).await.unwrap(), 3, "they are there");
        let days = ["old@2026-01-01T00:00:00Z", "old@2026-01-02T00:00:00Z", "old@2026-01-03T00:00:00Z"];
        assert_eq!(started(database, "old").await, days, "and no others");
    })
    .await;
    app.shutdown().await;
}

async fn a_schedule_in_code_gets_the_scheduled_and_the_actual_time(database: &TestDatabase) {
    let moment = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
    let app = database.launch().await;
    app.scope(async {
        let leap_day = info("leap_day").await.unwrap();
        assert_eq!((leap_day.cron.as_str(), leap_day.timezone.as_str()), ("0 0 29 2 *", "Europe/Warsaw"));
        let (from, to) = (moment("2024-01-01T00:00:00Z"), moment("2025-01-01T00:00:00Z"));
        assert_eq!(durable::backfill_schedule("leap_day", from, to).await.unwrap(), 1);
        let id = "leap_day@2024-02-28T23:00:00Z";
        let handle = durable::retrieve_workflow::<(DateTime<Utc>, bool)>(id).await.unwrap();
        assert_eq!(handle.await.unwrap(), (moment("2024-02-28T23:00:00Z"), true), "midnight in Warsaw, and later");
    })
    .await;
    app.shutdown().await;
}

async fn of_two_processes_only_one_starts_a_tick(database: &TestDatabase) {
    let (one, two) = (database.builder("one").launch().await.unwrap(), database.builder("two").launch().await.unwrap());
    one.scope(async {
        sends_report("both".into()).schedule("both", every_hour()).misfire(Misfire::All).await.unwrap();
    })
    .await;
    for count in 1..=3 {
        one.skip_time(HOUR);
        two.skip_time(HOUR);
        let ids = fired(database, "both", count).await;
        one.scope(handled("both", &ids[count - 1])).await;
    }
    one.shutdown().await;
    two.shutdown().await;
    assert_eq!(started(database, "both").await.len(), 3);
}

async fn ticks_due_during_an_outage_are_missed(database: &TestDatabase) {
    let inner = durable_core::store::open(database.url(), database.schema()).await.unwrap();
    let faulty = Arc::new(FaultyStore::over(&inner, FaultPlan::default()));
    let app = database.builder("outage").store(Arc::clone(&faulty) as Arc<dyn Store>).launch().await.unwrap();
    app.scope(async {
        for (name, misfire) in [("all", Misfire::All), ("skip", Misfire::Skip)] {
            sends_report(name.into()).schedule(name, every_hour()).misfire(misfire).await.unwrap();
        }
        app.listening().await; // it knows of both
        faulty.set_unreachable(true);
        app.skip_time(HOUR);
        faulty.wait_for_rejected_commit().await;
        app.skip_time(4 * HOUR);
        faulty.set_unreachable(false);
        assert_eq!(fired(database, "all", 5).await.len(), 5);
        handled("skip", &fired(database, "skip", 1).await[0]).await;
        app.skip_time(HOUR);
        fired(database, "all", 6).await;
        assert_eq!(
            fired(database, "skip", 2).await.len(),
            2,
            "the one that was tried in time, and the one after the outage"
        );
    })
    .await;
    app.shutdown().await;
    inner.close().await;
}

async fn schedules_that_could_not_be_read_are_read_again(database: &TestDatabase) {
    let inner = durable_core::store::open(database.url(), database.schema()).await.unwrap();
    let faulty = Arc::new(FaultyStore::over(&inner, FaultPlan::default()));
    let app = database.builder("unread").store(Arc::clone(&faulty) as Arc<dyn Store>).launch().await.unwrap();
    app.scope(async {
        app.skip_time(HOUR); // so that a tick is due as soon as the schedule is known
        app.listening().await;
        faulty.lose_next_answer("schedules");
        sends_report("new".into()).schedule("new", every_hour()).misfire(Misfire::All).await.unwrap();
        let soon = tokio::time::timeout(Duration::from_secs(15), fired(database, "new", 1));
        soon.await.expect("it is read again long before the next safety poll");
        assert!(faulty.lost_an_answer());
    })
    .await;
    app.shutdown().await;
    inner.close().await;
}

async fn an_invalid_schedule_is_refused_and_not_stored(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        let refused = async |name: &str, cron: &str, timezone: &str| {
            sends_report(String::new())
                .schedule(name, cron)
                .timezone(timezone)
                .await
                .expect_err("it is refused")
                .to_string()
        };
        let error = refused("wrong", "61 * * * *", "UTC").await;
        assert!(error.contains("\"wrong\"") && error.contains("61 is not within 0-59"), "{error}");
        let error = refused("wrong", "0 * * * *", "Europe/Warschau").await;
        assert!(error.contains("the time zone `Europe/Warschau` is not known"), "{error}");
        let error = refused("", "0 * * * *", "UTC").await;
        assert!(error.contains("the schedule's name"), "{error}");
        // No tick of it could be started: the ids would be too long.
        let long = "x".repeat(240);
        let error = refused(&long, "0 * * * *", "UTC").await;
        assert!(error.contains("an id of the schedule's workflows") && error.contains("255 are allowed"), "{error}");
        assert!(info(&long).await.is_none());
        assert!(info("wrong").await.is_none());
        let error = durable::trigger_schedule("nobody").await.expect_err("it is not there").to_string();
        assert_eq!(error, "no schedule has the name \"nobody\"");
    })
    .await;
    app.shutdown().await;
}

async fn a_schedule_of_an_unknown_workflow_does_not_affect_the_others(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        sends_report("mine".into()).schedule("mine", every_hour()).misfire(Misfire::All).await.unwrap();
        let mut rows = app.store().schedules().await.unwrap();
        let mut row = rows.remove(rows.iter().position(|it| it.name == "mine").unwrap());
        (row.name, row.workflow) = ("foreign".into(), "of_another_program".into());
        app.store().upsert_schedules(&[row]).await.unwrap();
        let error = durable::trigger_schedule("foreign").await.expect_err("it cannot be started here").to_string();
        assert!(error.contains("\"foreign\"") && error.contains("`of_another_program`"), "{error}");
        app.skip_time(HOUR);
        fired(database, "mine", 1).await;
    })
    .await;
    app.shutdown().await;
}
