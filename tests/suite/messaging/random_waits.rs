//! Random waits across restarts and jumps of the clock: none ends early, and all end.

use durable::prelude::*;
use serde::{Deserialize, Serialize};

use crate::support::{Random, TestDatabase, database_tests};

database_tests! {
    random_waits_end_on_time_across_restarts,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum Nap {
    Sleep,
    Message,
    Event,
}

/// Waits as planned, and returns the time after each wait.
#[workflow]
async fn naps(plan: Vec<(Nap, Duration)>) -> Result<Vec<DateTime<Utc>>> {
    let mut woken = Vec::new();
    for (nap, length) in plan {
        let came: Option<u32> = match nap {
            Nap::Sleep => {
                durable::sleep(length).await;
                None
            }
            Nap::Message => durable::recv("never", length).await?,
            Nap::Event => durable::get_event("nobody", "never", length).await?,
        };
        assert_eq!(came, None);
        woken.push(durable::now().await);
    }
    Ok(woken)
}

#[workflow]
async fn sleeps_for_ever() -> Result<()> {
    durable::sleep(Duration::MAX).await;
    Ok(())
}

const HOUR: Duration = Duration::from_hours(1);
const MANY: u64 = 60;
const NAPS: u64 = 3;
const LONGEST: u64 = 10;

async fn random_waits_end_on_time_across_restarts(database: &TestDatabase) {
    let mut random = Random::new("clockwork");
    let hours = |random: &mut Random| Duration::from_secs(60 + random.below(LONGEST * 3600));
    let mut app = database.launch().await;
    let mut limits = Vec::new();
    for n in 0..MANY {
        let plan =
            (0..NAPS).map(|_| (random.pick(&[Nap::Sleep, Nap::Message, Nap::Event]), hours(&mut random))).collect();
        let limit = hours(&mut random);
        app.scope(async {
            naps(plan).id(format!("n-{n}")).start().await.unwrap();
            sleeps_for_ever().id(format!("t-{n}")).timeout(limit).start().await.unwrap();
        })
        .await;
        limits.push(limit);
    }
    let (mut passed, mut restarts) = (Duration::ZERO, 0);
    while passed < HOUR * u32::try_from(LONGEST * NAPS + 2).expect("it is small") {
        let leap = Duration::from_secs(random.below(4 * 3600));
        if random.chance(40) {
            database.crash(app).await;
            app = database.launch().await;
            app.skip_time(passed); // the new engine starts from the real time
            restarts += 1;
        }
        app.skip_time(leap);
        passed += leap;
        for (n, limit) in limits.iter().enumerate() {
            let handle = app.retrieve_workflow::<()>(format!("t-{n}")).await.unwrap();
            if *limit > passed + Duration::from_mins(1) {
                assert_eq!(handle.status().await.unwrap(), Status::Pending, "{limit:?} after {passed:?}");
            } else if *limit <= passed {
                let error = in_time(handle.result()).await.expect_err("its time is up");
                assert!(error.to_string().ends_with("timeout"), "{error}");
            }
        }
    }
    let mut waits = 0;
    for n in 0..MANY {
        let id = format!("n-{n}");
        let handle = app.retrieve_workflow::<Vec<DateTime<Utc>>>(&id).await.unwrap();
        let woken = in_time_of(&app, handle).await;
        let steps = app.list_steps(&id).await.unwrap();
        let moments = steps.iter().filter(|it| it.kind == "sleep" || it.kind == "deadline");
        let moments: Vec<DateTime<Utc>> =
            moments.map(|it| serde_json::from_str(it.output.as_deref().expect("it is recorded")).unwrap()).collect();
        assert_eq!(moments.len() as u64, NAPS, "each nap was begun once: {steps:?}");
        for (moment, woken) in moments.iter().zip(woken) {
            assert!(woken >= *moment, "{id} was woken at {woken}, before {moment}");
            waits += 1;
        }
    }
    println!("{waits} waits and {MANY} timeouts, {restarts} restarts, {passed:?} passed");
    app.shutdown().await;
}

async fn in_time<T>(wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect("its time has come")
}

/// The last waits begin when the earlier ones are over, so they may need some more time.
async fn in_time_of(app: &Durable, handle: WorkflowHandle<Vec<DateTime<Utc>>>) -> Vec<DateTime<Utc>> {
    for _ in 0..200 {
        if let Ok(woken) = tokio::time::timeout(Duration::from_millis(100), handle.result()).await {
            return woken.unwrap();
        }
        app.skip_time(HOUR);
    }
    panic!("{} is lost", handle.id());
}
