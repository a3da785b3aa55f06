//! Rebuilds the crate when a migration changes: the migrations are part of the program, and Cargo
//! does not know that a macro has read them.

fn main() {
    println!("cargo::rerun-if-changed=migrations/postgres");
    println!("cargo::rerun-if-changed=migrations/sqlite");
}
