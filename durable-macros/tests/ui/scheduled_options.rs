use durable::prelude::*;

#[scheduled("0 2 * * *", tz = "Europe/Warschau", misfire = "never", overlap = true)]
#[workflow]
async fn values(_due: DateTime<Utc>, _now: DateTime<Utc>) -> Result<()> {
    Ok(())
}

#[scheduled("0 2 * * *", tz = "Middle-earth/Shire", zone = "UTC", timeout = "1h")]
#[workflow]
async fn keys(_due: DateTime<Utc>, _now: DateTime<Utc>) -> Result<()> {
    Ok(())
}

#[scheduled]
#[workflow]
async fn nothing(_due: DateTime<Utc>, _now: DateTime<Utc>) -> Result<()> {
    Ok(())
}

#[scheduled(cron = "0 2 * * *")]
#[workflow]
async fn named(_due: DateTime<Utc>, _now: DateTime<Utc>) -> Result<()> {
    Ok(())
}

#[workflow]
#[scheduled]
async fn nothing_below(_due: DateTime<Utc>, _now: DateTime<Utc>) -> Result<()> {
    Ok(())
}

#[scheduled("0 2 * * *" tz = "UTC")]
#[workflow]
async fn no_comma(_due: DateTime<Utc>, _now: DateTime<Utc>) -> Result<()> {
    Ok(())
}

fn main() {}
