//! The attributes in a crate of another edition, which has renamed the dependency. (`tests/ui` is of the edition and
//! the names of this crate.)

use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn the_edition_2021_and_a_renamed_dependency_compile() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("edition_2021");
    let source = here.join("tests/edition_2021/user.rs");
    let durable = here.join("../durable");
    let manifest = format!(
        "[package]\nname = \"edition-2021\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\n\
         [[bin]]\nname = \"edition-2021\"\npath = {source:?}\n\n\
         [dependencies]\nrenamed = {{ package = \"durable\", path = {durable:?}, default-features = false, features = [\"testing\"] }}\n\n\
         [workspace]\n",
    );
    fs::create_dir_all(&folder).expect("the folder is ours");
    fs::write(folder.join("Cargo.toml"), manifest).expect("the folder is ours");
    // The versions that this repository is tested with, which are there already.
    fs::copy(here.join("../Cargo.lock"), folder.join("Cargo.lock")).expect("the workspace has one");

    // A build folder of its own, so that it waits for no other `cargo`, and is still there the next time.
    let checked = Command::new(env!("CARGO"))
        .args(["check", "--quiet", "--offline", "--all-targets", "--manifest-path"])
        .arg(folder.join("Cargo.toml"))
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .output()
        .expect("cargo runs this test");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}
