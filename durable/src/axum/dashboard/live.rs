//! Changes as server-sent events. One task looks for them for all viewers, and only while there are any.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ::axum::extract::State;
use ::axum::http::{HeaderMap, HeaderName, StatusCode, header};
use ::axum::response::sse::{Event, KeepAlive, Sse};
use ::axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use super::access::Redaction;
use super::api_error::{Answer, ApiError};
use super::changes::{ChangeFinder, Changes, MAX_WORKFLOWS};
use super::viewer::{Parameters, Viewer};
use super::{Dashboard, LIVE_INTERVAL, json};
use crate::WorkflowInfo;

/// How many viewers are connected at most.
const MAX_VIEWERS: usize = 100;
/// How many ids a viewer watches at most.
const MAX_ROWS: usize = 100;
/// How many changes are kept for viewers that come back, and wait for those that are slow.
const KEPT: usize = 64;
/// How long a viewer waits for the first look.
const FIRST_LOOK: Duration = Duration::from_secs(10);
/// After this time a viewer has to connect again, so that its access is decided anew.
const LONGEST: Duration = Duration::from_mins(15);
/// How often something is sent, so that proxies keep the connection open.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The viewers, and what they are sent.
#[derive(Debug)]
pub(super) struct Live {
    /// Distinguishes the numbers of this process from those of another one.
    process: String,
    state: Mutex<LiveState>,
    changes: broadcast::Sender<Numbered>,
    /// Whether the task has looked once since it was started: later changes are found.
    has_looked: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct LiveState {
    /// Whether the task looks for changes.
    is_looking: bool,
    viewers: Vec<Watched>,
    next_viewer: u64,
    last_number: u64,
    kept: VecDeque<Numbered>,
}

/// What a viewer has on its screen.
#[derive(Debug)]
struct Watched {
    viewer: u64,
    /// The workflow of which everything is watched.
    workflow: Option<String>,
    rows: Vec<String>,
}

#[derive(Debug, Clone)]
struct Numbered {
    number: u64,
    changes: Arc<Changes>,
}

impl Live {
    pub(super) fn new() -> Self {
        let process = format!("{:x}-{:x}", std::process::id(), chrono::Utc::now().timestamp_micros());
        Self {
            process,
            state: Mutex::default(),
            changes: broadcast::channel(KEPT).0,
            has_looked: watch::Sender::new(false),
        }
    }

    fn state(&self) -> MutexGuard<'_, LiveState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ids that viewers watch: workflows with everything, and rows.
    pub(super) fn watched(&self) -> (Vec<String>, Vec<String>) {
        let state = self.state();
        let sorted = |mut ids: Vec<String>| {
            ids.sort_unstable();
            ids.dedup();
            ids
        };
        let workflows = state.viewers.iter().filter_map(|it| it.workflow.clone()).collect();
        let rows = state.viewers.iter().flat_map(|it| it.rows.iter().cloned()).collect();
        (sorted(workflows), sorted(rows))
    }

    /// Whether the task has to end, because the last viewer has gone. The next one starts another task.
    fn has_no_viewer(&self) -> bool {
        let mut state = self.state();
        if state.viewers.is_empty() {
            state.is_looking = false;
            self.has_looked.send_replace(false);
            // What changes from now on is not kept, so a viewer that comes back has missed something.
            state.kept.clear();
            state.last_number += 1;
        }
        state.viewers.is_empty()
    }

    /// Sends changes to all viewers.
    fn send(&self, changes: Changes) {
        let mut state = self.state();
        state.last_number += 1;
        let numbered = Numbered { number: state.last_number, changes: Arc::new(changes) };
        state.kept.push_back(numbered.clone());
        if state.kept.len() > KEPT {
            state.kept.pop_front();
        }
        let _ = self.changes.send(numbered); // the last viewer may have gone
    }
}

/// `GET live`
pub(super) async fn live(
    State(dashboard): State<Arc<Dashboard>>,
    viewer: Viewer,
    mut parameters: Parameters,
    headers: HeaderMap,
) -> Answer<Response> {
    let workflow = parameters.take("watch");
    let rows = parameters.take_all("rows");
    let columns = parameters.columns();
    let most = parameters.limit(MAX_WORKFLOWS, 0..=MAX_WORKFLOWS)? as usize;
    parameters.end()?;
    if rows.len() > MAX_ROWS {
        return Err(ApiError::misuse(format!("{MAX_ROWS} `rows` are watched at most, and not {}", rows.len())));
    }
    let ending = || {
        let message = "this process is shutting down: connect again, to another one or after the restart";
        Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "shutting_down", message))
    };
    if dashboard.source.is_ending() {
        return ending();
    }
    let last = headers.get("last-event-id").and_then(|it| it.to_str().ok());
    let shape = Shape { redaction: viewer.redaction, columns, most };
    let connection = Connection::new(&dashboard, shape, Watched { viewer: 0, workflow, rows }, last)?;
    let mut has_looked = dashboard.live.has_looked.subscribe();
    let looked = tokio::select! {
        biased;
        () = dashboard.source.ending() => return ending(),
        looked = timeout(FIRST_LOOK, has_looked.wait_for(|it| *it)) => matches!(looked, Ok(Ok(_))),
    };
    if !looked {
        let message = "the database does not answer, so changes cannot be looked for: connect again";
        return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "database", message));
    }
    drop(has_looked);
    let events = stream::unfold(connection, |mut connection| async move {
        connection.next().await.map(|event| (Ok::<_, Infallible>(event), connection))
    });
    let headers = [
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("x-accel-buffering"), "no"), // nginx would hold events back
    ];
    Ok((headers, Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))).into_response())
}

/// Which changed workflows an event names for a viewer, and with which fields.
struct Shape {
    redaction: Redaction,
    /// Only these fields.
    columns: Option<Vec<String>>,
    /// How many of them at a time.
    most: usize,
}

/// A viewer's connection.
struct Connection {
    dashboard: Arc<Dashboard>,
    shape: Shape,
    viewer: u64,
    workflow: Option<String>,
    changes: broadcast::Receiver<Numbered>,
    until: Instant,
    /// What is sent next.
    ready: VecDeque<Event>,
    has_ended: bool,
}

impl Connection {
    fn new(dashboard: &Arc<Dashboard>, shape: Shape, mut watched: Watched, last: Option<&str>) -> Answer<Self> {
        let live = &dashboard.live;
        let mut state = live.state();
        if state.viewers.len() >= MAX_VIEWERS {
            let message = format!(
                "{MAX_VIEWERS} viewers are connected already: close one, or read the pages without live changes"
            );
            return Err(ApiError::new(StatusCode::TOO_MANY_REQUESTS, "too_many", message));
        }
        state.next_viewer += 1;
        watched.viewer = state.next_viewer;
        let (viewer, workflow) = (watched.viewer, watched.workflow.clone());
        state.viewers.push(watched);
        // What came after the last event that the viewer has seen, if all of that is still here.
        let seen = last.and_then(|it| it.strip_prefix(&live.process)?.strip_prefix('.')?.parse::<u64>().ok());
        let oldest = state.kept.front().map_or(state.last_number + 1, |it| it.number);
        let seen = seen.filter(|it| state.is_looking && (oldest..=state.last_number + 1).contains(&(it + 1)));
        let missed: Vec<Numbered> =
            state.kept.iter().filter(|it| seen.is_some_and(|seen| it.number > seen)).cloned().collect();
        let changes = live.changes.subscribe();
        let is_first = !std::mem::replace(&mut state.is_looking, true);
        let number = state.last_number;
        drop(state);
        if is_first {
            tokio::spawn(look(Arc::clone(dashboard)));
        }
        let mut connection = Self {
            dashboard: Arc::clone(dashboard),
            shape,
            viewer,
            workflow,
            changes,
            until: Instant::now() + LONGEST,
            ready: VecDeque::new(),
            has_ended: false,
        };
        connection.say_hello(seen.unwrap_or(number), seen.is_some());
        for it in missed {
            connection.prepare(&it);
        }
        Ok(connection)
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.has_ended {
                return None;
            }
            let source = self.dashboard.source.clone();
            tokio::select! {
                biased;
                () = source.ending() => {
                    self.has_ended = true;
                    return Some(Event::default().event("bye").data(json!({ "reason": "the process is shutting down" }).to_string()));
                }
                () = sleep_until(self.until) => return None,
                change = self.changes.recv() => match change {
                    Ok(change) => self.prepare(&change),
                    Err(broadcast::error::RecvError::Lagged(_)) => {
                        let number = self.dashboard.live.state().last_number;
                        self.changes = self.dashboard.live.changes.subscribe();
                        self.say_hello(number, false);
                    }
                    Err(broadcast::error::RecvError::Closed) => return None,
                },
            }
        }
    }

    fn say_hello(&mut self, number: u64, resumed: bool) {
        let hello = json!({ "resumed": resumed, "seconds": LIVE_INTERVAL.as_secs_f64() });
        self.push("hello", number, &hello);
    }

    /// Makes events of changes, as this viewer may see them.
    fn prepare(&mut self, Numbered { number, changes }: &Numbered) {
        let watched = changes.watched.iter().find(|it| Some(&it.id) == self.workflow.as_ref());
        if let Some(it) = watched {
            self.push("watched", *number, &json!({ "id": it.id, "status": it.status, "steps": it.steps }));
        }
        if changes.workflows.is_empty() && !changes.queues && !changes.more {
            return;
        }
        let Shape { redaction, columns, most } = &self.shape;
        let workflow = |it: &WorkflowInfo| json::only(json::workflow(it, redaction, false), columns.as_deref());
        let workflows: Vec<Value> = changes.workflows.iter().take(*most).map(workflow).collect();
        let more = changes.more || changes.workflows.len() > *most;
        let shown = json!({ "workflows": workflows, "more": more, "queues": changes.queues });
        self.push("changes", *number, &shown);
    }

    fn push(&mut self, name: &str, number: u64, data: &Value) {
        let id = format!("{}.{number}", self.dashboard.live.process);
        self.ready.push_back(Event::default().event(name).id(id).data(data.to_string()));
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.dashboard.live.state().viewers.retain(|it| it.viewer != self.viewer);
    }
}

/// Looks for changes until the last viewer has gone, or the engine shuts down.
async fn look(dashboard: Arc<Dashboard>) {
    let (source, live) = (&dashboard.source, &dashboard.live);
    let mut finder = ChangeFinder::default();
    let mut ticks = interval(LIVE_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let is_ending = tokio::select! {
            biased;
            () = source.ending() => true,
            _ = ticks.tick() => false,
        };
        if is_ending || live.has_no_viewer() {
            return;
        }
        let (workflows, rows) = live.watched();
        match finder.find(source, &workflows, &rows).await {
            Ok(changes) => {
                if !changes.is_empty() {
                    live.send(changes);
                }
                live.has_looked.send_replace(true);
            }
            Err(error) => {
                tracing::debug!(target: "durable", %error, "cannot look for changes for the dashboard; trying again");
            }
        }
    }
}
