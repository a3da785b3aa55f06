//! Queues of a fleet of processes that are killed: limits, order, ticks.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use durable::WorkflowInfo;
use durable::prelude::{DateTime, Status, Utc};
use tokio::process::Child;

use crate::support::{ProcessDatabase, Random, Signal, WatchedProcess, finished, process_tests, start, until};

process_tests! {
all_limits_hold_while_processes_are_killed,
each_of_200_partition_keys_stays_in_order_while_processes_are_killed,
three_processes_start_each_tick_once_while_they_are_killed,
ticks_that_were_due_while_a_process_was_stopped_are_missed,
}

/// One stay of a workflow in its step, by the ledger.
#[derive(Debug)]
struct Stay {
    queue: String,
    key: String,
    number: u32,
    process: String,
    from: u128,
    /// Its end; for one that was killed with its process, the moment of the kill, or its own
    /// beginning if that was between this moment and the end of the process.
    to: u128,
}

fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970").as_micros()
}

/// A fleet of workers, and when each of its processes was killed.
struct Fleet<'a> {
    database: &'a ProcessDatabase,
    living: Vec<Child>,
    killed: HashMap<String, u128>,
}

impl<'a> Fleet<'a> {
    fn new(database: &'a ProcessDatabase, processes: usize) -> Self {
        let mut fleet = Self { database, living: Vec::new(), killed: HashMap::new() };
        for _ in 0..processes {
            fleet.join();
        }
        fleet
    }

    fn join(&mut self) {
        let folder = self.database.folder().display().to_string();
        self.living.push(start("queue_worker", &["work", &folder], self.database));
    }

    async fn kill_one(&mut self, which: usize) {
        let mut child = self.living.remove(which % self.living.len());
        let id = child.id().expect("it is running").to_string();
        self.killed.insert(id, now()); // another process may take over before this one sees the end
        child.kill().await.expect("a process can be killed");
    }

    async fn kill_all(&mut self) {
        while !self.living.is_empty() {
            self.kill_one(0).await;
        }
    }

    /// All stays in the ledgers, in the order of their beginnings.
    fn stays(&self) -> Vec<Stay> {
        let mut stays = Vec::new();
        for entry in std::fs::read_dir(self.database.folder()).expect("the folder is there") {
            let path = entry.expect("an entry can be read").path();
            let Some(process) = path.file_name().and_then(|it| it.to_str()?.strip_prefix("ledger-").map(str::to_owned))
            else {
                continue;
            };
            stays.extend(stays_of(&path, &process, self.killed.get(&process).copied()));
        }
        stays.sort_by_key(|stay| stay.from);
        stays
    }
}

fn stays_of(path: &Path, process: &str, killed: Option<u128>) -> Vec<Stay> {
    let mut open: BTreeMap<(String, String, u32), u128> = BTreeMap::new();
    let mut stays = Vec::new();
    let mut close = |(queue, key, number): (String, String, u32), from, to| {
        stays.push(Stay { queue, key, number, process: process.to_owned(), from, to });
    };
    for line in std::fs::read_to_string(path).expect("the ledger is text").lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [at, what, queue, key, number] = words[..] else { continue };
        let at = at.parse().expect("it is a time");
        let of = (queue.to_owned(), key.to_owned(), number.parse().expect("it is a number"));
        if what == "begin" {
            open.insert(of, at);
        } else if let Some(from) = open.remove(&of) {
            close(of, from, at);
        }
    }
    for (of, from) in open {
        close(of, from, killed.unwrap_or(u128::MAX).max(from));
    }
    stays
}

/// The largest number of stays at one time.
fn most_at_once<'a>(stays: impl Iterator<Item = &'a Stay>) -> i64 {
    let mut changes: Vec<(u128, i64)> = stays.flat_map(|stay| [(stay.from, 1), (stay.to, -1)]).collect();
    changes.sort_unstable(); // an end at the moment of a beginning comes first
    let mut running = 0;
    changes
        .into_iter()
        .map(|(_, change)| {
            running += change;
            running
        })
        .max()
        .unwrap_or(0)
}

async fn fill(database: &ProcessDatabase, kind: &str, count: u32) {
    let folder = database.folder().display().to_string();
    let printed = finished(start("queue_worker", &["fill", &folder, kind, &count.to_string()], database)).await;
    assert!(printed.contains(&format!("FILLED {count}")), "{printed}");
}

/// Runs a fleet until everything has ended, and kills one of its processes now and then.
async fn work_off<'a>(database: &'a ProcessDatabase, processes: usize, kills: usize, kinds: &[&str]) -> Fleet<'a> {
    let mut random = Random::new("kills of queue workers");
    let mut fleet = Fleet::new(database, processes);
    let (mut killed, mut least, mut progress) = (0, usize::MAX, Instant::now());
    loop {
        tokio::time::sleep(Duration::from_millis(300 + random.below(700))).await; // the moment of the kill
        let left = left(database, kinds).await;
        if left == 0 {
            break;
        }
        if left < least {
            (least, progress) = (left, Instant::now());
        }
        assert!(progress.elapsed() < Duration::from_mins(1), "{left} are left, and none has ended for a minute");
        if killed < kills {
            fleet.kill_one(usize::try_from(random.below(97)).expect("it is small")).await;
            fleet.join();
            killed += 1;
        }
    }
    fleet.kill_all().await;
    println!("{killed} processes were killed at work");
    fleet
}

async fn left(database: &ProcessDatabase, kinds: &[&str]) -> usize {
    let of_kind = |it: &&WorkflowInfo| it.queue.as_deref().is_some_and(|queue| kinds.contains(&queue));
    let infos = database.workflows().await;
    infos.iter().filter(of_kind).filter(|it| it.status != Status::Success).count()
}

async fn all_limits_hold_while_processes_are_killed(database: &ProcessDatabase) {
    const COUNT: u32 = 1_000;
    let kinds = ["worker", "fleet", "rated", "parted", "all"];
    for kind in kinds {
        fill(database, kind, COUNT).await;
    }
    let fleet = work_off(database, 4, 8, &kinds).await;
    let stays = fleet.stays();
    let of = |queue: &'static str| stays.iter().filter(move |stay| stay.queue == queue);
    for queue in kinds {
        let numbers: HashSet<u32> = of(queue).map(|stay| stay.number).collect();
        assert_eq!(numbers.len(), COUNT as usize, "{queue}: nothing is left over");
    }
    let processes: HashSet<&str> = stays.iter().map(|stay| stay.process.as_str()).collect();
    for process in &processes {
        for (queue, limit) in [("worker", 5), ("all", 5)] {
            let most = most_at_once(of(queue).filter(|stay| stay.process == **process));
            assert!(most <= limit, "{queue}: {most} at once in one process");
        }
    }
    let (fleet_most, all_most) = (most_at_once(of("fleet")), most_at_once(of("all")));
    assert!(fleet_most <= 7 && all_most <= 9, "{fleet_most} and {all_most} at once in the fleet");
    assert!(fleet_most > 1 && all_most > 1, "something ran at the same time: {fleet_most} and {all_most}");
    for key in 0..20 {
        let most = most_at_once(of("all").filter(|stay| stay.key == format!("k{key}")));
        assert!(most <= 2, "k{key}: {most} at once");
    }
    let infos = database.workflows().await;
    for (queue, starts, period) in [("rated", 100, 500_000), ("all", 200, 500_000)] {
        let mut times: Vec<i64> = infos
            .iter()
            .filter(|it| it.queue.as_deref() == Some(queue))
            .map(|it| it.started_at.expect("it was started").timestamp_micros())
            .collect();
        times.sort_unstable();
        let least = times.windows(starts + 1).map(|window| window[starts] - window[0]).min().expect("there are more");
        assert!(least >= period, "{queue}: {} starts within {least} µs", starts + 1);
    }
    println!(
        "{} stays in {} processes; most at once: fleet {fleet_most} of 7, all {all_most} of 9",
        stays.len(),
        processes.len()
    );
}

async fn each_of_200_partition_keys_stays_in_order_while_processes_are_killed(database: &ProcessDatabase) {
    const COUNT: u32 = 10_000;
    fill(database, "parted", COUNT).await;
    let fleet = work_off(database, 3, 5, &["parted"]).await;
    let mut by_key: HashMap<String, Vec<Stay>> = HashMap::new();
    for stay in fleet.stays().into_iter().filter(|it| it.queue == "parted") {
        by_key.entry(stay.key.clone()).or_default().push(stay);
    }
    assert_eq!(by_key.len(), 200);
    let mut again = 0;
    for (key, stays) in &by_key {
        assert!(most_at_once(stays.iter()) <= 1, "{key}: one at a time");
        let mut numbers: Vec<u32> = stays.iter().map(|it| it.number).collect();
        // A workflow of a killed process runs once more before the next one.
        numbers.dedup();
        again += stays.len() - numbers.len();
        let expected: Vec<u32> = (0..COUNT).filter(|number| format!("k{}", number % 200) == *key).collect();
        assert_eq!(numbers, expected, "{key}: in order");
    }
    println!("10,000 items of 200 keys in order, {again} of them begun once more after a kill");
}

/// The seconds since 1970 for which a schedule has started its workflow.
async fn ticks(database: &ProcessDatabase, schedule: &str) -> Vec<i64> {
    let infos = database.workflows().await;
    let ids = infos.iter().filter(|it| it.name == schedule).map(|it| it.id.as_str());
    let mut seconds: Vec<i64> = ids
        .map(|it| {
            let (_, at) = it.split_once('@').expect("the id of a tick names its moment");
            at.parse::<DateTime<Utc>>().expect("it is a date").timestamp()
        })
        .collect();
    seconds.sort_unstable();
    seconds
}

async fn three_processes_start_each_tick_once_while_they_are_killed(database: &ProcessDatabase) {
    let mut fleet = Fleet::new(database, 3);
    for round in 0..6 {
        tokio::time::sleep(Duration::from_millis(1_300)).await; // the moment of the kill, within some second
        fleet.kill_one(round).await;
        fleet.join();
    }
    tokio::time::sleep(Duration::from_secs(3)).await; // ticks without kills
    fleet.kill_all().await;
    let seconds = ticks(database, "every_second").await;
    let all: Vec<i64> = (seconds[0]..=seconds[seconds.len() - 1]).collect();
    assert_eq!(seconds, all, "each second once, and none left out");
    assert!(all.len() >= 8, "{}", all.len());
    let mut ran: HashMap<String, u32> = HashMap::new();
    for stay in fleet.stays().into_iter().filter(|it| it.queue == "tick") {
        *ran.entry(stay.key).or_default() += 1;
    }
    let twice = ran.values().filter(|it| **it > 1).count();
    println!("{} ticks, {twice} of them begun once more after a kill", all.len());
    assert!(twice <= 6, "only a kill repeats a step");
}

/// A slow test, because only ticks that are more than ten seconds late are missed.
async fn ticks_that_were_due_while_a_process_was_stopped_are_missed(database: &ProcessDatabase) {
    let tick_after = async |least: i64| {
        let is_there = async || ticks(database, "seconds_in_time").await.last().is_some_and(|it| *it >= least);
        until("the schedule has fired", is_there).await;
    };
    let process = WatchedProcess::start("queue_worker", &["work", &database.folder().display().to_string()], database);
    process.wait_for_line("READY").await;
    tick_after(1).await;
    process.signal(Signal::STOP);
    let stopped = Utc::now().timestamp();
    tokio::time::sleep(Duration::from_secs(14)).await; // longer than the ten seconds after which a tick is missed
    let woken = Utc::now().timestamp();
    process.signal(Signal::CONT);
    tick_after(woken + 1).await;
    let meanwhile = |all: Vec<i64>| all.into_iter().filter(|it| (stopped + 1..woken).contains(it)).collect::<Vec<_>>();
    let skipped = meanwhile(ticks(database, "seconds_in_time").await);
    assert!(skipped.len() <= 1, "only the last one may count as on time: {skipped:?}");
    let all = meanwhile(ticks(database, "every_second").await);
    assert_eq!(all, (stopped + 1..woken).collect::<Vec<_>>(), "`misfire = \"all\"` misses none");
}
