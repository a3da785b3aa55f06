//! Whether what waits is taken by an executor that lives, for a diagnosis.

use std::collections::BTreeSet;

use crate::engine::executor_identity::TakenWork;
use crate::registry::INTERNAL_QUEUE;
use crate::store::WaitingWork;
use crate::types::diagnosis::Diagnosis;

const NAME: &str = "waiting work";
/// How many findings are shown.
const SHOWN: usize = 5;

/// Adds what is found to the diagnosis. `living` is what the executors that live have registered.
pub(super) fn check(diagnosis: &mut Diagnosis, living: &[Option<String>], waiting: &[WaitingWork]) {
    let workflows: u64 = waiting.iter().map(|it| it.workflows).sum();
    if living.is_empty() && workflows > 0 {
        let finding = format!("{workflows} workflows wait, and no process of the application lives");
        diagnosis.warning(NAME, finding, "launch the application");
        return;
    }
    let taken: Option<Vec<TakenWork>> = living.iter().map(|it| serde_json::from_str(it.as_deref()?).ok()).collect();
    let Some(taken) = taken else { return }; // an executor of another release may take anything
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
        "launch a program that has the workflow and listens to the queue; or move these workflows with `move_to_queue`, or cancel them",
    );
}

/// Why no living executor takes this work.
fn untaken(work: &WaitingWork, living: &[TakenWork]) -> Option<String> {
    let WaitingWork { queue, name, workflows } = work;
    let has_name = |it: &&TakenWork| it.workflows.iter().any(|known| known == name);
    let has_queue = |it: &&TakenWork| queue.as_ref().is_none_or(|queue| it.queues.contains(queue));
    if living.iter().any(|it| has_name(&it) && has_queue(&it)) {
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
        _ => format!("{workflows} of {name:?} wait{place}, and no living process has both"),
    })
}
