//! How much of what an execution has handed to the writer is durable.

use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use crate::runtime::stop_reason::StopReason;
use crate::types::sync::lock;

/// How much of what an execution has handed to the writer is durable. Parcels have numbers, from 1,
/// and become durable in their order.
///
/// One body waits here for each of its steps, so this is a lock and a waker and no channel.
#[derive(Debug, Default)]
pub(crate) struct Watermark(Mutex<WatermarkState>);

#[derive(Debug, Default)]
struct WatermarkState {
    /// The number of the last parcel that is durable.
    durable: u64,
    /// Why a later one never will be.
    fail: Option<Box<StopReason>>,
    /// Who waits: as a rule the body, and rarely a branch of it beside.
    waiting: Vec<Waker>,
}

impl Watermark {
    /// All parcels up to this number are durable.
    pub(crate) fn advance_to(&self, number: u64) {
        self.change(|state| state.durable = number);
    }

    /// Something else has changed that those who wait may depend on: they look again.
    pub(crate) fn wake_all(&self) {
        self.change(|_| {});
    }

    /// No further parcel will ever be durable.
    pub(crate) fn fail(&self, why: StopReason) {
        self.change(|state| state.fail = Some(Box::new(why)));
    }

    fn change(&self, change: impl FnOnce(&mut WatermarkState)) {
        let waiting = {
            let mut state = lock(&self.0);
            change(&mut state);
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Whether all parcels up to `number` are durable, or never will be; else whoever asks is woken.
    pub(crate) fn poll_durable(&self, number: u64, cx: &Context<'_>) -> Poll<Result<(), StopReason>> {
        let mut state = lock(&self.0);
        if state.durable >= number {
            return Poll::Ready(Ok(()));
        }
        if let Some(why) = &state.fail {
            return Poll::Ready(Err(StopReason::clone(why)));
        }
        if !state.waiting.iter().any(|it| it.will_wake(cx.waker())) {
            state.waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test]
    async fn all_who_wait_are_told_and_what_was_durable_before_the_break_stays() {
        let durability = &Watermark::default();
        let up_to = |number| poll_fn(move |cx| durability.poll_durable(number, cx));
        let (first, second, later) = tokio::join!(up_to(1), up_to(1), async {
            durability.advance_to(1);
            durability.fail(StopReason::Lost);
            up_to(2).await
        });
        assert!(first.is_ok() && second.is_ok());
        assert!(matches!(later, Err(StopReason::Lost)));
    }
}
