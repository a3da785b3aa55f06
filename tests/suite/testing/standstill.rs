//! Tests that wait for what never comes fail, with what each workflow waits for.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use durable::prelude::*;
use durable::queue;
use durable::testing::{TestApp, TestOptions};

use crate::support::{app_tests, fresh, gate};

app_tests! {
    a_test_that_waits_for_real_time_to_pass_does_not_fail,
}

const HOUR: Duration = Duration::from_hours(1);
const PATIENCE: Duration = Duration::from_millis(400);

#[queue]
static PAUSED: Queue = Queue::new("standstill-paused");

/// The message with which a test fails.
fn message_of(postgres: bool, body: impl AsyncFnOnce(TestApp) + 'static) -> String {
    let options =
        TestOptions { name: "standstill".into(), postgres, timeout: None, builder: durable::testing::same_builder };
    let run = || {
        durable::testing::run(options, durable::testing::no_set_up, |app| {
            Box::pin(async move {
                app.set_patience(PATIENCE);
                body(app).await;
            })
        });
    };
    let panic = std::panic::catch_unwind(AssertUnwindSafe(run)).expect_err("the test fails");
    panic.downcast_ref::<String>().cloned().expect("it is a formatted message")
}

#[step]
async fn never_ends(key: String) {
    gate(&key).acquire().await.unwrap().forget();
}

#[workflow]
async fn waits_for_a_payment() -> Result<u32> {
    Ok(durable::recv("payment", 10_000 * HOUR).await?.unwrap_or_default())
}

#[workflow]
async fn waits_for_a_paid_child() -> Result<u32> {
    waits_for_a_payment().id("the-child").await
}

#[workflow]
async fn sleeps_for_long() -> Result<()> {
    durable::sleep(1_000 * HOUR).await;
    Ok(())
}

#[workflow]
async fn works_for_ever(key: String) -> Result<()> {
    never_ends(key).await;
    Ok(())
}

fn a_test_that_waits_for_what_never_comes_fails_with_what_everything_waits_for(postgres: bool) {
    let message = message_of(postgres, async |_: TestApp| {
        PAUSED.pause().await.unwrap();
        sleeps_for_long().id("sleeper").start().await.unwrap();
        sleeps_for_long().id("queued").enqueue(&PAUSED).await.unwrap();
        sleeps_for_long().id("delayed").queue(&PAUSED).delay(HOUR).start().await.unwrap();
        waits_for_a_paid_child().id("the-parent").await.unwrap();
    });
    for expected in [
        "standstill: the test has been waiting for ",
        "the next moment at which something is due is ",
        "let time pass with `app.advance(..)`",
        "  waits_for_a_payment \"the-child\": waiting for a message on \"payment\"",
        "  waits_for_a_paid_child \"the-parent\": waiting for the workflow \"the-child\"",
        "  sleeps_for_long \"sleeper\": sleeping until ",
        "  sleeps_for_long \"queued\": waiting on the queue \"standstill-paused\"",
        "  sleeps_for_long \"delayed\": delayed until ",
    ] {
        assert!(message.contains(expected), "{expected:?} is not in: {message}");
    }
}

fn time_that_cannot_pass_because_a_step_never_ends_fails_the_test(postgres: bool) {
    let message = message_of(postgres, async |app: TestApp| {
        works_for_ever(fresh("never")).id("worker").start().await.unwrap();
        app.advance(HOUR).await;
    });
    for expected in ["this is still running: a step", "works_for_ever \"worker\": step `never_ends` running for 0."] {
        assert!(message.contains(expected), "{expected:?} is not in: {message}");
    }
}

mod on_sqlite {
    #[test]
    fn a_test_that_waits_for_what_never_comes_fails_with_what_everything_waits_for() {
        super::a_test_that_waits_for_what_never_comes_fails_with_what_everything_waits_for(false);
    }

    #[test]
    fn time_that_cannot_pass_because_a_step_never_ends_fails_the_test() {
        super::time_that_cannot_pass_because_a_step_never_ends_fails_the_test(false);
    }
}

mod on_postgres {
    #[test]
    #[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
    fn a_test_that_waits_for_what_never_comes_fails_with_what_everything_waits_for() {
        super::a_test_that_waits_for_what_never_comes_fails_with_what_everything_waits_for(true);
    }

    #[test]
    #[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
    fn time_that_cannot_pass_because_a_step_never_ends_fails_the_test() {
        super::time_that_cannot_pass_because_a_step_never_ends_fails_the_test(true);
    }
}

#[workflow]
async fn sleeps_shortly_and_works(key: String) -> Result<()> {
    durable::sleep(PATIENCE * 3 / 2).await;
    never_ends(key).await;
    Ok(())
}

async fn a_test_that_waits_for_real_time_to_pass_does_not_fail(app: TestApp) {
    app.set_patience(PATIENCE);
    let (key, began) = (fresh("slow"), Instant::now());
    let handle = sleeps_shortly_and_works(key.clone()).start().await.unwrap();
    let opens = app.spawn_scoped(async move {
        tokio::time::sleep(PATIENCE * 4).await;
        gate(&key).add_permits(1);
    });
    handle.result().await.unwrap(); // a sleep that is due soon, and a step that takes long
    opens.await.unwrap();
    assert!(began.elapsed() >= PATIENCE * 4);
}
