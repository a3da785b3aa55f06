//! The attribute's options, and the assertions of tests.

use std::panic::AssertUnwindSafe;

use durable::prelude::*;
use futures_util::FutureExt;
use serde_json::json;

use crate::support::until;

#[queue]
static KIT_MAIL: Queue = Queue::new("kit-mail").concurrency(1);

#[workflow]
async fn kit_welcomes(user: u32, name: String) -> Result<String> {
    Ok(format!("{name} {user}"))
}

#[workflow(name = "kit-report")]
async fn kit_reports(of: String) -> Result<String> {
    Ok(of)
}

#[workflow]
async fn kit_waits() -> Result<u32> {
    durable::recv("answer", Duration::from_hours(24)).await?.ok_or_else(|| Error::msg("no answer"))
}

#[transaction]
async fn kit_tables(connection: &mut sqlx::SqliteConnection) -> Result<()> {
    sqlx::query("create table users (name text)").execute(&mut *connection).await?;
    Ok(())
}

#[transaction]
async fn kit_users(connection: &mut sqlx::SqliteConnection) -> Result<i64> {
    Ok(sqlx::query_scalar("select count(*) from users").fetch_one(&mut *connection).await?)
}

async fn starts_a_workflow(app: &TestApp) -> Result<()> {
    kit_welcomes(1, "Ann".into()).id("of-the-setup").await?;
    assert_eq!(app.list_workflows(Filter::new()).await?.len(), 1);
    Ok(())
}

async fn takes_the_engine(app: TestApp) {
    app.drain_queues().await;
}

#[durable::test(setup = kit_tables)]
async fn a_setup_can_be_a_transaction() {
    assert_eq!(kit_users().await.unwrap(), 0);
}

#[durable::test(setup = starts_a_workflow)]
async fn a_setup_can_borrow_the_engine(app: TestApp) {
    assert_eq!(app.retrieve_workflow::<String>("of-the-setup").await.unwrap().await.unwrap(), "Ann 1");
}

#[durable::test(setup = takes_the_engine, timeout = "5m")]
async fn a_setup_can_take_the_engine() {}

struct Greeting(&'static str);

fn with_a_greeting(builder: durable::Builder) -> durable::Builder {
    builder.state(Greeting("hello"))
}

#[workflow]
async fn kit_greets() -> Result<String> {
    Ok(durable::state::<Greeting>().0.to_owned())
}

#[durable::test(builder = with_a_greeting)]
async fn a_test_gives_its_engine_state_at_each_launch(app: TestApp) {
    assert_eq!(kit_greets().await.unwrap(), "hello");
    app.crash().await;
    app.restart().await;
    assert_eq!(kit_greets().await.unwrap(), "hello");
    assert_eq!(app.crash_everywhere(kit_greets).await.unwrap(), "hello");
}

#[durable::test]
async fn a_test_has_its_own_name_in_the_names_of_types() {
    fn here() {}
    assert!(std::any::type_name_of_val(&here).contains("::a_test_has_its_own_name_in_the_names_of_types::"));
}

#[durable::test(timeout = "50ms")]
#[should_panic(expected = "it blocked its thread")]
async fn a_test_that_blocks_its_thread_fails_when_it_took_too_long() {
    std::thread::sleep(Duration::from_millis(200));
}

async fn fails() -> Result<()> {
    Err(Error::msg("no tables"))
}

#[durable::test(setup = fails)]
#[should_panic(expected = "the setup of the test failed: no tables")]
async fn a_failed_setup_fails_the_test() {}

#[durable::test(timeout = "200ms")]
#[should_panic(expected = "kit_waits \"w1\" is PENDING")]
async fn a_test_that_takes_too_long_fails_and_lists_what_is_unfinished() {
    kit_waits().id("w1").await.unwrap();
}

/// What a test panics with, if it does.
async fn panic_of(body: impl Future<Output = ()>) -> String {
    let panic = AssertUnwindSafe(body).catch_unwind().await.expect_err("it panics");
    panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap()
}

#[durable::test]
async fn assert_enqueued_looks_at_the_queue_the_arguments_and_the_number(app: TestApp) {
    kit_welcomes(7, "Bob".into()).queue(&KIT_MAIL).id("w7").start().await.unwrap();
    kit_welcomes(8, "Eve".into()).queue(&KIT_MAIL).start().await.unwrap();
    kit_welcomes(9, "Joe".into()).id("direct").await.unwrap();
    assert_enqueued!(app, kit_welcomes);
    assert_enqueued!(app, kit_welcomes, queue = KIT_MAIL, times = 2);
    assert_enqueued!(app, kit_welcomes, queue = "kit-mail", id = "w7", input = json!({"user": 7}));
    assert_enqueued!(app, kit_reports, times = 0);
    app.drain_queues().await;
    assert_enqueued!(app, kit_welcomes, times = 2); // they have ended
    let message = panic_of(async { assert_enqueued!(app, kit_welcomes, queue = "other") }).await;
    assert!(
        message.contains("`kit_welcomes` was enqueued 0 times on the queue `other`, and not at least one"),
        "{message}"
    );
    assert!(message.contains("\"w7\" on `kit-mail`, SUCCESS: {\"user\":7,\"name\":\"Bob\"}"), "{message}");
    assert!(message.contains("\"direct\" not on a queue"), "{message}");
    let message = panic_of(async { assert_enqueued!(app, fails) }).await;
    assert!(message.contains("is not a workflow"), "{message}");
}

#[durable::test]
async fn assert_scheduled_looks_at_the_name_the_times_and_the_zone(app: TestApp) {
    kit_reports("sales".into()).schedule("kit-sales", "0 9 * * *").await.unwrap();
    assert_scheduled!(app, kit_reports);
    assert_scheduled!(app, kit_reports, name = "kit-sales", cron = "0 9 * * *", tz = "UTC");
    let message = panic_of(async { assert_scheduled!(app, kit_reports, cron = "0 8 * * *") }).await;
    assert!(message.contains("no schedule starts `kit-report`, cron = \"0 8 * * *\"; there are:"), "{message}");
    assert!(message.contains("\"kit-sales\" starts `kit-report`: \"0 9 * * *\" in UTC"), "{message}");
}

#[durable::test]
async fn a_recorded_history_is_the_same_in_each_run(app: TestApp) {
    let handle = kit_waits().id("w2").start().await.unwrap();
    // A message that is there already is received without a deadline.
    until("it waits", async || !app.list_steps("w2").await.unwrap().is_empty()).await;
    durable::send("w2", "answer", &42).await.unwrap();
    handle.await.unwrap();
    let expected = "kit_waits \"w2\": SUCCESS\n  input {}\n  1 recv answer: 42\n  1:1 deadline recv\n  message answer <- 42\n  output 42\n";
    assert_eq!(app.history("w2").await.to_string(), expected);
    let generated = [kit_reports("a".into()).start().await.unwrap(), kit_reports("a".into()).start().await.unwrap()];
    let mut histories = Vec::new();
    for handle in generated {
        let id = handle.id().to_owned();
        handle.await.unwrap();
        histories.push(app.history(id).await);
    }
    assert_eq!(histories[0], histories[1], "generated ids are masked");
}

#[durable::test]
async fn helpers_find_the_engine_of_the_running_test(app: TestApp) {
    assert_eq!(
        durable::testing::app().list_executors().await.unwrap().len(),
        app.list_executors().await.unwrap().len()
    );
}

#[test]
fn a_case_of_a_property_has_an_engine_of_its_own() {
    for case in 0..3_u32 {
        let found = durable::testing::block_on(|app| async move {
            kit_reports(case.to_string()).await.unwrap();
            app.list_workflows(Filter::new()).await.unwrap().len()
        });
        assert_eq!(found, 1);
    }
}
