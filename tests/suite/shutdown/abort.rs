//! Steps during the abort: what they observe, and which of their results are recorded.

use std::future::{Future, poll_fn};
use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::task::Poll;
use std::time::Instant;

use durable::prelude::*;
use durable::sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection, query, query_scalar, raw_sql};
use durable::{AbortReason, EnginePhase, StuckKind};

use crate::support::{
    TestDatabase, arrived, budgets, count, counted, database_tests, fresh, gate, patient, start_shutdown,
    wait_for_steps,
};

database_tests! {
a_step_sees_should_abort_and_its_error_is_not_recorded,
aborted_resolves_after_the_drain_and_not_before,
a_steps_own_error_during_the_abort_is_recorded,
a_workflow_that_ends_during_the_abort_is_recorded_as_ended,
a_body_that_ignores_errors_of_a_wait_cannot_complete,
a_select_around_a_suspended_wait_cannot_complete,
a_blocking_step_does_not_block_the_shutdown,
a_blocking_step_waiting_for_a_thread_never_starts_after_the_abort,
a_transaction_in_flight_commits_or_rolls_back,
a_deadline_cancels_during_the_drain_and_not_during_the_abort,
aborted_returns_the_reason,
}

#[step(retries = 3, backoff = "1ms")]
async fn polls_should_abort(key: &str) -> Result<u32> {
    let run = count(key);
    if run > 1 {
        return Ok(run);
    }
    loop {
        if let Some(why) = durable::should_abort() {
            return Err(Error::msg(format!("stopped: {why:?}")));
        }
        tokio::time::sleep(Duration::from_millis(1)).await; // the step polls: that is what it tests
    }
}

#[workflow]
async fn polls_in_step(key: String, retries: u32) -> Result<u32> {
    polls_should_abort(&key).retries(retries).await
}

async fn a_step_sees_should_abort_and_its_error_is_not_recorded(database: &TestDatabase) {
    let (retried, last) = (fresh("retried"), fresh("last"));
    let app = database.launch().await;
    app.scope(async {
        polls_in_step(retried.clone(), 3).id("retried").start().await.unwrap();
        polls_in_step(last.clone(), 0).id("last").start().await.unwrap();
    })
    .await;
    arrived(&retried, 1).await;
    arrived(&last, 1).await;
    let report = app.shutdown_with(budgets(0, 30_000)).await;
    assert!(report.is_clean() && report.suspended_total == 2, "{report}");
    assert_eq!(counted(&retried), 1, "no retry was used up");

    let app = database.launch().await;
    for id in ["retried", "last"] {
        assert_eq!(app.retrieve_workflow::<u32>(id).await.unwrap().await.unwrap(), 2);
        let steps = app.list_steps(id).await.unwrap();
        assert_eq!((steps.len(), steps[0].attempts), (1, 1), "the error was no result");
    }
    app.shutdown().await;
}

#[step]
async fn waits_for_abort_or_gate(key: &str) -> String {
    count(key);
    let gate = gate(key);
    tokio::select! {
    why = durable::aborted() => format!("{why:?}"),
    permit = gate.acquire() => { permit.unwrap().forget(); "opened".to_owned() }
    }
}

#[workflow]
async fn sleeps_beside_step(key: String) -> Result<String> {
    // The sleep is suspended when the drain begins. That does not stop the step.
    let ((), outcome) = tokio::join!(durable::sleep(Duration::from_hours(1)), waits_for_abort_or_gate(&key));
    Ok(outcome)
}

async fn aborted_resolves_after_the_drain_and_not_before(database: &TestDatabase) {
    let (drains, aborts) = (fresh("drains"), fresh("aborts"));
    let app = database.launch().await;
    app.scope(async {
        sleeps_beside_step(drains.clone()).id("drains").start().await.unwrap();
        sleeps_beside_step(aborts.clone()).id("aborts").start().await.unwrap();
    })
    .await;
    arrived(&drains, 1).await;
    arrived(&aborts, 1).await;
    let down = start_shutdown(&app, budgets(60_000, 30_000));
    app.wait_for_phase(EnginePhase::Draining).await;
    tokio::time::sleep(Duration::from_millis(50)).await; // nothing may happen in it
    gate(&drains).add_permits(1);
    wait_for_steps(&app, "drains", 2).await; // the step is recorded, after the sleep
    app.request_shutdown_with(budgets(0, 30_000));
    assert_eq!(down.await.unwrap().suspended_total, 2);

    let app = database.launch().await;
    app.skip_time(Duration::from_hours(1));
    for (id, outcome) in [("drains", "opened"), ("aborts", "Shutdown")] {
        assert_eq!(app.retrieve_workflow::<String>(id).await.unwrap().await.unwrap(), outcome);
    }
    app.shutdown().await;
}

#[step]
async fn fails_on_its_own(key: &str) -> Result<u32> {
    count(key);
    gate(key).acquire().await.unwrap().forget();
    Err(Error::msg("the card was declined"))
}

#[workflow]
async fn declines(key: String) -> Result<u32> {
    let declined = fails_on_its_own(&key).await;
    durable::sleep(Duration::from_millis(1)).await;
    declined
}

async fn a_steps_own_error_during_the_abort_is_recorded(database: &TestDatabase) {
    let key = fresh("declined");
    let app = database.launch().await;
    app.scope(async { declines(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let down = start_shutdown(&app, budgets(0, 30_000));
    app.wait_for_phase(EnginePhase::Aborting).await;
    gate(&key).add_permits(1);
    let report = down.await.unwrap();
    assert!(report.is_clean() && report.suspended_total == 1, "{report}");

    let app = database.launch().await;
    let error = app.retrieve_workflow::<u32>("w").await.unwrap().await.unwrap_err();
    assert_eq!(error.to_string(), "the card was declined");
    assert_eq!(counted(&key), 1, "its error is its result");
    app.shutdown().await;
}

#[workflow]
async fn declines_at_its_end(key: String) -> Result<u32> {
    fails_on_its_own(&key).await
}

async fn a_workflow_that_ends_during_the_abort_is_recorded_as_ended(database: &TestDatabase) {
    let key = fresh("last step");
    let app = database.launch().await;
    app.scope(async { declines_at_its_end(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let down = start_shutdown(&app, budgets(0, 30_000));
    app.wait_for_phase(EnginePhase::Aborting).await;
    gate(&key).add_permits(1);
    let report = down.await.unwrap();
    assert!(report.is_clean() && (report.completed, report.suspended_total) == (1, 0), "{report}");
    let info = database.workflows().await.remove(0);
    assert_eq!(info.status, Status::Error, "nothing but its own code had to run");
}

#[step]
async fn mark_arrived(key: &str) {
    count(key);
}

#[workflow]
async fn ignores_wait_error(key: String) -> Result<String> {
    mark_arrived(&key).await;
    match durable::recv::<String>("n", Duration::from_hours(1)).await {
        Err(_) | Ok(None) => Ok("caught".to_owned()),
        Ok(Some(text)) => Ok(text),
    }
}

#[workflow]
async fn defaults(key: String) -> Result<String> {
    mark_arrived(&key).await;
    Ok(durable::recv::<String>("n", Duration::from_hours(1)).await.unwrap_or_default().unwrap_or_default())
}

#[workflow]
async fn catches_panics(key: String) -> Result<String> {
    mark_arrived(&key).await;
    let mut recv = Box::pin(durable::recv::<String>("n", Duration::from_hours(1)));
    let caught = poll_fn(|cx| match std::panic::catch_unwind(AssertUnwindSafe(|| recv.as_mut().poll(cx))) {
        Ok(polled) => polled.map(Ok),
        Err(panic) => Poll::Ready(Err(panic)),
    });
    Ok(caught.await.map_or("a panic".to_owned(), |it| it.ok().flatten().unwrap_or("nothing".to_owned())))
}

async fn a_body_that_ignores_errors_of_a_wait_cannot_complete(database: &TestDatabase) {
    let key = fresh("swallows");
    let app = database.launch().await;
    app.scope(async {
        ignores_wait_error(key.clone()).id("a").start().await.unwrap();
        defaults(key.clone()).id("b").start().await.unwrap();
        catches_panics(key.clone()).id("c").start().await.unwrap();
    })
    .await;
    arrived(&key, 3).await;
    let report = app.shutdown_with(budgets(1_000, 1_000)).await;
    assert!(report.is_clean() && report.suspended_total == 3, "{report}");
    for info in database.workflows().await {
        assert_eq!((info.status, info.output.as_deref()), (Status::Pending, None), "{}", info.id);
    }
    let app = database.launch().await;
    for id in ["a", "b", "c"] {
        app.scope(async { durable::send(id, "n", "good news").await.unwrap() }).await;
        assert_eq!(app.retrieve_workflow::<String>(id).await.unwrap().await.unwrap(), "good news");
    }
    app.shutdown().await;
}

/// The engines that workflow bodies use.
static ENGINES: Mutex<Vec<(String, Durable)>> = Mutex::new(Vec::new());

#[workflow(nondeterminism = "allow")] // what must not be done is what is tested
async fn selects_around_wait(key: String) -> Result<String> {
    mark_arrived(&key).await;
    let app = ENGINES.lock().unwrap().iter().find(|it| it.0 == key).map(|it| it.1.clone());
    let goes_down = || app.as_ref().is_some_and(|it| it.phase() >= EnginePhase::Draining);
    tokio::select! {
    biased;
    text = durable::recv::<String>("n", Duration::from_hours(1)) => Ok(text?.unwrap_or_default()),
    // Ready in the same poll in which the wait is suspended.
    () = poll_fn(|_| if goes_down() { Poll::Ready(()) } else { Poll::Pending }) => Ok("gone".into()),
    }
}

async fn a_select_around_a_suspended_wait_cannot_complete(database: &TestDatabase) {
    let key = fresh("selects");
    let app = database.launch().await;
    ENGINES.lock().unwrap().push((key.clone(), app.clone()));
    app.scope(async { selects_around_wait(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    wait_for_steps(&app, "w", 2).await; // it waits once its deadline is recorded
    let report = app.shutdown_with(budgets(1_000, 1_000)).await;
    ENGINES.lock().unwrap().retain(|it| it.0 != key);
    assert!(report.is_clean() && (report.completed, report.suspended_total) == (0, 1), "{report}");
    let info = database.workflows().await.remove(0);
    assert_eq!((info.status, info.output), (Status::Pending, None), "what it returned on its way out is no result");

    let app = database.launch().await;
    app.scope(async { durable::send("w", "n", "good news").await.unwrap() }).await;
    assert_eq!(app.retrieve_workflow::<String>("w").await.unwrap().await.unwrap(), "good news");
    app.shutdown().await;
}

#[step]
fn blocks_for_long(key: String) -> u32 {
    let run = count(&key);
    if run == 1 {
        std::thread::sleep(Duration::from_secs(4)); // a fault of the program that is tested here
    }
    run
}

#[workflow]
async fn blocks_on_a_thread(key: String) -> Result<u32> {
    Ok(blocks_for_long(key).await)
}

async fn a_blocking_step_does_not_block_the_shutdown(database: &TestDatabase) {
    let key = fresh("thread");
    let short = Duration::from_millis(500);
    let app = database.builder("blocks").lease(short).launch().await.unwrap();
    app.scope(async { blocks_on_a_thread(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    let begun = Instant::now();
    let report = app.shutdown_with(ShutdownOptions::within(Duration::from_secs(2))).await;
    assert!(begun.elapsed() < Duration::from_millis(3_800), "{report}");
    assert_eq!((report.stuck.len(), report.killed.len(), report.exit_code()), (1, 0, 1), "{report}");
    let stuck = &report.stuck[0];
    assert_eq!((stuck.kind, stuck.at.as_deref()), (StuckKind::BlockingThread, Some("step `blocks_for_long`")));
    assert!(stuck.running_for > Duration::from_millis(500), "{report}");
    assert_eq!(report.released.as_ref().unwrap().direct, 0, "it may still be doing something");

    let app = database.builder("next").lease(short).launch().await.unwrap();
    assert_eq!(app.retrieve_workflow::<u32>("w").await.unwrap().await.unwrap(), 2);
    app.shutdown().await;
}

#[step]
fn occupies_a_thread(key: String) -> u32 {
    let run = count(&key);
    std::thread::sleep(Duration::from_millis(1_500)); // a fault of the program that is tested here
    run
}

#[workflow]
async fn occupies(key: String) -> Result<u32> {
    Ok(occupies_a_thread(key).await)
}

/// Two threads for steps that block, and four such steps.
async fn a_blocking_step_waiting_for_a_thread_never_starts_after_the_abort(database: &TestDatabase) {
    let key = fresh("no thread");
    let builder = database.builder("two threads").max_blocking_steps(2);
    let of_thread = key.clone();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.unwrap().block_on(async {
            let app = builder.launch().await.unwrap();
            app.scope(async {
                for id in 0..4 {
                    occupies(of_thread.clone()).id(format!("w{id}")).start().await.unwrap();
                }
            })
            .await;
            arrived(&of_thread, 2).await;
            let report = app.shutdown_with(budgets(0, 100)).await;
            tokio::time::sleep(Duration::from_secs(3)).await; // the threads are free again, and nothing may begin
            report
        })
    });
    let report = tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap();
    assert_eq!((report.stuck_total, report.killed_total), (2, 2), "{report}");
    assert_eq!(report.released.as_ref().unwrap().direct, 2, "{report}");
    assert_eq!(counted(&key), 2, "what was handed over does not begin here any more");
}

#[transaction]
async fn writes_in_postgres(tx: &mut PgConnection, schema: &str, key: &str) -> Result<u32> {
    count(key);
    let insert = format!("insert into {schema}.kept (key) values ($1)");
    query(AssertSqlSafe(insert)).bind(key).execute(tx).await?;
    gate(key).acquire().await.unwrap().forget();
    Ok(1)
}

#[transaction]
async fn writes_in_sqlite(tx: &mut SqliteConnection, key: &str) -> Result<u32> {
    count(key);
    query("insert into kept (key) values (?)").bind(key).execute(tx).await?;
    gate(key).acquire().await.unwrap().forget();
    Ok(1)
}

#[workflow]
async fn writes_its_key(key: String, schema: Option<String>) -> Result<u32> {
    match schema {
        Some(schema) => writes_in_postgres(&schema, &key).await,
        None => writes_in_sqlite(&key).await,
    }
}

/// How often each key was kept.
async fn kept(database: &TestDatabase, key: &str) -> i64 {
    if database.is_postgres() {
        let mut connection = PgConnection::connect(database.url()).await.unwrap();
        let select = format!("select count(*) from {}.kept where key = $1", database.schema());
        query_scalar(AssertSqlSafe(select)).bind(key).fetch_one(&mut connection).await.unwrap()
    } else {
        let mut connection = SqliteConnection::connect(database.url()).await.unwrap();
        query_scalar("select count(*) from kept where key = ?").bind(key).fetch_one(&mut connection).await.unwrap()
    }
}

async fn a_transaction_in_flight_commits_or_rolls_back(database: &TestDatabase) {
    let (ends, exceeds) = (fresh("ends"), fresh("exceeds"));
    let app = database.launch().await;
    if database.is_postgres() {
        let mut connection = PgConnection::connect(database.url()).await.unwrap();
        let create = format!("create table {}.kept (key text)", database.schema());
        raw_sql(AssertSqlSafe(create)).execute(&mut connection).await.unwrap();
    } else {
        let mut connection = SqliteConnection::connect(database.url()).await.unwrap();
        raw_sql("create table kept (key text)").execute(&mut connection).await.unwrap();
    }
    let schema = database.is_postgres().then(|| database.schema().to_owned());
    app.scope(async { writes_its_key(ends.clone(), schema.clone()).id("ends").start().await.unwrap() }).await;
    arrived(&ends, 1).await;
    let down = start_shutdown(&app, budgets(0, 30_000));
    app.wait_for_phase(EnginePhase::Aborting).await;
    gate(&ends).add_permits(1);
    assert!(down.await.unwrap().is_clean());
    assert_eq!(kept(database, &ends).await, 1, "it came to its end within the time for steps");

    let app = database.launch().await;
    assert_eq!(app.retrieve_workflow::<u32>("ends").await.unwrap().await.unwrap(), 1);
    app.scope(async { writes_its_key(exceeds.clone(), schema).id("exceeds").start().await.unwrap() }).await;
    arrived(&exceeds, 1).await;
    let report = app.shutdown_with(budgets(0, 50)).await;
    assert_eq!((report.killed_total, report.stuck_total), (1, 0), "{report}");
    assert!(report.is_closed(), "{report}");
    assert_eq!(kept(database, &exceeds).await, 0, "it was undone");

    gate(&exceeds).add_permits(1);
    let app = database.launch().await;
    assert_eq!(app.retrieve_workflow::<u32>("exceeds").await.unwrap().await.unwrap(), 1);
    assert_eq!((kept(database, &ends).await, kept(database, &exceeds).await), (1, 1));
    assert_eq!((counted(&ends), counted(&exceeds)), (1, 2));
    app.shutdown().await;
}

#[step]
async fn takes_too_long(key: &str) {
    count(key);
    gate(key).acquire().await.unwrap().forget();
}

#[workflow]
async fn has_a_deadline(key: String) -> Result<()> {
    takes_too_long(&key).await;
    Ok(())
}

async fn a_deadline_cancels_during_the_drain_and_not_during_the_abort(database: &TestDatabase) {
    let (drain, abort, far) = (fresh("drain"), fresh("abort"), fresh("far"));
    let limit = Duration::from_secs(2); // the step has begun long before
    let app = database.launch().await;
    app.scope(async { has_a_deadline(drain.clone()).id("drain").timeout(limit).start().await.unwrap() }).await;
    arrived(&drain, 1).await;
    let report = app.shutdown_with(patient()).await;
    assert!(report.is_clean() && report.completed == 1, "{report}");
    assert_eq!(database.workflows().await[0].status, Status::Cancelled, "its time was up within the drain");

    let app = database.launch().await;
    app.scope(async {
        has_a_deadline(abort.clone()).id("abort").timeout(limit).start().await.unwrap();
        has_a_deadline(far.clone()).id("far").timeout(Duration::from_mins(5)).start().await.unwrap();
    })
    .await;
    arrived(&abort, 1).await;
    arrived(&far, 1).await;
    app.shutdown_with(budgets(0, 3_000)).await;
    for id in ["abort", "far"] {
        let workflows = database.workflows().await;
        assert_eq!(workflows.iter().find(|it| it.id == id).unwrap().status, Status::Pending, "{id}");
    }
    gate(&far).add_permits(1);
    let app = database.launch().await;
    let error = app.retrieve_workflow::<()>("abort").await.unwrap().await.unwrap_err();
    assert!(error.is_cancelled(), "{error}");
    app.retrieve_workflow::<()>("far").await.unwrap().await.unwrap();
    app.shutdown().await;
}

#[step]
async fn returns_reason(key: &str) {
    count(key);
    let cancellation = durable::cancellation();
    let key = key.to_owned();
    tokio::spawn(async move {
        let why: AbortReason = cancellation.cancelled().await;
        count(format!("{key} {why:?}"));
    });
    std::future::pending::<()>().await;
}

#[workflow]
async fn records_reason(key: String) -> Result<()> {
    returns_reason(&key).await;
    Ok(())
}

async fn aborted_returns_the_reason(database: &TestDatabase) {
    assert_eq!(durable::should_abort(), None, "outside any step");
    let (cancelled, late) = (fresh("cancelled"), fresh("late"));
    let app = database.launch().await;
    app.scope(async {
        let handle = records_reason(cancelled.clone()).start().await.unwrap();
        arrived(&cancelled, 1).await;
        handle.cancel().await.unwrap();
        arrived(&format!("{cancelled} Cancelled"), 1).await;
        records_reason(late.clone()).timeout(Duration::from_hours(1)).start().await.unwrap();
        arrived(&late, 1).await;
        app.skip_time(Duration::from_hours(1));
        arrived(&format!("{late} Deadline"), 1).await;
    })
    .await;
    app.shutdown().await;
}
