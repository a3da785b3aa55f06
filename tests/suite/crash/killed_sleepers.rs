//! Sleeps of processes that are killed: they end once, never early, and are not restarted.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use durable::prelude::*;

use crate::support::{ProcessDatabase, Random, finished, kill_9, ledger, process_tests, start};

process_tests! {
    sleeps_of_killed_processes_end_once_and_never_early,
}

const SLEEPERS: u32 = 500;
const LONGEST: u64 = 4_000;
const KILLS: u32 = 6;

async fn sleeps_of_killed_processes_end_once_and_never_early(database: &ProcessDatabase) {
    let (mut random, begun) = (Random::new("sleepers"), Instant::now());
    let (folder, count) = (database.folder().display().to_string(), SLEEPERS.to_string());
    let launch = || start("sleep_worker", &[&folder, &count, &LONGEST.to_string()], database);
    let fallen_asleep = || ledger(database.folder()).keys().filter(|it| it.contains("goes to sleep")).count();
    let mut child = launch();
    for _ in 0..KILLS {
        let before = fallen_asleep();
        tokio::time::sleep(Duration::from_millis(200 + random.below(400))).await; // the moment of the kill
        kill_9(child).await;
        child = launch();
        assert!(fallen_asleep() >= before);
    }
    let printed = finished(child).await;
    assert!(printed.contains(&format!("DONE {SLEEPERS}")), "{printed}");

    // Number, what it does, and when, for each line of the ledgers.
    let mut times: HashMap<(u32, bool), Vec<i64>> = HashMap::new();
    for (line, processes) in ledger(database.folder()) {
        let words: Vec<&str> = line.split(' ').collect();
        let number = words[0].parse().expect("it begins with a number");
        let at: i64 = words.last().and_then(|it| it.parse().ok()).expect("it ends with a time");
        times.entry((number, line.contains("wakes up"))).or_default().extend(processes.iter().map(|_| at));
    }
    let (mut again, mut latest) = (0, 0);
    for number in 0..SLEEPERS {
        let steps = database.steps(&format!("s-{number}")).await;
        let kinds: Vec<_> = steps.iter().map(|it| it.kind.as_str()).collect();
        assert_eq!(kinds, ["step", "sleep", "step"], "{number} has slept once");
        let moment: DateTime<Utc> = serde_json::from_str(steps[1].output.as_deref().expect("it is recorded")).unwrap();
        let moment = moment.timestamp_micros();
        let micros = i64::try_from(LONGEST * u64::from(number) / u64::from(SLEEPERS)).unwrap() * 1_000;
        // The wake-up time was recorded at the beginning of this sleep, and a restart does not change it. The
        // clock is known up to the duration of a query, so it may be that much later.
        assert!(moment <= steps[1].completed_at.timestamp_micros() + micros + 150_000, "{number} restarted its sleep");
        let short = times[&(number, false)].iter().min().unwrap() + micros - moment;
        assert!(short <= 0, "{number} sleeps {short} microseconds too short");
        let woken = &times[&(number, true)];
        assert!(woken.iter().all(|it| *it >= moment), "{number} has woken at {woken:?}, before {moment}");
        again += woken.len() - 1;
        latest = latest.max(woken.iter().max().unwrap() - moment);
    }
    // A note is made again if the kill came between it and its record.
    assert!(again <= (SLEEPERS * KILLS) as usize / 10, "{again} have woken again");
    let late = Duration::from_micros(latest.unsigned_abs());
    println!(
        "{SLEEPERS} sleepers, {KILLS} kills, {again} notes again, the latest {late:?} late, in {:?}",
        begun.elapsed()
    );
}
