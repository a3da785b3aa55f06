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
    if server::is_available() {
        println!("cargo::rustc-cfg=has_postgres");
    }
}
