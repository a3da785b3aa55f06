//! Cron with backfill: a report for every day, started by the clock, and the days before the program
//! existed started by hand.

use durable::prelude::*;

// ANCHOR: workflow
#[step(retries = 5)]
async fn write_report(day: &str) -> Result<String> {
    Ok(format!("report of {day}"))
}

/// Every day at six in the morning in Warsaw. After an outage it starts once, for the last missed day.
/// It reads its day from `scheduled` and never from the clock, so a late or repeated run covers the
/// right one.
#[scheduled("0 6 * * *", tz = "Europe/Warsaw", misfire = "once")]
#[workflow]
async fn daily_report(scheduled: DateTime<Utc>, _actual: DateTime<Utc>) -> Result<String> {
    let day = (scheduled - Duration::from_hours(24)).date_naive().to_string();
    write_report(&day).await
}

/// Starts every tick from `from` (inclusive) to `to` (exclusive) that has no workflow yet. It can be
/// repeated: the id of a tick's workflow is `<schedule>@<moment>`.
async fn backfill(from: &str, to: &str) -> Result<u64> {
    durable::backfill_schedule("daily_report", from.parse()?, to.parse()?).await
}
// ANCHOR_END: workflow

pub(crate) async fn run(database: &str) -> Result<()> {
    let app = Durable::builder("backfill").system_database(database).launch().await?;

    // The clocks in Warsaw go forward on March 29, 2026: six o'clock is 05:00 UTC before, 04:00 after.
    assert_eq!(backfill("2026-03-28T00:00:00Z", "2026-03-31T00:00:00Z").await?, 3);
    assert_eq!(backfill("2026-03-27T00:00:00Z", "2026-03-31T00:00:00Z").await?, 4, "three of them were there");

    let ticks = app.list_workflows(Filter::new().id_prefix("daily_report@2026-03")).await?;
    let mut reports = Vec::new();
    for tick in &ticks {
        let report = durable::retrieve_workflow::<String>(&tick.id).await?.await?;
        reports.push(format!("{} {report}", tick.id));
    }
    reports.sort();
    assert_eq!(
        reports,
        [
            "daily_report@2026-03-27T05:00:00Z report of 2026-03-26",
            "daily_report@2026-03-28T05:00:00Z report of 2026-03-27",
            "daily_report@2026-03-29T04:00:00Z report of 2026-03-28",
            "daily_report@2026-03-30T04:00:00Z report of 2026-03-29",
        ]
    );

    app.shutdown().await;
    Ok(())
}
