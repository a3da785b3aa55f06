//! The engine's own locks and atomics, in thousands of random orders of the threads that use them:
//!
//! ```text
//! RUSTFLAGS="--cfg shuttle" cargo test -p durable-core --features sqlite --lib --target-dir target/shuttle shuttle_
//! ```
//!
//! A failure prints the schedule that replays it (`shuttle::replay`). The channels of tokio are real ones: they are
//! polled, and do not block a thread.

use std::sync::Arc;

use shuttle::rand::Rng;
use shuttle::{future, thread};

use crate::store::{Commit, Entry, Fence, StoreError, StoreErrorKind, StoreFuture, Verdict};
use crate::types::keys::{Epoch, ExecutorKey, MessageKey};
use crate::types::sync::{Mutex, lock};
use crate::wait::cancellation::{AbortReason, CancellationFlag};
use crate::wait::shutdown_phase::{EnginePhase, ShutdownSignal};
use crate::wait::wakeup::Wakeup;
use crate::writer::completion::Completion;
use crate::writer::{self, Writer};

/// How many orders of the threads are tried.
pub(crate) const ORDERS: usize = 5_000;

const FENCE: Fence = Fence { executor: ExecutorKey::new(1), epoch: Epoch::new(1) };

/// Keeps what is committed, and refuses entries that have a message for `nowhere`.
#[derive(Debug, Default)]
struct FakeStore(Mutex<Vec<i64>>);

impl Commit for FakeStore {
    fn commit<'a>(&'a self, _: Fence, entries: &'a [Entry], _: bool) -> StoreFuture<'a, Vec<Verdict>> {
        Box::pin(async move {
            future::yield_now().await; // the database takes its time
            if entries.iter().any(|it| it.messages.iter().any(|it| it.to == "nowhere")) {
                return Err(StoreError::new(StoreErrorKind::Refused, "it is for nowhere"));
            }
            lock(&self.0).extend(entries.iter().flat_map(|it| &it.received).map(|it| it.get()));
            Ok(vec![Verdict::Stored; entries.len()])
        })
    }
}

/// An entry that is known by a number.
fn numbered(number: i64) -> Entry {
    Entry { received: vec![MessageKey::new(number)], ..Entry::default() }
}

fn refused() -> Entry {
    let message = crate::store::NewMessage {
        key: MessageKey::new(0),
        to: "nowhere".to_owned(),
        topic: String::new(),
        payload: String::new(),
        idempotency_key: None,
    };
    Entry { messages: vec![message], ..Entry::default() }
}

#[test]
fn each_write_is_completed_once_and_those_of_one_caller_in_their_order() {
    let model = || {
        let (writer, inbox) = Writer::new();
        let (writer, store) = (Arc::new(writer), Arc::<FakeStore>::default());
        let completed = Arc::<Mutex<Vec<(i64, bool)>>>::default();
        let task = {
            let store = Arc::clone(&store);
            thread::spawn(move || future::block_on(writer::run(inbox, &*store, &ShutdownSignal::new())))
        };
        let callers: Vec<_> = (1..=2)
            .map(|caller| {
                let (writer, completed) = (Arc::clone(&writer), Arc::clone(&completed));
                thread::spawn(move || {
                    for number in caller * 10..caller * 10 + 3 {
                        let completed = Arc::clone(&completed);
                        let good = shuttle::rand::thread_rng().gen_bool(0.7);
                        let entry = if good { numbered(number) } else { refused() };
                        let completion = Completion::new(move |it| lock(&completed).push((number, it.is_ok())));
                        writer.submit(FENCE, entry, completion);
                    }
                })
            })
            .collect();
        let waiting = {
            let (writer, store) = (Arc::clone(&writer), Arc::clone(&store));
            thread::spawn(move || {
                future::block_on(async {
                    let written = writer.write(FENCE, numbered(99), |_| {}).await;
                    assert_eq!(written.expect("it can be stored"), Verdict::Stored);
                    assert!(lock(&store.0).contains(&99), "the caller waited for the commit");
                    writer.flushed().await;
                });
            })
        };
        callers.into_iter().for_each(|it| it.join().expect("the caller ends"));
        waiting.join().expect("the caller ends");
        writer.stop();
        task.join().expect("the writer ends");
        let completed = lock(&completed).clone();
        assert_eq!(completed.len(), 6, "each write is completed once: {completed:?}");
        for caller in 1..=2 {
            let order: Vec<_> = completed.iter().map(|it| it.0).filter(|it| it / 10 == caller).collect();
            assert!(order.is_sorted(), "{order:?}");
        }
        let stored = lock(&store.0).clone();
        for (number, good) in completed {
            assert_eq!(stored.iter().filter(|it| **it == number).count(), usize::from(good), "{number} in {stored:?}");
        }
    };
    shuttle::check_random(model, ORDERS);
}

#[test]
fn waits_for_a_batch_that_is_being_committed_end() {
    let model = || {
        let (writer, inbox) = Writer::new();
        let (writer, store) = (Arc::new(writer), Arc::<FakeStore>::default());
        let task = {
            let store = Arc::clone(&store);
            thread::spawn(move || future::block_on(writer::run(inbox, &*store, &ShutdownSignal::new())))
        };
        let waiting: Vec<_> = (0..2)
            .map(|_| {
                let writer = Arc::clone(&writer);
                thread::spawn(move || future::block_on(writer.flushed()))
            })
            .collect();
        writer.submit(FENCE, numbered(1), Completion::new(drop));
        writer.stop();
        task.join().expect("the writer ends");
        waiting.into_iter().for_each(|it| it.join().expect("it ends"));
    };
    shuttle::check_random(model, ORDERS);
}

#[test]
fn a_wait_for_a_phase_ends_whichever_thread_reaches_it() {
    let model = || {
        let shutdown = Arc::new(ShutdownSignal::new());
        let watched: Vec<_> = [EnginePhase::Quiesced, EnginePhase::Aborting, EnginePhase::Closed]
            .map(|phase| {
                let shutdown = Arc::clone(&shutdown);
                thread::spawn(move || {
                    future::block_on(shutdown.wait_for(phase));
                    assert!(shutdown.phase() >= phase);
                    assert!(
                        phase < EnginePhase::Aborting || shutdown.is_aborting(),
                        "what may start is decided before"
                    );
                })
            })
            .into();
        let advancing: Vec<_> =
            [[EnginePhase::Draining, EnginePhase::Closed], [EnginePhase::Aborting, EnginePhase::Quiesced]]
                .map(|phases| {
                    let shutdown = Arc::clone(&shutdown);
                    thread::spawn(move || {
                        for phase in phases {
                            shutdown.advance_to(phase);
                            assert!(shutdown.phase() >= phase, "a phase never goes back");
                        }
                    })
                })
                .into();
        for thread in watched.into_iter().chain(advancing) {
            thread.join().expect("it ends");
        }
        assert_eq!(shutdown.phase(), EnginePhase::Closed);
    };
    shuttle::check_random(model, ORDERS);
}

#[test]
fn a_cancellation_and_a_wake_up_are_never_missed() {
    let model = || {
        let (flag, wakeup) = (Arc::<CancellationFlag>::default(), Arc::<Wakeup>::default());
        let work = Arc::<Mutex<u32>>::default();
        let cancelled = {
            let flag = Arc::clone(&flag);
            thread::spawn(move || future::block_on(flag.cancelled()))
        };
        let worker = {
            let (wakeup, work) = (Arc::clone(&wakeup), Arc::clone(&work));
            thread::spawn(move || {
                let mut done = 0;
                while done < 2 {
                    future::block_on(wakeup.woken());
                    done += std::mem::take(&mut *lock(&work));
                }
            })
        };
        let senders: Vec<_> = (0..2)
            .map(|_| {
                let (wakeup, work) = (Arc::clone(&wakeup), Arc::clone(&work));
                thread::spawn(move || {
                    *lock(&work) += 1;
                    wakeup.wake();
                })
            })
            .collect();
        flag.cancel(AbortReason::Shutdown);
        flag.cancel(AbortReason::Deadline);
        let reason = cancelled.join().expect("it ends");
        assert!(matches!(reason, AbortReason::Shutdown | AbortReason::Deadline));
        assert_eq!(flag.reason(), Some(AbortReason::Deadline));
        senders.into_iter().for_each(|it| it.join().expect("it ends"));
        worker.join().expect("no work is left behind");
    };
    shuttle::check_random(model, ORDERS);
}
