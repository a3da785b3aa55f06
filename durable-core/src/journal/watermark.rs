//! Up to which batch the writes of an execution are durable.

use std::task::{Context, Poll, Waker};

use crate::runtime::stop_reason::StopReason;
use crate::store::NewRecord;
use crate::types::sync::{Mutex, lock};

/// Up to which batch the writes of an execution are durable. Batches are numbered from 1, and become
/// durable in this order.
///
/// A body waits here once for each of its steps, so this is a lock and a waker and not a channel.
#[derive(Debug, Default)]
pub(super) struct Watermark(Mutex<WatermarkState>);

#[derive(Debug, Default)]
struct WatermarkState {
    /// The number of the last durable batch.
    durable: u64,
    /// The records of the last durable batch, for the task that waits for them to free: all others wait for the writer.
    written: Box<[NewRecord]>,
    /// Why no later batch will ever be durable.
    failed: Option<Box<StopReason>>,
    waiting: Waiting,
}

/// The tasks that wait: usually the body's alone, which allocates nothing, and rarely one of its branches too. Every
/// waiting workflow has one of these.
#[derive(Debug, Default)]
struct Waiting {
    first: Option<Waker>,
    others: Option<Box<OtherTasks>>,
}

#[derive(Debug, Default)]
struct OtherTasks(Vec<Waker>);

impl Waiting {
    fn add(&mut self, waker: &Waker) {
        match &self.first {
            None => self.first = Some(waker.clone()),
            Some(first) if first.will_wake(waker) => {}
            Some(_) => {
                let OtherTasks(others) = &mut **self.others.get_or_insert_default();
                if !others.iter().any(|it| it.will_wake(waker)) {
                    others.push(waker.clone());
                }
            }
        }
    }

    fn wake_all(self) {
        let others = self.others.into_iter().flat_map(|it| it.0);
        self.first.into_iter().chain(others).for_each(Waker::wake);
    }
}

impl Watermark {
    /// All batches up to this number are durable.
    pub(super) fn advance_to(&self, number: u64) {
        self.change(|state| state.durable = number);
    }

    /// The same for a batch of these records. They are not kept if no task waits: a workflow can sleep behind them.
    pub(super) fn advance_with(&self, number: u64, written: Vec<NewRecord>) {
        self.change(|state| {
            state.durable = number;
            if state.waiting.first.is_some() {
                state.written = written.into_boxed_slice(); // most batches have no room to give back
            }
        });
    }

    /// Wakes all that wait: something else that they depend on has changed.
    pub(super) fn wake_all(&self) {
        self.change(|_| {});
    }

    /// No further batch will ever be durable.
    pub(super) fn fail(&self, reason: StopReason) {
        self.change(|state| state.failed = Some(Box::new(reason)));
    }

    fn change(&self, change: impl FnOnce(&mut WatermarkState)) {
        let waiting = {
            let mut state = lock(&self.0);
            change(&mut state);
            std::mem::take(&mut state.waiting)
        };
        waiting.wake_all();
    }

    /// Ready when all batches up to `number` are durable, or never will be.
    pub(super) fn poll_durable(&self, number: u64, cx: &Context<'_>) -> Poll<Result<(), StopReason>> {
        let mut state = lock(&self.0);
        if state.durable >= number {
            let written = std::mem::take(&mut state.written);
            drop(state);
            drop(written);
            return Poll::Ready(Ok(()));
        }
        if let Some(reason) = &state.failed {
            return Poll::Ready(Err(StopReason::clone(reason)));
        }
        state.waiting.add(cx.waker());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test]
    async fn a_failure_wakes_all_waiters_and_keeps_what_was_durable_before() {
        let watermark = &Watermark::default();
        let up_to = |number| poll_fn(move |cx| watermark.poll_durable(number, cx));
        let (first, second, later) = tokio::join!(up_to(1), up_to(1), async {
            watermark.advance_to(1);
            watermark.fail(StopReason::Lost);
            up_to(2).await
        });
        assert!(first.is_ok() && second.is_ok());
        assert!(matches!(later, Err(StopReason::Lost)));
    }

    #[test]
    fn records_are_kept_only_until_the_task_that_waits_for_them_is_polled() {
        let record = || NewRecord {
            workflow: 1.into(),
            position: crate::types::position::Position::new("", 1),
            kind: "sleep",
            name: "sleep".into(),
            outcome: None,
            child: None,
            attempts: 1,
            failures: None,
            ran_for: std::time::Duration::ZERO,
        };
        let kept = |watermark: &Watermark| lock(&watermark.0).written.len();
        let watermark = Watermark::default();
        watermark.advance_with(1, vec![record()]);
        assert_eq!(kept(&watermark), 0, "no task waits for them");

        let context = Context::from_waker(Waker::noop());
        assert!(watermark.poll_durable(2, &context).is_pending());
        watermark.advance_with(2, vec![record()]);
        assert_eq!(kept(&watermark), 1);
        assert!(watermark.poll_durable(2, &context).is_ready());
        assert_eq!(kept(&watermark), 0);
    }
}

#[cfg(all(test, shuttle))]
mod shuttle_model {
    use std::future::poll_fn;
    use std::sync::Arc;

    use shuttle::{future, thread};

    use super::*;

    #[test]
    fn a_body_that_waits_for_its_batch_continues_when_it_is_durable_or_never_will_be() {
        let model = || {
            let watermark = Arc::<Watermark>::default();
            let waiting: Vec<_> = [1, 2, 3]
                .map(|batch| {
                    let watermark = Arc::clone(&watermark);
                    thread::spawn(move || {
                        let durable = future::block_on(poll_fn(|cx| watermark.poll_durable(batch, cx)));
                        assert_eq!(durable.is_ok(), batch < 3, "batch {batch}");
                    })
                })
                .into();
            watermark.advance_to(1);
            watermark.wake_all();
            watermark.advance_to(2);
            watermark.fail(StopReason::Lost);
            waiting.into_iter().for_each(|it| it.join().expect("it ends"));
        };
        shuttle::check_random(model, crate::shuttle_models::ORDERS);
    }
}
