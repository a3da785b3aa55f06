//! At a launch: finds workflows in flight whose code has changed, and verifies them in the background.
//!
//! A fingerprint covers the function of a workflow and nothing that it calls, so those of other versions of the program
//! are verified, too. Of a function that has not changed itself, only what does not match is reported.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::operations::verify_replay::verify_by_id;
use crate::runtime::Runtime;
use crate::store::{ChangedWorkflow, KnownCode, StoreError};
use crate::types::replay_report::{ReplayOutcome, ReplayReport};
use crate::types::version_policy::{DeployReport, FunctionDeploy};
use crate::wait::shutdown_phase::EnginePhase;

/// How many workflows are verified.
const MAX_VERIFIED: u32 = 1_000;
/// How long the verification may take in all.
const LIMIT: Duration = Duration::from_secs(30);
/// How many reports of one function are kept.
const MAX_REPORTS: usize = 100;

/// The workflows in flight whose code has changed, read before the recovery runs or parks any of them. If they cannot be
/// read, the launch goes on.
pub(super) async fn find(runtime: &Runtime) -> Result<Vec<ChangedWorkflow>, StoreError> {
    let code = |it: &&'static crate::registry::Workflow| KnownCode {
        name: it.name,
        fingerprint: it.fingerprint,
        version: it.version(&runtime.settings.version).to_owned(),
    };
    let code: Vec<KnownCode> = runtime.registry.all().iter().map(code).collect();
    let found = runtime.store.changed(&code, MAX_VERIFIED + 1).await;
    found.inspect_err(|error| {
        tracing::warn!(target: "durable", %error, "workflows in flight whose code has changed could not be read, so they are not reported");
    })
}

/// Verifies what was found, logs a line for each function, and publishes the report.
pub(super) async fn run(runtime: Arc<Runtime>, found: Result<Vec<ChangedWorkflow>, StoreError>) {
    let mut complete = found.is_ok();
    let mut found = found.unwrap_or_default();
    complete &= found.len() <= MAX_VERIFIED as usize;
    found.truncate(MAX_VERIFIED as usize);
    let mut functions: BTreeMap<String, FunctionDeploy> = BTreeMap::new();
    let verified = verify_all(&runtime, &found, &mut functions);
    complete &= tokio::select! {
        all = tokio::time::timeout_at(Instant::now() + LIMIT, verified) => all.unwrap_or(false),
        () = runtime.shutdown.wait_for(EnginePhase::Draining) => false,
    };
    functions.retain(|name, it| it.mismatched > 0 || found.iter().any(|it| it.has_changed && it.name == *name));
    for function in functions.values() {
        log(function, complete);
    }
    let version = runtime.settings.version.clone();
    let report = DeployReport { version, functions: functions.into_values().collect(), complete };
    runtime.deploy_report.send_replace(Some(report));
}

/// Returns whether all could be read.
async fn verify_all(
    runtime: &Arc<Runtime>,
    found: &[ChangedWorkflow],
    functions: &mut BTreeMap<String, FunctionDeploy>,
) -> bool {
    let mut all = true;
    for ChangedWorkflow { id, name, has_changed } in found {
        match verify_by_id(runtime, id).await {
            Ok(Some(report)) if !has_changed && matches!(report.outcome, ReplayOutcome::Unknown { .. }) => {}
            Ok(Some(report)) => add(functions, report),
            Ok(None) => {} // it was deleted meanwhile
            Err(error) => {
                all = false;
                tracing::debug!(target: "durable", workflow_id = %id, workflow = %name, %error, "a workflow could not be read, and was not verified");
            }
        }
    }
    all
}

fn add(functions: &mut BTreeMap<String, FunctionDeploy>, report: ReplayReport) {
    let name = report.workflow.clone();
    let function = functions
        .entry(name)
        .or_insert_with(|| FunctionDeploy { name: report.workflow.clone(), ..FunctionDeploy::default() });
    match &report.outcome {
        ReplayOutcome::Match => return function.matched += 1,
        ReplayOutcome::Unknown { .. } => function.unknown += 1,
        _ => function.mismatched += 1,
    }
    if function.reports.len() < MAX_REPORTS {
        function.reports.push(report);
    }
}

fn log(function: &FunctionDeploy, complete: bool) {
    let FunctionDeploy { name, matched, mismatched, unknown, reports } = function;
    let Some(example) = reports.iter().max_by_key(|it| !matches!(it.outcome, ReplayOutcome::Unknown { .. })) else {
        tracing::info!(target: "durable", workflow = %name, matched, complete, "the code of a workflow has changed, and matches what is in flight");
        return;
    };
    tracing::warn!(target: "durable", workflow = %name, matched, mismatched, unknown, complete, workflow_id = %example.id, error = %example, "the code of a workflow has changed, and does not match all that is in flight");
}
