//! The filter that selects workflows.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::types::error::{Error, ErrorKind, Result};
use crate::types::page::Cursor;
use crate::types::status::Status;

/// Which workflows to list, to count or to change. Conditions of different kinds must all hold; several
/// of one kind (two statuses, three names) select workflows that match any of them, except that all
/// [labels](Self::label) must match.
///
/// Each of the conditions on ids, parents, labels, statuses, names, queues and times of completion is
/// found through an index. The others narrow down what these leave.
///
/// # Example
///
/// ```
/// use durable_core::{Filter, Status};
///
/// let filter = Filter::new().status(Status::Pending).name("checkout").name("refund").limit(10);
/// let some = Filter::new().ids(["order-1001", "order-1002"]);
/// let failed = Filter::new().status(Status::Error).label("tenant", "acme").error_contains("timeout").newest_first();
/// # let _ = (filter, some, failed);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct Filter {
    pub(crate) statuses: Vec<Status>,
    pub(crate) names: Vec<String>,
    /// `None` selects any id; an empty list selects no workflow.
    pub(crate) ids: Option<Vec<String>>,
    pub(crate) id_prefix: Option<String>,
    pub(crate) queues: Vec<String>,
    pub(crate) partition_keys: Vec<String>,
    pub(crate) executors: Vec<String>,
    pub(crate) versions: Vec<String>,
    pub(crate) parents: Vec<String>,
    pub(crate) started_by: Vec<String>,
    pub(crate) forked_from: Vec<String>,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) created: TimeRange,
    pub(crate) started: TimeRange,
    pub(crate) completed: TimeRange,
    pub(crate) error_contains: Option<String>,
    pub(crate) limit: Option<u32>,
    pub(crate) newest_first: bool,
    pub(crate) after: Option<Cursor>,
    pub(crate) payloads: bool,
}

/// From a time on, and before another one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct TimeRange {
    pub(crate) from: Option<DateTime<Utc>>,
    pub(crate) until: Option<DateTime<Utc>>,
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
impl TimeRange {
    pub(crate) fn is_bounded(self) -> bool {
        self != Self::default()
    }
}

/// How many workflows a listing has when the filter sets no limit.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) const DEFAULT_LIMIT: u32 = 100;

impl Filter {
    /// Every workflow, the oldest first, at most 100.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only workflows with this status. A second call adds a second status.
    pub fn status(mut self, status: Status) -> Self {
        self.statuses.push(status);
        self
    }

    /// Only workflows with this name. A second call adds a second name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.names.push(name.into());
        self
    }

    /// Only the workflow with this id. A second call adds a second id.
    pub fn id(self, id: impl Into<String>) -> Self {
        self.ids([id])
    }

    /// Only workflows with these ids, in addition to those of earlier calls. An empty list selects no
    /// workflow. At most [`limit`](Self::limit) workflows are listed, 100 if it is not set.
    pub fn ids<I: Into<String>>(mut self, ids: impl IntoIterator<Item = I>) -> Self {
        self.ids.get_or_insert_default().extend(ids.into_iter().map(Into::into));
        self
    }

    /// Only workflows with an id that begins with this text.
    pub fn id_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.id_prefix = Some(prefix.into());
        self
    }

    /// Only workflows that were put on this queue. A second call adds a second queue.
    pub fn queue(mut self, queue: impl AsRef<str>) -> Self {
        self.queues.push(queue.as_ref().to_owned());
        self
    }

    /// Only workflows with this partition key. A second call adds a second key.
    pub fn partition_key(mut self, key: impl Into<String>) -> Self {
        self.partition_keys.push(key.into());
        self
    }

    /// Only workflows that run, or ran last, in the executor with this name. A second call adds a second one.
    pub fn executor(mut self, name: impl Into<String>) -> Self {
        self.executors.push(name.into());
        self
    }

    /// Only workflows that this version of the program has started. A second call adds a second version.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.versions.push(version.into());
        self
    }

    /// Only workflows that the workflow with this id has started. A second call adds a second parent.
    pub fn parent(mut self, id: impl Into<String>) -> Self {
        self.parents.push(id.into());
        self
    }

    /// Only workflows that were started on behalf of this user. A second call adds a second user.
    pub fn started_by(mut self, user: impl Into<String>) -> Self {
        self.started_by.push(user.into());
        self
    }

    /// Only forks of the workflow with this id, and what it was restarted as. A second call adds a second workflow.
    pub fn forked_from(mut self, id: impl Into<String>) -> Self {
        self.forked_from.push(id.into());
        self
    }

    /// Only workflows with this label. After a second call both labels must match.
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.push((name.into(), value.into()));
        self
    }

    /// Only workflows that were created at this time or later.
    pub fn created_after(mut self, time: DateTime<Utc>) -> Self {
        self.created.from = Some(time);
        self
    }

    /// Only workflows that were created before this time.
    pub fn created_before(mut self, time: DateTime<Utc>) -> Self {
        self.created.until = Some(time);
        self
    }

    /// Only workflows whose present or last run began at this time or later.
    pub fn started_after(mut self, time: DateTime<Utc>) -> Self {
        self.started.from = Some(time);
        self
    }

    /// Only workflows whose present or last run began before this time.
    pub fn started_before(mut self, time: DateTime<Utc>) -> Self {
        self.started.until = Some(time);
        self
    }

    /// Only workflows that ended at this time or later. The listing is in the order in which they ended.
    pub fn completed_after(mut self, time: DateTime<Utc>) -> Self {
        self.completed.from = Some(time);
        self
    }

    /// Only workflows that ended before this time. The listing is in the order in which they ended.
    pub fn completed_before(mut self, time: DateTime<Utc>) -> Self {
        self.completed.until = Some(time);
        self
    }

    /// Only workflows whose error, or the reason for which they are `CANCELLED` or `PARKED`, contains this
    /// text, in upper or lower case. Of letters outside of ASCII, only Postgres may find the other case.
    pub fn error_contains(mut self, text: impl Into<String>) -> Self {
        self.error_contains = Some(text.into());
        self
    }

    /// At most this many workflows; 100 without this call.
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Lists the newest workflows first.
    pub fn newest_first(mut self) -> Self {
        self.newest_first = true;
        self
    }

    /// Goes on behind the page that this cursor is the [`next`](crate::Page::next) of. The filter is
    /// otherwise the same; the limit may differ.
    pub fn after(mut self, cursor: Cursor) -> Self {
        self.after = Some(cursor);
        self
    }

    /// Also reads what the workflows were given and what they returned, which can be large.
    pub fn with_payloads(mut self) -> Self {
        self.payloads = true;
        self
    }

    /// Refuses a text that no workflow can have: the databases disagree on what it selects.
    ///
    /// # Errors
    /// One of its texts has a NUL character in it.
    pub(crate) fn check(&self) -> Result<()> {
        let lists = [
            ("name", &self.names),
            ("queue", &self.queues),
            ("partition key", &self.partition_keys),
            ("executor", &self.executors),
            ("version", &self.versions),
            ("parent", &self.parents),
            ("user", &self.started_by),
            ("id of a forked workflow", &self.forked_from),
        ];
        let of_lists = lists.iter().flat_map(|(what, texts)| texts.iter().map(|text| (*what, text)));
        let ids = self.ids.iter().flatten().map(|text| ("id", text));
        let labels = self.labels.iter().flat_map(|(name, value)| [("label's name", name), ("label's value", value)]);
        let single = [("prefix", &self.id_prefix), ("error text", &self.error_contains)];
        let single = single.into_iter().filter_map(|(what, text)| text.as_ref().map(|text| (what, text)));
        match of_lists.chain(ids).chain(labels).chain(single).find(|(_, text)| text.contains('\0')) {
            None => Ok(()),
            Some((what, text)) => {
                let shown: String = text.chars().take(40).collect();
                let message = format!(
                    "the {what} {shown:?} of the filter has a NUL character in it, which no workflow can have: leave it out"
                );
                Err(Error::new(ErrorKind::Misuse, message))
            }
        }
    }

    /// Whether it selects workflows by something, apart from the limit and the order.
    pub(crate) fn has_conditions(&self) -> bool {
        let all = Self {
            limit: self.limit,
            newest_first: self.newest_first,
            after: self.after,
            payloads: self.payloads,
            id_prefix: self.id_prefix.clone().filter(String::is_empty), // every id begins with it
            ..Self::default()
        };
        *self != all
    }
}
