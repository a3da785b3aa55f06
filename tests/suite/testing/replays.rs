//! Recorded histories against the present code.

use std::path::PathBuf;

use durable::prelude::*;

#[step]
async fn replay_charges() -> u32 {
    1
}

#[step]
async fn replay_ships() -> u32 {
    2
}

#[workflow]
async fn replay_order(express: bool) -> Result<u32> {
    if express {
        return Ok(replay_ships().await);
    }
    Ok(replay_charges().await + replay_ships().await)
}

/// A folder below the package, as the pattern is relative to it.
fn folder(name: &str) -> (PathBuf, String) {
    let relative = format!("target/replays/{name}-{}", std::process::id());
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(&relative);
    std::fs::create_dir_all(&folder).unwrap();
    (folder, format!("{relative}/*.json"))
}

async fn export_to(app: &TestApp, folder: &std::path::Path, id: &str) -> String {
    let text = serde_json::to_string_pretty(&app.export_workflow(id).await.unwrap()).unwrap();
    std::fs::write(folder.join(format!("{id}.json")), &text).unwrap();
    text
}

#[durable::test]
async fn histories_that_the_code_still_makes_replay(app: TestApp) {
    let (folder, pattern) = folder("fit");
    replay_order(false).id("slow").await.unwrap();
    replay_order(true).id("fast").await.unwrap();
    export_to(&app, &folder, "slow").await;
    let fast = export_to(&app, &folder, "fast").await;
    std::fs::write(folder.join("again.json"), format!("{fast}\n{fast}")).unwrap(); // several in a file, of the same id
    assert_replays!(pattern.as_str());
    std::fs::remove_dir_all(folder).unwrap();
}

#[durable::test]
async fn a_history_of_other_code_fails_with_the_first_difference(app: TestApp) {
    let (folder, pattern) = folder("differ");
    replay_order(false).id("changed").await.unwrap();
    let text = export_to(&app, &folder, "changed").await;
    std::fs::write(folder.join("changed.json"), text.replace("replay_charges", "replay_pays")).unwrap();
    let failed = std::panic::catch_unwind(|| assert_replays!(pattern.as_str())).expect_err("it does not fit");
    let message = failed.downcast_ref::<String>().unwrap();
    assert!(message.contains("changed.json: replay_order \"changed\": at position 1 this workflow recorded the step `replay_pays`, and the code now calls the step `replay_charges` there"), "{message}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
#[should_panic(expected = "no file matches")]
fn a_pattern_without_a_file_fails() {
    assert_replays!("tests/no/such/*.json");
}
