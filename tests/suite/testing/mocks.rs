//! Mocks of steps.

use durable::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Parcel {
    id: u32,
}

#[step]
async fn weighs(parcel: &Parcel, name: &str, tags: &[u32]) -> Result<u32> {
    Err(Error::msg(format!("no scales for {parcel:?}, {name}, {tags:?}")))
}

#[step(retries = 3, backoff = "1h")]
fn stamps(parcel: Parcel, cents: u32) -> Result<String> {
    Err(Error::msg(format!("no stamps for {parcel:?}, {cents}")))
}

#[step]
async fn counts_stamps() -> usize {
    0
}

#[workflow]
async fn posts(parcel: Parcel) -> Result<String> {
    let weight = weighs(&parcel, "scales", &[1, 2]).await?;
    let stamp = stamps(parcel, weight).await?;
    Ok(format!("{stamp}, {} left", counts_stamps().await))
}

#[durable::test]
async fn a_mock_takes_the_place_of_a_step_and_counts_its_calls(app: TestApp) {
    sqlite_and_postgres(app).await;
}

#[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
#[durable::test(postgres)]
async fn a_mock_takes_the_place_of_a_step_and_counts_its_calls_on_postgres(app: TestApp) {
    sqlite_and_postgres(app).await;
}

async fn sqlite_and_postgres(app: TestApp) {
    let weighings = app.mock(weighs, |parcel: &Parcel, name: &str, tags: &[u32]| {
        assert_eq!((name, tags), ("scales", &[1, 2][..]));
        Ok(parcel.id * 10)
    });
    let stampings = app.mock(stamps, |_, cents| Ok(format!("{cents} cents")));
    app.mock(counts_stamps, || 5);
    let handle = posts(Parcel { id: 7 }).id("p7").start().await.unwrap();
    assert_eq!(handle.await.unwrap(), "70 cents, 5 left");
    assert_eq!((weighings.calls(), stampings.calls()), (1, 1));
    let steps = app.list_steps("p7").await.unwrap();
    let names: Vec<&str> = steps.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["weighs", "stamps", "counts_stamps"], "they are recorded like the real ones");
}

#[durable::test]
async fn a_later_mock_of_the_same_step_replaces_the_earlier_one(app: TestApp) {
    let earlier = app.mock(counts_stamps, || 1);
    let later = app.mock(counts_stamps, || 2);
    assert_eq!(counts_stamps().await, 2, "outside any workflow, too");
    assert_eq!((earlier.calls(), later.calls()), (0, 1));
}

#[durable::test]
async fn attempts_that_a_mock_fails_are_retried(app: TestApp) {
    app.mock(weighs, |_, _, _| Ok(1));
    let stampings = app.mock(stamps, |_, cents| Ok(format!("{cents} cents"))).fail_times(2, Error::msg("closed"));
    let handle = posts(Parcel { id: 8 }).id("p8").start().await.unwrap();
    app.advance(Duration::from_hours(4)).await;
    assert_eq!(handle.await.unwrap(), "1 cents, 0 left");
    assert_eq!(stampings.calls(), 3);
    assert_eq!(app.list_steps("p8").await.unwrap()[1].attempts, 3);
}

#[durable::test]
async fn mocks_stay_when_the_engine_crashes(app: TestApp) {
    app.mock(weighs, |_, _, _| Ok(3));
    app.mock(stamps, |_, cents| Ok(format!("{cents} cents")));
    app.crash().await;
    app.restart().await;
    assert_eq!(posts(Parcel { id: 9 }).await.unwrap(), "3 cents, 0 left");
}

#[durable::test]
async fn a_panic_in_a_mock_is_one_of_the_step(app: TestApp) {
    app.mock(counts_stamps, || panic!("the drawer is stuck"));
    app.mock(weighs, |_, _, _| Ok(1));
    app.mock(stamps, |_, _| Ok("a stamp".into()));
    let error = posts(Parcel { id: 10 }).await.unwrap_err().to_string();
    assert!(error.contains("counts_stamps") && error.contains("the drawer is stuck"), "{error}");
}

#[durable::test]
async fn a_mock_of_one_test_is_not_in_another(_: TestApp) {
    let error = weighs(&Parcel { id: 1 }, "scales", &[]).await.unwrap_err();
    assert!(error.to_string().contains("no scales"), "{error}");
}

struct Secret;

#[step]
async fn hides(secret: Secret) -> u32 {
    let Secret = secret;
    1
}

#[durable::test]
#[should_panic(expected = "the step `hides` cannot be mocked, because its arguments are not all `Clone`")]
async fn a_mock_needs_arguments_that_can_be_cloned(app: TestApp) {
    app.mock(hides, |_| 2);
    hides(Secret).await;
}

#[derive(Clone)]
struct Shop;

impl Shop {
    #[step]
    async fn sells(&self) -> u32 {
        1
    }
}

#[durable::test]
#[should_panic(expected = "the step `sells` cannot be mocked: it is a method or generic")]
async fn a_mock_of_a_method_is_refused_when_it_is_called(app: TestApp) {
    app.mock(Shop::sells, |_| 2);
    Shop.sells().await;
}
