//! Finds out what this machine has, so that tests that need more show as ignored, and never as passed.

#[path = "../../durable/src/testing/server.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "the build only asks whether there is a server, and starts none"
)]
mod server;

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed={}", server::URL_VARIABLE);
    println!("cargo::rerun-if-env-changed={}", server::PROGRAMS_VARIABLE);
    println!("cargo::rerun-if-env-changed=DURABLE_TEST_PYTHON");
    println!("cargo::rerun-if-changed=/usr/lib/postgresql");
    println!("cargo::rerun-if-changed=/usr/sbin/pgbouncer");
    println!("cargo::rerun-if-changed=/usr/bin/chromedriver");
    println!("cargo::rerun-if-changed=durable/src/testing/server.rs");
    println!("cargo::rerun-if-changed=tests/support/build.rs");

    set("has_postgres", server::is_available());
    // A proxy in front of Postgres. Debian's package puts it where only root's search path leads.
    let path = format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default());
    set("has_pgbouncer", std::env::split_paths(&path).any(|folder| folder.join("pgbouncer").is_file()));
    // For the tests of the dashboard: Chromium, and the program through which tests drive it.
    set("has_chromium", succeeds("chromium", &["--version"]) && succeeds("chromedriver", &["--version"]));
    set("has_openssl", succeeds("openssl", &["version"]));
    // For the examples in other languages: psql, and a Python with psycopg.
    set("has_psql", server::program("psql").is_some());
    let python = std::env::var("DURABLE_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    set("has_psycopg", succeeds(&python, &["-c", "import psycopg"]));
    // A process can be the first one of a namespace, as it is in a container.
    set("can_unshare", Path::new("/proc/self/status").exists() && succeeds("unshare", &["--pid", "--fork", "true"]));
    set("has_read_only_folder", has_read_only_folder());
}

/// Tells the compiler of a condition that tests may name, and whether it holds.
fn set(name: &str, holds: bool) {
    println!("cargo::rustc-check-cfg=cfg({name})");
    if holds {
        println!("cargo::rustc-cfg={name}");
    }
}

fn succeeds(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|it| it.status.success())
}

/// Whether there is a folder in which this user cannot create files: any read-only one, or for root /sys.
fn has_read_only_folder() -> bool {
    let folder = Path::new(&std::env::var_os("OUT_DIR").expect("Cargo sets it")).join("read-only");
    let created = std::fs::create_dir_all(&folder).and_then(|()| {
        let mut permissions = std::fs::metadata(&folder)?.permissions();
        permissions.set_readonly(true);
        std::fs::set_permissions(&folder, permissions)?;
        std::fs::File::create(folder.join("probe"))
    });
    created.is_err() || Path::new("/sys/kernel").exists()
}
