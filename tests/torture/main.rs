//! A torture run: three processes work on one database, a nemesis disturbs them, and a checker that knows nothing of
//! the engine reads what they did.
//!
//! ```text
//! cargo run --release --example torture -- --nemesis kill --store postgres --seconds 120 --seed 7
//! cargo run --release --example torture -- --long --store sqlite --write docs/reliability.md
//! cargo run --release --example torture -- --list
//! ```
//!
//! It prints one line of a table, and each violation; it fails if there is one. It exits with 3 if this machine does not have
//! what the nemesis needs. The seed repeats what the nemesis and the clients do, not the interleaving of the processes. A
//! Postgres server of its own is started for each run.

mod check_times;
mod checker;
mod database;
mod fleet;
mod history;
mod ledger;
mod nemeses;
mod options;
mod plan;
mod proxy;
#[path = "../suite/support/random.rs"]
mod random;
mod report;
mod sabotage;
mod small_disk;
mod standby;
mod strike;
mod worker;
mod workload;

use std::fmt;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::checker::Verdict;
use crate::database::TortureDatabase;
use crate::fleet::Fleet;
use crate::ledger::Ledger;
use crate::nemeses::Nemesis;
use crate::options::{Command, TortureOptions};
use crate::plan::Plan;
use crate::random::Random;

type AnyResult<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// This machine does not have what the nemesis needs. The run is not a success.
#[derive(Debug)]
struct NotPossible(String);

impl fmt::Display for NotPossible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not possible on this machine: {}", self.0)
    }
}

impl std::error::Error for NotPossible {}

const NOT_POSSIBLE: u8 = 3;

#[tokio::main]
async fn main() -> AnyResult<ExitCode> {
    match Command::from_arguments(std::env::args().skip(1))? {
        Command::Worker(options) => worker::run(options).await.map(|()| ExitCode::SUCCESS),
        Command::Checkpointer(url) => strike::checkpoint_for_ever(&url).await.map(|()| ExitCode::SUCCESS),
        Command::List => {
            print!("{}", nemeses::list());
            Ok(ExitCode::SUCCESS)
        }
        Command::Torture(options) => match torture(options).await {
            Err(error) if error.is::<NotPossible>() => {
                println!("{error}");
                Ok(ExitCode::from(NOT_POSSIBLE))
            }
            ended => ended,
        },
    }
}

async fn torture(options: TortureOptions) -> AnyResult<ExitCode> {
    let mut plan = Plan::of(&options)?;
    let nemesis = plan.nemesis();
    if nemesis == Nemesis::DiskFull
        && let Some(ended) = small_disk::run_in_namespace()?
    {
        return Ok(ended);
    }
    eprintln!("{} on {} for {} s, seed {}", nemesis.name(), options.store, options.seconds, options.seed);
    let mut random = Random::seeded(options.seed);
    let mut database = TortureDatabase::create(options.store, nemesis == Nemesis::DiskFull).await?;
    nemesis.prepare(&mut database).await?;
    let mut fleet = Fleet::start(&options, &database, nemesis).await?;
    let since = Instant::now();
    let until = since + Duration::from_secs(options.seconds);
    let strikes = plan.run(&mut fleet, &mut database, &mut random, until).await?;
    let lasted = since.elapsed();
    fleet.stop_clients()?;
    let finished = tokio::time::timeout(options.cut_off, wait_until_all_have_ended(&mut fleet, &database)).await;
    let is_cut_off = finished.is_err();
    let healed_after = since.elapsed().saturating_sub(lasted);
    fleet.terminate().await?;
    nemesis.finish(&database, &fleet).await?;
    let ledger = Ledger::read(fleet.folder())?;
    let verdict = Verdict::of(&ledger, &database.outcome().await?, options.lease, fleet.ended_at());
    let row = report::row(&options, &strikes, &verdict, lasted);
    println!("{row}");
    eprintln!("everything had ended {healed_after:.1?} after the nemesis had left");
    let left = plan.left();
    if !left.is_empty() {
        println!("  not done in {} s: {left}", options.seconds);
    }
    if is_cut_off {
        println!("  cut off: there were unfinished workflows after {:?}", options.cut_off);
    }
    for violation in &verdict.violations {
        println!("  violation: {violation}");
    }
    if let Some(file) = &options.write {
        report::write(file, &options, &row)?;
    }
    let failed = is_cut_off || !left.is_empty() || !verdict.violations.is_empty();
    if failed && let Some(kept) = fleet.keep_folder() {
        println!("  the ledgers and logs of the processes are in {}", kept.display());
    }
    database.remove()?;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn wait_until_all_have_ended(fleet: &mut Fleet, database: &TortureDatabase) {
    loop {
        let _ = fleet.restart_exited(); // it is started again in the next round
        let ledger = Ledger::read_of(fleet.folder(), &fleet.living());
        if ledger.is_ok_and(|it| it.clients_have_stopped(&fleet.living()))
            && database.unfinished().await.is_ok_and(|it| it == 0)
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(300)).await; // the pause of the polling
    }
}
