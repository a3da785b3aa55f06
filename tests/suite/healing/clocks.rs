//! Clocks that were in the future, and have gone back.

use durable::prelude::*;
use durable_core::store::{ScheduleChange, Timestamp};

use crate::support::{TestDatabase, database_tests, until};

database_tests! {
    a_schedule_continues_at_once_when_the_clock_has_gone_back,
}

#[workflow]
async fn reports() -> Result<()> {
    Ok(())
}

async fn a_schedule_continues_at_once_when_the_clock_has_gone_back(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async { reports().schedule("nightly", "0 3 * * *").await.unwrap() }).await;
    // A tick of the next century was started, because the clock of a host was wrong.
    let future = Timestamp::from_micros(4_922_852_400_000_000);
    assert!(app.store().change_schedule("nightly", ScheduleChange::Fired(future)).await.unwrap());
    app.shutdown().await;

    let app = database.launch().await;
    let started = async || {
        app.skip_time(Duration::from_hours(1)); // until the next tick is due
        let all = app.list_workflows(Filter::new()).await.unwrap();
        all.iter().filter(|it| it.id.starts_with("nightly@")).count()
    };
    until("the next tick is started", async || started().await > 0).await;
    let last_tick = async || {
        let all = app.store().schedules().await.unwrap();
        all.iter().find(|it| it.name == "nightly").expect("it is there").last_tick
    };
    until("it is the last tick", async || last_tick().await < future).await;
    app.shutdown().await;
}
