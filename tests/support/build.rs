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
    if server::is_available() {
        println!("cargo::rustc-cfg=has_postgres");
    }
}
