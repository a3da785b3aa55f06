use durable::prelude::*;

#[scheduled("0 2 * * *")]
async fn no_workflow(_due: DateTime<Utc>, _now: DateTime<Utc>) -> Result<()> {
    Ok(())
}

#[scheduled("0 2 * * *")]
#[step]
async fn a_step(_due: DateTime<Utc>, _now: DateTime<Utc>) -> Result<()> {
    Ok(())
}

#[scheduled("0 2 * * *")]
struct Backup;

#[scheduled("0 2 * * *")]
#[workflow]
async fn no_arguments() -> Result<()> {
    Ok(())
}

#[scheduled("0 2 * * *")]
#[workflow]
async fn too_many(_due: DateTime<Utc>, _now: DateTime<Utc>, _count: u32) -> Result<()> {
    Ok(())
}

#[scheduled("0 2 * * *")]
#[workflow]
async fn other_types(_due: String, _now: DateTime<chrono::Local>) -> Result<()> {
    Ok(())
}

#[scheduled("0 2 * * *")]
#[scheduled("0 14 * * *")]
#[workflow]
async fn twice(_due: DateTime<Utc>, _now: DateTime<Utc>) -> Result<()> {
    Ok(())
}

#[scheduled("0 2 * * *")]
#[workflow]
async fn generic<Z: Send>(_due: DateTime<Utc>, _now: DateTime<Utc>) -> Result<()> {
    Ok(())
}

impl Backup {
    #[scheduled("0 2 * * *")]
    #[workflow]
    async fn method(&self) -> Result<()> {
        Ok(())
    }
}

impl Instance for Backup {
    fn instance_name(&self) -> &str {
        "backup"
    }
}

#[durable::instance]
impl Backup {
    #[scheduled("0 2 * * *")]
    #[workflow]
    async fn of_instance(&self, _due: DateTime<Utc>, _now: DateTime<Utc>) -> Result<()> {
        Ok(())
    }
}

fn main() {
    drop(no_workflow(Utc::now(), Utc::now()));
    drop(a_step(Utc::now(), Utc::now()));
    drop((no_arguments(), twice(Utc::now(), Utc::now())));
}
