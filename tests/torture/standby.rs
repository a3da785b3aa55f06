//! A standby of the server of a run, which takes its place when it dies.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use durable::testing::server;
use rustix::process::{Pid, Signal, kill_process};

use crate::{AnyResult, NotPossible};

/// The programs of Debian's packages that it needs.
const PROGRAMS: [&str; 2] = ["pg_basebackup", "pg_ctl"];
/// The user that a server runs as when this runs as root.
const UNPRIVILEGED_USER: u32 = 65534;

/// Copies the server, starts the copy, and stops it when the run has closed its input, however that ends.
const WATCHDOG: &str = r#"
    trap '' INT TERM HUP PIPE
    programs=$1 folder=$2 port=$3 primary=$4
    "$programs/pg_basebackup" -h 127.0.0.1 -p "$primary" -U postgres -D "$folder/data" -R -c fast >"$folder/log" 2>&1 &&
    printf 'port = %s\n' "$port" >>"$folder/data/postgresql.conf" &&
    "$programs/pg_ctl" -D "$folder/data" -l "$folder/log" -w -t 60 start >>"$folder/log" 2>&1 &&
    echo ready || tail -n 3 "$folder/log" | tr '\n' ' '
    exec >/dev/null
    read -r _
    "$programs/pg_ctl" -D "$folder/data" -m immediate -w stop >/dev/null 2>&1
    cd / && rm -rf "$folder"
"#;

#[derive(Debug)]
pub(crate) struct Standby {
    programs: PathBuf,
    folder: PathBuf,
    pub(crate) port: u16,
    is_root: bool,
    watchdog: Child,
}

/// Says what is missing for a fail-over, if anything is.
pub(crate) fn check_tools() -> Result<(), NotPossible> {
    match PROGRAMS.iter().find(|it| server::program(it).is_none()) {
        Some(missing) => Err(NotPossible(format!("there is no {missing}: install postgresql"))),
        None => Ok(()),
    }
}

impl Standby {
    /// A copy of the server on this port, which follows it.
    pub(crate) fn of(primary: u16) -> AnyResult<Self> {
        let program = server::program("pg_basebackup").ok_or("there is no pg_basebackup")?;
        let programs = program.parent().ok_or("the program is in a folder")?.to_owned();
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let folder = std::env::temp_dir().join(format!("durable-standby-{}-{port}", std::process::id()));
        std::fs::DirBuilder::new().mode(0o700).create(&folder)?;
        let is_root = std::fs::metadata(&folder)?.uid() == 0;
        let mut command = Command::new("/bin/sh");
        command.args(["-c", WATCHDOG, "watchdog"]).arg(&programs).arg(&folder);
        command.args([port.to_string(), primary.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).current_dir(&folder);
        command.process_group(0);
        if is_root {
            chown(&folder, Some(UNPRIVILEGED_USER), Some(UNPRIVILEGED_USER))?;
            command.uid(UNPRIVILEGED_USER).gid(UNPRIVILEGED_USER);
        }
        let mut watchdog = command.spawn()?;
        let output = watchdog.stdout.take().ok_or("the output is a pipe")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let standby = Self { programs, folder, port, is_root, watchdog };
        if line.trim() == "ready" { Ok(standby) } else { Err(format!("the standby: {}", line.trim()).into()) }
    }

    /// Makes it accept writes. Returns when it does.
    pub(crate) fn promote(&self) -> AnyResult<()> {
        let mut command = Command::new(self.programs.join("pg_ctl"));
        command.arg("-D").arg(self.folder.join("data")).args(["-w", "-t", "60", "promote"]).current_dir(&self.folder);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if self.is_root {
            command.uid(UNPRIVILEGED_USER).gid(UNPRIVILEGED_USER);
        }
        let status = command.status()?;
        if status.success() { Ok(()) } else { Err(format!("pg_ctl promote: {status}").into()) }
    }

    /// Its processes end at once, without a word to their clients.
    pub(crate) fn kill(&self) -> AnyResult<()> {
        kill_server(process_id(&self.folder.join("data"))?)
    }
}

fn process_id(data: &Path) -> AnyResult<u32> {
    let file = std::fs::read_to_string(data.join("postmaster.pid"))?;
    Ok(file.lines().next().ok_or("the file is empty")?.parse()?)
}

/// An immediate shutdown, which is a crash: no commit that waits for the standby is acknowledged.
pub(crate) fn kill_server(process: u32) -> AnyResult<()> {
    let pid = i32::try_from(process).ok().and_then(Pid::from_raw).ok_or("it is a process")?;
    kill_process(pid, Signal::QUIT)?;
    for _ in 0..1_000 {
        if !Path::new("/proc").join(process.to_string()).exists() {
            return Ok(());
        }
        std::thread::sleep(std::time::Duration::from_millis(10)); // the pause of the polling
    }
    Err("the server has not ended".into())
}

impl Drop for Standby {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take()); // lets it stop the server and clean up
        let _ = self.watchdog.wait();
    }
}
