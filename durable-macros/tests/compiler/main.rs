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

/// The docs of a user's crate show types that can be looked up, and nothing of `durable::__private`.
#[test]
fn the_docs_of_a_call_show_public_types() {
    let docs = Rustc::of_this_test("2024", "durable").document(Path::new("tests/compiler/documented.rs"));
    for (function, signature) in [
        ("refund", "pub fn refund(order: String, cents: u64) -> WorkflowCall<u64, Declined>"),
        ("quote", "pub fn quote(order: String) -> WorkflowCall<u64>"),
        ("checkout", "pub fn checkout(order: String) -> WorkflowCallOf<Result<String>>"),
        ("ship", "pub fn ship<'durable>(order: &'durable str, count: u32) -> StepCall<'durable, Result<String>>"),
        ("reserve", "pub fn reserve<'durable>(order: &'durable str) -> TransactionCall<'durable, Result<u64>>"),
    ] {
        let html = fs::read_to_string(docs.join(format!("fn.{function}.html"))).expect("each function has a page");
        let text = text_of(&html);
        assert!(text.contains(signature), "{function}: {text}");
        assert!(!text.contains("__private") && !text.contains("Returned"), "{function}: {text}");
    }
}

/// The text of a page, on one line.
fn text_of(html: &str) -> String {
    let without_tags: String = html.split('<').filter_map(|it| it.split_once('>')).map(|(_, text)| text).collect();
    let text = without_tags.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").replace("&#39;", "'");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    // A long signature has one argument on each line.
    text.replace("( ", "(").replace(", )", ")")
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
