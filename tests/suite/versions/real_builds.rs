//! A deploy with two builds of one program, as processes: forward, rolled back, and forward again.

use std::collections::BTreeMap;
use std::process::Stdio;

use durable::Status;
use serde_json::Value;
use tokio::process::Command;

use crate::support::{ProcessDatabase, Signal, WatchedProcess, process_tests, program, until};

process_tests! {
    a_deploy_parks_what_does_not_fit_and_a_rollback_or_a_fork_finishes_it,
}

/// Of the 34 workflows of the changed function, half have come to the change in build A.
const PARKED: usize = 17;

/// Runs the command line of a build, and gives its exit code and its output.
async fn command(build: &str, database: &ProcessDatabase, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(program(build));
    command.arg("durable").args(arguments).current_dir(database.folder()).stdin(Stdio::null());
    command.env("DURABLE_DATABASE_URL", database.url()).env_remove("DURABLE_CONTEXT").kill_on_drop(true);
    let output = command.output().await.unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code(), text)
}

async fn shut_down(mut process: WatchedProcess) {
    process.signal(Signal::TERM);
    let exit = process.wait_for_exit().await;
    assert!(exit.status.success(), "{exit:?}");
}

/// Waits until so many workflows have this status.
async fn wait_for(database: &ProcessDatabase, status: Status, number: usize) {
    until(&format!("{number} workflows are {status}"), async || {
        database.workflows().await.iter().filter(|it| it.status == status).count() == number
    })
    .await;
}

async fn outputs(database: &ProcessDatabase) -> BTreeMap<String, String> {
    database.workflows().await.into_iter().filter_map(|it| Some((it.id, it.output?))).collect()
}

async fn a_deploy_parks_what_does_not_fit_and_a_rollback_or_a_fork_finishes_it(database: &ProcessDatabase) {
    let mut build_a = WatchedProcess::start("deployed_a", &["start"], database);
    build_a.wait_for_line("HOLDING").await;
    build_a.kill_9().await;
    assert_eq!(database.workflows().await.len(), 100);
    let conditions = ["verify", "--where", "name=shipping"];
    assert_eq!(command("deployed_a", database, &conditions).await.0, Some(0), "build A matches what it has recorded");
    let (code, printed) = command("deployed_b", database, &conditions).await;
    assert_eq!((code, printed.matches("mismatch").count()), (Some(1), PARKED), "{printed}");

    // Forward: the report names the function, the others go on.
    let build_b = WatchedProcess::start("deployed_b", &["run"], database);
    let (_, line) = build_b.wait_for_line("REPORT").await;
    let report: Value = serde_json::from_str(line.trim_start_matches("REPORT ")).unwrap();
    assert_eq!((&report["complete"], report["functions"].as_array().unwrap().len()), (&Value::Bool(true), 1), "{line}");
    let shipping = &report["functions"][0];
    assert_eq!(
        (&shipping["name"], &shipping["matched"], &shipping["mismatched"]),
        (&"shipping".into(), &17.into(), &17.into())
    );
    std::fs::write(database.folder().join("gate"), "").unwrap();
    wait_for(database, Status::Parked, PARKED).await;
    wait_for(database, Status::Success, 100 - PARKED).await;
    for parked in database.workflows().await.iter().filter(|it| it.status == Status::Parked) {
        let reason = parked.reason.as_deref().unwrap();
        assert!(
            reason.contains("position 2") && reason.contains("the step `pack`") && reason.contains("the step `wrap`"),
            "{reason}"
        );
        assert!(reason.contains(&format!("`durable resume {}`", parked.id)), "{reason}");
    }
    let (_, printed) = command("deployed_b", database, &["version", "ls", "-o", "json"]).await;
    let versions: Vec<Value> = serde_json::from_str(&printed).unwrap();
    let numbers = |it: &Value| (it["pending"].as_u64(), it["parked"].as_u64(), it["executors"].as_u64());
    let mut found: Vec<_> = versions.iter().map(numbers).collect();
    found.sort_unstable();
    assert_eq!(
        found,
        [(Some(0), Some(0), Some(1)), (Some(0), Some(17), Some(0))],
        "those of build A are parked: {printed}"
    );
    shut_down(build_b).await;

    // Rolled back: what is resumed ends as if there had been no build B.
    let build_a = WatchedProcess::start("deployed_a", &["run"], database);
    build_a.wait_for_line("REPORT").await;
    let resumed: Vec<_> = (0..PARKED - 1).map(|it| format!("shipping-{}", 2 * it + 1)).collect();
    let arguments: Vec<_> = ["resume"].into_iter().chain(resumed.iter().map(String::as_str)).collect();
    let (code, printed) = command("deployed_a", database, &arguments).await;
    assert_eq!(code, Some(0), "{printed}");
    wait_for(database, Status::Success, 99).await;
    wait_for(database, Status::Parked, 1).await;
    shut_down(build_a).await;

    // Forward again: a fork from the position of the reason goes on with build B.
    let build_b = WatchedProcess::start("deployed_b", &["run"], database);
    build_b.wait_for_line("REPORT").await;
    let fork = ["fork", "shipping-33", "--from", "2", "--new-id", "shipping-33b"];
    let (code, printed) = command("deployed_b", database, &fork).await;
    assert_eq!((code, &*printed), (Some(0), "shipping-33: shipping-33b\n"));
    wait_for(database, Status::Success, 100).await;
    shut_down(build_b).await;

    let outputs = outputs(database).await;
    for (id, output) in &outputs {
        let expected = match id.as_str() {
            "shipping-33b" => "2", // wrapped by build B, as are those that had not come to the change
            id if resumed.iter().any(|it| it == id) => "1",
            _ => "2",
        };
        assert_eq!(output, expected, "{id}");
    }
    assert_eq!(outputs.len(), 100);
    let steps = database.steps("shipping-33b").await;
    assert_eq!(steps.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["pack", "wrap", "hold"]);
}
