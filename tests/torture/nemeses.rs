//! What there is to disturb the processes and their database, and what each nemesis needs.

use std::time::Duration;

use crate::AnyResult;
use crate::NotPossible;
use crate::database::TortureDatabase;
use crate::fleet::{Fleet, faketime_library};
use crate::options::StoreKind;
use crate::random::Random;
use crate::sabotage;
use crate::standby;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    Nothing,
    Postgres,
    Sqlite,
}

macro_rules! nemeses {
    ($($nemesis:ident $name:literal $needs:ident $what:literal,)+) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub(crate) enum Nemesis { $($nemesis),+ }

        const ALL: &[(Nemesis, &str, Needs, &str)] = &[$((Nemesis::$nemesis, $name, Needs::$needs, $what)),+];
    };
}

nemeses! {
    Nothing "none" Nothing "nothing",
    Kill "kill" Nothing "a process is killed (SIGKILL) and replaced",
    Stop "stop" Nothing "a process is stopped (SIGSTOP) for longer than its lease, and continued",
    Deploy "deploy" Nothing "a process is asked to end (SIGTERM) and replaced",
    FrozenHolder "frozen-holder" Nothing "a process is stopped while it holds row locks (SQLite: the write lock)",
    DiskFull "disk-full" Nothing "the disk of the tables is full for 4 s; needs the right to mount a file system",
    Vacuum "vacuum" Nothing "the tables are rewritten (VACUUM FULL)",
    LongTransactions "long-transactions" Postgres "twenty workflows of each process hold transactions",
    Cut "cut" Postgres "the connections of a process break",
    LostAnswers "lost-answers" Postgres "the connections of a process break when the server answers",
    LostCommits "lost-commits" Postgres "the connections of a process break when the server confirms a COMMIT",
    CutInside "cut-inside" Postgres "the connections of a process break in the middle of a message",
    BlackHole "black-hole" Postgres "the connections of a process stay open and silent for 10 s",
    Latency "latency" Postgres "every packet of one process comes 200 ms later",
    SlowCommits "slow-commits" Postgres "every commit takes 100 ms more",
    Restart "restart" Postgres "the server is stopped and started",
    ServerCrash "server-crash" Postgres "the server ends without a word (immediate shutdown) and starts again",
    Outage "outage" Postgres "the server is away for three leases",
    FailOver "fail-over" Postgres "the server dies, and its synchronous standby takes its place",
    Terminate "terminate" Postgres "the server ends all sessions",
    IdleTimeouts "idle-timeouts" Postgres "idle_session_timeout = 1 s, idle_in_transaction_session_timeout = 1 s",
    RefusedLogins "refused-logins" Postgres "sessions end, and logins are refused for 4 s",
    Crowded "crowded" Postgres "sessions end, and others hold every connection of the server for 4 s",
    CancelledStatements "cancelled-statements" Postgres "the server cancels every running statement",
    Locks "locks" Postgres "the tables of the engine are locked for 5 s",
    Clocks "clocks" Postgres "the clock of a process jumps by up to a day, to and fro; needs libfaketime",
    WriteLock "write-lock" Sqlite "another process has the write lock of the file for 5 s",
    CheckpointKill "checkpoint-kill" Sqlite "processes are killed while the WAL is copied into the file",
    Mix "mix" Nothing "one of those that need nothing but the database, chosen at random",
    Sabotage "sabotage" Sqlite "rows and ledgers are changed after the run, and the checker has to find each change",
}

/// All nemeses, one a line.
pub(crate) fn list() -> String {
    ALL.iter().fold(String::new(), |all, (_, name, needs, what)| all + &format!("{name:22} {needs:?}: {what}\n"))
}

impl Nemesis {
    /// The nemesis of this name, if it is for this store and this machine has what it needs.
    pub(crate) fn named(name: &str, store: StoreKind) -> AnyResult<Self> {
        let found = ALL.iter().find(|it| it.1 == name);
        let (nemesis, _, needs, _) =
            found.ok_or_else(|| format!("there is no nemesis {name}; there are:\n{}", list()))?;
        match (needs, store) {
            (Needs::Postgres, StoreKind::Sqlite) => return Err(format!("{name} is for --store postgres").into()),
            (Needs::Sqlite, StoreKind::Postgres) => return Err(format!("{name} is for --store sqlite").into()),
            _ => {}
        }
        match nemesis {
            Self::FailOver => standby::check_tools()?,
            Self::Clocks if faketime_library().is_none() => {
                return Err(NotPossible("there is no libfaketime.so.1: install libfaketime".to_owned()).into());
            }
            _ => {}
        }
        Ok(*nemesis)
    }

    pub(crate) fn name(self) -> &'static str {
        ALL.iter().find(|it| it.0 == self).map_or("", |it| it.1)
    }

    /// Those of a mix.
    pub(crate) fn mixed(store: StoreKind) -> Vec<Self> {
        use Nemesis::{Clocks, DiskFull, FailOver, Mix, Sabotage};
        let fits = |needs| match needs {
            Needs::Nothing => true,
            Needs::Postgres => store == StoreKind::Postgres,
            Needs::Sqlite => store == StoreKind::Sqlite,
        };
        let all = ALL.iter().filter(|it| fits(it.2)).map(|it| it.0);
        all.filter(|it| it.strikes() && !matches!(it, Mix | Sabotage | Clocks | DiskFull | FailOver)).collect()
    }

    /// Arguments for the processes.
    pub(crate) fn extra(self) -> &'static [&'static str] {
        if self == Self::LongTransactions { &["--long-transactions"] } else { &[] }
    }

    /// Before the processes are started.
    pub(crate) async fn prepare(self, database: &mut TortureDatabase) -> AnyResult<()> {
        match self {
            Self::IdleTimeouts => {
                database.execute("alter database torture set idle_session_timeout = '1s'").await?;
                database.execute("alter database torture set idle_in_transaction_session_timeout = '1s'").await?;
            }
            Self::SlowCommits => {
                // The delay is for commits that reach the disk.
                database.execute("alter system set fsync = on").await?;
                database.execute("select pg_reload_conf()").await?;
                database.execute("alter database torture set commit_siblings = 0").await?;
                database.execute("alter database torture set commit_delay = 100000").await?;
            }
            Self::FailOver => database.add_standby().await?,
            _ => {}
        }
        Ok(())
    }

    /// After the processes have ended.
    pub(crate) async fn finish(self, database: &TortureDatabase, fleet: &Fleet) -> AnyResult<()> {
        if self == Self::Sabotage { sabotage::change(database, fleet.ended_at(), fleet.folder()).await } else { Ok(()) }
    }

    /// Whether it does something again and again, and not all the time.
    pub(crate) fn strikes(self) -> bool {
        use Nemesis::{IdleTimeouts, Latency, LongTransactions, Nothing, Sabotage, SlowCommits};
        !matches!(self, Nothing | LongTransactions | Latency | SlowCommits | IdleTimeouts | Sabotage)
    }

    pub(crate) fn pause(self, random: &mut Random) -> Duration {
        match self {
            Self::Cut
            | Self::LostAnswers
            | Self::LostCommits
            | Self::CutInside
            | Self::Terminate
            | Self::CancelledStatements => random.millis(200, 800),
            Self::Kill | Self::Stop | Self::FrozenHolder | Self::CheckpointKill => random.millis(500, 2_500),
            _ => random.millis(2_000, 6_000),
        }
    }
}
