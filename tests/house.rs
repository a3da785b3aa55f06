//! The house holds: what ARCHITECTURE.md says about its floors is looked up in the sources.

use std::fs;
use std::path::{Path, PathBuf};

/// From the ground up. A module may name those on its own floor and below.
const FLOORS: &[&[&str]] = &[
    &["types"],
    &["store"],
    &["registry"],
    &["wait"],
    &["queue_state"],
    &["writer"],
    &["runtime"],
    &["journal"],
    &["operations"],
    &["engine"],
];

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
        // `types/serialization_failure.rs` asks errors that users bring whether they come from a lost race.
        if file.components().any(|it| it.as_os_str() == "store") || file.ends_with("types/serialization_failure.rs") {
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
    // Who may spawn, how often, and who joins what is spawned there. A new one needs a line here, and
    // the shutdown has to know of it.
    const OWNERS: &[(&str, usize, &str)] = &[
        ("engine/tasks.rs", 1, "named, joined and reported by the teardown"),
        ("engine/teardown/mod.rs", 1, "the teardown itself: its callers wait for its report"),
        ("engine/app.rs", 1, "`Durable::spawn`, a task of the user's"),
        (
            "engine/teardown/shutdown_hold.rs",
            1,
            "a requested shutdown that waits for a web service, until the teardown begins",
        ),
        (
            "engine/signals/signal_thread.rs",
            2,
            "the thread that hears signals, which lives as long as the process, and its voice",
        ),
        ("operations/run_workflow.rs", 1, "an execution: in the list of the living until it ends"),
        ("operations/step.rs", 1, "a blocking step: awaited by its step, and in the list of threads until it ends"),
        ("testing/server.rs", 1, "the watchdog of a server for tests: it ends with the process"),
    ];
    // What is spawned through these is one of the above.
    const THROUGH: &[&str] = &["background.spawn(", "drive.spawn(", "fn spawn", "Drive::spawn", "self.inner.spawn("];
    let mut faults = Vec::new();
    for file in rust_files("durable-core/src").into_iter().chain(rust_files("durable/src")) {
        let spawns: Vec<_> = code_lines(&file)
            .into_iter()
            .filter(|(_, line)| !line.contains('`') && !THROUGH.iter().any(|it| line.contains(it)))
            .filter(|(_, line)| {
                ["spawn(", "spawn_blocking(", "spawn_local(", "thread::spawn", "thread::Builder", "thread::scope"]
                    .iter()
                    .any(|it| line.contains(it))
            })
            .collect();
        let allowed = OWNERS.iter().find(|(owner, ..)| file.ends_with(owner)).map_or(0, |(_, many, _)| *many);
        if spawns.len() != allowed {
            let lines: Vec<_> = spawns.iter().map(|(number, line)| format!("{number}: {}", line.trim())).collect();
            faults.push(format!("{} spawns {} times and {allowed} are owned: {lines:?}", file.display(), spawns.len()));
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
