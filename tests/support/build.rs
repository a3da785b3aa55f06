//! Finds out whether there is a Postgres to test with, so that its tests show as ignored where there
//! is none, and never as passed.

#[path = "../../durable/src/testing/server.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    reason = "the build only asks whether there is a server, and starts none"
)]
mod server;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(has_postgres)");
    println!("cargo::rerun-if-env-changed={}", server::URL_VARIABLE);
    println!("cargo::rerun-if-changed=/usr/lib/postgresql");
    println!("cargo::rerun-if-changed=durable/src/testing/server.rs");
    println!("cargo::rerun-if-changed=tests/support/build.rs");
    println!("cargo::rustc-check-cfg=cfg(can_unshare)");
    // Whether a process may be the first one of a namespace, as it is in a container.
    let first = std::process::Command::new("unshare").args(["--pid", "--fork", "true"]).output();
    if first.is_ok_and(|it| it.status.success()) {
        println!("cargo::rustc-cfg=can_unshare");
    }
    // Whether there are psql, and a Python with psycopg, for the examples in other languages.
    println!("cargo::rustc-check-cfg=cfg(has_psql, has_psycopg)");
    println!("cargo::rerun-if-env-changed=DURABLE_TEST_PYTHON");
    if server::program("psql").is_some() {
        println!("cargo::rustc-cfg=has_psql");
    }
    let python = std::env::var("DURABLE_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let psycopg = std::process::Command::new(python).args(["-c", "import psycopg"]).output();
    if psycopg.is_ok_and(|it| it.status.success()) {
        println!("cargo::rustc-cfg=has_psycopg");
    }
    if server::is_available() {
        println!("cargo::rustc-cfg=has_postgres");
    }
}
