//! What a commit is, in words: for the message of a test that fails after a crash at this commit.

use std::any::Any;
use std::collections::HashMap;

use crate::store::{
    BoxFuture, Entry, Finish, NewRecord, NewWorkflow, PublicationKind, RunRow, TransactionEnd, UserWork, WorkflowKey,
};
use crate::types::status::Status;
use crate::types::sync::{Mutex, lock};

/// How many parts of a commit are named.
const MAX_NAMED: usize = 4;

/// The names of the workflows that this process has started or taken, by their keys.
#[derive(Debug, Default)]
pub(super) struct CommitNames(Mutex<HashMap<WorkflowKey, String>>);

impl CommitNames {
    pub(super) fn learn_starts(&self, entries: &[Entry]) {
        for started in entries.iter().filter_map(|it| it.start.as_ref()) {
            self.learn(started.key, &started.name);
        }
    }

    pub(super) fn learn_runs(&self, runs: &[RunRow]) {
        for run in runs {
            self.learn(run.key, &run.name);
        }
    }

    fn learn(&self, key: WorkflowKey, name: &str) {
        lock(&self.0).insert(key, name.to_owned());
    }

    fn workflow(&self, key: WorkflowKey) -> String {
        lock(&self.0).get(&key).map_or_else(|| "a workflow".to_owned(), |name| format!("`{name}`"))
    }

    /// Names a commit of the engine.
    pub(super) fn of_entries(&self, entries: &[Entry]) -> String {
        joined(entries.iter().flat_map(|it| self.parts(it)).collect())
    }

    fn parts(&self, entry: &Entry) -> Vec<String> {
        let mut parts: Vec<String> = entry.records.iter().map(|it| self.record(it)).collect();
        parts.extend(entry.start.as_deref().map(start));
        let publication = |kind, name: &str| match kind {
            PublicationKind::Event => format!("event `{name}`"),
            PublicationKind::Item => format!("an item of stream `{name}`"),
            PublicationKind::Close => format!("the end of stream `{name}`"),
        };
        parts.extend(entry.publications.iter().map(|it| publication(it.kind, &it.name)));
        parts.extend(entry.messages.iter().map(|it| format!("a message on topic `{}`", it.topic)));
        parts.extend(entry.finish.iter().map(|it| self.finish(it)));
        parts
    }

    fn record(&self, record: &NewRecord) -> String {
        let NewRecord { workflow, position, kind, name, .. } = record;
        let name = if name.is_empty() { String::new() } else { format!(" `{name}`") };
        format!("{kind}{name} at position {position} of {}", self.workflow(*workflow))
    }

    fn finish(&self, finish: &Finish) -> String {
        let what = if finish.status == Status::Parked { "the parking" } else { "the end" };
        format!("{what} of {}", self.workflow(finish.workflow))
    }

    /// Names the commit of a transaction, by how it ends.
    fn of_transaction(&self, end: &TransactionEnd) -> String {
        match end {
            TransactionEnd::Record { records, .. } => joined(records.iter().map(|it| self.record(it)).collect()),
            TransactionEnd::Commit | TransactionEnd::Undo => "a transaction without a record".to_owned(),
        }
    }
}

/// The start of a workflow.
pub(super) fn start(workflow: &NewWorkflow) -> String {
    format!("the start of `{}`", workflow.name)
}

/// The claim of runs.
pub(super) fn claim(queue: &str, runs: &[RunRow]) -> String {
    let names = runs.iter().map(|it| format!("`{}`", it.name)).collect();
    format!("the claim of {} from queue `{queue}`", joined(names))
}

fn joined(mut parts: Vec<String>) -> String {
    let more = parts.len().saturating_sub(MAX_NAMED);
    parts.truncate(MAX_NAMED);
    if more > 0 {
        parts.push(format!("{more} more"));
    }
    match parts.pop() {
        None => "nothing".to_owned(),
        Some(last) if parts.is_empty() => last,
        Some(last) => format!("{} and {last}", parts.join(", ")),
    }
}

/// Runs the work of a transaction, notes what its commit is, and undoes it if the process dies before the commit.
pub(super) struct CapturesEnd<'a> {
    pub(super) work: &'a mut dyn UserWork,
    pub(super) names: &'a CommitNames,
    pub(super) undo: bool,
    /// Where the name of the commit goes.
    pub(super) name: Option<&'a Mutex<Option<String>>>,
}

impl UserWork for CapturesEnd<'_> {
    fn run<'c>(&'c mut self, connection: &'c mut (dyn Any + Send)) -> BoxFuture<'c, TransactionEnd> {
        Box::pin(async move {
            let end = self.work.run(connection).await;
            if let Some(name) = self.name {
                *lock(name) = Some(self.names.of_transaction(&end));
            }
            if self.undo { TransactionEnd::Undo } else { end }
        })
    }
}
