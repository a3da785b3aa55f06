//! The forms of `#[durable::test]` compile. No store is built in here, so none of them can run; those that do are with
//! the tests of the workspace.

use durable::testing::TestApp;

#[durable::test]
#[ignore = "no store is built in"]
async fn with_the_application(app: TestApp) {
    drop(app);
}

#[durable::test(sqlite)]
#[ignore = "no store is built in"]
async fn with_nothing() {}

#[durable::test(postgres)]
#[ignore = "no store is built in"]
async fn with_a_result(mut _app: TestApp) -> durable::Result<()> {
    Ok(())
}

#[ignore = "no store is built in"]
#[durable::test]
#[should_panic(expected = "out of tea")]
async fn with_a_panic(_: TestApp) {
    panic!("out of tea");
}
