//! A call as a value: its options until it is polled for the first time, then its future.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::store::BoxFuture;

/// What a call is made of: its arguments and options, and what it does with them.
pub(super) trait CallOptions<'a> {
    /// What the call returns.
    type Output;

    /// Carries the call out.
    fn run(self: Box<Self>) -> impl Future<Output = Self::Output> + Send + 'a;
}

/// A call. The public types of calls, such as [`StepCall`](crate::StepCall), are thin wrappers that add
/// methods for the options.
pub(super) enum Call<'a, O, R> {
    /// Not polled yet, so options can still be set.
    Unpolled(Box<O>),
    /// Polled, and not finished.
    Running(BoxFuture<'a, R>),
    /// It has returned its result.
    Finished,
}

impl<O, R> Call<'_, O, R> {
    pub(super) fn new(options: O) -> Self {
        Self::Unpolled(Box::new(options))
    }

    /// Changes the options. Nothing happens once the call was polled, which takes a pinned reference
    /// and so cannot happen before a method that takes `self` in ordinary code.
    pub(super) fn set(&mut self, change: impl FnOnce(&mut O)) {
        if let Self::Unpolled(options) = self {
            change(options);
        }
    }

    /// The options; `None` once the call was polled.
    pub(super) fn into_options(self) -> Option<Box<O>> {
        match self {
            Self::Unpolled(options) => Some(options),
            _ => None,
        }
    }
}

/// # Panics
/// When it is polled after it has returned its result, as futures do.
impl<'a, O: CallOptions<'a> + 'a> Future for Call<'a, O, O::Output> {
    type Output = O::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<O::Output> {
        let mut running = match std::mem::replace(&mut *self, Self::Finished) {
            Self::Unpolled(options) => Box::pin(options.run()),
            Self::Running(running) => running,
            Self::Finished => panic!("a call was polled after it had returned its result"),
        };
        let polled = running.as_mut().poll(cx);
        if polled.is_pending() {
            *self = Self::Running(running);
        }
        polled
    }
}

impl<O: fmt::Debug, R> fmt::Debug for Call<'_, O, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unpolled(options) => options.fmt(f),
            Self::Running(_) => f.write_str("running"),
            Self::Finished => f.write_str("finished"),
        }
    }
}

/// Makes a wrapper with the field `call` a future, and debuggable.
macro_rules! delegate_to_call {
    ($name:literal, [$($generics:tt)*] $call:ty => $output:ty, [$($debug_generics:tt)*] $debug_call:ty) => {
        impl<$($generics)*> std::future::Future for $call {
            type Output = $output;

            fn poll(
                mut self: std::pin::Pin<&mut Self>,
                cx: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Self::Output> {
                std::pin::Pin::new(&mut self.call).poll(cx)
            }
        }

        impl<$($debug_generics)*> std::fmt::Debug for $debug_call {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}({:?})", $name, self.call)
            }
        }
    };
}
pub(super) use delegate_to_call;

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Add(u32, u32);

    impl CallOptions<'_> for Add {
        type Output = u32;

        async fn run(self: Box<Self>) -> u32 {
            tokio::task::yield_now().await;
            self.0 + self.1
        }
    }

    struct AddCall {
        call: Call<'static, Add, u32>,
    }

    delegate_to_call!("AddCall", [] AddCall => u32, [] AddCall);

    #[tokio::test]
    async fn options_are_set_until_the_call_is_polled_and_count_once() {
        let mut call = AddCall { call: Call::new(Add(1, 1)) };
        call.call.set(|options| options.1 = 5);
        assert_eq!(format!("{call:?}"), "AddCall(Add(1, 5))");

        let mut context = Context::from_waker(std::task::Waker::noop());
        assert!(Pin::new(&mut call).poll(&mut context).is_pending());
        assert_eq!(format!("{call:?}"), "AddCall(running)");
        call.call.set(|options| options.1 = 9);

        assert_eq!((&mut call).await, 6, "an option that is set after the first poll changes nothing");
        assert_eq!(format!("{call:?}"), "AddCall(finished)");
        assert!(call.call.into_options().is_none());
    }
}
