//! A `PgBouncer` in front of a test server.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::url_of;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum PoolMode {
    Transaction,
    Session,
}

/// A running `PgBouncer`. It ends when this is dropped.
pub(crate) struct PgBouncer {
    url: String,
    process: Child,
    _folder: tempfile::TempDir,
}

impl PgBouncer {
    /// Starts one in front of the server of this URL.
    pub(crate) fn start(server: &str, mode: PoolMode) -> Self {
        let mut url = url_of(server);
        let port = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port is free").port();
        let folder = tempfile::tempdir().expect("the directory for temporary files is writable");
        let (host, server_port) = (url.host_str().unwrap_or("127.0.0.1"), url.port().unwrap_or(5432));
        let (user, password) = (url.username().to_owned(), url.password().unwrap_or_default().to_owned());
        let mode = if mode == PoolMode::Transaction { "transaction" } else { "session" };
        let users = folder.path().join("users.txt");
        let settings = folder.path().join("pgbouncer.ini");
        std::fs::write(&users, format!("\"{user}\" \"{password}\"\n")).expect("the folder is writable");
        let text = format!(
            "[databases]\n* = host={host} port={server_port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = {}\npool_mode = {mode}\ndefault_pool_size = 30\n",
            users.display()
        );
        std::fs::write(&settings, text).expect("the folder is writable");
        let mut command = Command::new("pgbouncer");
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin")).arg("-q");
        if std::fs::metadata("/proc/self").is_ok_and(|it| std::os::unix::fs::MetadataExt::uid(&it) == 0) {
            // It refuses to run as root.
            std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
                .expect("it is ours");
            command.args(["-u", "nobody"]);
        }
        let process = command.arg(&settings).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let process = process.expect("pgbouncer was found by the build");
        let until = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "pgbouncer does not listen");
            std::thread::sleep(Duration::from_millis(20)); // the pause of the polling
        }
        url.set_host(Some("127.0.0.1")).expect("it has a host");
        url.set_port(Some(port)).expect("it has a port");
        url.set_query(Some("sslmode=disable"));
        Self { url: url.into(), process, _folder: folder }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.process.kill(); // it may have ended
        let _ = self.process.wait();
    }
}
