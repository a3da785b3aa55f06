//! Actions on workflows: on some by their ids, or on all that a filter selects.

use std::collections::BTreeMap;
use std::time::Duration;

use ::axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::actions::{Done, Fields, seconds};
use super::api_error::{Answer, ApiError};
use super::viewer::{Viewer, filter_of};
use super::{Dashboard, MAX_PAGE};
use crate::error_scope::is_about_one;
use crate::{Bulk, BulkCall, Filter, ForkFrom, GroupBy, Position, Result};

/// What is done to workflows.
#[derive(Debug, Clone, Copy)]
pub(super) enum WorkflowAction {
    Cancel,
    Resume,
    Restart,
    Fork,
    Delete,
    Labels,
    Priority,
    Delay,
    Queue,
}

/// The routes of the actions.
pub(super) const WORKFLOW_ACTIONS: &[(&str, WorkflowAction)] = &[
    ("workflows/cancel", WorkflowAction::Cancel),
    ("workflows/resume", WorkflowAction::Resume),
    ("workflows/restart", WorkflowAction::Restart),
    ("workflows/fork", WorkflowAction::Fork),
    ("workflows/delete", WorkflowAction::Delete),
    ("workflows/labels", WorkflowAction::Labels),
    ("workflows/priority", WorkflowAction::Priority),
    ("workflows/delay", WorkflowAction::Delay),
    ("workflows/queue", WorkflowAction::Queue),
];

/// Which workflows.
enum Selection {
    Ids(Vec<String>),
    Filter { filter: Box<Filter>, per_second: Option<u32> },
}

/// What is done to each, with its values.
enum Change {
    Cancel { children: bool },
    Resume,
    Restart,
    Fork(Box<Fork>),
    Delete,
    Labels(Vec<(String, String)>),
    Priority(i32),
    Delay(Duration),
    Queue(String),
}

struct Fork {
    from: ForkFrom,
    id: Option<String>,
    queue: Option<String>,
    version: Option<String>,
    outputs: Vec<(Position, Value)>,
    arguments: Map<String, Value>,
}

impl Fork {
    /// Whether it is more than what can be done in bulk.
    fn has_values(&self) -> bool {
        self.id.is_some()
            || self.queue.is_some()
            || self.version.is_some()
            || !self.outputs.is_empty()
            || !self.arguments.is_empty()
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum FromWord {
    Position(i32),
    Word(ForkFrom),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl WorkflowAction {
    /// Reads what is asked for, and carries it out.
    pub(super) async fn carry_out(
        self,
        dashboard: &Dashboard,
        viewer: &Viewer,
        fields: &mut Fields,
        done: &mut Done,
    ) -> Answer<Value> {
        let selection = selection(viewer, fields, done)?;
        let change = self.change(fields)?;
        fields.end()?;
        match selection {
            Selection::Ids(ids) => change_each(dashboard, &change, &ids, done).await,
            Selection::Filter { filter, per_second } => {
                let counts = dashboard.source.count_workflows((*filter).clone(), GroupBy::Status).await?;
                let call = change.in_bulk(&dashboard.source.bulk(*filter))?;
                let call = per_second.into_iter().fold(call, BulkCall::per_second);
                let id = call.start().await?.id().to_owned();
                done.status = StatusCode::ACCEPTED;
                done.effect = format!("carried out by the workflow {id:?}");
                Ok(json!({ "bulk": id, "matched": counts.total, "capped": counts.capped }))
            }
        }
    }

    fn change(self, fields: &mut Fields) -> Answer<Change> {
        Ok(match self {
            Self::Cancel => Change::Cancel { children: fields.take("children")?.unwrap_or_default() },
            Self::Resume => Change::Resume,
            Self::Restart => Change::Restart,
            Self::Fork => Change::Fork(Box::new(fork(fields)?)),
            Self::Delete => Change::Delete,
            Self::Labels => {
                let labels: BTreeMap<String, String> = fields.required("labels")?;
                Change::Labels(labels.into_iter().collect())
            }
            Self::Priority => Change::Priority(fields.required("priority")?),
            Self::Delay => Change::Delay(seconds("seconds", fields.required("seconds")?)?),
            Self::Queue => Change::Queue(fields.required("queue")?),
        })
    }
}

fn selection(viewer: &Viewer, fields: &mut Fields, done: &mut Done) -> Answer<Selection> {
    let ids: Option<Vec<String>> = fields.take("ids")?;
    let conditions: Option<BTreeMap<String, OneOrMore>> = fields.take("filter")?;
    let per_second: Option<u32> = fields.take("per_second")?;
    match (ids, conditions) {
        (Some(ids), None) => {
            done.about(ids.join(", "));
            if ids.is_empty() || ids.len() > MAX_PAGE as usize {
                let message =
                    format!("`ids` has 1 to {MAX_PAGE} ids, and not {}: select more with `filter`", ids.len());
                return Err(ApiError::misuse(message));
            }
            if per_second.is_some() {
                return Err(ApiError::misuse("`per_second` is for a `filter`: leave it out with `ids`"));
            }
            Ok(Selection::Ids(ids))
        }
        (None, Some(conditions)) => {
            let pairs: Vec<(String, String)> = conditions
                .into_iter()
                .flat_map(|(key, values)| {
                    let values = match values {
                        OneOrMore::One(value) => vec![value],
                        OneOrMore::More(values) => values,
                    };
                    values.into_iter().map(move |value| (key.clone(), value))
                })
                .collect();
            // A text of an error may be a part of a payload.
            let shown =
                |(key, value): &(String, String)| format!("{key}={}", if key == "error" { ".." } else { value });
            done.about(pairs.iter().map(shown).collect::<Vec<_>>().join(", "));
            Ok(Selection::Filter { filter: Box::new(filter_of(pairs, &viewer.redaction)?), per_second })
        }
        _ => Err(ApiError::misuse("give either `ids` or a `filter`")),
    }
}

fn fork(fields: &mut Fields) -> Answer<Fork> {
    let from = match fields.required("from")? {
        FromWord::Position(position) => ForkFrom::Position(position),
        FromWord::Word(from) => from,
    };
    let mut outputs = Vec::new();
    for (position, output) in fields.take::<Map<String, Value>>("outputs")?.unwrap_or_default() {
        let position = position.parse().map_err(|error: crate::InvalidPosition| ApiError::misuse(error.to_string()))?;
        outputs.push((position, output));
    }
    Ok(Fork {
        from,
        id: fields.take("id")?,
        queue: fields.take("queue")?,
        version: fields.take("version")?,
        outputs,
        arguments: fields.take("arguments")?.unwrap_or_default(),
    })
}

async fn change_each(dashboard: &Dashboard, change: &Change, ids: &[String], done: &mut Done) -> Answer<Value> {
    if matches!(change, Change::Fork(fork) if fork.id.is_some()) && ids.len() > 1 {
        return Err(ApiError::misuse("`id` is the id of one new workflow: leave it out, or fork a single one"));
    }
    let mut results = Vec::new();
    let mut refused = 0;
    for id in ids {
        let result = match change.one(dashboard, id).await {
            Ok(new) => json!({ "id": id, "done": true, "new": new, "message": null }),
            Err(error) if is_about_one(&error) => {
                refused += 1;
                json!({ "id": id, "done": false, "new": null, "message": error.to_string() })
            }
            Err(error) => {
                done.effect = format!("{} done, then it failed", results.len() - refused);
                return Err(error.into());
            }
        };
        results.push(result);
    }
    done.effect = format!("{} done, {refused} refused", results.len() - refused);
    Ok(json!({ "done": results.len() - refused, "refused": refused, "results": results }))
}

impl Change {
    /// Changes one workflow, and gives the id of a new one that is made of it.
    async fn one(&self, dashboard: &Dashboard, id: &str) -> Result<Option<String>> {
        let source = &dashboard.source;
        match self {
            Self::Cancel { children } => source.cancel_workflow(id, *children).await?,
            Self::Resume => source.resume_workflow(id).await?,
            Self::Restart => return Ok(Some(source.restart_workflow(id).await?.id().to_owned())),
            Self::Fork(fork) => {
                let mut call = source.fork_workflow(id, fork.from);
                call = fork.id.iter().fold(call, crate::ForkCall::id);
                call = fork.queue.iter().fold(call, crate::ForkCall::queue);
                call = fork.version.iter().fold(call, crate::ForkCall::version);
                for (position, output) in &fork.outputs {
                    call = call.replace_output(position.clone(), output);
                }
                for (name, value) in &fork.arguments {
                    call = call.replace_argument(name, value);
                }
                return Ok(Some(call.await?.id().to_owned()));
            }
            Self::Delete => drop(source.delete_workflow(id).await?),
            Self::Labels(labels) => source.set_labels(id, labels.clone()).await?,
            Self::Priority(priority) => source.set_priority(id, *priority).await?,
            Self::Delay(delay) => source.set_delay(id, *delay).await?,
            Self::Queue(queue) => source.move_to_queue(id, queue).await?,
        }
        Ok(None)
    }

    /// The same for all that a filter selects.
    fn in_bulk(&self, bulk: &Bulk) -> Answer<BulkCall> {
        Ok(match self {
            Self::Cancel { children: true } => bulk.cancel_with_children(),
            Self::Cancel { children: false } => bulk.cancel(),
            Self::Resume => bulk.resume(),
            Self::Restart => bulk.restart(),
            Self::Fork(fork) if fork.has_values() => {
                return Err(ApiError::misuse("with a `filter`, a fork has `from` alone: give `ids` for the others"));
            }
            Self::Fork(fork) => bulk.fork(fork.from),
            Self::Delete => bulk.delete(),
            Self::Labels(labels) => bulk.set_labels(labels.clone()),
            Self::Priority(priority) => bulk.set_priority(*priority),
            Self::Delay(delay) => bulk.set_delay(*delay),
            Self::Queue(queue) => bulk.move_to_queue(queue),
        })
    }
}
