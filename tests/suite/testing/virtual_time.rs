//! Time that a test moves: everything that waits for it happens in order, at its moment, and without real time passing.

use std::collections::HashMap;
use std::sync::Mutex;

use durable::prelude::*;
use durable::sqlx::{PgConnection, raw_sql};
use durable::testing::TestApp;
use durable::{Misfire, queue};

use crate::support::{app_tests, count, counted, fresh, gate};

app_tests! {
    a_month_passes_in_each_of_twenty_rounds,
    sleeps_in_a_row_end_exactly_after_their_sum,
    what_is_not_due_yet_does_not_happen,
    messages_and_events_time_out,
    a_workflow_ends_at_its_deadline,
    a_step_that_hangs_times_out,
    a_step_is_retried_after_its_delays,
    a_step_that_runs_is_waited_for,
    each_tick_of_a_schedule_happens_at_its_moment,
    a_delayed_workflow_starts_when_it_is_due,
    a_debounced_workflow_starts_after_its_period,
    a_rate_limit_lets_workflows_start_as_time_passes,
    parents_and_children_wake_in_turn,
    timers_of_two_workflows_fire_in_order,
    time_moves_to_the_next_due_moment,
    time_runs_on_after_it_was_moved,
    a_move_that_is_given_up_leaves_a_running_clock,
    listings_by_time_find_what_was_started_after_time_has_passed,
    a_workflow_that_is_resumed_goes_on_before_time_passes,
}

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

#[queue]
static LATER: Queue = Queue::new("virtual-later");
#[queue]
static RATED: Queue = Queue::new("virtual-rated").rate_limit(2, MINUTE);

/// What happened, by test.
type Logs = HashMap<String, Vec<(String, DateTime<Utc>)>>;

static LOGS: Mutex<Option<Logs>> = Mutex::new(None);

/// Notes what happens in a workflow, with the time that the workflow sees.
async fn note(log: &str, what: impl Into<String>) {
    let now = durable::now().await;
    LOGS.lock().unwrap().get_or_insert_default().entry(log.to_owned()).or_default().push((what.into(), now));
}

fn noted(log: &str) -> Vec<(String, DateTime<Utc>)> {
    LOGS.lock().unwrap().get_or_insert_default().get(log).cloned().unwrap_or_default()
}

fn names(log: &str) -> Vec<String> {
    noted(log).into_iter().map(|(name, _)| name).collect()
}

/// How far the moments are apart, in whole seconds.
fn gaps(log: &str) -> Vec<i64> {
    let moments: Vec<_> = noted(log).into_iter().map(|(_, at)| at).collect();
    moments.windows(2).map(|pair| (pair[1] - pair[0]).num_milliseconds().wrapping_add(500) / 1000).collect()
}

#[step]
async fn ships() -> u32 {
    1
}

#[workflow]
async fn checks_out_in_a_month() -> Result<String> {
    durable::recv::<u32>("payment", DAY).await?;
    ships().await;
    durable::sleep(30 * DAY).await;
    Ok("shipped".into())
}

async fn a_month_passes_in_each_of_twenty_rounds(app: TestApp) {
    pause_schedules(&app).await;
    for round in 0..20 {
        let handle = checks_out_in_a_month().id(format!("o{round}")).start().await.unwrap();
        durable::send(handle.id(), "payment", &1).await.unwrap();
        app.advance(31 * DAY).await;
        assert_eq!(handle.status().await.unwrap(), Status::Success, "it has ended when the call returns");
        assert_eq!(handle.result().await.unwrap(), "shipped");
    }
}

#[workflow]
async fn sleeps_thrice(log: String) -> Result<()> {
    note(&log, "begins").await;
    for day in 1..=3 {
        durable::sleep(DAY).await;
        ships().await;
        note(&log, format!("day {day}")).await;
    }
    Ok(())
}

async fn sleeps_in_a_row_end_exactly_after_their_sum(app: TestApp) {
    let log = fresh("thrice");
    let handle = sleeps_thrice(log.clone()).start().await.unwrap();
    app.advance(3 * DAY).await;
    assert_eq!(handle.status().await.unwrap(), Status::Success);
    assert_eq!(names(&log), ["begins", "day 1", "day 2", "day 3"]);
    let moments: Vec<_> = noted(&log).into_iter().map(|(_, at)| at).collect();
    assert_eq!([moments[1] + DAY, moments[2] + DAY], moments[2..], "the clock stood still between");
}

async fn what_is_not_due_yet_does_not_happen(app: TestApp) {
    let log = fresh("thrice");
    let handle = sleeps_thrice(log.clone()).start().await.unwrap();
    app.advance((2 * DAY).saturating_sub(MINUTE)).await;
    assert_eq!(names(&log), ["begins", "day 1"]);
    assert_eq!(handle.status().await.unwrap(), Status::Pending);
    app.advance(DAY).await;
    assert_eq!(names(&log), ["begins", "day 1", "day 2"]);
    app.advance(2 * MINUTE).await;
    assert_eq!(handle.status().await.unwrap(), Status::Success);
}

#[workflow]
async fn waits_in_vain(log: String, workflow_id: String) -> Result<()> {
    assert_eq!(durable::recv::<u32>("never", HOUR).await?, None);
    note(&log, "no message").await;
    assert_eq!(durable::get_event::<u32>(&workflow_id, "never", 2 * HOUR).await?, None);
    note(&log, "no event").await;
    Ok(())
}

async fn messages_and_events_time_out(app: TestApp) {
    let log = fresh("vain");
    let other = checks_out_in_a_month().start().await.unwrap();
    let handle = waits_in_vain(log.clone(), other.id().to_owned()).start().await.unwrap();
    app.advance(HOUR).await;
    assert_eq!(names(&log), ["no message"]);
    app.advance(2 * HOUR).await;
    assert_eq!((names(&log), gaps(&log)), (vec!["no message".into(), "no event".into()], vec![7_200]));
    assert_eq!(handle.status().await.unwrap(), Status::Success);
}

async fn a_workflow_ends_at_its_deadline(app: TestApp) {
    let log = fresh("deadline");
    let direct = sleeps_thrice(log.clone()).timeout(30 * HOUR).start().await.unwrap();
    let queued = sleeps_thrice(log.clone()).queue(&LATER).timeout(30 * HOUR).start().await.unwrap();
    app.advance(29 * HOUR).await;
    assert_eq!([direct.status().await.unwrap(), queued.status().await.unwrap()], [Status::Pending; 2]);
    app.advance(HOUR).await;
    assert_eq!([direct.status().await.unwrap(), queued.status().await.unwrap()], [Status::Cancelled; 2]);
}

#[step(timeout = "30m", retries = 1, backoff = "1h", jitter = 0.0)]
async fn hangs(key: &str) -> Result<u32> {
    count(key);
    std::future::pending().await
}

#[workflow]
async fn calls_a_service_that_hangs(key: String) -> Result<u32> {
    hangs(&key).await
}

async fn a_step_that_hangs_times_out(app: TestApp) {
    app.set_patience(Duration::from_millis(300));
    let key = fresh("hangs");
    let handle = calls_a_service_that_hangs(key.clone()).start().await.unwrap();
    app.advance(2 * HOUR).await; // half an hour, an hour, and half an hour
    assert_eq!(counted(&key), 2);
    let error = handle.result().await.expect_err("both attempts hung").to_string();
    assert!(error.contains("took longer than its timeout of 1800s"), "{error}");
}

#[step(retries = 4, backoff = "1h", backoff_rate = 2.0, max_backoff = "4h", jitter = 0.0)]
async fn fails_thrice(key: &str) -> Result<u32> {
    let attempt = count(key);
    if attempt < 4 { Err(Error::msg(format!("attempt {attempt} failed"))) } else { Ok(attempt) }
}

#[workflow]
async fn calls_a_service_that_recovers(key: String) -> Result<u32> {
    fails_thrice(&key).await
}

async fn a_step_is_retried_after_its_delays(app: TestApp) {
    let key = fresh("recovers");
    let handle = calls_a_service_that_recovers(key.clone()).start().await.unwrap();
    let mut attempts = Vec::new();
    for duration in [MINUTE, HOUR, 2 * HOUR, 3 * HOUR, HOUR] {
        app.advance(duration).await;
        attempts.push(counted(&key));
    }
    assert_eq!(attempts, [1, 2, 3, 3, 4], "after 0 h, 1 h, 3 h and 7 h");
    assert_eq!(handle.result().await.unwrap(), 4);
}

/// Each attempt but the tenth fails like one that lost a race, which is tried again after some time.
#[transaction]
async fn loses_nine_races(tx: &mut PgConnection, key: &str) -> Result<u32> {
    let attempt = count(key);
    if attempt < 10 {
        raw_sql("do $$ begin raise exception 'lost' using errcode = '40001'; end $$").execute(tx).await?;
    }
    Ok(attempt)
}

#[workflow]
async fn wins_at_last(key: String) -> Result<u32> {
    loses_nine_races(&key).await
}

#[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
#[durable::test(postgres)]
async fn a_transaction_is_tried_again_after_its_delays(app: TestApp) {
    let handle = wins_at_last(fresh("races")).start().await.unwrap();
    app.advance(HOUR).await;
    assert_eq!(handle.status().await.unwrap(), Status::Success, "no delay is in real time");
    assert_eq!(handle.result().await.unwrap(), 10);
}

#[step]
async fn takes_real_time(key: &str) {
    tokio::time::sleep(Duration::from_millis(400)).await;
    count(key);
}

#[workflow]
async fn works_and_sleeps(key: String) -> Result<()> {
    takes_real_time(&key).await;
    durable::sleep(HOUR).await;
    takes_real_time(&key).await;
    Ok(())
}

async fn a_step_that_runs_is_waited_for(app: TestApp) {
    let key = fresh("real");
    let handle = works_and_sleeps(key.clone()).start().await.unwrap();
    app.advance(HOUR).await;
    assert_eq!(counted(&key), 2, "neither is skipped, however little time passes for the engine");
    assert_eq!(handle.status().await.unwrap(), Status::Success);
}

#[workflow]
async fn notes_a_tick(log: String) -> Result<()> {
    note(&log, "tick").await;
    Ok(())
}

async fn each_tick_of_a_schedule_happens_at_its_moment(app: TestApp) {
    let log = fresh("ticks");
    notes_a_tick(log.clone()).schedule("hourly", "0 * * * *").misfire(Misfire::Skip).await.unwrap();
    app.advance(DAY).await;
    let ticks = noted(&log);
    assert_eq!(ticks.len(), 24);
    for (_, at) in &ticks {
        let past_the_hour = at.timestamp_millis() % 3_600_000;
        assert!(past_the_hour < 1_000, "a tick sees {at}");
    }
    assert_eq!(gaps(&log), [3_600; 23]);
}

async fn a_delayed_workflow_starts_when_it_is_due(app: TestApp) {
    let log = fresh("delayed");
    let day = notes_a_tick(log.clone()).queue(&LATER).delay(DAY).start().await.unwrap();
    let postponed = notes_a_tick(log.clone()).queue(&LATER).delay(HOUR).start().await.unwrap();
    app.advance(HOUR.saturating_sub(MINUTE)).await;
    assert_eq!(postponed.status().await.unwrap(), Status::Delayed);
    app.set_delay(postponed.id(), 3 * DAY).await.unwrap();
    app.advance(DAY).await;
    assert_eq!(
        [day.status().await.unwrap(), postponed.status().await.unwrap()],
        [Status::Success, Status::Delayed],
        "one is due, and the other was postponed"
    );
    app.advance(2 * DAY).await;
    assert_eq!(postponed.status().await.unwrap(), Status::Success);
}

#[workflow]
async fn saves_a_draft(log: String, draft: u32) -> Result<()> {
    note(&log, format!("draft {draft}")).await;
    Ok(())
}

async fn a_debounced_workflow_starts_after_its_period(app: TestApp) {
    let log = fresh("debounced");
    for draft in 1..=3 {
        saves_a_draft(log.clone(), draft).debounce(&log, HOUR).start().await.unwrap();
        app.advance(HOUR / 2).await;
    }
    assert_eq!(names(&log), [""; 0], "each call begins the period anew");
    app.advance(HOUR / 2).await;
    assert_eq!(names(&log), ["draft 3"]);
}

async fn a_rate_limit_lets_workflows_start_as_time_passes(app: TestApp) {
    let log = fresh("rated");
    for _ in 0..6 {
        notes_a_tick(log.clone()).enqueue(&RATED).await.unwrap();
    }
    let mut started = Vec::new();
    for duration in [Duration::from_secs(1), MINUTE, MINUTE] {
        app.advance(duration).await;
        started.push(noted(&log).len());
    }
    assert_eq!(started, [2, 4, 6]);
}

#[workflow]
async fn virtual_child(log: String, number: u32) -> Result<u32> {
    durable::sleep(number * HOUR).await;
    note(&log, format!("child {number}")).await;
    Ok(number)
}

#[workflow]
async fn virtual_parent(log: String) -> Result<u32> {
    let handles = [virtual_child(log.clone(), 2).start().await?, virtual_child(log.clone(), 1).start().await?];
    let mut sum = virtual_child(log.clone(), 3).await?;
    for handle in handles {
        sum += handle.result().await?;
    }
    note(&log, "parent").await;
    durable::sleep(HOUR).await;
    Ok(sum)
}

async fn parents_and_children_wake_in_turn(app: TestApp) {
    let log = fresh("family");
    let handle = virtual_parent(log.clone()).start().await.unwrap();
    app.advance(3 * HOUR).await;
    assert_eq!(names(&log), ["child 1", "child 2", "child 3", "parent"]);
    assert_eq!(handle.status().await.unwrap(), Status::Pending);
    app.advance(HOUR).await;
    assert_eq!(handle.status().await.unwrap(), Status::Success);
    assert_eq!(handle.result().await.unwrap(), 6);
}

#[workflow]
async fn wakes_every(log: String, name: String, hours: u32, times: u32) -> Result<()> {
    for _ in 0..times {
        durable::sleep(hours * HOUR).await;
        note(&log, &name).await;
    }
    Ok(())
}

async fn timers_of_two_workflows_fire_in_order(app: TestApp) {
    let log = fresh("interleaved");
    wakes_every(log.clone(), "two".into(), 2, 3).start().await.unwrap();
    wakes_every(log.clone(), "three".into(), 3, 1).start().await.unwrap();
    wakes_every(log.clone(), "five".into(), 5, 1).start().await.unwrap();
    app.advance(DAY).await;
    assert_eq!(names(&log), ["two", "three", "two", "five", "two"]);
    assert_eq!(gaps(&log), [3_600; 4]);
}

async fn time_moves_to_the_next_due_moment(app: TestApp) {
    let log = fresh("next");
    pause_schedules(&app).await;
    assert_eq!(app.advance_to_next().await, None);
    wakes_every(log.clone(), "two".into(), 2, 1).start().await.unwrap();
    let handle = wakes_every(log.clone(), "five".into(), 5, 1).start().await.unwrap();
    let mut hours = Vec::new();
    while handle.status().await.unwrap() == Status::Pending {
        hours.push(app.advance_to_next().await.expect("something is due").as_secs_f64() / 3600.0);
    }
    assert_eq!(hours.iter().map(|it| it.round()).collect::<Vec<_>>(), [2.0, 3.0]);
    assert_eq!(names(&log), ["two", "five"]);
}

/// Pauses the schedules that other tests of this program have, so that nothing is due.
async fn pause_schedules(app: &TestApp) {
    for schedule in app.list_schedules().await.unwrap() {
        app.pause_schedule(&schedule.name).await.unwrap();
    }
}

async fn time_runs_on_after_it_was_moved(app: TestApp) {
    let log = fresh("runs-on");
    let before = Utc::now();
    app.advance(DAY).await;
    let handle = saves_a_draft(log.clone(), 1).queue(&LATER).delay(Duration::from_millis(50)).start().await.unwrap();
    handle.result().await.unwrap(); // in real time
    let (_, at) = noted(&log).remove(0);
    assert!(at >= before + DAY && at < before + DAY + HOUR, "{at} is not a day after {before}");
    let info = app.workflow(handle.id()).await.unwrap().expect("it is there");
    assert!(info.created_at >= before + DAY, "the database's clock was moved, too: {}", info.created_at);
}

async fn a_move_that_is_given_up_leaves_a_running_clock(app: TestApp) {
    let key = fresh("given-up");
    let handle = holds_then_naps(key.clone()).start().await.unwrap();
    tokio::time::timeout(Duration::from_millis(50), app.advance(DAY)).await.expect_err("a step is running");
    gate(&key).add_permits(1);
    handle.result().await.unwrap(); // after a sleep in real time
}

#[step]
async fn passes(key: &str) {
    gate(key).acquire().await.unwrap().forget();
}

#[workflow]
async fn holds_then_naps(key: String) -> Result<()> {
    passes(&key).await;
    durable::sleep(Duration::from_millis(50)).await;
    Ok(())
}

async fn a_workflow_that_is_resumed_goes_on_before_time_passes(app: TestApp) {
    let log = fresh("resumed");
    let handle = sleeps_thrice(log.clone()).start().await.unwrap();
    app.advance(MINUTE).await;
    app.cancel_workflow(handle.id()).await.unwrap();
    app.advance(MINUTE).await;
    app.resume_workflow(handle.id()).await.unwrap();
    app.advance(3 * DAY).await;
    assert_eq!(handle.status().await.unwrap(), Status::Success);
}

async fn listings_by_time_find_what_was_started_after_time_has_passed(app: TestApp) {
    app.advance(DAY).await;
    let from = durable::now().await - Duration::from_mins(1);
    sleeps_thrice(fresh("listed")).id("listed").start().await.unwrap();
    let found = app.list_workflows(Filter::new().created_after(from)).await.unwrap();
    assert_eq!(found.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(), ["listed"]);
}
