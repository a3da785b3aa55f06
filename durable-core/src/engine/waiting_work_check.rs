//! Whether what waits is taken by an executor that lives.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::engine::executor_identity::TakenWork;
use crate::journal::context::Context;
use crate::operations::admin::failed_to;
use crate::registry::INTERNAL_QUEUE;
use crate::runtime::Runtime;
use crate::store::{Store, WaitingWork};
use crate::types::diagnosis::Diagnosis;
use crate::types::error::Result;
use crate::types::filter::Filter;
use crate::types::page::GroupBy;
use crate::types::status::Status;

const NAME: &str = "waiting work";
const PARKED_NAME: &str = "parked work";
/// Where the count of parked workflows stops.
const MOST_COUNTED: u32 = 10_000;
/// How many findings are shown.
const SHOWN: usize = 5;

/// Workflows of one name and version that wait, and that no living executor takes: see
/// [`list_untaken_work`](crate::Durable::list_untaken_work). As JSON the fields have these names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UntakenWork {
    /// The queue that they wait on; `None` if they go on without one.
    pub queue: Option<String>,
    /// The registered name of their function.
    pub name: String,
    /// The version of the program that they belong to. It matters to executors with
    /// [`VersionPolicy::Pin`](crate::VersionPolicy::Pin).
    pub version: Option<String>,
    /// How many they are.
    pub workflows: u64,
}

/// What waits and is taken by none of the executors that live.
pub(super) async fn untaken_work(runtime: &Runtime) -> Result<Vec<UntakenWork>> {
    Context::refuse_unrecorded("list_untaken_work")?;
    let cannot = |error| failed_to(runtime, "list the work that waits", &error);
    let living = runtime.store.taken_work().await.map_err(cannot)?;
    let waiting = runtime.store.waiting_work().await.map_err(cannot)?;
    let Some(living) = read(&living) else { return Ok(Vec::new()) };
    let left = waiting.into_iter().filter(|it| untaken(it, &living).is_some());
    let shown = left.map(|WaitingWork { queue, name, version, workflows }| UntakenWork {
        queue: queue.filter(|it| it != INTERNAL_QUEUE),
        name,
        version,
        workflows,
    });
    Ok(shown.collect())
}

/// What executors have registered; `None` if one is of another release, and may take anything.
fn read(living: &[Option<String>]) -> Option<Vec<TakenWork>> {
    living.iter().map(|it| serde_json::from_str(it.as_deref()?).ok()).collect()
}

/// Adds what is found to the diagnosis. `living` is what the executors that live have registered.
pub(super) fn check(diagnosis: &mut Diagnosis, living: &[Option<String>], waiting: &[WaitingWork]) {
    let workflows: u64 = waiting.iter().map(|it| it.workflows).sum();
    if living.is_empty() && workflows > 0 {
        let finding = format!("{workflows} workflows wait, and no process of the application lives");
        diagnosis.warning(NAME, finding, "launch the application");
        return;
    }
    let Some(taken) = read(living) else { return };
    let findings: BTreeSet<String> = waiting.iter().filter_map(|it| untaken(it, &taken)).collect();
    if findings.is_empty() {
        diagnosis.good(NAME, format!("living processes take the {workflows} workflows that wait"));
        return;
    }
    let mut shown: Vec<_> = findings.iter().take(SHOWN).map(String::as_str).collect();
    let more = format!("and {} more", findings.len().saturating_sub(SHOWN));
    if findings.len() > SHOWN {
        shown.push(&more);
    }
    diagnosis.warning(
        NAME,
        shown.join("; "),
        "launch a program that has the workflow, takes its version and listens to the queue; or move these workflows to another queue, fork them to a living version, or cancel them",
    );
}

/// Adds how many workflows are parked. If they cannot be counted, nothing is added.
pub(super) async fn check_parked(diagnosis: &mut Diagnosis, store: &dyn Store) {
    let parked = Filter::new().status(Status::Parked);
    let Ok(counts) = store.count(&parked, GroupBy::Name, MOST_COUNTED).await else { return };
    if counts.total == 0 {
        return diagnosis.good(PARKED_NAME, "no workflow is parked");
    }
    let more = if counts.capped { " or more" } else { "" };
    let mut names: Vec<_> = counts
        .groups
        .iter()
        .map(|it| format!("{} of {:?}", it.count, it.value.as_deref().unwrap_or_default()))
        .collect();
    names.truncate(SHOWN);
    let finding = format!("{}{more} are parked, and wait for a person: {}", counts.total, names.join(", "));
    diagnosis.warning(
        PARKED_NAME,
        finding,
        "`durable ls --status parked` shows the reason of each; once that is mended, resume them, or fork or restart them with other arguments",
    );
}

/// Why no living executor takes this work.
fn untaken(work: &WaitingWork, living: &[TakenWork]) -> Option<String> {
    let WaitingWork { queue, name, version, workflows } = work;
    let kind = format!("{name}\n{}", version.as_deref().unwrap_or_default());
    let has_name = |it: &&TakenWork| it.workflows.iter().any(|known| known == name);
    let has_version = |it: &&TakenWork| it.pinned.as_ref().is_none_or(|it| it.contains(&kind));
    let has_queue = |it: &&TakenWork| queue.as_ref().is_none_or(|queue| it.queues.contains(queue));
    if living.iter().any(|it| has_name(&it) && has_version(&it) && has_queue(&it)) {
        return None;
    }
    let shown = queue.as_deref().filter(|it| *it != INTERNAL_QUEUE);
    let place = shown.map_or_else(String::new, |queue| format!(" on the queue {queue:?}"));
    Some(match shown {
        Some(queue) if !living.iter().any(|it| has_queue(&it)) => {
            format!("no living process takes from the queue {queue:?}")
        }
        _ if !living.iter().any(|it| has_name(&it)) => {
            format!("{workflows} of {name:?} wait{place}, and no living process has a workflow of this name")
        }
        _ if !living.iter().any(|it| has_name(&it) && has_version(&it)) => format!(
            "{workflows} of {name:?} wait{place}, started by {}, and all living processes that have it are pinned to other versions",
            version.as_ref().map_or_else(|| "no version".to_owned(), |it| format!("the version {it:?}"))
        ),
        _ => format!("{workflows} of {name:?} wait{place}, and no living process has both"),
    })
}
