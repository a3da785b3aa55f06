//! `kill -9` of processes at work. The effects of the steps are read from files and not from the database.

use std::collections::HashMap;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::support::{
    ProcessDatabase, Random, finished, kill_9, ledger, lift_file_size_limit, process_tests, program, start, until,
};

process_tests! {
the_quickstart_survives_20_kills_at_random_moments,
a_thousand_workflows_complete_once_after_two_kills,
two_processes_starting_the_same_ids_run_each_once,
}

async fn the_quickstart_survives_20_kills_at_random_moments(database: &ProcessDatabase) {
    // 8 steps of 30 ms and the launch: the moments lie in all parts of it.
    let mut random = Random::new("kills of the quickstart");
    let mut kills = 0;
    for round in 0..20 {
        let moment = Duration::from_millis(random.below(350));
        let order = format!("order-{}", round / 5); // each order is killed five times
        let child = start("quickstart", &[&order, "0.03"], database);
        tokio::time::sleep(moment).await; // the moment of the kill
        kill_9(child).await;
        kills += 1;
    }
    for order in 0..4 {
        let order = format!("order-{order}");
        let printed = finished(start("quickstart", &[&order, "0.03"], database)).await;
        assert!(printed.contains(&format!("{order} is on its way")), "{printed}");
    }

    let effects = std::fs::read_to_string(database.folder().join("effects.log")).expect("steps have run");
    let mut times: HashMap<&str, u32> = HashMap::new();
    for line in effects.lines() {
        *times.entry(line).or_default() += 1;
    }
    assert_eq!(times.len(), 4 * 8, "every step of every order: {times:?}");
    // A step that was killed between its effect and its record happens again, once for each such kill.
    let again: u32 = times.values().map(|it| it - 1).sum();
    println!("{kills} kills, {} effects, {again} of them a second time", effects.lines().count());
    assert!(again <= kills, "{times:?}");

    let workflows = database.workflows().await;
    assert!(workflows.iter().all(|it| it.status == durable::Status::Success), "{workflows:?}");
    for order in 0..4 {
        let steps = database.steps(&format!("order-{order}")).await;
        assert_eq!(steps.len(), 8, "each step is recorded once");
    }
}

async fn a_thousand_workflows_complete_once_after_two_kills(database: &ProcessDatabase) {
    let folder = database.folder().display().to_string();
    for enough in [2_000, 6_000] {
        let child = start("step_worker", &["many", &folder, "1000", "64"], database);
        // Killed when so many of the 10,000 steps have run, according to the ledgers.
        until("enough steps have run", async || ledger(database.folder()).len() >= enough).await;
        kill_9(child).await;
    }
    let printed = finished(start("step_worker", &["many", &folder, "1000", "64"], database)).await;
    assert!(printed.contains("many DONE 1000"), "{printed}");

    let runs = ledger(database.folder());
    assert_eq!(runs.len(), 10_000, "no step was lost");
    let again = runs.values().filter(|it| it.len() > 1).count();
    println!("10,000 steps, {again} of them a second time after 2 kills");
    // At a kill each of the 64 workflows had at most one step that had run and was not recorded.
    assert!(again <= 2 * 64, "{again} steps ran again");
    assert!(runs.values().all(|it| it.len() <= 3));
    let workflows = database.workflows().await;
    assert_eq!(workflows.iter().filter(|it| it.status == durable::Status::Success).count(), 1000);
    assert_eq!(database.count_steps().await, 10_000, "each step is recorded once");
}

async fn two_processes_starting_the_same_ids_run_each_once(database: &ProcessDatabase) {
    let folder = database.folder().display().to_string();
    let (a, b) = (
        start("step_worker", &["same", &folder, "500"], database),
        start("step_worker", &["same", &folder, "500"], database),
    );
    let (a, b) = tokio::join!(finished(a), finished(b));
    assert!(a.contains("same DONE 500") && b.contains("same DONE 500"), "both get all results: {a} {b}");

    let runs = ledger(database.folder());
    assert_eq!(runs.len(), 5_000);
    assert!(runs.values().all(|it| it.len() == 1), "each step ran once, in one of the processes");
    let shares: HashMap<&String, usize> = runs.values().flatten().fold(HashMap::new(), |mut shares, it| {
        *shares.entry(it).or_default() += 1;
        shares
    });
    println!("500 executions, shared {shares:?}");
    assert_eq!(database.workflows().await.len(), 500);
}

/// The program may not write files above 300 KiB: to it the disk is full. Then it may.
#[tokio::test]
async fn a_process_continues_after_a_full_disk_and_loses_nothing() {
    let database = ProcessDatabase::sqlite();
    let folder = database.folder().display().to_string();
    let limited = r#"trap '' XFSZ; ulimit -S -f 600; exec "$@""#; // in blocks of 512 bytes
    let mut child = Command::new("sh")
        .args(["-c", limited, "limited"])
        .arg(program("step_worker"))
        .args(["many", &folder, "300", "16"])
        .env("DURABLE_DATABASE_URL", database.url())
        .env("RUST_LOG", "durable=warn")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("a shell can be started");

    let mut log = BufReader::new(child.stderr.take().expect("it is piped")).lines();
    let printed = async {
        while let Some(line) = log.next_line().await.expect("it logs text") {
            if line.contains("a write failed and is tried again") {
                return line;
            }
        }
        panic!("it ended without having met the end of the disk");
    };
    let printed = tokio::time::timeout(Duration::from_secs(30), printed).await.expect("the disk is full soon");
    assert!(printed.contains("disk"), "{printed}");
    let done = ledger(database.folder()).len();
    assert!(done < 3_000, "it stands still before its end");

    lift_file_size_limit(child.id().expect("it is running"));
    let logging = tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
    let printed = finished(child).await;
    assert!(printed.contains("many DONE 300"), "{printed}");
    logging.await.expect("it only reads");

    println!("stood still after {done} of 3,000 steps, and went on when there was room");
    let runs = ledger(database.folder());
    assert_eq!(runs.len(), 3_000);
    assert!(runs.values().all(|it| it.len() == 1), "nothing crashed, so nothing ran twice");
    assert!(database.workflows().await.iter().all(|it| it.status == durable::Status::Success));
}
