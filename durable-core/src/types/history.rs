//! The history of a workflow, as it is exported and imported.

use serde::{Deserialize, Serialize};

use crate::types::status::Status;

/// Everything that the database has of one workflow: see [`export_workflow`](crate::export_workflow).
///
/// As JSON it has these fields, with these names. Times and durations are microseconds, times since 1970. Arguments,
/// results, errors and values are texts that hold JSON. A newer release reads every format; a release refuses newer ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct History {
    /// The number of this format: 1.
    pub format: u32,
    /// The workflow.
    pub workflow: HistoryWorkflow,
    /// Its records, in the order of their positions.
    pub steps: Vec<HistoryStep>,
    /// All values of its events, the oldest first.
    pub events: Vec<HistoryEvent>,
    /// The items of its streams, the oldest first.
    pub stream_items: Vec<HistoryStreamItem>,
    /// The messages that were sent to it, the oldest first.
    pub messages: Vec<HistoryMessage>,
}

/// Declares a row of a history. Its fields are the columns of a table.
macro_rules! history_row {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $kind:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[non_exhaustive]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $kind,)*
        }

        #[cfg(any(feature = "sqlite", feature = "postgres"))]
        impl $name {
            /// The names of the fields.
            pub(crate) const FIELDS: &'static [&'static str] = &[$(stringify!($field)),*];
        }
    };
}

history_row! {
    /// A workflow in a [`History`].
    HistoryWorkflow {
        /// Its id.
        id: String,
        /// The registered name of its function.
        name: String,
        /// The name of the instance that it is a method of.
        instance: Option<String>,
        /// Its status.
        status: Status,
        /// Why it is CANCELLED or PARKED.
        reason: Option<String>,
        /// The version of the program that started it.
        version: Option<String>,
        /// A hash of the function's source when it was started.
        fingerprint: i64,
        /// The application that started it.
        application: Option<String>,
        /// The user on whose behalf it was started.
        started_by: Option<String>,
        /// The W3C trace context of the call that started it.
        trace_context: Option<String>,
        /// Its labels, a JSON object of texts.
        labels: Option<String>,
        /// The id of the workflow that it is a fork of.
        forked_from: Option<String>,
        /// How many runs were begun.
        attempt: i32,
        /// How many of them were takeovers after a crash.
        recoveries: i32,
        /// How long it may run, counted from its first run.
        timeout: Option<i64>,
        /// When its time is up.
        deadline: Option<i64>,
        /// When it was started.
        created_at: i64,
        /// When its last run was begun.
        started_at: Option<i64>,
        /// When it ended.
        completed_at: Option<i64>,
        /// Its queue.
        queue: Option<String>,
        /// Its priority there.
        priority: i32,
        /// Its partition key; empty without one.
        partition_key: String,
        /// Its deduplication id.
        deduplication_id: Option<String>,
        /// When it was to become ENQUEUED, if it was delayed.
        due_at: Option<i64>,
        /// Its arguments, a JSON object.
        input: String,
        /// What it returned.
        output: Option<String>,
        /// Its error.
        error: Option<String>,
    }
}

history_row! {
    /// A record in a [`History`].
    HistoryStep {
        /// The branch of its position; empty for the body.
        branch: String,
        /// The number within the branch.
        position: i32,
        /// The kind of the operation.
        kind: String,
        /// Its name.
        name: String,
        /// The id of the workflow that it started.
        child: Option<String>,
        /// How many attempts it took.
        attempts: i32,
        /// The errors of all attempts but the last, a JSON array of texts.
        failures: Option<String>,
        /// When it began.
        started_at: i64,
        /// When it was recorded.
        completed_at: i64,
        /// Its result.
        output: Option<String>,
        /// Its error.
        error: Option<String>,
    }
}

history_row! {
    /// A value of an event in a [`History`].
    HistoryEvent {
        /// The event's name.
        name: String,
        /// When it was set.
        set_at: i64,
        /// Orders the values of one time.
        key: i64,
        /// The branch of the call.
        branch: String,
        /// The number of the call within the branch.
        position: i32,
        /// The value.
        value: String,
    }
}

history_row! {
    /// An item of a stream in a [`History`].
    HistoryStreamItem {
        /// The stream's name.
        name: String,
        /// When it was written.
        written_at: i64,
        /// Orders the items of one time.
        key: i64,
        /// The branch of the call.
        branch: String,
        /// The number of the call within the branch.
        position: i32,
        /// The item; `None` is the end of the stream.
        value: Option<String>,
    }
}

history_row! {
    /// A message in a [`History`].
    HistoryMessage {
        /// Orders the messages of one time.
        key: i64,
        /// Its topic.
        topic: String,
        /// When it was sent.
        sent_at: i64,
        /// When it was received, if it was.
        received_at: Option<i64>,
        /// Its idempotency key.
        idempotency_key: Option<String>,
        /// Its payload.
        payload: String,
    }
}

impl History {
    /// The number of the format that this release writes.
    pub(crate) const FORMAT: u32 = 1;

    /// Brings the rows into their order.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) fn sort(&mut self) {
        use crate::types::position::Position;
        self.steps.sort_by_key(|it| Position::new(&*it.branch, it.position));
        self.events.sort_by_key(|it| (it.set_at, it.key));
        self.stream_items.sort_by_key(|it| (it.written_at, it.key));
        self.messages.sort_by_key(|it| (it.sent_at, it.key));
    }
}
