//! `app.crash_everywhere(..)`: what passes, and what is found.

use std::panic::AssertUnwindSafe;

use durable::prelude::*;
use durable::sqlx::{self, Connection, PgConnection, SqliteConnection, query, query_scalar};
use durable::testing::{TestApp, server};
use durable::{WorkflowCall, queue};
use futures_util::FutureExt;

use crate::support::{app_tests, count, fresh};

app_tests! {
    a_workflow_with_every_operation_survives_a_crash_at_each_commit,
    the_database_is_as_before_and_the_engine_runs_again,
    a_workflow_that_fails_survives_with_its_error,
    a_workflow_that_is_parked_without_a_crash_fails_the_test,
    times_in_whole_seconds_are_not_compared,
    a_wait_without_a_limit_does_not_end,
    workflows_that_wait_already_stay_as_they_are,
    values_that_are_generated_or_depend_on_the_time_are_not_compared,
    sleeps_timeouts_and_retries_take_no_time,
    a_body_with_a_side_effect_is_found,
    a_body_that_makes_other_calls_is_found,
    a_body_that_makes_other_calls_before_a_sleep_is_found,
    a_generated_id_that_changes_within_a_run_is_found,
}

#[transaction]
async fn sql_lite(tx: &mut SqliteConnection, sql: &str) -> Result<()> {
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(tx).await?;
    Ok(())
}

#[transaction]
async fn sql_pg(tx: &mut PgConnection, sql: &str) -> Result<()> {
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(tx).await?;
    Ok(())
}

async fn sql(postgres: bool, sql: &str) -> Result<()> {
    if postgres { sql_pg(sql).await } else { sql_lite(sql).await }
}

#[transaction]
async fn pay_lite(tx: &mut SqliteConnection, cents: i64) -> Result<i64> {
    let insert = "insert into payments (cents, paid_at) values ($1, strftime('%f', 'now')) returning id";
    Ok(query_scalar(insert).bind(cents).fetch_one(tx).await?)
}

#[transaction]
async fn pay_pg(tx: &mut PgConnection, cents: i64) -> Result<i64> {
    let insert = "insert into payments (cents, paid_at) values ($1, clock_timestamp()::text) returning id";
    Ok(query_scalar(insert).bind(cents).fetch_one(tx).await?)
}

async fn pay(postgres: bool, cents: i64) -> Result<i64> {
    if postgres { pay_pg(cents).await } else { pay_lite(cents).await }
}

/// Creates tables with generated ids, a reference, a trigger and a row, and returns whether this is Postgres.
async fn make_tables(app: &TestApp) -> bool {
    let postgres = !app.location().in_memory;
    let id =
        if postgres { "bigint generated always as identity primary key" } else { "integer primary key autoincrement" };
    let create = format!(
        "create table payments (id {id}, cents bigint not null, paid_at text);
         create table stock (item text primary key, pieces bigint not null);
         create table booked (payment bigint references payments (id));
         insert into stock values ('tea', 10)"
    );
    sql(postgres, &create).await.unwrap();
    let trigger = if postgres {
        "create function book() returns trigger language plpgsql as
             'begin insert into booked values (new.id); return new; end';
         create trigger books after insert on payments for each row execute function book()"
    } else {
        "create trigger books after insert on payments begin insert into booked values (new.id); end"
    };
    sql(postgres, trigger).await.unwrap();
    postgres
}

#[step]
async fn noted(what: &str) -> String {
    what.to_owned()
}

#[step(retries = 3, backoff = "1h")]
async fn works_the_third_time(key: &str) -> Result<u32> {
    match count(format!("{key} {}", durable::idempotency_key().unwrap())) {
        few @ 1..=2 => Err(Error::msg(format!("{few} are too few"))),
        _ => Ok(3),
    }
}

#[step]
async fn streams(items: u32) -> Result<()> {
    for item in 0..items {
        durable::write_stream("tokens", &item).await?;
    }
    Ok(())
}

#[queue]
static PARCELS: Queue = Queue::new("parcels of crash_everywhere");

#[workflow]
async fn ships(item: String) -> Result<String> {
    durable::sleep(Duration::from_hours(24)).await;
    Ok(noted(&format!("shipped {item}")).await)
}

#[workflow]
async fn answers(workflow_id: String) -> Result<()> {
    durable::send(&workflow_id, "answer", &42).await
}

/// Every operation that commits.
#[workflow]
async fn everything(postgres: bool) -> Result<String> {
    let id = durable::workflow_id().unwrap();
    let first = noted("first").await;
    let payment = pay(postgres, 700).await?;
    let child = ships("tea".to_owned()).await?;
    let queued = ships("milk".to_owned()).queue(&PARCELS).start().await?;
    let delayed = ships("salt".to_owned()).queue(&PARCELS).delay(Duration::from_hours(48)).start().await?;
    sql(postgres, "update stock set pieces = pieces - 1").await?;
    durable::set_event("status", &format!("paid {payment}")).await?;
    streams(3).await?;
    let third = works_the_third_time("everything").await?;
    answers(id).start().await?;
    let answer: Option<u32> = durable::recv("answer", Duration::from_hours(1)).await?;
    let nothing: Option<u32> = durable::recv("nothing", Duration::from_hours(24)).await?;
    let (left, right) = durable::join!(noted("left"), noted("right"));
    durable::sleep(Duration::from_hours(720)).await;
    let queued = format!("{} {}", queued.await?, delayed.await?);
    pay(postgres, payment + 1).await?;
    Ok(format!("{first} {child} {queued} {third} {answer:?} {nothing:?} {left} {right}"))
}

async fn a_workflow_with_every_operation_survives_a_crash_at_each_commit(app: TestApp) {
    let postgres = make_tables(&app).await;
    let result = app.crash_everywhere(|| everything(postgres)).await.unwrap();
    assert!(result.ends_with("left right"), "{result}");
}

async fn the_database_is_as_before_and_the_engine_runs_again(app: TestApp) {
    let postgres = make_tables(&app).await;
    pay(postgres, 1).await.unwrap();
    noted_once("before".to_owned()).id("before").await.unwrap();
    assert_eq!(app.crash_everywhere(|| pays(postgres)).await.unwrap(), 2);
    let ids: Vec<_> = app.list_workflows(Filter::new()).await.unwrap().into_iter().map(|it| it.id).collect();
    assert_eq!(ids, ["before"]);
    assert_eq!(pay(postgres, 2).await.unwrap(), 2, "the ids go on where they were");
    assert_eq!(noted_once("after".to_owned()).id("after").await.unwrap(), "after");
    sql(postgres, "insert into booked values (1)").await.unwrap();
}

#[workflow]
async fn noted_once(what: String) -> Result<String> {
    Ok(noted(&what).await)
}

#[workflow]
async fn pays(postgres: bool) -> Result<i64> {
    pay(postgres, 700).await
}

#[workflow]
async fn fails(postgres: bool) -> Result<()> {
    pay(postgres, 700).await?;
    Err(Error::msg("out of tea"))
}

async fn a_workflow_that_fails_survives_with_its_error(app: TestApp) {
    let postgres = make_tables(&app).await;
    let error = app.crash_everywhere(|| fails(postgres)).await.unwrap_err();
    assert_eq!(error.to_string(), "out of tea");
}

#[workflow]
async fn uses_the_other_database(postgres: bool) -> Result<()> {
    sql(!postgres, "select 1").await
}

async fn a_workflow_that_is_parked_without_a_crash_fails_the_test(app: TestApp) {
    let postgres = !app.location().in_memory;
    let message = fault_found(&app, || uses_the_other_database(postgres)).await;
    assert!(message.contains("without a crash the workflow is parked"), "{message}");
}

#[workflow]
async fn logs_at(postgres: bool) -> Result<()> {
    let time = if postgres { "to_char(clock_timestamp(), 'SS')" } else { "strftime('%S', 'now')" };
    sql(postgres, &format!("insert into stock values ({time}, 1)")).await
}

async fn times_in_whole_seconds_are_not_compared(app: TestApp) {
    let postgres = make_tables(&app).await;
    for _ in 0..3 {
        app.crash_everywhere(|| logs_at(postgres)).await.unwrap();
    }
}

async fn workflows_that_wait_already_stay_as_they_are(app: TestApp) {
    let postgres = make_tables(&app).await;
    for number in 0..3 {
        takes_months(fresh("earlier")).id(format!("earlier-{number}")).start().await.unwrap();
    }
    app.crash_everywhere(|| pays(postgres)).await.unwrap();
    let left = app.list_workflows(Filter::new().id_prefix("earlier-")).await.unwrap();
    assert!(left.iter().all(|it| it.status == Status::Pending) && left.len() == 3, "{left:?}");
}

#[workflow]
async fn waits_for_ever() -> Result<Option<u32>> {
    durable::recv("never", Duration::MAX).await
}

async fn a_wait_without_a_limit_does_not_end(app: TestApp) {
    for schedule in app.list_schedules().await.unwrap() {
        app.pause_schedule(&schedule.name).await.unwrap(); // those of the whole program are due at some time
    }
    waits_for_ever().id("w").start().await.unwrap();
    assert_eq!(app.advance_to_next().await, None);
    app.advance(Duration::from_hours(24 * 365)).await;
    assert_eq!(app.workflow("w").await.unwrap().unwrap().status, Status::Pending);
    app.cancel_workflow("w").await.unwrap();
    let message = fault_found(&app, waits_for_ever).await;
    assert!(message.contains("a run does not end, and nothing is due"), "{message}");
}

#[workflow]
async fn generates(postgres: bool) -> Result<String> {
    let id = durable::uuid().await;
    let at = durable::now().await;
    noted_once("child".to_owned()).id(format!("child {id}")).await?;
    let payment = pay(postgres, 5).await?;
    sql(postgres, &format!("insert into stock values ('{id} {payment}', 1)")).await?;
    Ok(format!("{id} {at} {payment}"))
}

async fn values_that_are_generated_or_depend_on_the_time_are_not_compared(app: TestApp) {
    let postgres = make_tables(&app).await;
    app.crash_everywhere(|| generates(postgres)).await.unwrap();
}

#[workflow]
async fn takes_months(key: String) -> Result<u32> {
    for _ in 0..3 {
        durable::sleep(Duration::from_hours(720)).await;
    }
    let _: Option<u32> = durable::recv("nothing", Duration::from_hours(24)).await?;
    works_the_third_time(&key).await
}

async fn sleeps_timeouts_and_retries_take_no_time(app: TestApp) {
    let key = fresh("months");
    app.crash_everywhere(|| takes_months(key.clone())).await.unwrap();
}

/// The message of a test that fails.
async fn fault_found<T, E>(app: &TestApp, call: impl Fn() -> WorkflowCall<T, E>) -> String
where
    T: Send + 'static,
    E: From<Error> + Send + 'static,
{
    let found = AssertUnwindSafe(app.crash_everywhere(call)).catch_unwind().await;
    let Err(panic) = found else { panic!("nothing was found") };
    *panic.downcast::<String>().expect("the message is formatted")
}

const REMEDY: &str = "A body has to make the same calls whenever it runs. Everything else that it does belongs in steps, which may run again after a crash, or in transactions, which do not";

#[workflow]
async fn counts_in_its_body(key: String) -> Result<u32> {
    noted("begin").await;
    let id = durable::workflow_id().unwrap();
    let runs = count(format!("{key} {id}"));
    noted("middle").await;
    Ok(runs)
}

async fn a_body_with_a_side_effect_is_found(app: TestApp) {
    let key = fresh("side effect");
    let message = fault_found(&app, || counts_in_its_body(key.clone())).await;
    let expected = "a crash before the commit of step `noted` at position 1 of `counts_in_its_body` makes a difference:
  the result of `counts_in_its_body` is 2, and was 1\n";
    assert_eq!(message, format!("{expected}{REMEDY}"));
}

#[step]
async fn heads() -> u32 {
    0
}

#[step]
async fn tails() -> u32 {
    1
}

#[workflow]
async fn tosses(key: String) -> Result<u32> {
    let id = durable::workflow_id().unwrap();
    let tossed = if count(format!("{key} {id}")) % 2 == 1 { heads().await } else { tails().await };
    Ok(tossed)
}

async fn a_body_that_makes_other_calls_is_found(app: TestApp) {
    let key = fresh("toss");
    let message = fault_found(&app, || tosses(key.clone())).await;
    let expected = "a crash before the commit of step `heads` at position 1 of `tosses` and the end of `tosses` makes a difference:
  position 1 of `tosses` is step `tails`, and was step `heads`
  the output of step `heads` at position 1 of `tosses` is missing, and was 0
  the result of `tosses` is 1, and was 0
  the output of step `tails` at position 1 of `tosses` is 1, and was not there\n";
    assert_eq!(message, format!("{expected}{REMEDY}"));
}

#[workflow]
async fn tosses_again(key: String) -> Result<u32> {
    let tossed = tosses_now(&key).await;
    durable::sleep(Duration::from_secs(1)).await;
    Ok(tossed)
}

async fn tosses_now(key: &str) -> u32 {
    let id = durable::workflow_id().unwrap();
    if count(format!("{key} {id}")) % 2 == 1 { heads().await } else { tails().await }
}

async fn a_body_that_makes_other_calls_before_a_sleep_is_found(app: TestApp) {
    let key = fresh("toss");
    let message = fault_found(&app, || tosses_again(key.clone())).await;
    assert!(message.starts_with("a crash before the commit of"), "{message}");
    assert!(message.contains("the output of step `tails` at position 1 of `tosses_again`"), "{message}");
}

#[workflow(nondeterminism = "allow")] // what is to be found
async fn generates_in_its_body() -> Result<String> {
    let id = uuid::Uuid::new_v4().to_string();
    noted(&id).await;
    durable::sleep(Duration::from_secs(1)).await;
    Ok(id)
}

async fn a_generated_id_that_changes_within_a_run_is_found(app: TestApp) {
    let message = fault_found(&app, generates_in_its_body).await;
    let expected = "a crash before the commit of the end of `generates_in_its_body` makes a difference:
  these differ, and were the same: the output of step `noted` at position 1 of `generates_in_its_body`; the result of `generates_in_its_body`\n";
    assert_eq!(message, format!("{expected}{REMEDY}"));
}

/// A step that should have been a transaction: its SQL is committed before its record is.
#[step]
async fn pays_in_a_step(url: &str) -> Result<()> {
    let mut connection = PgConnection::connect(url).await?;
    query("insert into payments (cents) values (700)").execute(&mut connection).await?;
    connection.close().await?;
    Ok(())
}

#[workflow]
async fn pays_in_steps(url: String) -> Result<()> {
    noted("before").await;
    pays_in_a_step(&url).await
}

#[transaction(read_only)]
async fn schema_of_tables(tx: &mut PgConnection) -> Result<String> {
    Ok(query_scalar("select current_schema()::text").fetch_one(tx).await?)
}

#[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
#[durable::test(postgres)]
async fn a_step_that_should_have_been_a_transaction_is_found(app: TestApp) {
    make_tables(&app).await;
    let schema = schema_of_tables().await.unwrap();
    let url = format!("{}?options=-c%20search_path%3D{schema}", server::url());
    let message = fault_found(&app, || pays_in_steps(url.clone())).await;
    let expected = "a crash before the commit of step `pays_in_a_step` at position 2 of `pays_in_steps` and the end of `pays_in_steps` makes a difference:
  the number of rows of table `booked` is 2, and was 1
  the number of rows of table `payments` is 2, and was 1
  `payment` in row 2 of table `booked` is 2, and was not there
  `id` in row 2 of table `payments` is 2, and was not there
  `cents` in row 2 of table `payments` is 700, and was not there
  `paid_at` in row 2 of table `payments` is null, and was not there\n";
    assert_eq!(message, format!("{expected}{REMEDY}"));
}
