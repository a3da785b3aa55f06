//! The rules of the project, checked against the sources and the documents.

use std::fs;
use std::path::{Path, PathBuf};

#[path = "house/code_map.rs"]
mod code_map;
#[path = "house/dashboard.rs"]
mod dashboard;
#[path = "house/docs.rs"]
mod docs;
#[path = "house/imports.rs"]
mod imports;
#[path = "house/names.rs"]
mod names;

/// The maximum number of lines of a file. A longer file should be split.
const MOST_LINES: usize = 500;

#[test]
fn sql_is_only_in_the_stores() {
    let mut faults = Vec::new();
    for file in rust_files("durable-core/src").into_iter().chain(rust_files("durable/src")) {
        // `types/database_fault.rs` looks into the errors of users for lost races and connections.
        // `testing/application_schema.rs` makes the schema of a test for the tables of the application.
        let others = ["types/database_fault.rs", "testing/application_schema.rs"];
        if file.components().any(|it| it.as_os_str() == "store") || others.iter().any(|it| file.ends_with(it)) {
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
    // The files that may spawn, how often, and what joins the spawned task. A new one needs a line
    // here, and the shutdown has to join it.
    const OWNERS: &[(&str, usize, &str)] = &[
        ("engine/tasks.rs", 1, "named, joined and reported by the shutdown"),
        ("engine/launch.rs", 1, "a look at the executable for its version, awaited by the launch"),
        ("engine/lock_file_watch.rs", 1, "a look at the lock files, awaited by the task that watches them"),
        ("engine/teardown/mod.rs", 1, "the shutdown itself: its callers wait for its report"),
        ("engine/durable.rs", 1, "`Durable::spawn`, a task of the user"),
        (
            "engine/teardown/shutdown_hold.rs",
            1,
            "a requested shutdown that waits for a web service, until the shutdown begins",
        ),
        (
            "engine/signals/signal_thread.rs",
            2,
            "the thread that receives signals, which lives as long as the process, and the one that logs for it",
        ),
        ("engine/virtual_time.rs", 1, "a task that does nothing, awaited by the one that moves the clock of a test"),
        ("runtime/mod.rs", 2, "the tasks of executions and calls, for `run_workflow.rs` and `call_tasks.rs`"),
        ("runtime/call_tasks.rs", 1, "a call that writes: joined by the phase that closes the connections for work"),
        ("operations/run_workflow.rs", 1, "an execution: in the list of running workflows until it ends"),
        ("operations/step_on_thread.rs", 1, "a blocking step outside any workflow: awaited by its caller"),
        ("durable-core/src/shuttle_models.rs", 10, "the threads of the models: each is joined"),
        ("runtime/late_records.rs", 1, "the thread that sends records of bodies that compute: it ends with the engine"),
        (
            "runtime/step_threads.rs",
            1,
            "the threads of blocking steps: each step is awaited by its attempt, and in the list of blocking steps until it ends",
        ),
        ("runtime/spawned_tasks.rs", 1, "a task that never runs: only its id is asked for"),
        ("operations/spawn.rs", 1, "`durable::spawn` outside any workflow, a task of the user's"),
        (
            "src/metrics.rs",
            1,
            "the thread that keeps the recorder of metrics small: it lives as long as the process, as that does",
        ),
        (
            "dashboard/actions.rs",
            1,
            "an action of the dashboard: awaited by its request; if the client hangs up, its calls end with the engine",
        ),
        ("dashboard/overview.rs", 1, "reads the overview: awaited by the viewers; it ends with its queries"),
        ("dashboard/live.rs", 1, "looks for changes while the dashboard has viewers: ends when the shutdown begins"),
        ("testing/replays.rs", 1, "the thread of `assert_replays!`, which waits for it"),
        ("testing/server.rs", 1, "the watchdog of a server for tests: it ends with the process"),
    ];
    // Calls of these functions are counted in the files above.
    const THROUGH: &[&str] =
        &["background.spawn(", "drive.spawn(", "run_task.spawn(", "fn spawn", "Drive::spawn", "self.inner.spawn("];
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
fn no_file_is_too_large() {
    let mut sizes: Vec<(usize, PathBuf)> = ["durable/src", "durable-core/src", "durable-macros/src"]
        .into_iter()
        .flat_map(rust_files)
        .map(|file| (read(&file).lines().count(), file))
        .collect();
    sizes.sort();
    let (median, largest) = (sizes[sizes.len() / 2].0, sizes.last().expect("there are files"));
    println!("{} files, median {median} lines, largest {} ({})", sizes.len(), largest.0, largest.1.display());
    let too_large: Vec<_> = sizes.iter().filter(|it| it.0 > MOST_LINES).collect();
    assert!(too_large.is_empty(), "a file this long holds a second idea, which gets a file of its own: {too_large:?}");
}

#[test]
fn every_file_begins_with_its_purpose() {
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

/// The lines of a file outside of comments and of its tests, which have no such rules.
fn code_lines(file: &Path) -> Vec<(usize, String)> {
    read(file)
        .lines()
        .take_while(|line| !line.starts_with("#[cfg(test)]") && !line.starts_with("#[cfg(all(test"))
        .enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(index, line)| (index + 1, line.to_owned()))
        .collect()
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
