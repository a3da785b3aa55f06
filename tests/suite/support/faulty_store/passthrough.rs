//! The calls that are passed on to the real store.

use std::time::Duration;

use durable_core::store::{
    BacklogRow, BoxFuture, CancelledWorkflows, ChangeOutcome, ChangedWorkflow, ClaimRequest, Claimed, Control,
    DeletedWorkflow, EndCursor, EndedWorkflow, EnqueueOutcome, Epoch, ExecutorInfo, ExecutorKey, Executors,
    ExistingWorkflow, Fence, ForkOutcome, ForkRequest, HeartbeatResult, Hint, Histories, KnownCode, KnownWorkflow,
    Lifecycle, Listings, Location, Maintenance, Messaging, NewExecutor, NewMessage, NewQueue, NewWorkflow,
    Notification, Notifications, OutboxConnection, PollRequest, PollResult, PoolState, Promoted, QueueChange, QueueRow,
    Queues, Read, Record, ReleaseRequest, ReleasedWorkflows, RoleAccess, ScheduleChange, ScheduleRow, Schedules,
    SendOutcome, StatementCounts, StoreError, StoreErrorKind, StoreFuture, StoredEventValue, StreamCursor, StreamPage,
    Takeover, TakeoverRequest, Timestamp, Transact, Transacted, TransactionEnd, TransactionStart, UserWork, Verdict,
    Versions, WaitingWork, WorkFound, WorkQuery, WorkflowChange, WorkflowKey,
};
use durable_core::{
    EventInfo, Filter, GroupBy, History, ListedExecutor, MessageInfo, Page, StepInfo, StreamItemInfo, VersionInfo,
    WorkflowCounts, WorkflowInfo,
};

use super::{Fate, FaultyStore, HoldAt};

/// Calls that are passed on while the process lives, and may be held.
macro_rules! through {
($($name:ident($($argument:ident: $type:ty),*) -> $given:ty;)+) => {
$(
#[allow(clippy::needless_lifetimes, clippy::elidable_lifetime_names, reason = "some of the arguments have the lifetime")]
fn $name<'a>(&'a self, $($argument: $type),*) -> StoreFuture<'a, $given> {
Box::pin(async move {
self.alive()?;
self.pass(stringify!($name), HoldAt::Before).await;
let given = self.inner.$name($($argument),*).await;
self.pass(stringify!($name), HoldAt::After).await;
given
})
}
)+
};
}

/// Reading, and what else may count.
macro_rules! counted {
($($name:ident($($argument:ident: $type:ty),*) -> $given:ty;)+) => {
$(
#[allow(clippy::needless_lifetimes, clippy::elidable_lifetime_names, reason = "some of the arguments have the lifetime")]
fn $name<'a>(&'a self, $($argument: $type),*) -> StoreFuture<'a, $given> {
Box::pin(async move {
self.pass(stringify!($name), HoldAt::Before).await;
match self.fate_of_reading(stringify!($name)).await? {
Fate::Through => self.inner.$name($($argument),*).await,
Fate::NotDone(error) => Err(error),
Fate::Done(error) => {
self.inner.$name($($argument),*).await?;
Err(error)
}
}
})
}
)+
};
}

/// Runs the work and undoes it: the process dies before the commit.
struct Undone<'a>(&'a mut dyn UserWork);

impl UserWork for Undone<'_> {
    fn run<'c>(&'c mut self, connection: &'c mut (dyn std::any::Any + Send)) -> BoxFuture<'c, TransactionEnd> {
        Box::pin(async move {
            self.0.run(connection).await;
            TransactionEnd::Undo
        })
    }
}

impl Transact for FaultyStore {
    fn connection_type(&self) -> &'static str {
        self.inner.connection_type()
    }

    fn transact<'a>(&'a self, opening: TransactionStart, work: &'a mut dyn UserWork) -> StoreFuture<'a, Transacted> {
        Box::pin(async move {
            match self.fate().await? {
                Fate::Through => self.inner.transact(opening, work).await,
                Fate::NotDone(error) => {
                    self.inner.transact(opening, &mut Undone(work)).await?;
                    Err(error)
                }
                Fate::Done(error) => {
                    self.inner.transact(opening, work).await?;
                    Err(error)
                }
            }
        })
    }
}

impl Executors for FaultyStore {
    through! {
    register_executor(executor: &'a NewExecutor) -> Fence;
    heartbeat(fence: Fence, lease: Duration, running: &'a [WorkflowKey]) -> HeartbeatResult;
    mark_leaving(fence: Fence) -> ();
    executors() -> Vec<ExecutorInfo>;
    list_executors() -> Vec<ListedExecutor>;
    fence_out(executor: ExecutorKey, epoch: Epoch) -> bool;
    note_alive(executor: ExecutorKey) -> ();
    remove_dead_executors() -> u64;
    count_unknown(known: &'a [KnownWorkflow]) -> Vec<(String, u64)>;
    release(fence: Fence, which: ReleaseRequest<'a>) -> ReleasedWorkflows;
    work_left(asked: &'a WorkQuery) -> WorkFound;
    remove_executor(fence: Fence) -> ();
    }

    counted! {
    take_over(adopt: &'a TakeoverRequest) -> Takeover;
    }
}

impl Histories for FaultyStore {
    through! {
    export(id: &'a str) -> Option<History>;
    import(key: WorkflowKey, history: &'a History) -> bool;
    }
}

impl Versions for FaultyStore {
    through! {
    changed(code: &'a [KnownCode], limit: u32) -> Vec<ChangedWorkflow>;
    versions() -> Vec<VersionInfo>;
    }
}

impl Read for FaultyStore {
    through! {
    now() -> Timestamp;
    }

    counted! {
    find(id: &'a str) -> Option<ExistingWorkflow>;
    poll(wanted: &'a PollRequest) -> PollResult;
    records(keys: &'a [WorkflowKey]) -> Vec<Record>;
    }
}

impl Listings for FaultyStore {
    through! {
    list(filter: &'a Filter) -> Page<WorkflowInfo>;
    count(filter: &'a Filter, group: GroupBy, most: u32) -> WorkflowCounts;
    show(id: &'a str) -> Option<WorkflowInfo>;
    steps(id: &'a str) -> Vec<StepInfo>;
    events(id: &'a str, limit: u32, offset: u32) -> Vec<EventInfo>;
    messages(id: &'a str, limit: u32, offset: u32) -> Vec<MessageInfo>;
    stream_items(id: &'a str, stream: Option<&'a str>, limit: u32, offset: u32) -> Vec<StreamItemInfo>;
    }
}

impl Queues for FaultyStore {
    fn claim<'a>(&'a self, request: &'a ClaimRequest) -> StoreFuture<'a, Claimed> {
        Box::pin(async move {
            let broken = match self.fate_of_reading("claim").await? {
                Fate::Through => None,
                Fate::NotDone(error) => return Err(error),
                Fate::Done(error) => Some(error),
            };
            if *self.refused.lock().unwrap() == Some(request.queue.as_str()) {
                self.refusals.send_modify(|it| *it += 1);
                return Err(StoreError::new(StoreErrorKind::Refused, "a row of this queue cannot be claimed"));
            }
            let name = format!("claim {}", request.queue);
            self.pass(&name, HoldAt::Before).await;
            let claimed = self.inner.claim(request).await;
            self.pass(&name, HoldAt::After).await;
            broken.map_or(claimed, Err)
        })
    }

    counted! {
    return_claims(fence: Fence, keys: &'a [WorkflowKey]) -> ();
    release_unknown_claims(fence: Fence, queue: &'a str, known: &'a [WorkflowKey]) -> u64;
    }

    through! {
    declare_queues(queues: &'a [NewQueue]) -> ();
    promote() -> Promoted;
    queues_with_work(queues: &'a [String]) -> Vec<String>;
    queues() -> Vec<QueueRow>;
    queue_backlog(queue: &'a str, most: u32) -> BacklogRow;
    change_queue(name: &'a str, change: QueueChange) -> bool;
    enqueue_in(connection: OutboxConnection<'a>, workflow: &'a NewWorkflow) -> EnqueueOutcome;
    enqueue(workflow: &'a NewWorkflow) -> Verdict;
    }
}

impl Schedules for FaultyStore {
    counted! {
    schedules() -> Vec<ScheduleRow>;
    }

    through! {
    upsert_schedules(schedules: &'a [ScheduleRow]) -> u64;
    change_schedule(name: &'a str, change: ScheduleChange) -> bool;
    }
}

impl Control for FaultyStore {
    through! {
    cancel(id: &'a str, reason: &'a str, children: bool) -> Option<CancelledWorkflows>;
    change(ids: &'a [String], change: &'a WorkflowChange) -> Vec<ChangeOutcome>;
    fork(request: &'a ForkRequest) -> ForkOutcome;
    }
}

impl Maintenance for FaultyStore {
    through! {
    take_turn(executor: ExecutorKey, task: &'a str, length: Duration) -> bool;
    ended(after: EndCursor, before: Timestamp, limit: u32) -> Vec<EndedWorkflow>;
    nth_last_ended(name: &'a str, number: u32) -> Option<WorkflowKey>;
    delete_ended(roots: &'a [WorkflowKey], before: Timestamp, dry_run: bool) -> Vec<DeletedWorkflow>;
    estimate_workflows(most: u32) -> u64;
    waiting_work() -> Vec<WaitingWork>;
    taken_work() -> Vec<Option<String>>;
    cancel_all(reason: &'a str) -> u64;
    reset(keep: ExecutorKey) -> ();
    }
}

impl Messaging for FaultyStore {
    through! {
    read_stream(workflow: &'a str, stream: &'a str, mark: StreamCursor, limit: u32) -> StreamPage;
    event_history(workflow: &'a str, event: &'a str) -> Vec<StoredEventValue>;
    send_in(connection: OutboxConnection<'a>, message: &'a NewMessage) -> SendOutcome;
    send(message: &'a NewMessage) -> SendOutcome;
    }
}

impl Notifications for FaultyStore {
    through! {
    notify(hints: &'a [Hint]) -> ();
    listen(on_notification: &'a (dyn Fn(Notification) + Send + Sync)) -> ();
    }

    fn has_others(&self) -> bool {
        self.inner.has_others()
    }
}

impl Lifecycle for FaultyStore {
    through! {
    migrate() -> ();
    claim_schema(application: &'a str) -> String;
    missing_migrations() -> Vec<String>;
    grant(role: &'a str, access: RoleAccess) -> Vec<String>;
    drop_everything() -> ();
    }

    fn location(&self) -> Location {
        self.inner.location()
    }

    fn statement_counts(&self) -> StatementCounts {
        self.inner.statement_counts()
    }

    fn pools(&self) -> Vec<PoolState> {
        if self.owned { self.inner.pools() } else { Vec::new() }
    }

    fn close_work_pool(&self) {
        if self.owned {
            self.inner.close_work_pool();
        }
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        if self.owned { self.inner.close() } else { Box::pin(std::future::ready(())) }
    }
}
