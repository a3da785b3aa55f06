//! A crash before and after every commit, and lost answers: exhaustively, by counting.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use durable::prelude::*;
use durable_core::Filter;
use durable_core::store::{
    Adopt, Adopted, BoxFuture, Cancelled, ClaimRequest, Claimed, Commit, Control, Costs, DeadExecutor, Entry,
    EventValue, Executors, Fault, Fence, Found, Heard, Held, Hint, Items, KnownWorkflow, Lifecycle, Location, Mark,
    NewExecutor, NewMessage, NewQueue, NewWorkflow, Opening, OutboxConnection, Posted, PostedWorkflow, Presence,
    Promoted, QueueChange, QueueRow, Queues, Read, Record, Released, Store, StoreError, StoreFuture, Talk, Transact,
    Transacted, UserWork, Verdict, Wake, Wanted, Wish,
};
use durable_core::{StepInfo, WorkflowInfo};

use crate::counter::{count, counted, fresh};
use crate::stage::{Stage, on_every_stage};

on_every_stage! {
    a_crash_before_every_commit_gives_the_same_result,
    a_crash_after_every_commit_gives_the_same_result,
    a_lost_answer_to_every_commit_gives_the_same_result,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Mode {
    /// The process dies before the commit.
    Before,
    /// The process dies after the commit, before it hears of it.
    After,
    /// The connection breaks after the commit, and the process lives.
    LostAnswer,
    /// The commit waits until it is [let through](Faulty::let_through).
    Held,
    /// The database refuses what is to be committed.
    Refused,
}

/// A store that fails at its `n`th commit.
#[derive(Debug)]
pub(crate) struct Faulty {
    inner: Arc<dyn Store>,
    mode: Mode,
    at: u64,
    commits: AtomicU64,
    dead: AtomicBool,
    held: tokio::sync::Semaphore,
}

impl Faulty {
    pub(crate) async fn new(stage: &Stage, mode: Mode, at: u64) -> Arc<Self> {
        let inner = durable_core::store::open(stage.url(), stage.schema()).await.unwrap();
        let held = tokio::sync::Semaphore::new(0);
        Arc::new(Self { inner, mode, at, commits: AtomicU64::new(0), dead: AtomicBool::new(false), held })
    }

    /// Waits until the call has its result, or the process is dead: then there is none. A dead
    /// process does not tell; ours is told by the store that it is dead, and lets go.
    pub(crate) async fn run_or_die<T>(&self, call: tokio::task::JoinHandle<Result<T>>) -> Option<T> {
        let dead = async {
            while !self.dead.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let ended = async {
            tokio::select! {
                // A caller in a dying process may still hear that it dies.
                result = call => result.unwrap().ok(),
                () = dead => None,
            }
        };
        tokio::time::timeout(Duration::from_secs(20), ended).await.expect("it ends or dies")
    }

    /// Whether the fault has happened.
    pub(crate) fn was_reached(&self) -> bool {
        self.commits.load(Ordering::SeqCst) >= self.at
    }

    /// Lets the commit go on that was held.
    pub(crate) fn let_through(&self) {
        self.held.add_permits(1);
    }

    pub(crate) async fn close(&self) {
        self.inner.close().await;
    }

    fn alive(&self) -> Result<(), StoreError> {
        if self.dead.load(Ordering::SeqCst) {
            return Err(StoreError::new(Fault::Closed, "this process is dead"));
        }
        Ok(())
    }
}

impl Commit for Faulty {
    fn commit<'a>(&'a self, fence: Fence, entries: &'a [Entry], again: bool) -> StoreFuture<'a, Vec<Verdict>> {
        Box::pin(async move {
            self.alive()?;
            if self.commits.fetch_add(1, Ordering::SeqCst) + 1 != self.at {
                return self.inner.commit(fence, entries, again).await;
            }
            match self.mode {
                Mode::Held => {
                    self.held.acquire().await.unwrap().forget();
                    return self.inner.commit(fence, entries, again).await;
                }
                Mode::Refused => return Err(StoreError::new(Fault::Refused, "no such thing is stored here")),
                Mode::Before => {}
                Mode::After | Mode::LostAnswer => drop(self.inner.commit(fence, entries, again).await?),
            }
            if self.mode != Mode::LostAnswer {
                self.dead.store(true, Ordering::SeqCst);
                return Err(StoreError::new(Fault::Closed, "this process has just died"));
            }
            Err(StoreError::new(Fault::Unreachable, "the connection broke before the answer came"))
        })
    }
}

/// Everything else goes through, as long as the process lives.
macro_rules! through {
    ($($name:ident($($argument:ident: $type:ty),*) -> $given:ty;)+) => {
        $(
            #[allow(clippy::needless_lifetimes, clippy::elidable_lifetime_names, reason = "some of the arguments have the lifetime")]
            fn $name<'a>(&'a self, $($argument: $type),*) -> StoreFuture<'a, $given> {
                Box::pin(async move {
                    self.alive()?;
                    self.inner.$name($($argument),*).await
                })
            }
        )+
    };
}

/// Runs the work and undoes it: the process dies before the commit.
struct Undone<'a>(&'a mut dyn UserWork);

impl UserWork for Undone<'_> {
    fn run<'c>(&'c mut self, connection: &'c mut (dyn std::any::Any + Send)) -> BoxFuture<'c, Wish> {
        Box::pin(async move {
            self.0.run(connection).await;
            Wish::Undo
        })
    }
}

impl Transact for Faulty {
    fn connection_type(&self) -> &'static str {
        self.inner.connection_type()
    }

    fn transact<'a>(&'a self, opening: Opening, work: &'a mut dyn UserWork) -> StoreFuture<'a, Transacted> {
        Box::pin(async move {
            self.alive()?;
            if self.commits.fetch_add(1, Ordering::SeqCst) + 1 != self.at {
                return self.inner.transact(opening, work).await;
            }
            match self.mode {
                Mode::Before => self.inner.transact(opening, &mut Undone(work)).await?,
                _ => self.inner.transact(opening, work).await?,
            };
            if self.mode != Mode::LostAnswer {
                self.dead.store(true, Ordering::SeqCst);
                return Err(StoreError::new(Fault::Closed, "this process has just died"));
            }
            Err(StoreError::new(Fault::Unreachable, "the connection broke before the answer came"))
        })
    }
}

impl Executors for Faulty {
    through! {
        sign_on(executor: &'a NewExecutor) -> Fence;
        heartbeat(fence: Fence, lease: Duration, running: &'a [i64]) -> Presence;
        announce_leaving(fence: Fence) -> ();
        executors() -> Vec<DeadExecutor>;
        depose(executor: i64, epoch: i64) -> bool;
        adopt(adopt: &'a Adopt) -> Adopted;
        count_unknown(known: &'a [KnownWorkflow]) -> u64;
        release(fence: Fence, stuck: &'a [i64]) -> Released;
        sign_off(fence: Fence) -> ();
    }
}

impl Read for Faulty {
    through! {
        now() -> i64;
        find(id: &'a str) -> Option<Held>;
        look(wanted: &'a Wanted) -> Found;
        records(keys: &'a [i64]) -> Vec<Record>;
        list(filter: &'a Filter) -> Vec<WorkflowInfo>;
        show(id: &'a str) -> Option<WorkflowInfo>;
        steps(id: &'a str) -> Vec<StepInfo>;
    }
}

impl Queues for Faulty {
    through! {
        declare(queues: &'a [NewQueue]) -> ();
        claim(request: &'a ClaimRequest) -> Claimed;
        give_back(fence: Fence, keys: &'a [i64]) -> ();
        give_back_lost(fence: Fence, queue: &'a str, held: &'a [i64]) -> u64;
        promote() -> Promoted;
        queues() -> Vec<QueueRow>;
        change_queue(name: &'a str, change: QueueChange) -> bool;
        post_workflow(connection: OutboxConnection<'a>, workflow: &'a NewWorkflow) -> PostedWorkflow;
    }
}

impl Control for Faulty {
    through! {
        cancel(id: &'a str, reason: &'a str, children: bool) -> Option<Cancelled>;
    }
}

impl Talk for Faulty {
    through! {
        items(workflow: &'a str, stream: &'a str, mark: Mark, limit: u32) -> Items;
        event_history(workflow: &'a str, event: &'a str) -> Vec<EventValue>;
        post(connection: OutboxConnection<'a>, message: &'a NewMessage) -> Posted;
    }
}

impl Wake for Faulty {
    through! {
        notify(hints: &'a [Hint]) -> ();
        listen(heard: &'a (dyn Fn(Heard) + Send + Sync)) -> ();
    }

    fn has_others(&self) -> bool {
        self.inner.has_others()
    }
}

impl Lifecycle for Faulty {
    through! {
        migrate() -> ();
        drop_everything() -> ();
    }

    fn location(&self) -> Location {
        self.inner.location()
    }

    fn costs(&self) -> Costs {
        self.inner.costs()
    }

    fn close_work(&self) {
        self.inner.close_work();
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.inner.close()
    }
}

#[step]
async fn noted(key: &str, what: &str) -> String {
    count(format!("{key} {what}"));
    what.to_owned()
}

#[step]
async fn refused(key: &str) -> Result<String, String> {
    count(format!("{key} refused"));
    Err("no".to_owned())
}

#[workflow]
async fn faulty_child(key: String) -> Result<String> {
    Ok(noted(&key, "in the child").await)
}

/// One of everything that commits.
#[workflow]
async fn faulty_flow(key: String) -> Result<String> {
    let one = noted(&key, "one").await;
    let child = faulty_child(key.clone()).await?;
    let error = refused(&key).await.unwrap_err();
    let (left, right) = (noted(&key, "left"), noted(&key, "right"));
    let (right, left) = tokio::join!(right, left);
    Ok([one, child, error, left, right].join(", "))
}

const EFFECTS: [&str; 5] = ["one", "in the child", "refused", "left", "right"];

async fn run_with_faults(stage: &Stage, mode: Mode) {
    let mut at = 0;
    loop {
        at += 1;
        let key = fresh("faulty");
        let faulty = Faulty::new(stage, mode, at).await;
        let app = stage.builder("faulty").store(Arc::clone(&faulty) as Arc<dyn Store>).launch().await.unwrap();
        let first = faulty.run_or_die(app.spawn(faulty_flow(key.clone()).id(&key))).await;
        let faulted = faulty.was_reached();
        drop(app);
        faulty.close().await;

        let app = stage.launch().await;
        let result = app.spawn(faulty_flow(key.clone()).id(&key)).await.unwrap().unwrap();
        assert_eq!(result, "one, in the child, no, left, right", "{mode:?} at commit {at}");
        assert!(first.is_none_or(|it| it == result));
        for effect in EFFECTS {
            let times = counted(&format!("{key} {effect}"));
            assert!((1..=2).contains(&times), "{mode:?} at commit {at}: {effect} happened {times} times");
            if mode == Mode::LostAnswer {
                assert_eq!(times, 1, "nothing crashed at commit {at}, so nothing runs twice");
            }
        }
        let twice: u32 = EFFECTS.iter().map(|it| counted(&format!("{key} {it}")) - 1).sum();
        assert!(twice <= 2, "{mode:?} at commit {at}: only what ran at the crash runs again, and {twice} did");
        let steps = app.list_steps(&key).await.unwrap();
        assert_eq!(steps.len(), 6, "each operation is recorded once: {steps:?}");
        app.shutdown().await;
        if !faulted {
            assert!(at > 5, "the flow has at least five commits, and all of them were tried");
            return;
        }
    }
}

async fn a_crash_before_every_commit_gives_the_same_result(stage: &Stage) {
    run_with_faults(stage, Mode::Before).await;
}

async fn a_crash_after_every_commit_gives_the_same_result(stage: &Stage) {
    run_with_faults(stage, Mode::After).await;
}

async fn a_lost_answer_to_every_commit_gives_the_same_result(stage: &Stage) {
    run_with_faults(stage, Mode::LostAnswer).await;
}
