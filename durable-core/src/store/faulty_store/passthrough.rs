//! The calls that are passed on to the real store.

use std::time::Duration;

use super::commit_names::{self, CapturesEnd};
use super::{Fate, FaultyStore, HoldAt};
use crate::store::{
    BacklogRow, BoxFuture, CancelledWorkflows, ChangeOutcome, ChangedWorkflow, ClaimRequest, Claimed, Control,
    DeletedWorkflow, EndCursor, EndedWorkflow, EnqueueOutcome, Epoch, ExecutorInfo, ExecutorKey, Executors,
    ExistingWorkflow, Fence, ForkOutcome, ForkRequest, GaugeValues, HeartbeatResult, Hint, Histories, KnownCode,
    KnownWorkflow, Lifecycle, Listings, Location, Maintenance, Messaging, NewExecutor, NewMessage, NewQueue,
    NewWorkflow, Notification, Notifications, OutboxConnection, PollRequest, PollResult, PoolState, Promoted,
    QueueChange, QueueRow, Queues, Read, Record, ReleaseRequest, ReleasedWorkflows, RoleAccess, RunningPart,
    ScheduleChange, ScheduleRow, Schedules, SendOutcome, StatementCounts, StoreError, StoreErrorKind, StoreFuture,
    StoredEventValue, StreamCursor, StreamPage, Takeover, TakeoverRequest, Timestamp, Transact, Transacted,
    TransactionStart, UserWork, Verdict, Versions, WaitingWork, WorkFound, WorkQuery, WorkflowChange, WorkflowKey,
};
use crate::types::executor_listing::ListedExecutor;
use crate::types::filter::Filter;
use crate::types::history::History;
use crate::types::listing::{EventInfo, MessageInfo, StepInfo, StreamItemInfo, WorkflowInfo};
use crate::types::page::{GroupBy, Page, WorkflowCounts};
use crate::types::position::Position;
use crate::types::sync::lock;
use crate::types::version_policy::VersionInfo;

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

/// Calls that fail as `fate` decides.
macro_rules! counted_by {
    ($fate:ident($wanted:expr) in $self:ident: $name:ident($($argument:ident: $type:ty),*) -> $given:ty) => {
        #[allow(clippy::needless_lifetimes, clippy::elidable_lifetime_names, reason = "some of the arguments have the lifetime")]
        fn $name<'a>(&'a $self, $($argument: $type),*) -> StoreFuture<'a, $given> {
            Box::pin(async move {
                $self.pass(stringify!($name), HoldAt::Before).await;
                let given = match $self.$fate($wanted).await? {
                    Fate::Through => $self.inner.$name($($argument),*).await,
                    Fate::NotDone(error) => Err(error),
                    Fate::Done(error) => {
                        $self.inner.$name($($argument),*).await?;
                        Err(error)
                    }
                };
                $self.pass(stringify!($name), HoldAt::After).await;
                given
            })
        }
    };
}

/// Reading, and what else may count.
macro_rules! counted {
    ($($name:ident($($argument:ident: $type:ty),*) -> $given:ty;)+) => {
        $(counted_by!(fate_of_reading(stringify!($name)) in self: $name($($argument: $type),*) -> $given);)+
    };
}

/// Changes by operators, and by clients and workflows that do the same.
macro_rules! changes {
    ($($name:ident($($argument:ident: $type:ty),*) -> $given:ty;)+) => {
        $(counted_by!(fate_of_change(|| format!("the call `{}`", stringify!($name))) in self: $name($($argument: $type),*) -> $given);)+
    };
}

impl Transact for FaultyStore {
    fn connection_type(&self) -> &'static str {
        self.inner.connection_type()
    }

    fn transact<'a>(&'a self, opening: TransactionStart, work: &'a mut dyn UserWork) -> StoreFuture<'a, Transacted> {
        Box::pin(async move {
            let fate = self.fate(|| "a transaction".to_owned()).await?;
            let name = (!matches!(fate, Fate::Through)).then_some(&self.failed_commit);
            let undo = matches!(fate, Fate::NotDone(_));
            let mut work = CapturesEnd { work, names: &self.names, undo, name };
            let transacted = self.inner.transact(opening, &mut work).await?;
            match fate {
                Fate::Through => Ok(transacted),
                Fate::NotDone(error) | Fate::Done(error) => Err(error),
            }
        })
    }
}

impl Executors for FaultyStore {
    through! {
        register_executor(executor: &'a NewExecutor) -> Fence;
        heartbeat(fence: Fence, lease: Duration, running: RunningPart<'a>) -> HeartbeatResult;
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

    fn take_over<'a>(&'a self, adopt: &'a TakeoverRequest) -> StoreFuture<'a, Takeover> {
        Box::pin(async move {
            self.pass("take_over", HoldAt::Before).await;
            let lost = match self.fate_of_reading("take_over").await? {
                Fate::Through => None,
                Fate::NotDone(error) => return Err(error),
                Fate::Done(error) => Some(error),
            };
            let taken = self.inner.take_over(adopt).await?;
            self.names.learn_runs(&taken.runs);
            lost.map_or(Ok(taken), Err)
        })
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
        positions(id: &'a str) -> Vec<Position>;
        steps_at(id: &'a str, positions: &'a [Position]) -> Vec<StepInfo>;
        events(id: &'a str, limit: u32, offset: u32) -> Vec<EventInfo>;
        messages(id: &'a str, limit: u32, offset: u32) -> Vec<MessageInfo>;
        stream_items(id: &'a str, stream: Option<&'a str>, limit: u32, offset: u32) -> Vec<StreamItemInfo>;
        gauges(queues: &'a [String], most: u32) -> GaugeValues;
    }
}

impl FaultyStore {
    /// A claim that claims something counts like a commit. Whether it does is known when it is done, so before a
    /// crash it is undone.
    async fn claim_with_faults(&self, request: &ClaimRequest) -> Result<Claimed, StoreError> {
        let claimed = self.inner.claim(request).await?;
        self.names.learn_runs(&claimed.runs);
        if claimed.runs.is_empty() {
            return Ok(claimed);
        }
        match self.fate_of_change(|| commit_names::claim(&request.queue, &claimed.runs)).await? {
            Fate::Through => Ok(claimed),
            Fate::Done(error) => Err(error),
            Fate::NotDone(error) => {
                let keys: Vec<WorkflowKey> = claimed.runs.iter().map(|it| it.key).collect();
                self.inner.return_claims(request.fence, &keys).await?;
                Err(error)
            }
        }
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
            if *lock(&self.refused) == Some(request.queue.as_str()) {
                self.refusals.send_modify(|it| *it += 1);
                return Err(StoreError::new(StoreErrorKind::Refused, "a row of this queue cannot be claimed"));
            }
            let name = format!("claim {}", request.queue);
            self.pass(&name, HoldAt::Before).await;
            let claimed = self.claim_with_faults(request).await;
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
    }

    changes! {
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
    changes! {
        cancel(ids: &'a [String], reason: &'a str, children: bool) -> CancelledWorkflows;
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

    fn schema_version(&self) -> i64 {
        self.inner.schema_version()
    }
}

impl Messaging for FaultyStore {
    through! {
        read_stream(workflow: &'a str, stream: &'a str, mark: StreamCursor, limit: u32) -> StreamPage;
        event_history(workflow: &'a str, event: &'a str) -> Vec<StoredEventValue>;
        send_in(connection: OutboxConnection<'a>, message: &'a NewMessage) -> SendOutcome;
    }

    changes! {
        send(message: &'a NewMessage) -> SendOutcome;
    }
}

impl Notifications for FaultyStore {
    through! {
        notify(hints: &'a [Hint]) -> ();
    }

    /// It lasts as long as the engine, so it does not count as a call under way.
    fn listen<'a>(&'a self, on_notification: &'a (dyn Fn(Notification) + Send + Sync)) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            self.alive()?;
            self.pass("listen", HoldAt::Before).await;
            let ended = self.inner.listen(on_notification).await;
            self.pass("listen", HoldAt::After).await;
            ended
        })
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
    stop_clock(at: Option<Timestamp>) -> Timestamp;
    }

    fn calls_in_flight(&self) -> usize {
        self.inner.calls_in_flight()
    }

    fn location(&self) -> Location {
        self.inner.location()
    }

    fn statement_counts(&self) -> StatementCounts {
        self.inner.statement_counts()
    }

    fn pools(&self) -> Vec<PoolState> {
        if self.is_owned() { self.inner.pools() } else { Vec::new() }
    }

    fn close_work_pool(&self) {
        if self.is_owned() {
            self.inner.close_work_pool();
        }
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        if self.is_owned() { self.inner.close() } else { Box::pin(std::future::ready(())) }
    }
}
