//! What each nemesis does when it strikes.

use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use sqlx::Connection;
use tokio::process::Command;

use crate::AnyResult;
use crate::database::TortureDatabase;
use crate::fleet::Fleet;
use crate::ledger::{HOLD_FILE, Ledger};
use crate::nemeses::Nemesis;
use crate::proxy::Link;
use crate::random::Random;
use crate::standby::kill_server;

const TERMINATE: &str = "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'torture'";
const CANCEL: &str =
    "select pg_cancel_backend(pid) from pg_stat_activity where datname = 'torture' and state <> 'idle'";
const LOCK: &str =
    "begin; lock table durable.workflows, durable.executors in access exclusive mode; select pg_sleep(5); commit";
/// The SQLSTATE of a deadlock.
const DEADLOCK: &str = "40P01";

/// Disturbs once, and leaves when the fleet can go on. Returns whether there was something to disturb.
pub(crate) async fn strike(
    nemesis: Nemesis,
    fleet: &mut Fleet,
    database: &mut TortureDatabase,
    random: &mut Random,
) -> AnyResult<bool> {
    let index = random.index(fleet.members.len());
    match nemesis {
        Nemesis::Nothing
        | Nemesis::LongTransactions
        | Nemesis::Latency
        | Nemesis::SlowCommits
        | Nemesis::IdleTimeouts
        | Nemesis::Mix
        | Nemesis::Sabotage => {}
        Nemesis::Kill => fleet.kill_and_replace(index, random.millis(0, 1_000)).await?,
        Nemesis::Deploy => fleet.deploy(index).await?,
        Nemesis::Stop => {
            fleet.signal(index, Signal::STOP);
            tokio::time::sleep(random.millis(4_000, 7_000)).await;
            fleet.signal(index, Signal::CONT);
        }
        Nemesis::FrozenHolder => return freeze_a_holder(fleet, random).await,
        Nemesis::Cut => disturb_link(fleet, index, Link::Cut, random.millis(1, 100)).await,
        Nemesis::LostAnswers => disturb_link(fleet, index, Link::LosesAnswers, random.millis(1, 100)).await,
        Nemesis::LostCommits => disturb_link(fleet, index, Link::LosesCommits, random.millis(50, 300)).await,
        Nemesis::CutInside => disturb_link(fleet, index, Link::CutsInside, random.millis(1, 100)).await,
        Nemesis::BlackHole => disturb_link(fleet, index, Link::Silent, Duration::from_secs(10)).await,
        Nemesis::Restart => set_away(database, random.millis(1, 500)).await?,
        Nemesis::Outage => set_away(database, Duration::from_secs(9)).await?,
        Nemesis::ServerCrash => {
            let server = database.server.as_ref().ok_or("this nemesis is for Postgres")?;
            let process = server.process_id();
            tokio::task::block_in_place(|| kill_server(process))?;
            tokio::task::block_in_place(|| server.set_running(true));
        }
        Nemesis::FailOver => database.fail_over(fleet).await?,
        Nemesis::Terminate => database.execute(TERMINATE).await?,
        Nemesis::CancelledStatements => database.execute(CANCEL).await?,
        Nemesis::RefusedLogins => {
            database.execute("alter database torture allow_connections false").await?;
            database.execute(TERMINATE).await?;
            tokio::time::sleep(Duration::from_secs(4)).await;
            database.execute("alter database torture allow_connections true").await?;
        }
        Nemesis::Crowded => crowd(database).await?,
        Nemesis::Locks => {
            let mut session = database.session().await?;
            let locked = sqlx::raw_sql(LOCK).execute(&mut session).await;
            let is_deadlock = |error: &sqlx::Error| {
                error
                    .as_database_error()
                    .and_then(sqlx::error::DatabaseError::code)
                    .is_some_and(|code| code == DEADLOCK)
            };
            // The fleet takes the tables in another order: the server may have chosen this session as the victim.
            if let Err(error) = locked
                && !is_deadlock(&error)
            {
                return Err(error.into());
            }
            session.close().await?;
        }
        Nemesis::Vacuum => {
            if let Err(error) = database.vacuum().await {
                eprintln!("a table was not rewritten: {error}"); // it was in the way of others, or they of it
                return Ok(false);
            }
        }
        Nemesis::DiskFull => {
            let disk = database.disk.as_ref().ok_or("this run has no disk of its own")?;
            tokio::task::block_in_place(|| disk.fill())?;
            tokio::time::sleep(Duration::from_secs(4)).await;
            disk.clear()?;
        }
        Nemesis::Clocks => {
            let hours = random.pick(&[-24, -1, 0, 1, 24]);
            fleet.set_clock(index, hours)?;
        }
        Nemesis::WriteLock => {
            let mut other = database.other_writer().await?;
            sqlx::raw_sql("begin immediate").execute(&mut other).await?;
            tokio::time::sleep(Duration::from_secs(5)).await;
            sqlx::raw_sql("rollback").execute(&mut other).await?;
            other.close().await?;
        }
        Nemesis::CheckpointKill => kill_in_checkpoints(fleet, database, index, random).await?,
    }
    Ok(true)
}

pub(crate) fn set_link(fleet: &Fleet, index: usize, link: Link) {
    if let Some(proxy) = &fleet.members[index].proxy {
        proxy.set_link(link);
    }
}

async fn disturb_link(fleet: &Fleet, index: usize, link: Link, how_long: Duration) {
    set_link(fleet, index, link);
    tokio::time::sleep(how_long).await;
    set_link(fleet, index, Link::Open);
}

/// Stops the server, and starts it again.
async fn set_away(database: &TortureDatabase, pause: Duration) -> AnyResult<()> {
    let server = database.server.as_ref().ok_or("this nemesis is for Postgres")?;
    tokio::task::block_in_place(|| server.set_running(false));
    tokio::time::sleep(pause).await;
    tokio::task::block_in_place(|| server.set_running(true));
    Ok(())
}

/// Has transactions stay open after their last statement, and stops the first process that is in one. Returns whether
/// there was one.
async fn freeze_a_holder(fleet: &Fleet, random: &mut Random) -> AnyResult<bool> {
    let (hold, asked_at) = (fleet.folder().join(HOLD_FILE), crate::ledger::now());
    std::fs::write(&hold, "")?;
    let since = Instant::now();
    let mut holder = None;
    while holder.is_none() && since.elapsed() < Duration::from_secs(5) {
        tokio::time::sleep(Duration::from_millis(10)).await; // the pause of the polling
        let living = fleet.living();
        let facts = Ledger::read_of(fleet.folder(), &living)?;
        let holds = facts.of("holds").find(|it| it.at > asked_at);
        holder = holds.and_then(|it| living.iter().position(|process| *process == it.process));
    }
    if let Some(index) = holder {
        fleet.signal(index, Signal::STOP);
        std::fs::remove_file(&hold)?;
        tokio::time::sleep(random.millis(6_000, 10_000)).await;
        fleet.signal(index, Signal::CONT);
    } else {
        std::fs::remove_file(&hold)?;
    }
    Ok(holder.is_some())
}

/// Others take every connection that the server has, while the sessions of the processes end.
async fn crowd(database: &TortureDatabase) -> AnyResult<()> {
    let mut admin = database.admin().await?;
    let (mut others, since) = (Vec::new(), Instant::now());
    while since.elapsed() < Duration::from_secs(4) {
        if let Ok(other) = database.admin().await {
            others.push(other);
        } else {
            sqlx::raw_sql(TERMINATE).execute(&mut admin).await?;
            tokio::time::sleep(Duration::from_millis(5)).await; // the processes and the others want the same places
        }
    }
    drop(others);
    Ok(())
}

/// Kills a process that does nothing but copy the WAL into the file, and one of the fleet, which does it now and then.
async fn kill_in_checkpoints(
    fleet: &mut Fleet,
    database: &TortureDatabase,
    index: usize,
    random: &mut Random,
) -> AnyResult<()> {
    let mut other = Command::new(std::env::current_exe()?)
        .args(["--checkpointer", &database.url()])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    tokio::time::sleep(random.millis(50, 400)).await;
    other.kill().await?;
    fleet.kill_and_replace(index, random.millis(0, 300)).await
}

/// The process that copies the WAL into the file, until it is killed.
pub(crate) async fn checkpoint_for_ever(url: &str) -> AnyResult<()> {
    let mut connection = sqlx::SqliteConnection::connect(url).await?;
    loop {
        let _ = sqlx::raw_sql("pragma wal_checkpoint(restart)").execute(&mut connection).await; // it is tried again
    }
}
