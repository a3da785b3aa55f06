//! Recorded histories against the present code: `assert_replays!`.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use durable_core::{History, ReplayReport};

use crate::TestApp;
use crate::testing::block_on;

/// Not public API: what the macro [`assert_replays!`](crate::assert_replays) calls.
///
/// # Panics
/// A file does not replay, cannot be read, or there is none.
#[doc(hidden)]
pub fn assert_replays(package: &str, pattern: &str) {
    // A thread of its own: it is called in asynchronous tests, too, whose threads cannot wait for a runtime.
    let (path, shown) = (Path::new(package).join(pattern).to_string_lossy().into_owned(), pattern.to_owned());
    let name = std::thread::current().name().unwrap_or("test").to_owned();
    let thread = std::thread::Builder::new().name(name).spawn(move || block_on(|app| replay_all(app, path, shown)));
    let failures = match thread.expect("a test can start a thread").join() {
        Ok(failures) => failures,
        Err(panic) => std::panic::resume_unwind(panic),
    };
    assert!(
        failures.is_empty(),
        "histories that the present code does not replay:{failures}\nKeep old code for old workflows with `durable::patch(\"name\")`, a renamed step with `#[step(name = \"its earlier name\")]`; or delete the file once no such workflow is in flight"
    );
}

async fn replay_all(app: TestApp, path: String, shown: String) -> String {
    let files: Vec<_> = match glob::glob(&path) {
        Ok(files) => files.flatten().collect(),
        Err(error) => panic!("assert_replays!: {shown:?} is no pattern: {error}"),
    };
    assert!(!files.is_empty(), "assert_replays!: no file matches {path:?}; write one with `durable export ID`");
    let mut failures = String::new();
    for file in &files {
        let failed = match replay(&app, file).await {
            Ok(failed) => failed,
            Err(message) => vec![message],
        };
        for failure in failed {
            let _ = write!(failures, "\n  {}: {failure}", file.display()); // a String takes everything
        }
    }
    failures
}

/// What does not fit, of the histories in a file.
async fn replay(app: &TestApp, file: &Path) -> Result<Vec<String>, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("it cannot be read: {error}"))?;
    let mut failed = Vec::new();
    for history in serde_json::Deserializer::from_str(&text).into_iter::<History>() {
        let history = history.map_err(|error| format!("it is no exported history: {error}"))?;
        let id = &history.workflow.id;
        let report = replay_one(app, &history).await.map_err(|error| format!("{id:?}: {error}"))?;
        if !report.is_match() {
            failed.push(format!("{} {id:?}: {report}", report.workflow));
        }
    }
    Ok(failed)
}

async fn replay_one(app: &TestApp, history: &History) -> Result<ReplayReport, durable_core::Error> {
    let id = &history.workflow.id;
    let status = app.import_workflow(history).await?;
    let report = app.verify_replay(id).await?;
    // Another file may have the same workflow, exported at another time.
    if !status.is_terminal() {
        app.cancel_workflow(id).await?;
    }
    app.delete_workflow(id).await?;
    Ok(report)
}
