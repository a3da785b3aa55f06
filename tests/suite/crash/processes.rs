//! `kill -9`, again and again: what the steps did is read from files, not from the database.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::stage::Database;
use crate::support::os_process::lift_file_size_limit;

macro_rules! on_every_database {
    ($($case:ident),+ $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test]
                async fn $case() {
                    let database = crate::stage::Database::sqlite();
                    super::$case(&database).await;
                    database.clear().await;
                }
            )+
        }
        mod postgres {
            $(
                #[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
                #[tokio::test]
                async fn $case() {
                    let database = crate::stage::Database::postgres().await;
                    super::$case(&database).await;
                    database.clear().await;
                }
            )+
        }
    };
}
pub(crate) use on_every_database;

on_every_database! {
    kill_9_of_the_quickstart_at_20_random_moments,
    a_thousand_workflows_killed_twice_all_end_once,
    two_processes_start_the_same_500_ids,
}

/// A program of this project, beside the test's own binary.
pub(crate) fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a process knows its own file");
    let folder = test.parent().and_then(Path::parent).expect("tests lie in target/<profile>/deps");
    let path = folder.join("examples").join(name);
    assert!(path.exists(), "{} is missing: build it with `cargo build --examples`", path.display());
    path
}

pub(crate) fn start(name: &str, arguments: &[&str], database: &Database) -> Child {
    Command::new(program(name))
        .args(arguments)
        .current_dir(database.folder())
        .env("DURABLE_DATABASE_URL", database.url())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .expect("the program can be started")
}

/// The rest of what the program prints, once it has ended by itself.
pub(crate) async fn finished(mut child: Child) -> String {
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let mut all = String::new();
    let reading = async {
        while let Some(line) = lines.next_line().await.expect("it prints text") {
            all.push_str(&line);
            all.push('\n');
        }
        child.wait().await.expect("it ends")
    };
    let status = tokio::time::timeout(Duration::from_mins(2), reading).await.expect("it ends in time");
    assert!(status.success(), "{status}: {all}");
    all
}

pub(crate) async fn kill_9(mut child: Child) {
    child.kill().await.expect("it was running, or had just ended");
}

/// A number from 0 to 1, by lot.
pub(crate) fn lot() -> f64 {
    f64::from(uuid::Uuid::new_v4().as_fields().0) / f64::from(u32::MAX)
}

async fn kill_9_of_the_quickstart_at_20_random_moments(database: &Database) {
    // 8 steps of 30 ms and the launch: the moments lie in all parts of it.
    let mut kills = 0;
    for round in 0..20 {
        let moment = Duration::from_secs_f64(0.35 * lot());
        let order = format!("order-{}", round / 5); // each order is killed five times
        let child = start("quickstart", &[&order, "0.03"], database);
        tokio::time::sleep(moment).await;
        kill_9(child).await;
        kills += 1;
    }
    for order in 0..4 {
        let order = format!("order-{order}");
        let told = finished(start("quickstart", &[&order, "0.03"], database)).await;
        assert!(told.contains(&format!("{order} is on its way")), "{told}");
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

    let look = database.look().await;
    assert!(look.iter().all(|it| it.status == durable::Status::Success), "{look:?}");
    for order in 0..4 {
        let steps = database.steps(&format!("order-{order}")).await;
        assert_eq!(steps.len(), 8, "each step is recorded once");
    }
}

/// What the steps of all workers did: how often each step of each workflow ran, by process.
pub(crate) fn ledger(folder: &Path) -> HashMap<String, Vec<String>> {
    let mut runs: HashMap<String, Vec<String>> = HashMap::new();
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("an entry can be read").path();
        let Some(name) = path.file_name().and_then(|it| it.to_str()).filter(|it| it.starts_with("ledger-")) else {
            continue;
        };
        for line in std::fs::read_to_string(&path).expect("a ledger can be read").lines() {
            runs.entry(line.to_owned()).or_default().push(name.to_owned());
        }
    }
    runs
}

async fn a_thousand_workflows_killed_twice_all_end_once(database: &Database) {
    let folder = database.folder().display().to_string();
    for enough in [2_000, 6_000] {
        let child = start("worker", &["many", &folder, "1000", "64"], database);
        // Killed when so many of the 10,000 steps have run, which the ledgers tell.
        while ledger(database.folder()).len() < enough {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        kill_9(child).await;
    }
    let told = finished(start("worker", &["many", &folder, "1000", "64"], database)).await;
    assert!(told.contains("many DONE 1000"), "{told}");

    let runs = ledger(database.folder());
    assert_eq!(runs.len(), 10_000, "no step was lost");
    let again = runs.values().filter(|it| it.len() > 1).count();
    println!("10,000 steps, {again} of them a second time after 2 kills");
    // At a kill each of the 64 workflows had at most one step that had run and was not recorded.
    assert!(again <= 2 * 64, "{again} steps ran again");
    assert!(runs.values().all(|it| it.len() <= 3));
    let look = database.look().await;
    assert_eq!(look.iter().filter(|it| it.status == durable::Status::Success).count(), 1000);
    assert_eq!(database.count_steps().await, 10_000, "each step is recorded once");
}

async fn two_processes_start_the_same_500_ids(database: &Database) {
    let folder = database.folder().display().to_string();
    let (a, b) =
        (start("worker", &["same", &folder, "500"], database), start("worker", &["same", &folder, "500"], database));
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
    assert_eq!(database.look().await.len(), 500);
}

/// The program may not write files above 300 KiB: to it the disk is full. Then it may.
#[tokio::test]
async fn a_full_disk_is_waited_for_and_nothing_is_lost() {
    let database = Database::sqlite();
    let folder = database.folder().display().to_string();
    let limited = r#"trap '' XFSZ; ulimit -S -f 600; exec "$@""#; // in blocks of 512 bytes
    let mut child = Command::new("sh")
        .args(["-c", limited, "limited"])
        .arg(program("worker"))
        .args(["many", &folder, "300", "16"])
        .env("DURABLE_DATABASE_URL", database.url())
        .env("RUST_LOG", "durable=warn")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("a shell can be started");

    let mut log = BufReader::new(child.stderr.take().expect("it is piped")).lines();
    let told = async {
        while let Some(line) = log.next_line().await.expect("it logs text") {
            if line.contains("a write failed and is tried again") {
                return line;
            }
        }
        panic!("it ended without having met the end of the disk");
    };
    let told = tokio::time::timeout(Duration::from_secs(30), told).await.expect("the disk is full soon");
    assert!(told.contains("disk"), "{told}");
    let done = ledger(database.folder()).len();
    assert!(done < 3_000, "it stands still before its end");

    lift_file_size_limit(child.id().expect("it is running"));
    let logging = tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
    let told = finished(child).await;
    assert!(told.contains("many DONE 300"), "{told}");
    logging.await.expect("it only reads");

    println!("stood still after {done} of 3,000 steps, and went on when there was room");
    let runs = ledger(database.folder());
    assert_eq!(runs.len(), 3_000);
    assert!(runs.values().all(|it| it.len() == 1), "nothing crashed, so nothing ran twice");
    assert!(database.look().await.iter().all(|it| it.status == durable::Status::Success));
}
