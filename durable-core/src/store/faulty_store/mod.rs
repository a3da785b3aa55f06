//! A store that fails at chosen calls, as a crash or a broken connection would make it: for tests.

mod commit_names;
mod passthrough;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use self::commit_names::CommitNames;
use crate::store::{Commit, Entry, Fence, Store, StoreError, StoreErrorKind, StoreFuture, Verdict};
use crate::types::error::Result;
use crate::types::sync::{Mutex, lock};

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultMode {
    /// The process dies before the commit.
    Before,
    /// The process dies after the commit, before it gets the reply.
    After,
    /// The connection breaks after the commit, and the process lives.
    LostAnswer,
    /// The connection breaks before anything is done, and the process lives.
    Unreachable,
    /// The commit waits until it is [let through](FaultyStore::release_held_call).
    Held,
    /// The database refuses the commit.
    Refused,
}

/// The calls at which a store fails, and how. Commits of the engine and of transactions count, from 1.
#[derive(Debug, Default)]
pub struct FaultPlan {
    /// What happens at which call.
    pub faults: BTreeMap<u64, FaultMode>,
    /// Whether claims that claim something, and the changes of operators, count, too.
    pub claims_count: bool,
    /// Whether reading counts like committing. How often an engine reads depends on timing, so such a
    /// plan cannot be exhaustive.
    pub reading_counts: bool,
    /// Whether nothing counts until [`FaultyStore::begin_counting`].
    pub counts_later: bool,
}

impl FaultPlan {
    /// One fault, at the `at`th commit.
    #[must_use]
    pub fn one(mode: FaultMode, at: u64) -> Self {
        Self { faults: BTreeMap::from([(at, mode)]), ..Self::default() }
    }
}

/// A store that fails as planned.
#[derive(Debug)]
pub struct FaultyStore {
    inner: Arc<dyn Store>,
    /// Whether closing this store closes `inner`, which several processes may use in turn.
    owned: AtomicBool,
    plan: FaultPlan,
    is_counting: AtomicBool,
    calls: AtomicU64,
    names: CommitNames,
    /// The commit at which the first fault happened.
    failed_commit: Mutex<Option<String>>,
    dead: watch::Sender<bool>,
    away: AtomicBool,
    /// Whether commits get no reply after the first failure.
    gone: AtomicBool,
    /// How many commits failed because the database is unreachable.
    rejected_commits: watch::Sender<u64>,
    held: tokio::sync::Semaphore,
    /// The call that gets no reply the next time.
    to_lose: Mutex<Option<&'static str>>,
    /// The call that is held the next time, or panics.
    to_hold: Mutex<Option<(String, HoldAt)>>,
    /// How often a call was held.
    holds: watch::Sender<u64>,
    /// The queue with failing claims, and how often they failed.
    refused: Mutex<Option<&'static str>>,
    refusals: watch::Sender<u64>,
}

/// Where a call is held until it is [let through](FaultyStore::release_held_call).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldAt {
    /// Before anything is done.
    Before,
    /// After it is done, before its result is returned.
    After,
    /// It is not held and panics.
    Panics,
}

/// What happens to a call.
enum Fate {
    Through,
    /// It is done, and its result is lost.
    Done(StoreError),
    NotDone(StoreError),
}

/// Longer than any call takes to come, also on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// Returns once the value fulfills the condition. A call that never comes, such as one of another name, fails the test.
async fn wait_for<T>(value: &watch::Sender<T>, condition: impl FnMut(&T) -> bool) {
    let mut value = value.subscribe();
    let fulfilled = tokio::time::timeout(PATIENCE, value.wait_for(condition)).await;
    fulfilled.expect("the store is called as expected").expect("the sender is borrowed");
}

impl FaultyStore {
    /// The store of one of several processes that use `inner` in turn: closing it leaves `inner` open.
    #[must_use]
    pub fn over(inner: &Arc<dyn Store>, plan: FaultPlan) -> Self {
        Self {
            inner: Arc::clone(inner),
            owned: AtomicBool::new(false),
            is_counting: AtomicBool::new(!plan.counts_later),
            plan,
            calls: AtomicU64::new(0),
            names: CommitNames::default(),
            failed_commit: Mutex::default(),
            dead: watch::Sender::default(),
            away: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            rejected_commits: watch::Sender::default(),
            held: tokio::sync::Semaphore::new(0),
            to_lose: Mutex::default(),
            to_hold: Mutex::default(),
            holds: watch::Sender::default(),
            refused: Mutex::default(),
            refusals: watch::Sender::default(),
        }
    }

    /// One that closes `inner` when it is closed.
    #[must_use]
    pub fn owning(inner: &Arc<dyn Store>, plan: FaultPlan) -> Self {
        let store = Self::over(inner, plan);
        store.own();
        store
    }

    /// From now on closing this store closes the one below.
    pub fn own(&self) {
        self.owned.store(true, Ordering::SeqCst);
    }

    fn is_owned(&self) -> bool {
        self.owned.load(Ordering::SeqCst)
    }

    /// The reply to the next call of this name is lost: it is done, and the connection breaks.
    pub fn lose_next_answer(&self, name: &'static str) {
        *lock(&self.to_lose) = Some(name);
    }

    /// The next call of this name is held.
    ///
    /// A claim has the name of its queue behind it: `claim orders`.
    pub fn hold_next(&self, name: &str, hold: HoldAt) {
        *lock(&self.to_hold) = Some((name.to_owned(), hold));
    }

    /// Makes every claim from this queue fail from now on, or none.
    pub fn refuse_claims(&self, queue: Option<&'static str>) {
        *lock(&self.refused) = queue;
    }

    /// Returns once so many claims were refused.
    pub async fn wait_for_refusals(&self, times: u64) {
        wait_for(&self.refusals, |it| *it >= times).await;
    }

    /// Returns once a call is held.
    pub async fn wait_for_held_call(&self) {
        self.wait_for_held_calls(1).await;
    }

    /// Returns once so many calls were held.
    pub async fn wait_for_held_calls(&self, times: u64) {
        wait_for(&self.holds, |it| *it >= times).await;
    }

    async fn pass(&self, name: &str, at: HoldAt) {
        let here = |it: &mut (String, HoldAt)| it.0 == name && (it.1 == at || it.1 == HoldAt::Panics);
        let held = lock(&self.to_hold).take_if(here);
        let Some((_, hold)) = held else { return };
        self.holds.send_modify(|it| *it += 1);
        assert!(hold != HoldAt::Panics, "the call `{name}` was to panic");
        self.wait_until_released().await;
    }

    async fn wait_until_released(&self) {
        self.held.acquire().await.expect("the semaphore is never closed").forget();
    }

    /// Whether that has happened.
    pub fn lost_an_answer(&self) -> bool {
        lock(&self.to_lose).is_none()
    }

    /// Returns once the process is dead.
    pub async fn wait_for_death(&self) {
        wait_for(&self.dead, |it| *it).await;
    }

    /// The same, however long the process lives.
    pub async fn until_death(&self) {
        let _ = self.dead.subscribe().wait_for(|it| *it).await.map(drop); // the sender is in `self`
    }

    /// Waits for the result of a call, or for the death of the process: then there is none. In a real crash
    /// the caller would be gone, too.
    pub async fn result_or_death<T>(&self, call: tokio::task::JoinHandle<Result<T>>) -> Option<T> {
        let ended = async {
            tokio::select! {
                // A caller in a dying process may get an error.
                result = call => result.expect("the call does not panic").ok(),
                () = self.wait_for_death() => None,
            }
        };
        tokio::time::timeout(Duration::from_secs(20), ended).await.expect("it ends or dies")
    }

    /// Whether the first fault has happened.
    pub fn was_reached(&self) -> bool {
        self.plan.faults.keys().next().is_none_or(|at| self.calls() >= *at)
    }

    /// The commit at which the first fault happened, such as "step `charge` at position 2 of `checkout`".
    pub fn failed_commit(&self) -> Option<String> {
        lock(&self.failed_commit).clone()
    }

    /// Whether the process is dead.
    pub fn is_dead(&self) -> bool {
        *self.dead.borrow()
    }

    /// How many calls there were of those that count.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// From now on calls count.
    pub fn begin_counting(&self) {
        self.is_counting.store(true, Ordering::SeqCst);
    }

    /// The process is dead from now on.
    pub fn kill(&self) {
        self.dead.send_replace(true);
    }

    /// Makes the database unreachable, or reachable again: meanwhile every call fails.
    pub fn set_unreachable(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }

    /// The same for a server that does not respond: after the first failure, commits wait without an answer.
    pub fn set_unresponsive(&self, gone: bool) {
        self.gone.store(gone, Ordering::SeqCst);
        self.set_unreachable(gone);
    }

    /// Waits until a commit was attempted while the database was unreachable.
    pub async fn wait_for_rejected_commit(&self) {
        wait_for(&self.rejected_commits, |it| *it > 0).await;
    }

    /// Releases the held call.
    pub fn release_held_call(&self) {
        self.held.add_permits(1);
    }

    /// Closes the store below.
    pub async fn close(&self) {
        self.inner.close().await;
    }

    fn alive(&self) -> Result<(), StoreError> {
        if self.is_dead() {
            return Err(StoreError::new(StoreErrorKind::Closed, "this process is dead"));
        }
        if self.away.load(Ordering::SeqCst) {
            return Err(StoreError::new(StoreErrorKind::Unreachable, "the database is away"));
        }
        Ok(())
    }

    /// Decides what happens to the next call, whose name is only made for a fault. A dying process counts as dead
    /// before its call is done, so that no other call of it is done.
    async fn fate(&self, name: impl FnOnce() -> String) -> Result<Fate, StoreError> {
        self.alive()?;
        if !self.is_counting.load(Ordering::SeqCst) {
            return Ok(Fate::Through);
        }
        let number = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let Some(mode) = self.plan.faults.get(&number) else { return Ok(Fate::Through) };
        lock(&self.failed_commit).get_or_insert_with(name);
        let broken = |when| StoreError::new(StoreErrorKind::Unreachable, format!("the connection broke {when}"));
        let dead = || {
            self.kill();
            StoreError::new(StoreErrorKind::Closed, "this process has just died")
        };
        Ok(match mode {
            FaultMode::Held => {
                self.wait_until_released().await;
                Fate::Through
            }
            FaultMode::Refused => {
                Fate::NotDone(StoreError::new(StoreErrorKind::Refused, "no such thing is stored here"))
            }
            FaultMode::Before => Fate::NotDone(dead()),
            FaultMode::After => Fate::Done(dead()),
            FaultMode::LostAnswer => Fate::Done(broken("before the answer came")),
            FaultMode::Unreachable => Fate::NotDone(broken("before anything was done")),
        })
    }

    async fn fate_of_reading(&self, name: &'static str) -> Result<Fate, StoreError> {
        if lock(&self.to_lose).take_if(|it| *it == name).is_some() {
            let broken = StoreError::new(StoreErrorKind::Unreachable, "the connection broke before the answer came");
            return Ok(Fate::Done(broken));
        }
        if self.plan.reading_counts {
            return self.fate(|| format!("the call `{name}`")).await;
        }
        self.alive().map(|()| Fate::Through)
    }

    /// The fate of a change by an operator or of a claim that claims something.
    async fn fate_of_change(&self, name: impl FnOnce() -> String) -> Result<Fate, StoreError> {
        if self.plan.claims_count {
            return self.fate(name).await;
        }
        self.alive().map(|()| Fate::Through)
    }
}

impl Commit for FaultyStore {
    fn commit<'a>(&'a self, fence: Fence, entries: &'a [Entry], again: bool) -> StoreFuture<'a, Vec<Verdict>> {
        Box::pin(async move {
            if self.away.load(Ordering::SeqCst) {
                let earlier = *self.rejected_commits.borrow();
                self.rejected_commits.send_modify(|it| *it += 1);
                if earlier > 0 && self.gone.load(Ordering::SeqCst) {
                    std::future::pending::<()>().await;
                }
            }
            self.names.learn_starts(entries);
            match self.fate(|| self.names.of_entries(entries)).await? {
                Fate::Through => {
                    self.pass("commit", HoldAt::Before).await;
                    let committed = self.inner.commit(fence, entries, again).await;
                    self.pass("commit", HoldAt::After).await;
                    committed
                }
                Fate::NotDone(error) => Err(error),
                Fate::Done(error) => {
                    self.inner.commit(fence, entries, again).await?;
                    Err(error)
                }
            }
        })
    }
}
