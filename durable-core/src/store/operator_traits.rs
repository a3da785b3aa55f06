//! The traits of a database for operators: listings, versions, histories, changes. The contract is that of
//! the other traits.

use std::fmt::Debug;

use crate::store::{
    CancelledWorkflows, ChangeOutcome, ChangedWorkflow, ForkOutcome, ForkRequest, GaugeValues, KnownCode, StoreFuture,
    WorkflowChange, WorkflowKey,
};
use crate::types::filter::Filter;
use crate::types::history::History;
use crate::types::listing::{EventInfo, MessageInfo, StepInfo, StreamItemInfo, WorkflowInfo};
use crate::types::page::{GroupBy, Page, WorkflowCounts};
use crate::types::position::Position;
use crate::types::version_policy::VersionInfo;

/// What people and tools read.
pub trait Listings: Send + Sync + Debug {
    /// A page of the workflows that a filter selects.
    fn list<'a>(&'a self, filter: &'a Filter) -> StoreFuture<'a, Page<WorkflowInfo>>;

    /// How many workflows a filter selects, by group. It stops at `most`.
    fn count<'a>(&'a self, filter: &'a Filter, group: GroupBy, most: u32) -> StoreFuture<'a, WorkflowCounts>;

    /// One workflow, with its payloads.
    fn show<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Option<WorkflowInfo>>;

    /// The records of one workflow in the order of their positions.
    fn steps<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Vec<StepInfo>>;

    /// The positions of all records of one workflow, in order.
    fn positions<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Vec<Position>>;

    /// Those records of one workflow that are at these positions, in the order of the positions.
    fn steps_at<'a>(&'a self, id: &'a str, positions: &'a [Position]) -> StoreFuture<'a, Vec<StepInfo>>;

    /// The last value of each event of a workflow, by name.
    fn events<'a>(&'a self, id: &'a str, limit: u32, offset: u32) -> StoreFuture<'a, Vec<EventInfo>>;

    /// The messages to a workflow, in the order in which they were sent.
    fn messages<'a>(&'a self, id: &'a str, limit: u32, offset: u32) -> StoreFuture<'a, Vec<MessageInfo>>;

    /// The items of a stream of a workflow, or of all its streams, by name and in the order in which they were
    /// written.
    fn stream_items<'a>(
        &'a self,
        id: &'a str,
        stream: Option<&'a str>,
        limit: u32,
        offset: u32,
    ) -> StoreFuture<'a, Vec<StreamItemInfo>>;

    /// What gauges show: of these queues, and of everything. Each count stops at `most`, and reads no more rows than that.
    /// The delayed workflows that are due are counted for all queues together.
    fn gauges<'a>(&'a self, queues: &'a [String], most: u32) -> StoreFuture<'a, GaugeValues>;
}

/// Versions of the program.
pub trait Versions: Send + Sync + Debug {
    /// Workflows that are PENDING or ENQUEUED and have records, of functions in `code` that had another fingerprint or
    /// version when they were started; at most `limit`, those with another fingerprint first. Of each status 20,000
    /// workflows are looked at.
    fn changed<'a>(&'a self, code: &'a [KnownCode], limit: u32) -> StoreFuture<'a, Vec<ChangedWorkflow>>;

    /// What is in flight of each version, and how many executors of it live.
    fn versions(&self) -> StoreFuture<'_, Vec<VersionInfo>>;
}

/// Histories of workflows.
pub trait Histories: Send + Sync + Debug {
    /// Everything of one workflow, as it is at one moment.
    fn export<'a>(&'a self, id: &'a str) -> StoreFuture<'a, Option<History>>;

    /// Writes everything of a workflow, under this key. Returns whether there was none of its id; otherwise nothing is
    /// written.
    ///
    /// # Errors
    /// After [`StoreErrorKind::Unreachable`] it is unknown whether it was written.
    fn import<'a>(&'a self, key: WorkflowKey, history: &'a History) -> StoreFuture<'a, bool>;
}

/// Controlling workflows from outside.
pub trait Control: Send + Sync + Debug {
    /// Cancels workflows, all in one commit, unless they have ended, and with `children` all their descendants that
    /// have not ended. None of them starts another one afterwards (see [`Commit::commit`]).
    fn cancel<'a>(&'a self, ids: &'a [String], reason: &'a str, children: bool) -> StoreFuture<'a, CancelledWorkflows>;

    /// Changes workflows, each if its status allows it, and returns what became of each, in their order.
    /// Whatever is not changed stays as it is.
    fn change<'a>(&'a self, ids: &'a [String], change: &'a WorkflowChange) -> StoreFuture<'a, Vec<ChangeOutcome>>;

    /// Makes a new workflow with those records, events and stream items of another one that belong to the calls
    /// before a certain one.
    fn fork<'a>(&'a self, request: &'a ForkRequest) -> StoreFuture<'a, ForkOutcome>;
}
