//! The house holds: what ARCHITECTURE.md says about its floors is looked up in the sources.

use std::fs;
use std::path::{Path, PathBuf};

/// From the ground up. A module may name those on its own floor and below.
const FLOORS: &[&[&str]] = &[&["words"], &["store", "registry"], &["journal"], &["verbs"], &["engine"]];

/// The largest file. One that reaches this has a second idea in it.
const MOST_LINES: usize = 500;

#[test]
fn a_lower_floor_never_looks_up() {
    let mut faults = Vec::new();
    for file in rust_files("durable-core/src") {
        let Some(floor) = floor_of_file(&file) else { continue };
        for (number, line) in code_lines(&file) {
            for named in line.split("crate::").skip(1) {
                let named: String = named.chars().take_while(|it| it.is_alphanumeric() || *it == '_').collect();
                if floor_of(&named).is_some_and(|other| other > floor) {
                    faults.push(format!("{}:{number} looks up at `{named}`", file.display()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn sql_is_only_in_the_stores() {
    let mut faults = Vec::new();
    for file in rust_files("durable-core/src").into_iter().chain(rust_files("durable/src")) {
        // `words/contention.rs` asks errors that users bring whether they come from a lost race.
        if file.components().any(|it| it.as_os_str() == "store") || file.ends_with("words/contention.rs") {
            continue;
        }
        for (number, line) in code_lines(&file) {
            if line.contains("sqlx::") {
                faults.push(format!("{}:{number} uses sqlx", file.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_task_of_the_engine_has_an_owner() {
    // Who may spawn, and who joins what is spawned there.
    const OWNERS: &[(&str, &str)] = &[
        ("engine/background.rs", "joined by the teardown"),
        ("engine/teardown.rs", "the teardown itself: its callers wait for its report"),
        ("engine/app.rs", "`Durable::spawn`, a task of the user's"),
        ("engine/launch.rs", "through Background::spawn"),
        ("verbs/drive.rs", "an execution: in the list of the living until it ends"),
        ("verbs/call.rs", "through Drive::spawn"),
        ("verbs/start.rs", "through Drive::spawn"),
        ("verbs/step.rs", "a blocking step: awaited by its step"),
        ("engine/recover.rs", "through Drive::spawn"),
        ("engine/resume.rs", "through Drive::spawn"),
        ("engine/dispatch.rs", "through Drive::spawn"),
    ];
    let mut faults = Vec::new();
    for file in rust_files("durable-core/src") {
        if OWNERS.iter().any(|(owner, _)| file.ends_with(owner)) {
            continue;
        }
        for (number, line) in code_lines(&file) {
            let told = line.contains('`'); // in the words of a message
            if told {
                continue;
            }
            if line.contains("spawn(") || line.contains("spawn_blocking(") || line.contains("thread::") {
                faults.push(format!("{}:{number} spawns, and nobody is named who joins it", file.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_migrations_of_both_stores_have_the_same_numbers_and_names() {
    let names = |store: &str| {
        let mut names: Vec<_> = fs::read_dir(root().join("migrations").join(store))
            .expect("both stores have migrations")
            .map(|it| it.expect("a directory entry can be read").file_name())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names("sqlite"), names("postgres"));
}

#[test]
fn no_room_is_too_large() {
    let mut sizes: Vec<(usize, PathBuf)> = ["durable/src", "durable-core/src", "durable-macros/src"]
        .into_iter()
        .flat_map(rust_files)
        .map(|file| (read(&file).lines().count(), file))
        .collect();
    sizes.sort();
    let (median, largest) = (sizes[sizes.len() / 2].0, sizes.last().expect("there are files"));
    println!("{} files, median {median} lines, largest {} ({})", sizes.len(), largest.0, largest.1.display());
    let too_large: Vec<_> = sizes.iter().filter(|it| it.0 > MOST_LINES).collect();
    assert!(too_large.is_empty(), "a second idea wants a second room: {too_large:?}");
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent: Vec<_> = ["durable/src", "durable-core/src", "durable-macros/src", "tests", "examples"]
        .into_iter()
        .flat_map(rust_files)
        .filter(|file| !read(file).starts_with("//!"))
        .collect();
    assert!(silent.is_empty(), "{silent:?}");
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &Path) -> String {
    fs::read_to_string(root().join(file)).expect("a source file can be read")
}

/// The lines of a file outside of comments and of its tests, which may know everything.
fn code_lines(file: &Path) -> Vec<(usize, String)> {
    read(file)
        .lines()
        .take_while(|line| !line.starts_with("#[cfg(test)]") && !line.starts_with("#[cfg(all(test"))
        .enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(index, line)| (index + 1, line.to_owned()))
        .collect()
}

fn floor_of(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

fn floor_of_file(file: &Path) -> Option<usize> {
    let inside = file.strip_prefix("durable-core/src").expect("it is a file of the core");
    let first = Path::new(inside.components().next().expect("a file has a name").as_os_str());
    floor_of(first.file_stem().expect("a file has a name").to_str().expect("names are ASCII"))
}

/// Every Rust source below a folder, as paths from the root. Inputs and outputs of macro tests are not sources.
fn rust_files(folder: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::from(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).expect("a source folder can be read") {
            let entry = entry.expect("a directory entry can be read");
            let path = folder.join(entry.file_name());
            if entry.path().is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}
