//! A torture run: three processes work on one database, a nemesis disturbs them, and a checker that knows nothing of
//! the engine reads what they did.
//!
//! ```text
//! cargo run --release --example torture -- --nemesis kill --store postgres --seconds 120 --seed 7
//! cargo run --release --example torture -- --list
//! ```
//!
//! It prints one line of a table, and each violation; it fails if there is one. The seed repeats what the nemesis and the
//! clients do, not the interleaving of the processes. A Postgres server of its own is started for each run.

mod checker;
mod database;
mod fleet;
mod history;
mod ledger;
mod nemeses;
mod options;
mod proxy;
#[path = "../suite/support/random.rs"]
mod random;
mod sabotage;
mod worker;
mod workload;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::checker::Verdict;
use crate::database::{Outcome, TortureDatabase};
use crate::fleet::Fleet;
use crate::ledger::Ledger;
use crate::nemeses::Disturbance;
use crate::options::{Command, TortureOptions};
use crate::random::Random;

type AnyResult<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// How long the workflows have to end once the nemesis has left.
const CUT_OFF: Duration = Duration::from_secs(90);

#[tokio::main]
async fn main() -> AnyResult<ExitCode> {
    match Command::from_arguments(std::env::args().skip(1))? {
        Command::Worker(options) => worker::run(options).await.map(|()| ExitCode::SUCCESS),
        Command::List => {
            print!("{}", nemeses::list());
            Ok(ExitCode::SUCCESS)
        }
        Command::Torture(options) => torture(options).await,
    }
}

async fn torture(options: TortureOptions) -> AnyResult<ExitCode> {
    eprintln!("{} on {} for {} s, seed {}", options.nemesis, options.store, options.seconds, options.seed);
    let mut random = Random::seeded(options.seed);
    let database = TortureDatabase::create(options.store).await?;
    let disturbance = Disturbance::named(&options.nemesis, &database)?;
    disturbance.prepare(&database).await?;
    let mut fleet = Fleet::start(&options, &database, disturbance.extra()).await?;
    let until = Instant::now() + Duration::from_secs(options.seconds);
    let times = disturbance.run(&mut fleet, &database, &mut random, until).await?;
    fleet.stop_clients()?;
    let finished = tokio::time::timeout(CUT_OFF, wait_until_all_have_ended(&mut fleet, &database)).await;
    let is_cut_off = finished.is_err();
    fleet.terminate().await?;
    disturbance.finish(&database, fleet.folder()).await?;
    let ledger = Ledger::read(fleet.folder())?;
    let verdict = Verdict::of(&ledger, &database.outcome().await?, options.lease);
    println!("{}", verdict.row(&options, times));
    if is_cut_off {
        println!("  cut off: there were unfinished workflows after {CUT_OFF:?}");
    }
    for violation in &verdict.violations {
        println!("  violation: {violation}");
    }
    let failed = is_cut_off || !verdict.violations.is_empty();
    if failed && let Some(kept) = fleet.keep_folder() {
        println!("  the ledgers and logs of the processes are in {}", kept.display());
    }
    database.remove()?;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn wait_until_all_have_ended(fleet: &mut Fleet, database: &TortureDatabase) {
    loop {
        let _ = fleet.restart_exited(); // it is started again in the next round
        let (rows, ledger) = (database.outcome().await, Ledger::read(fleet.folder()));
        let have_ended =
            rows.is_ok_and(|Outcome { workflows, .. }| workflows.iter().all(|it| it.has_ended() || it.may_run_on()));
        if have_ended && ledger.is_ok_and(|it| it.clients_have_stopped(&fleet.living())) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(300)).await; // the pause of the polling: it reads all rows
    }
}
