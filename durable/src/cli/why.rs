//! Why a workflow waits, in one line, and what to do. The dashboard says the same: `dashboard/assets/why.js`.

use chrono::{DateTime, TimeDelta, Utc};

use super::exit::Result;
use super::suggest;
use super::text::{duration, own_queue, time, workflows};
use crate::{
    Client, ExecutorState, Filter, ListedExecutor, Position, QueueInfo, Status, StepInfo, UntakenWork, WorkflowInfo,
};

/// A workflow of which nothing was recorded for so long may hang.
const QUIET: TimeDelta = TimeDelta::seconds(5);
/// Recorded moments behind this one stand for none.
const NEVER_IN_MILLIS: i64 = 64_000_000_000_000; // in the year 3998
/// How many children are named.
const CHILDREN: u32 = 3;

/// Why it has not ended; nothing where that needs no words.
pub(super) async fn why(client: &Client, workflow: &WorkflowInfo, steps: &[StepInfo]) -> Result<Option<String>> {
    Ok(match workflow.status {
        Status::Delayed => workflow.due_at.map(|it| format!("it is delayed until {}", time(it))),
        Status::Enqueued => Some(enqueued(client, workflow).await?),
        Status::Pending => pending(client, workflow, steps).await?,
        Status::Parked => {
            Some(format!("it waits for a person: mend what the reason names, then `durable resume {}`", workflow.id))
        }
        _ => None,
    })
}

async fn enqueued(client: &Client, workflow: &WorkflowInfo) -> Result<String> {
    let queues = client.list_queues().await?;
    let name = workflow.queue.as_deref().unwrap_or_default();
    let Some(queue) = queues.iter().find(|it| it.name == name) else {
        let hint = suggest::hint("queues", name, queues.iter().filter_map(|it| own_queue(&it.name)));
        return Ok(format!(
            "no program has declared the queue {name:?}: launch one, or `durable move {} --queue NAME`; {hint}",
            workflow.id
        ));
    };
    if queue.paused {
        return Ok(format!("the queue {name:?} is paused: `durable queue resume {name}`"));
    }
    if let Some(untaken) = untaken(client, workflow).await? {
        let others = queues.iter().filter_map(|it| own_queue(&it.name)).filter(|it| *it != name);
        let meant = suggest::nearest(name, others).map(|it| format!("; was the queue {it:?} meant?"));
        return Ok(untaken + &meant.unwrap_or_default());
    }
    Ok(for_its_turn(queue, workflow))
}

/// What holds a queue up from which processes take.
fn for_its_turn(queue: &QueueInfo, workflow: &WorkflowInfo) -> String {
    let QueueInfo { name, limits, .. } = queue;
    let waiting = format!("{} wait", workflows(queue.depth));
    if let Some(most) = limits.concurrency().filter(|most| queue.running >= u64::from(*most)) {
        return format!(
            "the queue {name:?} lets {most} run at once, and {} run; {waiting}: wait, or raise it with `durable queue set`",
            queue.running
        );
    }
    if let Some((starts, period)) = limits.rate_limit().or_else(|| limits.partition_rate_limit()) {
        let of_key = if limits.rate_limit().is_some() { "" } else { " for a partition key" };
        return format!(
            "the queue {name:?} starts at most {starts} in {}{of_key}; {waiting}: wait, or raise it with `durable queue set`",
            duration(period)
        );
    }
    match &workflow.partition_key {
        Some(key) => {
            format!("workflows with the partition key {key:?} take turns: `durable ls --where partition={key}`")
        }
        None => format!("it waits for its turn on the queue {name:?}; {waiting}, {} run", queue.running),
    }
}

/// The sentence for a workflow that no living process takes.
async fn untaken(client: &Client, workflow: &WorkflowInfo) -> Result<Option<String>> {
    if client.list_executors().await?.iter().all(|it| it.state != ExecutorState::Live) {
        return Ok(Some("no process of the application lives: launch it".to_owned()));
    }
    let untaken = client.list_untaken_work().await?;
    let name = &workflow.name;
    let queue = workflow.queue.as_deref().and_then(own_queue);
    let is_it = |it: &UntakenWork| it.name == *name && it.queue.as_deref() == queue && it.version == workflow.version;
    let version = workflow.version.as_ref().map_or_else(String::new, |it| format!(" of the version {it:?}"));
    Ok(untaken.iter().any(is_it).then(|| match queue {
        Some(queue) => {
            format!("no living process has a workflow {name:?}{version} and takes from the queue {queue:?}: launch one")
        }
        None => format!("no living process has a workflow {name:?}{version}: launch one"),
    }))
}

async fn pending(client: &Client, workflow: &WorkflowInfo, steps: &[StepInfo]) -> Result<Option<String>> {
    let Some(name) = &workflow.executor else {
        let untaken = untaken(client, workflow).await?;
        return Ok(Some(untaken.unwrap_or_else(|| "it waits for a process that takes it".to_owned())));
    };
    let executors = client.list_executors().await?;
    let of_name = executors.iter().rev().find(|it| it.name == *name); // its last launch
    if let Some(sentence) = of_name.and_then(|it| gone(it, &executors)) {
        return Ok(Some(sentence));
    }
    let now = client.database_time().await?;
    let mut reasons = recorded(steps, now);
    let messages = client.list_messages(&workflow.id).await?;
    let unread: Vec<_> = messages.iter().filter(|it| it.received_at.is_none()).map(|it| it.topic.as_str()).collect();
    if !unread.is_empty() && reasons.iter().any(|it| it.starts_with("it waits for a message")) {
        reasons.push(format!("unreceived are messages on {}", unread.join(", ")));
    }
    let living = [Status::Enqueued, Status::Delayed, Status::Pending, Status::Parked];
    let children =
        living.iter().fold(Filter::new().parent(&workflow.id).limit(CHILDREN), |it, status| it.status(*status));
    let children = client.list_workflows(children).await?;
    if !children.is_empty() {
        let named = children.iter().map(|it| format!("{} ({})", it.id, it.status.as_str().to_lowercase()));
        reasons.push(format!("children have not ended: {}", named.collect::<Vec<_>>().join(", ")));
    }
    if reasons.is_empty() {
        let last =
            steps.iter().map(|it| it.completed_at).chain(workflow.started_at).max().unwrap_or(workflow.created_at);
        reasons.extend(Some(now - last).filter(|it| *it >= QUIET).map(|quiet| {
            format!(
                "it runs in {name}, and nothing was recorded for {}: a step runs, or waits to be tried again",
                duration(quiet.to_std().unwrap_or_default())
            )
        }));
    }
    Ok(Some(reasons.join("; ")).filter(|it| !it.is_empty()))
}

/// The sentence for a workflow whose executor does not run it any more.
fn gone(executor: &ListedExecutor, all: &[ListedExecutor]) -> Option<String> {
    let what = match executor.state {
        ExecutorState::Live => return None,
        ExecutorState::Leaving => "shuts down",
        _ => "has died",
    };
    let next = if all.iter().any(|it| it.state == ExecutorState::Live) {
        "another one takes it over"
    } else {
        "no other one lives: launch the application"
    };
    Some(format!("the executor {} ran it and {what}; {next}", executor.name))
}

/// The waits that are recorded and not over.
fn recorded(steps: &[StepInfo], now: DateTime<Utc>) -> Vec<String> {
    let moment = |it: &StepInfo| it.output.as_deref().and_then(|it| serde_json::from_str::<DateTime<Utc>>(it).ok());
    let is_over = |of: &str| steps.iter().any(|it| it.position.to_string() == of);
    let mut reasons = Vec::new();
    for step in steps {
        let until = moment(step).filter(|it| it.timestamp_millis() < NEVER_IN_MILLIS);
        let until_text = until.map_or_else(String::new, |it| format!(" until {}", time(it)));
        let Position { branch, .. } = &step.position;
        match step.kind.as_str() {
            "deadline" if !is_over(branch) => reasons.push(match step.name.as_str() {
                "recv" => format!("it waits for a message at position {branch}{until_text}"),
                other => format!("it waits in {other} at position {branch}{until_text}"),
            }),
            "sleep" if until.is_none_or(|it| it > now) => reasons.push(format!("it sleeps{until_text}")),
            _ => {}
        }
    }
    reasons
}
