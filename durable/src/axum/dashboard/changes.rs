//! Finds what has changed since the last look, with a few short queries.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use super::source::DashboardSource;
use crate::{Filter, QueueInfo, Result, Status, WorkflowInfo};

/// How many changed workflows one event has at most.
pub(super) const MAX_WORKFLOWS: u32 = 100;
/// How far behind the newest time is looked: commits are seen later than they are dated.
const OVERLAP: TimeDelta = TimeDelta::seconds(2);
/// Looking at queues, which counts what waits, and at one watched workflow may each take this part of the time.
const SHARE_OF_TIME: u32 = 30;
/// How often it is done at most.
const QUEUES_EVERY: Duration = Duration::from_secs(2);

/// What has changed.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Workflows that were created, began to run or ended.
    pub(super) workflows: Vec<WorkflowInfo>,
    /// Whether there were more.
    pub(super) more: bool,
    /// Whether queues have changed.
    pub(super) queues: bool,
    /// Watched workflows of which something has changed.
    pub(super) watched: Vec<WatchedChange>,
}

#[derive(Debug)]
pub(super) struct WatchedChange {
    pub(super) id: String,
    pub(super) status: Status,
    pub(super) steps: usize,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.workflows.is_empty() && !self.more && !self.queues && self.watched.is_empty()
    }
}

/// What distinguishes a workflow from itself before a change that listings show.
type State = (Status, u32, Option<DateTime<Utc>>, Option<DateTime<Utc>>, i32);

fn state_of(it: &WorkflowInfo) -> State {
    (it.status, it.attempts, it.started_at, it.completed_at, it.priority)
}

/// What was seen at the last look.
#[derive(Debug, Default)]
pub(super) struct ChangeFinder {
    has_looked: bool,
    newest_creation: Option<DateTime<Utc>>,
    newest_end: Option<DateTime<Utc>>,
    seen: HashMap<String, State>,
    queues: Option<Vec<QueueInfo>>,
    queues_again: Option<Instant>,
    watched: HashMap<String, Watched>,
}

#[derive(Debug)]
struct Watched {
    contents: Contents,
    /// One with many records is looked at less often.
    look_again: Instant,
}

/// What a watched workflow had at the last look.
#[derive(Debug, Clone, PartialEq)]
struct Contents {
    state: State,
    steps: usize,
    events: (usize, Option<DateTime<Utc>>),
    messages: (usize, usize),
    stream_items: u32,
}

impl ChangeFinder {
    /// Looks once. The first look only remembers what is there.
    pub(super) async fn find(
        &mut self,
        source: &DashboardSource,
        watched: &[String],
        rows: &[String],
    ) -> Result<Changes> {
        let (mut found, mut more) = (Vec::new(), false);
        // All times are by the database's clock.
        let since = |newest: Option<DateTime<Utc>>| newest.map_or(DateTime::UNIX_EPOCH, |it| it - OVERLAP);
        let newest = || Filter::new().newest_first().limit(MAX_WORKFLOWS);
        let by_time =
            [newest().created_after(since(self.newest_creation)), newest().completed_after(since(self.newest_end))];
        for filter in by_time {
            let page = source.list_workflows(filter).await?;
            more |= page.next.is_some();
            found.extend(page.items);
        }
        self.newest_creation = found.iter().map(|it| it.created_at).max().max(self.newest_creation);
        self.newest_end = found.iter().filter_map(|it| it.completed_at).max().max(self.newest_end);
        // A workflow that is parked has no time of its end.
        for status in [Status::Pending, Status::Parked] {
            found.extend(source.list_workflows(newest().status(status)).await?.items);
        }
        if !rows.is_empty() {
            let limit = u32::try_from(rows.len()).unwrap_or(u32::MAX);
            found.extend(source.list_workflows(Filter::new().ids(rows).limit(limit)).await?.items);
        }
        let mut seen = HashMap::new();
        let mut changes = Changes { more, ..Changes::default() };
        for it in found {
            let state = state_of(&it);
            let is_known = self.seen.get(&it.id) == Some(&state);
            if seen.insert(it.id.clone(), state).is_none() && !is_known && self.has_looked {
                changes.workflows.push(it);
            }
        }
        changes.more &= !changes.workflows.is_empty();
        let kept = MAX_WORKFLOWS as usize;
        changes.more |= changes.workflows.len() > kept;
        changes.workflows.truncate(kept);
        self.seen = seen;
        changes.queues = self.queues_changed(source).await?;
        self.find_watched(source, watched, &mut changes).await?;
        self.has_looked = true;
        Ok(changes)
    }

    async fn queues_changed(&mut self, source: &DashboardSource) -> Result<bool> {
        if self.queues_again.is_some_and(|at| Instant::now() < at) {
            return Ok(false);
        }
        let begun = Instant::now();
        let mut queues = source.list_queues().await?;
        self.queues_again = Some(Instant::now() + QUEUES_EVERY.max(begun.elapsed() * SHARE_OF_TIME));
        for queue in &mut queues {
            queue.lag = Duration::ZERO; // it changes by itself
        }
        let has_changed = self.queues.as_ref().is_some_and(|it| *it != queues);
        self.queues = Some(queues);
        Ok(has_changed)
    }

    async fn find_watched(&mut self, source: &DashboardSource, ids: &[String], changes: &mut Changes) -> Result<()> {
        self.watched.retain(|id, _| ids.contains(id));
        for id in ids {
            let known = self.watched.get(id);
            if known.is_some_and(|it| Instant::now() < it.look_again) {
                continue;
            }
            let begun = Instant::now();
            let Some(info) = source.workflow(id).await? else {
                self.watched.remove(id);
                continue;
            };
            let contents = look_at(source, &info, known.map(|it| &it.contents)).await?;
            // What has changed since the viewer has read a workflow that was not watched before is not known.
            if self.has_looked && known.is_none_or(|it| it.contents != contents) {
                changes.watched.push(WatchedChange { id: id.clone(), status: info.status, steps: contents.steps });
            }
            let look_again = Instant::now() + begun.elapsed() * SHARE_OF_TIME;
            self.watched.insert(id.clone(), Watched { contents, look_again });
        }
        Ok(())
    }
}

/// What a watched workflow has now. One that has ended changes no more, apart from itself.
async fn look_at(source: &DashboardSource, info: &WorkflowInfo, before: Option<&Contents>) -> Result<Contents> {
    let state = state_of(info);
    if let Some(before) = before.filter(|it| info.status.is_terminal() && it.state == state) {
        return Ok(before.clone());
    }
    let id = &info.id;
    let steps = source.list_step_positions(id).await?.len();
    let events = source.list_events(id).await?;
    let messages = source.list_messages(id).await?;
    let mut stream_items = before.map_or(0, |it| it.stream_items);
    loop {
        let more = source.list_stream_items(id, None, 500, stream_items).await?.len();
        stream_items += u32::try_from(more).unwrap_or_default();
        if more < 500 {
            break;
        }
    }
    Ok(Contents {
        state,
        steps,
        events: (events.len(), events.iter().map(|it| it.set_at).max()),
        messages: (messages.len(), messages.iter().filter(|it| it.received_at.is_some()).count()),
        stream_items,
    })
}
