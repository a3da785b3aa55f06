//! Every program is run without faults, and then again in processes that die at random calls, until one of
//! them completes it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use durable::{Durable, ShutdownOptions, StepInfo};
use durable_core::store::Store;

use super::interpreter::{Ground, interpret};
use super::program::{Author, Block, Effect, effects, workflows};
use crate::support::{FaultMode, FaultPlan, FaultyStore, Random, TestDatabase, counted, database_tests, fresh};

database_tests! {
random_programs_give_the_same_result_despite_random_crashes,
}

/// How many programs run beside each other.
const TOGETHER: usize = 5;
/// How many processes die at most.
const DEATHS: u64 = 8;
/// Longer than any pause of a live executor, and short enough for the heartbeat to look for orphans:
/// has to: what a failed launch gives back at its end is found then.
const LEASE: Duration = Duration::from_secs(15);

async fn random_programs_give_the_same_result_despite_random_crashes(database: &TestDatabase) {
    let mut random = Random::new("programs");
    let many = std::env::var("DURABLE_TEST_PROGRAMS").ok().map(|it| it.parse().expect("it is a number"));
    let many = many.unwrap_or(if database.is_postgres() { 50 } else { 200 });
    let (begun, mut deaths, mut operations) = (Instant::now(), 0, 0);
    let hall = Hall::new(database).await;
    for first in (0..many).step_by(TOGETHER) {
        let programs: Vec<Block> = (0..TOGETHER.min(many - first)).map(|_| Author::program(&mut random)).collect();
        let (died, recorded) = hall.run(&programs, &mut random).await;
        deaths += died;
        operations += recorded;
    }
    let (_, last) = hall.launch(FaultPlan::default()).await;
    last.expect("nothing fails here").shutdown_with(ShutdownOptions::immediate()).await; // it cleans up
    hall.inner.close().await;
    println!("{many} programs, {operations} records, {deaths} deaths, in {:?}", begun.elapsed());
}

/// Where the programs run.
struct Hall<'a> {
    database: &'a TestDatabase,
    inner: Arc<dyn Store>,
    table: String,
}

impl<'a> Hall<'a> {
    async fn new(database: &'a TestDatabase) -> Self {
        let inner = durable_core::store::open(database.url(), database.schema()).await.unwrap();
        inner.migrate().await.unwrap();
        let table =
            if database.is_postgres() { format!("\"{}\".applied", database.schema()) } else { "applied".to_owned() };
        let hall = Self { database, inner, table };
        hall.sql(&format!("create table {} (what text)", hall.table)).await;
        hall
    }

    async fn sql(&self, text: &str) -> Vec<String> {
        use durable::sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection, query_scalar};
        let statement = AssertSqlSafe(text.to_owned());
        if self.database.is_postgres() {
            let mut connection = PgConnection::connect(self.database.url()).await.unwrap();
            query_scalar(statement).fetch_all(&mut connection).await.unwrap()
        } else {
            let mut connection = SqliteConnection::connect(self.database.url()).await.unwrap();
            query_scalar(statement).fetch_all(&mut connection).await.unwrap()
        }
    }

    /// A process.
    async fn launch(&self, plan: FaultPlan) -> (Arc<FaultyStore>, Option<Durable>) {
        let faulty = Arc::new(FaultyStore::over(&self.inner, plan));
        let builder = self.database.builder("programs").executor_id("the one").lease(LEASE);
        let launched = builder.store(Arc::clone(&faulty) as Arc<dyn Store>).launch().await;
        if launched.is_err() {
            assert!(faulty.was_reached(), "{:?}", launched.err());
            faulty.kill(); // a program ends if its launch fails
        }
        (faulty, launched.ok())
    }

    /// Runs the programs without faults and with them, and gives how many processes have died and
    /// how many records there are.
    async fn run(&self, programs: &[Block], random: &mut Random) -> (u64, usize) {
        let (calm, stormy) = (fresh("calm"), fresh("stormy"));
        let (faulty, first) = self.launch(FaultPlan { reading_counts: true, ..FaultPlan::default() }).await;
        let app = first.expect("nothing fails here");
        let expected = self.attempt(&app, &faulty, &calm, programs).await.expect("no process dies here");
        let calls = faulty.calls();
        for (index, program) in programs.iter().enumerate() {
            for id in workflows(&format!("{calm}.{index}"), program) {
                self.ended(&app, &id).await; // before the next process takes over what is left
            }
        }
        faulty.kill();
        drop(app);

        let (mut deaths, processes) = (0, random.below(DEATHS + 1));
        for _ in 0..processes {
            let mut planned = BTreeMap::new();
            // Recorded operations are not repeated, so later processes have fewer calls to die at.
            let end = 2 + calls / 2;
            for _ in 0..=random.below(4) {
                planned.insert(1 + random.below(end), random.pick(&[FaultMode::LostAnswer, FaultMode::Unreachable]));
            }
            planned.insert(1 + random.below(end), random.pick(&[FaultMode::Before, FaultMode::After]));
            let (failing, launched) =
                self.launch(FaultPlan { faults: planned, reading_counts: true, ..FaultPlan::default() }).await;
            if let Some(app) = launched {
                self.attempt(&app, &failing, &stormy, programs).await;
                deaths += u64::from(failing.is_dead());
                failing.kill(); // even if no fault happened: children that are not awaited may still run
            }
        }
        let (sound, last) = self.launch(FaultPlan::default()).await;
        let last = last.expect("nothing fails here");
        let given = self.attempt(&last, &sound, &stormy, programs).await.expect("no process dies here");

        let mut records = 0;
        for (index, program) in programs.iter().enumerate() {
            let shown = || serde_json::to_string(program).expect("it came from a text, or went into one");
            let (calm, stormy) = (format!("{calm}.{index}"), format!("{stormy}.{index}"));
            assert_eq!(plain(&given[index], &stormy), plain(&expected[index], &calm), "{}", shown());
            for (again, once) in workflows(&stormy, program).iter().zip(workflows(&calm, program)) {
                self.ended(&last, again).await;
                let (is, should_be) = (self.records(again, &stormy).await, self.records(&once, &calm).await);
                assert_eq!(is, should_be, "{again}: {}", shown());
                records += is.len();
            }
            self.look_after(&last, &calm, program, 0).await;
            self.look_after(&last, &stormy, program, processes).await;
        }
        sound.kill();
        drop(last);
        (deaths, records)
    }

    /// Runs the programs in one process; `None` when it dies.
    async fn attempt(&self, app: &Durable, faulty: &FaultyStore, id: &str, programs: &[Block]) -> Option<Vec<String>> {
        let calls: Vec<_> = programs
            .iter()
            .enumerate()
            .map(|(index, program)| {
                let id = format!("{id}.{index}");
                let ground =
                    Ground { id: id.clone(), table: self.table.clone(), postgres: self.database.is_postgres() };
                let program = program.clone();
                app.spawn_scoped(async move { interpret(ground, program).id(id).await })
            })
            .collect();
        let mut results = Vec::new();
        for (call, program) in calls.into_iter().zip(programs) {
            let ended = async {
                tokio::select! {
                result = call => Some(result.unwrap()),
                () = faulty.wait_for_death() => None,
                }
            };
            let story = || serde_json::to_string(program).expect("it came from a text, or went into one");
            let Ok(ended) = tokio::time::timeout(Duration::from_secs(20), ended).await else {
                panic!("{id} does not end: {}\n{}", story(), self.standing(id).await);
            };
            match ended {
                Some(Ok(result)) => results.push(result),
                // A caller in a dying process may get an error.
                Some(Err(_)) if faulty.is_dead() => return None,
                Some(Err(error)) => panic!("{id}: {error}: {}", story()),
                None => return None,
            }
        }
        Some(results)
    }

    /// Waits for the end of a workflow.
    async fn ended(&self, app: &Durable, id: &str) {
        let handle = app.retrieve_workflow::<String>(id).await.unwrap();
        let Ok(result) = tokio::time::timeout(Duration::from_secs(20), handle.result()).await else {
            panic!("{id} does not end: {}", self.standing(id).await);
        };
        result.unwrap();
    }

    /// The steps of the workflows that have not ended.
    async fn standing(&self, id: &str) -> String {
        let mut all = Vec::new();
        for it in self.inner.list(&durable::Filter::new().id_prefix(id).limit(10_000)).await.unwrap() {
            if !it.status.is_terminal() {
                let steps = self.inner.steps(&it.id).await.unwrap();
                let steps: Vec<_> = steps.iter().map(|it| format!("{} {} {}", it.position, it.kind, it.name)).collect();
                all.push(format!("{} is {}: {}", it.id, it.status, steps.join(", ")));
            }
        }
        all.join("\n")
    }

    /// The records of a workflow that are equal in every run: without those of arms that lost, and without
    /// values that depend on the time.
    async fn records(&self, id: &str, root: &str) -> Vec<String> {
        let steps = self.inner.steps(id).await.unwrap();
        let winners: Vec<(String, String)> = steps
            .iter()
            .filter(|it| it.kind == "select")
            .map(|it| (format!("{}/", it.position), it.output.clone().expect("a winner is a number")))
            .collect();
        let of_loser = |it: &StepInfo| {
            let position = it.position.to_string();
            winners.iter().any(|(select, winner)| {
                position.strip_prefix(select.as_str()).is_some_and(|below| !below.starts_with(&format!("{winner}/")))
            })
        };
        let by_time = ["sleep", "now", "uuid", "random"];
        let mut records = Vec::new();
        for it in steps.iter().filter(|it| it.kind != "deadline" && !of_loser(it)) {
            let output =
                it.output.as_deref().filter(|_| !by_time.contains(&it.kind.as_str())).map(|it| plain(it, root));
            let name = plain(&it.name, root);
            let child = it.child.as_deref().map(|it| plain(it, root));
            let error = it.error.as_deref().map(|it| plain(it, root));
            records.push(format!("{} {} {name} {output:?} {error:?} {child:?}", it.position, it.kind));
        }
        records
    }

    /// Checks after the run how often everything has happened.
    async fn look_after(&self, app: &Durable, id: &str, program: &Block, killed: u64) {
        let killed = u32::try_from(killed).expect("they are few");
        let rows = self.sql(&format!("select what from {} where what like '{id}%'", self.table)).await;
        for (id, n, effect) in effects(id, program) {
            let key = format!("{id} {n}");
            let most = match effect {
                Effect::Step | Effect::Shows => 1 + killed,
                Effect::Retries => 2 * (1 + killed),
                Effect::Transaction => {
                    assert_eq!(rows.iter().filter(|it| **it == key).count(), 1, "{key} is applied once");
                    continue;
                }
                Effect::Items(many) => {
                    let all: Vec<u32> = (0..many).collect();
                    assert_eq!(
                        read_stream(app, &id, &format!("items {n}")).await,
                        all,
                        "{key} is written once, in order"
                    );
                    continue;
                }
            };
            let times = counted(&key);
            assert!(
                (1..=most).contains(&times),
                "{key} happened {times} times in {killed} processes that were killed and one that was not"
            );
            if effect == Effect::Shows {
                let shown = read_stream(app, &id, &format!("shown {n}")).await;
                assert!(!shown.is_empty() && shown.iter().all(|it| *it == n), "{shown:?}");
            }
        }
    }
}

async fn read_stream(app: &Durable, id: &str, stream: &str) -> Vec<u32> {
    app.scope(async {
        let mut reader = durable::read_stream::<u32>(id, stream);
        let mut items = Vec::new();
        while let Some(item) = reader.next().await {
            items.push(item.unwrap());
        }
        items
    })
    .await
}

/// A text without the id of the run.
fn plain(text: &str, id: &str) -> String {
    text.replace(id, "ID")
}
