#[workflow(name = "nightly-backup", max_recoveries = 5)]
#[deprecated]
#[tracing::instrument]
async fn backup() -> Result<(), BackupError> {
    todo!()
}
