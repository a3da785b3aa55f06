use durable::prelude::*;

#[scheduled("0 25 * * *")]
#[workflow]
async fn hour(_due: DateTime<Utc>, _now: DateTime<Utc>) -> Result<()> {
    Ok(())
}

#[scheduled("0 2 * *")]
#[workflow]
async fn four(_due: DateTime<Utc>, _now: DateTime<Utc>) -> Result<()> {
    Ok(())
}

#[scheduled("0 2 * * Monday")]
#[workflow]
async fn long_name(_due: DateTime<Utc>, _now: DateTime<Utc>) -> Result<()> {
    Ok(())
}

#[scheduled("0 22-2 * * *")]
#[workflow]
async fn over_midnight(_due: DateTime<Utc>, _now: DateTime<Utc>) -> Result<()> {
    Ok(())
}

#[workflow]
#[scheduled("0 0 30 2 *")]
async fn never(_due: DateTime<Utc>, _now: DateTime<Utc>) -> Result<()> {
    Ok(())
}

#[scheduled("@every 5m")]
#[workflow]
async fn every(_due: DateTime<Utc>, _now: DateTime<Utc>) -> Result<()> {
    Ok(())
}

fn main() {}
