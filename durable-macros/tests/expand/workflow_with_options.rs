#[workflow(name = "nightly-backup", max_recoveries = 5, timeout = "1h30m", version = "2")]
#[deprecated]
#[tracing::instrument]
async fn backup() -> Result<(), BackupError> {
    todo!()
}
