/// Docs.
#[scheduled("0 2 * * *", tz = "Europe/Warsaw", misfire = "once", overlap = "skip")]
#[workflow(name = "backup")]
pub async fn daily_backup(scheduled: DateTime<Utc>, actual: DateTime<Utc>) -> Result<String> {
    todo!()
}

#[renamed::workflow(crate = "renamed")]
#[renamed::scheduled("@hourly")]
async fn refresh(due: DateTime<Utc>, actual: chrono::DateTime<chrono::Utc>) -> Result<()> {
    todo!()
}
