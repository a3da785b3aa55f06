//! What the crate shows: every type can be named, and information is data that can be stored and sent.
#![allow(missing_docs, clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;

use durable::{
    AbortReason, Diagnosis, EnginePhase, ErrorKind, EventValue, ListedExecutor, Misfire, Overlap, QueueInfo,
    QueueLimits, Readiness, ScheduleInfo, ShutdownReason, ShutdownReport, Status, StepInfo, StepStatus,
    ThroughputBucket, UntakenWork, WorkflowInfo,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Reads the JSON as a `T`, and expects the same JSON and the same value back.
fn round_trip<T: Serialize + DeserializeOwned + Clone + PartialEq + std::fmt::Debug>(json: &Value) {
    let value: T = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(serde_json::to_value(value.clone()).unwrap(), *json);
    assert_eq!(serde_json::from_value::<T>(json.clone()).unwrap(), value);
}

#[test]
fn information_about_workflows_is_json_that_reads_back() {
    round_trip::<WorkflowInfo>(&json!({
        "id": "order-7", "name": "checkout", "status": "SUCCESS", "input": "{}", "output": "1", "error": null,
        "reason": null, "queue": "orders", "parent": null, "executor": "pod-1", "version": "1.2", "attempts": 2,
        "recoveries": 1, "priority": -1, "partition_key": "alice", "deduplication_id": null, "due_at": null,
        "deadline": null, "created_at": "2026-01-02T03:04:05.000006Z", "started_at": "2026-01-02T03:04:06Z",
        "completed_at": null, "instance": null, "forked_from": null, "labels": { "tenant": "acme" }, "application": "shop",
        "started_by": null, "trace_context": null,
    }));
    round_trip::<StepInfo>(&json!({
        "position": "3/1", "kind": "step", "name": "charge", "output": "true", "error": null, "child": null,
        "attempts": 2, "failures": ["declined"], "started_at": "2026-01-02T03:04:05Z",
        "completed_at": "2026-01-02T03:04:06Z",
    }));
    round_trip::<StepStatus>(&json!({
        "workflow_id": "order-7", "name": "charge", "position": "3", "attempt": 1, "max_attempts": 4,
    }));
    round_trip::<EventValue<Vec<u32>>>(&json!({ "set_at": "2026-01-02T03:04:05Z", "value": [1, 2] }));
    for status in Status::ALL {
        round_trip::<Status>(&json!(status.as_str()));
    }
}

#[test]
fn information_about_queues_and_schedules_is_json_that_reads_back() {
    let limits = json!({
        "concurrency": 10, "worker_concurrency": null, "rate_limit": { "starts": 100, "period": 60.0 },
        "partitioned": true, "partition_concurrency": 1, "partition_rate_limit": null,
    });
    round_trip::<QueueLimits>(&limits);
    round_trip::<QueueInfo>(&json!({
        "name": "orders", "depth": 4, "delayed": 1, "running": 2, "oldest": "2026-01-02T03:04:05Z", "lag": 1.5,
        "paused": false, "limits": limits, "changed": true,
    }));
    round_trip::<ScheduleInfo>(&json!({
        "name": "nightly", "workflow": "report", "instance": null, "cron": "0 2 * * *", "timezone": "Europe/Warsaw",
        "in_code": false, "paused": false, "last_tick": "2026-01-02T01:00:00Z", "next_tick": "2026-01-03T01:00:00Z",
    }));
    round_trip::<ListedExecutor>(&json!({
        "name": "pod-1", "host": "node-3", "version": "1.2", "state": "leaving", "started_at": "2026-01-02T03:04:05Z",
        "lease_until": "2026-01-02T03:04:20Z", "running": 7,
    }));
    round_trip::<Diagnosis>(&json!({
        "database": "app.sqlite",
        "checks": [{ "name": "writes", "verdict": "problem", "finding": "a commit fails", "remedy": "make room" }],
    }));
    round_trip::<ThroughputBucket>(&json!({
        "from": "2026-01-02T03:04:00Z", "until": "2026-01-02T03:05:00Z", "success": 7, "error": 1, "cancelled": 0,
        "capped": false,
    }));
    round_trip::<UntakenWork>(&json!({ "queue": "orders", "name": "checkout", "version": "1.2", "workflows": 3 }));
    round_trip::<Misfire>(&json!("once"));
    round_trip::<Overlap>(&json!("skip"));
}

#[test]
fn a_shutdown_report_is_json_that_reads_back() {
    let report = |released: Value| {
        json!({
            "outcome": "closed", "reason": { "signal": 15 }, "started_at": "2026-01-02T03:04:05Z", "elapsed": 2.25,
            "phases": [{ "phase": "drain", "elapsed": 0.5, "timed_out": true, "panicked": false }],
            "completed": 3,
            "suspended": [{ "id": "a", "name": "sync", "at": "sleep", "steps_done": 4, "released": true }],
            "suspended_total": 1,
            "killed": [{ "id": "b", "name": "sync", "at": "step `fetch`", "running_for": 1.25 }],
            "killed_total": 1,
            "stuck": [{ "id": "c", "name": "sync", "kind": "blocking_thread", "at": null, "running_for": 0.0 }],
            "stuck_total": 1, "returned_claims": 0,
            "released_without_task": 0, "released": released,
            "background": [
                { "name": "heartbeat", "outcome": "ended", "ran_for": 9.0 },
                { "name": "scheduler", "outcome": { "panicked": "a bug" }, "ran_for": 1.0 },
            ],
            "pools": [{ "name": "work", "closed": true, "outstanding": 0 }],
            "panics": [],
        })
    };
    round_trip::<ShutdownReport>(&report(json!({ "ok": { "direct": 2, "queued": 1 } })));
    round_trip::<ShutdownReport>(&report(json!({ "error": "the database is unreachable" })));
    let unclean: ShutdownReport = serde_json::from_value(report(json!({ "error": "" }))).unwrap();
    assert_eq!((unclean.exit_code(), unclean.unfinished_tasks()), (1, vec!["scheduler"]));

    round_trip::<EnginePhase>(&json!("draining"));
    round_trip::<AbortReason>(&json!("deadline"));
    round_trip::<ErrorKind>(&json!("shutting_down"));
    round_trip::<ShutdownReason>(&json!("requested"));
    round_trip::<Readiness>(&json!({ "ready": true }));
    round_trip::<Readiness>(&json!({ "ready": false, "reason": "a shutdown is coming: no new work is taken" }));
}

/// The names that a file re-exports from a crate or a module, without those of hidden items.
fn exported(source: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (before, statement) in source.match_indices("pub use ").map(|(at, _)| source.split_at(at)) {
        let hidden = before.trim_end().ends_with("#[doc(hidden)]");
        let Some((statement, _)) = statement.split_once(';') else { continue };
        let list = statement.rsplit_once("::").map_or(statement, |(_, last)| last);
        let list = statement.split_once('{').map_or(list, |(_, list)| list.trim_end_matches('}'));
        if !hidden {
            names.extend(list.split(',').map(|it| it.trim().to_owned()).filter(|it| !it.is_empty()));
        }
    }
    names
}

/// In `durable-core` the lint `unnameable_types` checks that each type in a public signature is exported;
/// here the facade exports all of these.
#[test]
fn everything_that_the_engine_exports_can_be_named_from_this_crate() {
    let engine = exported(include_str!("../../durable-core/src/lib.rs"));
    assert!(engine.len() > 50 && engine.contains("WorkflowCall"), "the file is read wrongly: {engine:?}");
    let mut here = exported(include_str!("../src/lib.rs"));
    here.extend(exported(include_str!("../src/metrics.rs")));
    let missing: Vec<_> = engine.difference(&here).collect();
    assert!(missing.is_empty(), "`durable` does not re-export {missing:?}");
}

#[test]
fn the_prelude_names_the_test_engine_with_and_without_the_feature() {
    use durable::prelude::*;
    fn takes(_: &TestApp) -> Option<Duration> {
        None
    }
    let _: fn(&TestApp) -> Option<Duration> = takes;
}
