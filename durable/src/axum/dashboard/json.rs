//! What is shown of workflows and what belongs to them, without what is hidden.

use serde_json::{Map, Value, json};

use super::access::Redaction;
use crate::{CurrentActivity, EventInfo, History, MessageInfo, ScheduleInfo, StepInfo, StreamItemInfo, WorkflowInfo};

/// How many ticks of a schedule are shown.
const TICKS: usize = 5;

/// A workflow. Its payloads are values and no texts.
pub(super) fn workflow(info: &WorkflowInfo, redaction: &Redaction, payloads: bool) -> Value {
    let mut shown = object(info);
    let payload = |text: &Option<String>| text.as_ref().map_or(Value::Null, |it| redaction.json(&info.name, it));
    if payloads {
        shown.insert("input".to_owned(), payload(&info.input));
        shown.insert("output".to_owned(), payload(&info.output));
    } else {
        shown.remove("input");
        shown.remove("output");
    }
    shown.insert("error".to_owned(), payload(&info.error));
    shown.insert("reason".to_owned(), text(redaction, &info.name, info.reason.as_deref()));
    Value::Object(shown)
}

/// The same with these fields alone, and the id.
pub(super) fn only(mut shown: Value, columns: Option<&[String]>) -> Value {
    if let (Some(columns), Some(fields)) = (columns, shown.as_object_mut()) {
        fields.retain(|name, _| name == "id" || columns.contains(name));
    }
    shown
}

/// The name to which the payloads of a record belong. That of a message, an event or a stream is a topic, and that of a
/// result is an id: these payloads belong to the workflow.
fn owner<'a>(kind: &str, name: &'a str, workflow: &'a str) -> &'a str {
    if matches!(kind, "step" | "transaction" | "workflow") { name } else { workflow }
}

/// A record of a workflow with this name.
pub(super) fn step(info: &StepInfo, workflow: &str, redaction: &Redaction, payloads: bool) -> Value {
    let mut shown = object(info);
    let owner = owner(&info.kind, &info.name, workflow);
    let payload = |text: &Option<String>| text.as_ref().map_or(Value::Null, |it| redaction.json(owner, it));
    // A time until which it sleeps or waits is no payload.
    if payloads || info.output.is_none() || matches!(info.kind.as_str(), "sleep" | "deadline") {
        shown.insert("output".to_owned(), payload(&info.output));
    } else {
        shown.remove("output");
    }
    shown.insert("error".to_owned(), payload(&info.error));
    let failures = info.failures.iter().map(|it| redaction.text(owner, it));
    shown.insert("failures".to_owned(), failures.collect());
    Value::Object(shown)
}

/// What a workflow does now.
pub(super) fn activity(info: &CurrentActivity, workflow: &str, redaction: &Redaction) -> Value {
    let owner = info.step.as_deref().unwrap_or(workflow);
    with(object(info), "error", text(redaction, owner, info.error.as_deref()))
}

pub(super) fn event(info: &EventInfo, workflow: &str, redaction: &Redaction) -> Value {
    with(object(info), "value", redaction.json(workflow, &info.value))
}

pub(super) fn message(info: &MessageInfo, workflow: &str, redaction: &Redaction) -> Value {
    with(object(info), "payload", redaction.json(workflow, &info.payload))
}

pub(super) fn stream_item(info: &StreamItemInfo, workflow: &str, redaction: &Redaction) -> Value {
    let value = info.value.as_ref().map_or(Value::Null, |it| redaction.json(workflow, it));
    let mut shown = object(info);
    shown.insert("end".to_owned(), info.value.is_none().into());
    with(shown, "value", value)
}

pub(super) fn schedule(info: &ScheduleInfo) -> Value {
    with(object(info), "next_ticks", json!(info.next_ticks(TICKS)))
}

/// A history, in its format. Without redaction nothing in it is changed.
pub(super) fn history(history: &History, redaction: &Redaction) -> Value {
    let mut shown = serde_json::to_value(history).unwrap_or_default();
    if !redaction.hides() {
        return shown;
    }
    let workflow = history.workflow.name.clone();
    hide(&mut shown["workflow"], &workflow, redaction, &["input", "output", "error"]);
    let reason = text(redaction, &workflow, history.workflow.reason.as_deref());
    shown["workflow"]["reason"] = reason;
    for step in shown["steps"].as_array_mut().into_iter().flatten() {
        let of = |field: &str| step[field].as_str().unwrap_or_default().to_owned();
        let name = owner(&of("kind"), &of("name"), &workflow).to_owned();
        hide(step, &name, redaction, &["output", "error"]);
        let failures = step["failures"].as_str().and_then(|it| serde_json::from_str::<Vec<String>>(it).ok());
        let failures = failures.map(|all| all.iter().map(|it| redaction.text(&name, it)).collect::<Vec<_>>());
        step["failures"] = failures.map_or(Value::Null, |it| Value::String(Value::Array(it).to_string()));
    }
    for (list, field) in [("events", "value"), ("stream_items", "value"), ("messages", "payload")] {
        for row in shown[list].as_array_mut().into_iter().flatten() {
            hide(row, &workflow, redaction, &[field]);
        }
    }
    shown
}

/// Hides parts of fields that are texts of JSON.
fn hide(row: &mut Value, name: &str, redaction: &Redaction, fields: &[&str]) {
    for field in fields {
        let Some(text) = row[*field].as_str() else { continue };
        row[*field] = Value::String(redaction.json(name, text).to_string());
    }
}

/// A text, or nothing if what may be shown of it is none.
pub(super) fn text(redaction: &Redaction, name: &str, text: Option<&str>) -> Value {
    let shown = text.map(|it| redaction.text(name, it));
    shown.filter(Value::is_string).unwrap_or_default()
}

fn with(mut shown: Map<String, Value>, name: &str, value: Value) -> Value {
    shown.insert(name.to_owned(), value);
    Value::Object(shown)
}

fn object(info: &impl serde::Serialize) -> Map<String, Value> {
    match serde_json::to_value(info) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}
