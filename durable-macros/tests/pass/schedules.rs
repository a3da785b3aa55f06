//! `#[scheduled]` is above or below `#[workflow]`, and the workflow can also be called.

#![deny(warnings, missing_docs, unreachable_pub, unused_qualifications)]
#![forbid(unsafe_code)]

/// Backups.
pub mod backups {
    use durable::prelude::*;

    /// Every night.
    #[scheduled("0 2 * * *", tz = "Europe/Warsaw", misfire = "once", overlap = "skip")]
    #[workflow]
    pub async fn daily_backup(scheduled: DateTime<Utc>, actual: DateTime<Utc>) -> Result<String> {
        Ok(format!("{scheduled} {actual}"))
    }

    #[workflow(queue = NIGHT, timeout = "1h")]
    #[durable::scheduled("*/10 0 0 1 * MON-FRI,sun", misfire = "all", overlap = "allow")]
    async fn below(mut due: DateTime<Utc>, _started: DateTime<Utc>) -> Result<()> {
        due += Duration::from_secs(1);
        Err(Error::msg(due))
    }

    #[queue]
    static NIGHT: Queue = Queue::new("night").concurrency(1);
}

use durable::prelude::*;

#[durable::scheduled("@hourly", misfire = "skip")]
#[durable::workflow]
/// Its docs can stand between.
async fn between(_due: DateTime<Utc>, _started: DateTime<Utc>) -> Result<()> {
    Ok(())
}

struct Shop;

impl Shop {
    #[scheduled("15 * * * *")]
    #[workflow]
    async fn restock(_due: DateTime<Utc>, _started: DateTime<Utc>) -> Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn schedules_are_registered_with_their_options() {
    let _call = backups::daily_backup(Utc::now(), Utc::now());
    let _call = Shop::restock(Utc::now(), Utc::now());

    // The engine finds all of them, with their workflows.
    use durable::__private::{Misfire, Overlap, RegisteredSchedule, inventory};
    let found = |name: &str| {
        let mut all = inventory::iter::<RegisteredSchedule>.into_iter();
        let schedule = &all.find(|it| it.0.workflow.name == name).expect("it is registered").0;
        (schedule.cron, schedule.tz, schedule.misfire, schedule.overlap)
    };
    let here = inventory::iter::<RegisteredSchedule>.into_iter().filter(|it| it.0.workflow.file == file!());
    assert_eq!(here.count(), 4);
    assert_eq!(found("daily_backup"), ("0 2 * * *", "Europe/Warsaw", Misfire::Once, Overlap::Skip));
    assert_eq!(found("below"), ("*/10 0 0 1 * MON-FRI,sun", "UTC", Misfire::All, Overlap::Allow));
    assert_eq!(found("restock"), ("15 * * * *", "UTC", Misfire::Skip, Overlap::Allow));
}
