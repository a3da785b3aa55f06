//! A Postgres server for the tests of one process: the one that `DURABLE_TEST_POSTGRES_URL` names,
//! or a throw-away one that is gone when the process is, however it ends.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The environment variable that names a server to use.
pub const URL_VARIABLE: &str = "DURABLE_TEST_POSTGRES_URL";

/// The environment variable that names the folder of `initdb` and `pg_ctl`, for a server of another version than the
/// newest one that is installed.
pub const PROGRAMS_VARIABLE: &str = "DURABLE_TEST_POSTGRES_PROGRAMS";

/// The environment variables with the arguments of `initdb` in place of `--locale=C`, and with a line of
/// `postgresql.conf`: so the tests run with other collations and settings.
const SETTINGS_VARIABLES: [&str; 2] = ["DURABLE_TEST_POSTGRES_INITDB", "DURABLE_TEST_POSTGRES_CONFIG"];

/// The URL of this process's server, which the first caller starts.
///
/// # Panics
/// If there is no server. The message contains what was tried and why it failed.
#[must_use]
pub fn url() -> String {
    static URL: OnceLock<Result<String, String>> = OnceLock::new();
    let found = URL.get_or_init(|| match std::env::var(URL_VARIABLE) {
        Ok(url) if !url.is_empty() => Ok(url),
        _ => throw_away::start_shared(),
    });
    match found {
        Ok(url) => url.clone(),
        Err(why) => panic!("there is no Postgres for the tests: {why}; set {URL_VARIABLE} or install postgresql"),
    }
}

/// The name of a schema that no other test has.
#[must_use]
pub fn fresh_schema() -> String {
    // The standard library's only source of randomness.
    let lot = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), std::process::id());
    format!("durable_test_{lot:016x}")
}

/// Whether a server is named, or its programs are installed.
#[must_use]
pub fn is_available() -> bool {
    std::env::var_os(URL_VARIABLE).is_some_and(|url| !url.is_empty()) || find_programs().is_some()
}

/// A client program of Postgres, such as `psql`: beside those of the server, or on the search path.
/// `None` where it is in neither place.
#[must_use]
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path: Vec<PathBuf> = std::env::split_paths(OsStr::new(&path)).collect();
    find_programs().into_iter().chain(in_path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// The folder with `initdb` and `pg_ctl`: the one that the environment names, the newest one of Debian's, the one of
/// `pg_config`, or one of the search path.
fn find_programs() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os(PROGRAMS_VARIABLE).filter(|it| !it.is_empty()) {
        return Some(PathBuf::from(named));
    }
    let has_both = |folder: &PathBuf| folder.join("initdb").is_file() && folder.join("pg_ctl").is_file();
    let mut packaged: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|version| Some((version.file_name().to_str()?.parse().ok()?, version.path().join("bin"))))
        .collect();
    packaged.sort_unstable_by_key(|(version, _)| std::cmp::Reverse(*version));
    let configured = std::process::Command::new("pg_config").arg("--bindir").output().ok();
    let configured = configured.and_then(|it| Some(PathBuf::from(String::from_utf8(it.stdout).ok()?.trim())));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path: Vec<PathBuf> = std::env::split_paths(OsStr::new(&path)).collect();
    packaged.into_iter().map(|(_, folder)| folder).chain(configured).chain(in_path).find(has_both)
}

#[cfg(unix)]
pub use self::throw_away::Server;

#[cfg(not(unix))]
mod throw_away {
    //! Starting servers is for Unix; elsewhere the environment variable names one.

    pub(super) fn start_shared() -> Result<String, String> {
        Err("servers are only started on Unix".to_owned())
    }
}

#[cfg(unix)]
mod throw_away {
    //! A server under a watchdog that outlives the process by a moment.

    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command, Stdio};
    use std::sync::Mutex;

    use super::{Path, PathBuf, SETTINGS_VARIABLES, find_programs};

    /// Starts the server, prints `ready`, and waits until its input ends: the tests' process holds the
    /// other end of that pipe, and the kernel closes it however that process ends. Signals from a
    /// terminal and a closed output pipe do not prevent it from cleaning up.
    const WATCHDOG: &str = r#"
        trap '' INT TERM HUP PIPE
        programs=$1 folder=$2 port=$3 initdb=${4:---locale=C} config=$5
        "$programs/initdb" -D "$folder/data" -U postgres -A trust -E UTF8 $initdb --no-sync >"$folder/log" 2>&1 &&
        printf '%s\n' "listen_addresses = '127.0.0.1'" "port = $port" "unix_socket_directories = ''" \
            "max_connections = 200" "fsync = off" "full_page_writes = off" "$config" >>"$folder/data/postgresql.conf" &&
        "$programs/pg_ctl" -D "$folder/data" -l "$folder/log" -w -t 60 start >>"$folder/log" 2>&1 &&
        echo ready || tail -n 3 "$folder/log" | tr '\n' ' '
        exec >/dev/null
        read -r _
        "$programs/pg_ctl" -D "$folder/data" -m immediate -w stop >/dev/null 2>&1
        cd / && rm -rf "$folder"
    "#;

    /// The user that a server runs as when the tests run as root, which Postgres refuses to do.
    const UNPRIVILEGED_USER: u32 = 65534;

    /// Keeps the shared server. A static is never dropped, and here it need not be.
    static SHARED: Mutex<Vec<Server>> = Mutex::new(Vec::new());

    pub(super) fn start_shared() -> Result<String, String> {
        let server = Server::start()?;
        let url = server.url();
        SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(server);
        Ok(url)
    }

    /// A server that can be stopped and started again. It is gone when this is dropped, or
    /// when the process is.
    #[derive(Debug)]
    pub struct Server {
        programs: PathBuf,
        folder: PathBuf,
        port: u16,
        as_nobody: bool,
        watchdog: Child,
    }

    impl Server {
        /// Creates and starts a server.
        ///
        /// # Errors
        /// The programs are missing, or they fail; the error contains their output.
        pub fn start() -> Result<Self, String> {
            let programs = find_programs().ok_or_else(|| "no initdb and pg_ctl were found".to_owned())?;
            // Another process may take the free port before the server does, so there is a second try.
            Self::start_once(&programs).or_else(|_| Self::start_once(&programs))
        }

        fn start_once(programs: &Path) -> Result<Self, String> {
            let failed = |what: &str, why: &dyn std::fmt::Display| format!("{what}: {why}");
            let port = free_port().map_err(|it| failed("no port is free", &it))?;
            let folder = std::env::temp_dir().join(format!("durable-postgres-{}-{port}", std::process::id()));
            let as_nobody = make_folder(&folder).map_err(|it| failed("its folder could not be made", &it))?;
            let mut command = Command::new("/bin/sh");
            command.args(["-c", WATCHDOG, "watchdog"]).arg(programs).arg(&folder).arg(port.to_string());
            command.args(SETTINGS_VARIABLES.map(|it| std::env::var_os(it).unwrap_or_default()));
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).current_dir(&folder);
            command.process_group(0); // an interrupt from the terminal must not reach the watchdog
            if as_nobody {
                command.uid(UNPRIVILEGED_USER).gid(UNPRIVILEGED_USER);
            }
            let mut watchdog = command.spawn().map_err(|it| failed("no shell could be started", &it))?;
            let output = watchdog.stdout.take().expect("the output was asked to be a pipe");
            let mut line = String::new();
            let read = BufReader::new(output).read_line(&mut line);
            read.map_err(|it| failed("the watchdog could not be read", &it))?;
            if line.trim() != "ready" {
                drop(watchdog.stdin.take()); // lets it clean up
                let _ = watchdog.wait();
                return Err(failed("it did not start", &line.trim()));
            }
            Ok(Self { programs: programs.to_owned(), folder, port, as_nobody, watchdog })
        }

        /// Its URL.
        #[must_use]
        pub fn url(&self) -> String {
            format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
        }

        /// Ends its connections and stops it, or starts it again on the same port. Returns when that is done.
        ///
        /// # Panics
        /// The server cannot be stopped or started.
        pub fn set_running(&self, running: bool) {
            let how: &[&str] = if running { &["start"] } else { &["-m", "fast", "stop"] };
            let mut command = Command::new(self.programs.join("pg_ctl"));
            command.arg("-D").arg(self.folder.join("data")).arg("-l").arg(self.folder.join("log"));
            command.args(["-w", "-t", "60"]).args(how).current_dir(&self.folder);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
            if self.as_nobody {
                command.uid(UNPRIVILEGED_USER).gid(UNPRIVILEGED_USER);
            }
            let status = command.status().expect("pg_ctl was found");
            assert!(status.success(), "pg_ctl {how:?}: {status}");
        }

        /// The number of its first process, the parent of all its others, while it is running.
        ///
        /// # Panics
        /// It is not running.
        #[must_use]
        pub fn process_id(&self) -> u32 {
            let file = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).expect("it is running");
            file.lines().next().and_then(|it| it.parse().ok()).expect("the file begins with the number")
        }
    }

    impl Drop for Server {
        fn drop(&mut self) {
            drop(self.watchdog.stdin.take()); // lets it stop the server and clean up
            let _ = self.watchdog.wait();
        }
    }

    fn free_port() -> std::io::Result<u16> {
        Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
    }

    /// Creates the folder, which only the server's user can read. Returns whether this process runs as root.
    fn make_folder(folder: &PathBuf) -> std::io::Result<bool> {
        std::fs::DirBuilder::new().mode(0o700).create(folder)?;
        let is_root = std::fs::metadata(folder)?.uid() == 0;
        if is_root {
            chown(folder, Some(UNPRIVILEGED_USER), Some(UNPRIVILEGED_USER))?;
        }
        Ok(is_root)
    }
}
