//! The processes: started, stopped, killed and replaced.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::AnyResult;
use crate::database::TortureDatabase;
use crate::ledger;
use crate::nemeses::Nemesis;
use crate::options::TortureOptions;
use crate::proxy::Proxy;
use crate::worker::STOP_FILE;

/// How many processes work at a time.
const SIZE: usize = 3;

pub(crate) struct Fleet {
    pub(crate) members: Vec<Member>,
    folder: Option<TempDir>,
    path: PathBuf,
    options: TortureOptions,
    nemesis: Nemesis,
    /// When the processes were asked to end.
    ended_at: i64,
}

/// One place in the fleet, with one process after the other.
pub(crate) struct Member {
    slot: usize,
    /// How often its process was started.
    starts: u32,
    child: Child,
    url: String,
    /// Between the process and Postgres.
    pub(crate) proxy: Option<Proxy>,
}

impl Fleet {
    pub(crate) async fn start(
        options: &TortureOptions,
        database: &TortureDatabase,
        nemesis: Nemesis,
    ) -> AnyResult<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().to_owned();
        ledger::open(&path, "nemesis")?;
        let options = options.clone();
        let mut fleet = Self { members: Vec::new(), folder: Some(folder), path, options, nemesis, ended_at: 0 };
        for slot in 0..SIZE {
            let proxy = match database.port() {
                Some(port) => Some(Proxy::to(port).await?),
                None => None,
            };
            fleet.set_clock(slot, 0)?;
            let url = database.url_through(proxy.as_ref().map(|it| it.port));
            let child = fleet.spawn(slot, 0, &url)?;
            fleet.members.push(Member { slot, starts: 1, child, url, proxy });
        }
        Ok(fleet)
    }

    fn spawn(&self, slot: usize, start: u32, url: &str) -> AnyResult<Child> {
        let name = format!("{slot}.{start}");
        let log = std::fs::File::create(self.path.join(format!("log-{name}")))?;
        let seed = self.options.seed.wrapping_mul(1_000).wrapping_add(u64::from(start) * 10 + slot as u64);
        let mut command = Command::new(std::env::current_exe()?);
        if self.nemesis == Nemesis::Clocks {
            // Its own clock, which it reads anew each time; timers do not depend on it.
            command.env("LD_PRELOAD", faketime_library().ok_or("there is no libfaketime.so.1")?);
            command.env("FAKETIME_TIMESTAMP_FILE", self.clock_file(slot));
            command.envs([("FAKETIME_NO_CACHE", "1"), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")]);
        }
        let child = command
            .arg("--worker")
            .arg(&self.path)
            .args(["--url", url, "--name", &name, "--seed", &seed.to_string()])
            .args(["--lease-ms", &self.options.lease.as_millis().to_string()])
            .args(["--idle-timeout-ms", &self.options.idle_timeout.as_millis().to_string()])
            .args(self.nemesis.extra())
            .current_dir(&self.path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        Ok(child)
    }

    fn clock_file(&self, slot: usize) -> PathBuf {
        self.path.join(format!("clock-{slot}"))
    }

    /// The clock of a process is so many hours off from now on, if the nemesis is about clocks.
    pub(crate) fn set_clock(&self, index: usize, hours: i64) -> AnyResult<()> {
        if self.nemesis == Nemesis::Clocks {
            let (file, new) = (self.clock_file(index), self.path.join("clock-new"));
            std::fs::write(&new, format!("{:+}\n", hours * 3_600))?;
            std::fs::rename(new, file)?;
        }
        Ok(())
    }

    /// When the processes were asked to end, in microseconds.
    pub(crate) fn ended_at(&self) -> i64 {
        self.ended_at
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.path
    }

    /// Keeps the ledgers and logs, and says where they are.
    pub(crate) fn keep_folder(&mut self) -> Option<PathBuf> {
        self.folder.take().map(TempDir::keep)
    }

    /// The names of the processes that are there now.
    pub(crate) fn living(&self) -> Vec<String> {
        self.members.iter().map(|it| format!("{}.{}", it.slot, it.starts - 1)).collect()
    }

    /// Kills a process, and starts another one in its place.
    pub(crate) async fn kill_and_replace(&mut self, index: usize, after: Duration) -> AnyResult<()> {
        let killed = self.living().swap_remove(index);
        ledger::note("killed", "-", &killed);
        self.members[index].child.kill().await?;
        tokio::time::sleep(after).await;
        self.replace(index)
    }

    /// Asks a process to stop, waits for it, and starts another one in its place.
    pub(crate) async fn deploy(&mut self, index: usize) -> AnyResult<()> {
        self.signal(index, Signal::TERM);
        if tokio::time::timeout(Duration::from_mins(1), self.members[index].child.wait()).await.is_err() {
            self.members[index].child.kill().await?;
        }
        self.replace(index)
    }

    /// Starts a process in each place whose process has exited by itself.
    pub(crate) fn restart_exited(&mut self) -> AnyResult<()> {
        for index in 0..self.members.len() {
            if self.members[index].child.try_wait()?.is_some() {
                self.replace(index)?;
            }
        }
        Ok(())
    }

    fn replace(&mut self, index: usize) -> AnyResult<()> {
        let Member { slot, starts, ref url, .. } = self.members[index];
        let child = self.spawn(slot, starts, url)?;
        self.members[index].child = child;
        self.members[index].starts += 1;
        Ok(())
    }

    pub(crate) fn signal(&self, index: usize, signal: Signal) {
        if signal != Signal::CONT {
            ledger::note("signaled", "-", &self.living()[index]);
        }
        let process = self.members[index].child.id().and_then(|it| i32::try_from(it).ok()).and_then(Pid::from_raw);
        if let Some(process) = process {
            let _ = kill_process(process, signal); // it may have ended
        }
    }

    /// Clients start nothing more.
    pub(crate) fn stop_clients(&self) -> AnyResult<()> {
        std::fs::write(self.path.join(STOP_FILE), "")?;
        Ok(())
    }

    /// Ends all processes.
    pub(crate) async fn terminate(&mut self) -> AnyResult<()> {
        self.ended_at = ledger::now();
        for index in 0..self.members.len() {
            self.signal(index, Signal::TERM);
        }
        for member in &mut self.members {
            if tokio::time::timeout(Duration::from_mins(1), member.child.wait()).await.is_err() {
                member.child.kill().await?;
            }
        }
        Ok(())
    }
}

/// The library that changes the clock of a process, where Debian's package has it.
pub(crate) fn faketime_library() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|it| it.path());
    folders.map(|it| it.join("faketime/libfaketime.so.1")).find(|it| it.is_file())
}
