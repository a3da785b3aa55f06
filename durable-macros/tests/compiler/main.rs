//! Runs the compiler on programs with the attributes: on mistakes, whose messages are committed, and on a program of
//! another edition that renames the dependency. Programs that compile are in `tests/pass`.

mod normalize;
mod rustc;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

use self::rustc::Rustc;

/// Each `tests/ui/NAME.rs` fails to compile with the errors in `tests/ui/NAME.stderr`, which `BLESS=1` rewrites. Read the
/// diff as a user who has never seen the crate. `CASE=part` selects the cases whose name contains `part`.
#[test]
fn every_mistake_gets_the_committed_errors() {
    let part = std::env::var("CASE").unwrap_or_default();
    let cases: Vec<PathBuf> = cases().into_iter().filter(|case| case.to_string_lossy().contains(&part)).collect();
    assert!(!cases.is_empty(), "no case in tests/ui contains {part:?}");
    let rustc = Rustc::of_this_test("2024", "durable");
    let (queue, failures) = (Mutex::new(cases.iter()), Mutex::new(Vec::new()));
    let next = || queue.lock().expect("no case panics").next();
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(case) = next() {
                    if let Err(failure) = check(&rustc, case) {
                        failures.lock().expect("no case panics").push(failure);
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no case panics");
    assert!(failures.is_empty(), "{}\n{} of {} cases failed", failures.join("\n"), failures.len(), cases.len());
}

/// The cases above are of this crate's edition, and call the dependency `durable`.
#[test]
fn the_edition_2021_and_a_renamed_dependency_compile() {
    let rustc = Rustc::of_this_test("2021", "renamed");
    for test_harness in [false, true] {
        let compiled = rustc.compile(Path::new("tests/compiler/edition_2021.rs"), test_harness);
        assert!(compiled.success, "{}", compiled.stderr);
    }
}

fn check(rustc: &Rustc, case: &Path) -> Result<(), String> {
    let name = case.display();
    let compiled = rustc.compile(case, false);
    if compiled.success {
        return Err(format!("{name} compiles, and should not"));
    }
    let actual = normalize::errors(&compiled.stderr);
    let committed = case.with_extension("stderr");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&committed, &actual).expect("the directory can be written to");
    }
    let expected = fs::read_to_string(&committed).unwrap_or_default();
    if actual == expected {
        return Ok(());
    }
    Err(format!(
        "{name} gets other errors; run with BLESS=1, and read the diff\n--- committed\n{expected}\n--- now\n{actual}"
    ))
}

fn cases() -> Vec<PathBuf> {
    let entries = fs::read_dir("tests/ui").expect("the directory exists");
    let paths = entries.map(|entry| entry.expect("the directory can be read").path());
    let mut cases: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|it| it == "rs")).collect();
    cases.sort();
    cases
}
