//! What disturbs the processes and their database.

use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use sqlx::Connection;

use crate::AnyResult;
use crate::database::TortureDatabase;
use crate::fleet::Fleet;
use crate::proxy::Link;
use crate::random::Random;
use crate::sabotage;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    Nothing,
    Postgres,
    Sqlite,
}

macro_rules! nemeses {
    ($($nemesis:ident $name:literal $needs:ident $what:literal,)+) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        enum Nemesis { $($nemesis),+ }

        const ALL: &[(Nemesis, &str, Needs, &str)] = &[$((Nemesis::$nemesis, $name, Needs::$needs, $what)),+];
    };
}

nemeses! {
    Nothing "none" Nothing "nothing",
    Kill "kill" Nothing "a process is killed (SIGKILL) and replaced",
    Stop "stop" Nothing "a process is stopped (SIGSTOP) for longer than its lease, and continued",
    Deploy "deploy" Nothing "a process is asked to end (SIGTERM) and replaced",
    LongTransactions "long-transactions" Postgres "twenty workflows of each process hold transactions",
    Cut "cut" Postgres "the connections of a process break",
    BlackHole "black-hole" Postgres "the connections of a process stay open and silent for 10 s",
    Latency "latency" Postgres "every packet of one process comes 200 ms later",
    Restart "restart" Postgres "the server is stopped and started",
    Outage "outage" Postgres "the server is away for three leases",
    Terminate "terminate" Postgres "the server ends all sessions",
    IdleTimeouts "idle-timeouts" Postgres "idle_session_timeout = 1 s, idle_in_transaction_session_timeout = 1 s",
    RefusedLogins "refused-logins" Postgres "sessions end, and logins are refused for 4 s",
    CancelledStatements "cancelled-statements" Postgres "the server cancels every running statement",
    Locks "locks" Postgres "the tables of the engine are locked for 5 s",
    Sabotage "sabotage" Sqlite "rows and ledgers are changed after the run, and the checker has to find each change",
    WriteLock "write-lock" Sqlite "another process has the write lock of the file for 5 s",
}

/// The nemesis of a run.
pub(crate) struct Disturbance(Nemesis);

/// All nemeses, one a line.
pub(crate) fn list() -> String {
    ALL.iter().fold(String::new(), |all, (_, name, needs, what)| all + &format!("{name:22} {needs:?}: {what}\n"))
}

impl Disturbance {
    pub(crate) fn named(name: &str, database: &TortureDatabase) -> AnyResult<Self> {
        let found = ALL.iter().find(|it| it.1 == name);
        let (nemesis, _, needs, _) =
            found.ok_or_else(|| format!("there is no nemesis {name}; there are:\n{}", list()))?;
        match (needs, database.server.is_some()) {
            (Needs::Postgres, false) => Err(format!("{name} is for --store postgres").into()),
            (Needs::Sqlite, true) => Err(format!("{name} is for --store sqlite").into()),
            _ => Ok(Self(*nemesis)),
        }
    }

    /// Arguments for the processes.
    pub(crate) fn extra(&self) -> &'static [&'static str] {
        if self.0 == Nemesis::LongTransactions { &["--long-transactions"] } else { &[] }
    }

    /// After the processes have ended.
    pub(crate) async fn finish(&self, database: &TortureDatabase, folder: &Path) -> AnyResult<()> {
        if self.0 == Nemesis::Sabotage { sabotage::change(database, folder).await } else { Ok(()) }
    }

    /// Before the processes are started.
    pub(crate) async fn prepare(&self, database: &TortureDatabase) -> AnyResult<()> {
        if self.0 == Nemesis::IdleTimeouts {
            database.execute("alter database torture set idle_session_timeout = '1s'").await?;
            database.execute("alter database torture set idle_in_transaction_session_timeout = '1s'").await?;
        }
        Ok(())
    }

    /// Disturbs until it is time, and returns how often it did.
    pub(crate) async fn run(
        &self,
        fleet: &mut Fleet,
        database: &TortureDatabase,
        random: &mut Random,
        until: Instant,
    ) -> AnyResult<u64> {
        let mut times = 0;
        if self.0 == Nemesis::Latency {
            set_link(fleet, 0, Link::Slow(Duration::from_millis(200)));
        }
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            let pause = self.pause(random);
            tokio::time::sleep(pause.min(left)).await;
            if Instant::now() < until && self.strikes() {
                self.strike(fleet, database, random).await?;
                times += 1;
            }
            fleet.restart_exited()?;
        }
        for index in 0..fleet.members.len() {
            set_link(fleet, index, Link::Open);
        }
        Ok(times)
    }

    fn strikes(&self) -> bool {
        use Nemesis::{IdleTimeouts, Latency, LongTransactions, Nothing, Sabotage};
        !matches!(self.0, Nothing | LongTransactions | Latency | IdleTimeouts | Sabotage)
    }

    fn pause(&self, random: &mut Random) -> Duration {
        match self.0 {
            Nemesis::Cut | Nemesis::Terminate | Nemesis::CancelledStatements => random.millis(200, 800),
            Nemesis::Kill | Nemesis::Stop => random.millis(500, 2_500),
            _ => random.millis(2_000, 6_000),
        }
    }

    async fn strike(&self, fleet: &mut Fleet, database: &TortureDatabase, random: &mut Random) -> AnyResult<()> {
        let index = random.index(fleet.members.len());
        match self.0 {
            Nemesis::Nothing
            | Nemesis::LongTransactions
            | Nemesis::Latency
            | Nemesis::IdleTimeouts
            | Nemesis::Sabotage => {}
            Nemesis::Kill => fleet.kill_and_replace(index, random.millis(0, 1_000)).await?,
            Nemesis::Deploy => fleet.deploy(index).await?,
            Nemesis::Stop => {
                fleet.signal(index, Signal::STOP);
                tokio::time::sleep(random.millis(4_000, 7_000)).await;
                fleet.signal(index, Signal::CONT);
            }
            Nemesis::Cut => {
                set_link(fleet, index, Link::Cut);
                tokio::time::sleep(random.millis(1, 100)).await;
                set_link(fleet, index, Link::Open);
            }
            Nemesis::BlackHole => {
                set_link(fleet, index, Link::Silent);
                tokio::time::sleep(Duration::from_secs(10)).await;
                set_link(fleet, index, Link::Open);
            }
            Nemesis::Restart => set_away(database, random.millis(1, 500)).await?,
            Nemesis::Outage => set_away(database, Duration::from_secs(9)).await?,
            Nemesis::Terminate => database.execute(TERMINATE).await?,
            Nemesis::CancelledStatements => database.execute(CANCEL).await?,
            Nemesis::RefusedLogins => {
                database.execute("alter database torture allow_connections false").await?;
                database.execute(TERMINATE).await?;
                tokio::time::sleep(Duration::from_secs(4)).await;
                database.execute("alter database torture allow_connections true").await?;
            }
            Nemesis::Locks => lock_tables(database).await?,
            Nemesis::WriteLock => {
                let mut other = database.other_writer().await?;
                sqlx::raw_sql("begin immediate").execute(&mut other).await?;
                tokio::time::sleep(Duration::from_secs(5)).await;
                sqlx::raw_sql("rollback").execute(&mut other).await?;
                other.close().await?;
            }
        }
        Ok(())
    }
}

const TERMINATE: &str = "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'torture'";
const CANCEL: &str =
    "select pg_cancel_backend(pid) from pg_stat_activity where datname = 'torture' and state <> 'idle'";

fn set_link(fleet: &Fleet, index: usize, link: Link) {
    if let Some(proxy) = &fleet.members[index].proxy {
        proxy.link.send_replace(link);
    }
}

/// Stops the server, and starts it again.
async fn set_away(database: &TortureDatabase, pause: Duration) -> AnyResult<()> {
    let server = database.server.as_ref().ok_or("this nemesis is for Postgres")?;
    tokio::task::block_in_place(|| server.set_running(false));
    tokio::time::sleep(pause).await;
    tokio::task::block_in_place(|| server.set_running(true));
    Ok(())
}

/// Locks the tables of the engine for 5 s, from a session of the same database.
async fn lock_tables(database: &TortureDatabase) -> AnyResult<()> {
    let mut session = database.session().await?;
    let lock =
        "begin; lock table durable.workflows, durable.executors in access exclusive mode; select pg_sleep(5); commit";
    sqlx::raw_sql(lock).execute(&mut session).await?;
    session.close().await?;
    Ok(())
}
