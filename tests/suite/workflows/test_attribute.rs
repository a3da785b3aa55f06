//! The forms of `#[durable::test]`.

use durable::prelude::*;

#[step]
async fn one() -> u32 {
    1
}

#[workflow]
async fn gives_one() -> Result<u32> {
    Ok(one().await)
}

#[durable::test]
async fn a_test_without_an_argument_has_an_engine() {
    assert_eq!(gives_one().await.unwrap(), 1);
}

#[durable::test(sqlite)]
async fn a_test_may_return_a_result(app: TestApp) -> Result<()> {
    assert_eq!(gives_one().await?, 1);
    assert_eq!(app.list_workflows(Filter::new()).await?.len(), 1);
    Ok(())
}

#[durable::test]
#[should_panic(expected = "out of tea")]
async fn a_panic_in_a_test_fails_the_test(_: TestApp) {
    panic!("out of tea");
}

#[durable::test]
#[should_panic(expected = "tasks are still running after the shutdown: 1")]
async fn a_task_that_outlives_its_test_fails_it(_: TestApp) {
    tokio::spawn(std::future::pending::<()>());
}
