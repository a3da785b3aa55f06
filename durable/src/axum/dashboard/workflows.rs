//! Workflows and what belongs to them, as the JSON API gives them.

use std::sync::Arc;

use ::axum::Json;
use ::axum::extract::State;
use serde_json::{Value, json};

use super::api_error::{Answer, ApiError};
use super::viewer::{Parameters, Viewer};
use super::{Dashboard, MAX_PAGE, json};
use crate::{Filter, GroupBy, Position, WorkflowInfo};
use durable_core::{BULK_NAME, PROGRESS_EVENT};

/// How many workflows a page has without a limit.
pub(super) const DEFAULT_PAGE: u32 = 50;
/// How many records a page has without a limit, and at most.
const STEPS: (u32, u32) = (500, 1_000);
/// How many items of streams a page has without a limit.
const STREAM_ITEMS: u32 = 100;

type Shown = Answer<Json<Value>>;
type Of = State<Arc<Dashboard>>;

/// `GET workflows`
pub(super) async fn list(State(dashboard): Of, viewer: Viewer, mut parameters: Parameters) -> Shown {
    let limit = parameters.limit(DEFAULT_PAGE, 1..=MAX_PAGE)?;
    let after = parameters.cursor()?;
    let oldest_first = parameters.flag("oldest-first")?;
    let payloads = parameters.flag("payloads")?;
    let columns = parameters.columns();
    let mut filter = parameters.filter(&viewer.redaction)?.limit(limit);
    if let Some(cursor) = after {
        filter = filter.after(cursor);
    }
    if !oldest_first {
        filter = filter.newest_first();
    }
    if payloads {
        filter = filter.with_payloads();
    }
    let page = dashboard.source.list_workflows(filter).await?;
    let shown = |it: &WorkflowInfo| json::only(json::workflow(it, &viewer.redaction, payloads), columns.as_deref());
    let items: Vec<_> = page.items.iter().map(shown).collect();
    Ok(Json(json!({ "items": items, "next": page.next })))
}

/// `GET workflows/count`
pub(super) async fn count(State(dashboard): Of, viewer: Viewer, mut parameters: Parameters) -> Shown {
    let group = match parameters.take("group") {
        None => GroupBy::Status,
        Some(word) => serde_json::from_value(Value::String(word))
            .map_err(|_| ApiError::misuse("`group` is `status`, `name`, `queue`, `version` or `executor`"))?,
    };
    let filter = parameters.filter(&viewer.redaction)?;
    Ok(Json(json!(dashboard.source.count_workflows(filter, group).await?)))
}

/// `GET workflow`
pub(super) async fn show(State(dashboard): Of, viewer: Viewer, mut parameters: Parameters) -> Shown {
    let id = parameters.required("id")?;
    parameters.end()?;
    let info = find(&dashboard, &id).await?;
    let mut shown = json::workflow(&info, &viewer.redaction, true);
    let activities = dashboard.source.activities(&id);
    shown["activities"] = activities.iter().map(|it| json::activity(it, &info.name, &viewer.redaction)).collect();
    Ok(Json(shown))
}

/// `GET workflow/steps`
pub(super) async fn steps(State(dashboard): Of, viewer: Viewer, mut parameters: Parameters) -> Shown {
    let id = parameters.required("id")?;
    let limit = parameters.limit(STEPS.0, 1..=STEPS.1)? as usize;
    let after = parameters.take("after").map(|it| position(&it)).transpose()?;
    let payloads = parameters.flag("payloads")?;
    parameters.end()?;
    let name = name_of(&dashboard, &id).await?;
    let all = dashboard.source.list_step_positions(&id).await?;
    let from = match after {
        None => 0,
        Some(after) => all.iter().position(|it| *it == after).map(|it| it + 1).ok_or_else(|| {
            ApiError::misuse(format!(
                "the workflow {id:?} has no record at the position {after}: begin without `after`"
            ))
        })?,
    };
    let page = &all[from..all.len().min(from + limit)];
    let next = page.last().filter(|_| from + page.len() < all.len());
    let page = dashboard.source.list_steps_at(&id, page).await?;
    let items: Vec<_> = page.iter().map(|it| json::step(it, &name, &viewer.redaction, payloads)).collect();
    Ok(Json(json!({ "items": items, "next": next, "total": all.len() })))
}

/// `GET workflow/step`
pub(super) async fn step(State(dashboard): Of, viewer: Viewer, mut parameters: Parameters) -> Shown {
    let id = parameters.required("id")?;
    let position = position(&parameters.required("position")?)?;
    parameters.end()?;
    let name = name_of(&dashboard, &id).await?;
    let found = dashboard.source.list_steps_at(&id, std::slice::from_ref(&position)).await?;
    let found = found.first().ok_or_else(|| {
        ApiError::not_found(format!("the workflow {id:?} has no record at the position {position}: list its steps"))
    })?;
    Ok(Json(json::step(found, &name, &viewer.redaction, true)))
}

/// `GET workflow/events`
pub(super) async fn events(State(dashboard): Of, viewer: Viewer, mut parameters: Parameters) -> Shown {
    let id = parameters.required("id")?;
    parameters.end()?;
    let name = name_of(&dashboard, &id).await?;
    let events = dashboard.source.list_events(&id).await?;
    let items: Vec<_> = events.iter().map(|it| json::event(it, &name, &viewer.redaction)).collect();
    Ok(Json(json!({ "items": items })))
}

/// `GET workflow/messages`
pub(super) async fn messages(State(dashboard): Of, viewer: Viewer, mut parameters: Parameters) -> Shown {
    let id = parameters.required("id")?;
    parameters.end()?;
    let name = name_of(&dashboard, &id).await?;
    let messages = dashboard.source.list_messages(&id).await?;
    let items: Vec<_> = messages.iter().map(|it| json::message(it, &name, &viewer.redaction)).collect();
    Ok(Json(json!({ "items": items })))
}

/// `GET workflow/streams`
pub(super) async fn streams(State(dashboard): Of, viewer: Viewer, mut parameters: Parameters) -> Shown {
    let id = parameters.required("id")?;
    let stream = parameters.take("stream");
    let limit = parameters.limit(STREAM_ITEMS, 1..=MAX_PAGE)?;
    let offset = match parameters.take("offset") {
        None => 0,
        Some(text) => {
            text.parse::<u32>().map_err(|_| ApiError::misuse(format!("`offset` is a number, not {text:?}")))?
        }
    };
    parameters.end()?;
    let name = name_of(&dashboard, &id).await?;
    let items = dashboard.source.list_stream_items(&id, stream.as_deref(), limit, offset).await?;
    let next = u64::from(offset) + items.len() as u64;
    let items: Vec<_> = items.iter().map(|it| json::stream_item(it, &name, &viewer.redaction)).collect();
    Ok(Json(json!({ "items": items, "next": next })))
}

/// `GET workflow/export`
pub(super) async fn export(State(dashboard): Of, viewer: Viewer, mut parameters: Parameters) -> Shown {
    let id = parameters.required("id")?;
    parameters.end()?;
    Ok(Json(json::history(&dashboard.source.export_workflow(&id).await?, &viewer.redaction)))
}

/// `GET bulk`: how far the workflow is that carries out an action on a filter.
pub(super) async fn bulk(State(dashboard): Of, viewer: Viewer, mut parameters: Parameters) -> Shown {
    let id = parameters.required("id")?;
    parameters.end()?;
    let workflow = find(&dashboard, &id).await?;
    if workflow.name != BULK_NAME {
        return Err(ApiError::not_found(format!("the workflow {id:?} is no bulk change, but `{}`", workflow.name)));
    }
    let events = dashboard.source.list_events(&id).await?;
    let progress = events.iter().find(|it| it.name == PROGRESS_EVENT).map(|it| &it.value);
    // It has no event if it ended with its first batch.
    let report = progress.or(workflow.output.as_ref()).map(|it| viewer.redaction.json(BULK_NAME, it));
    let reason = json::text(&viewer.redaction, BULK_NAME, workflow.reason.as_deref());
    Ok(Json(json!({ "id": id, "status": workflow.status, "report": report, "reason": reason })))
}

async fn find(dashboard: &Dashboard, id: &str) -> Answer<WorkflowInfo> {
    dashboard.source.workflow(id).await?.ok_or_else(|| not_found(id))
}

/// The name of the workflow with this id, without reading its payloads.
async fn name_of(dashboard: &Dashboard, id: &str) -> Answer<String> {
    let found = dashboard.source.list_workflows(Filter::new().id(id).limit(1)).await?;
    found.items.into_iter().next().map(|it| it.name).ok_or_else(|| not_found(id))
}

fn not_found(id: &str) -> ApiError {
    ApiError::not_found(format!("no workflow has the id {id:?}"))
}

fn position(text: &str) -> Answer<Position> {
    text.parse().map_err(|error: crate::InvalidPosition| ApiError::misuse(error.to_string()))
}
