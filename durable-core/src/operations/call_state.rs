//! What all calls are: a value until it is polled, and then its future.

use std::task::{Context, Poll};

use crate::store::BoxFuture;

/// A call: what was made, until it is polled for the first time; then the future of it.
pub(super) enum CallState<'a, M, R> {
    /// Nothing has been done yet, so options can still be set.
    Made(Box<M>),
    /// It is under way.
    Running(BoxFuture<'a, R>),
    /// It has given its result.
    Over,
}

impl<'a, M, R> CallState<'a, M, R> {
    pub(super) fn new(made: M) -> Self {
        Self::Made(Box::new(made))
    }

    /// What was made, while nothing has been done.
    pub(super) fn made(&mut self) -> Option<&mut M> {
        match self {
            Self::Made(made) => Some(made),
            _ => None,
        }
    }

    /// Polls the future, which `run` makes the first time.
    ///
    /// # Panics
    /// When it has given its result already, as futures do.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, run: impl FnOnce(Box<M>) -> BoxFuture<'a, R>) -> Poll<R> {
        let mut running = match std::mem::replace(self, Self::Over) {
            Self::Made(made) => run(made),
            Self::Running(running) => running,
            Self::Over => panic!("a call was polled after it had given its result"),
        };
        let polled = running.as_mut().poll(cx);
        if polled.is_pending() {
            *self = Self::Running(running);
        }
        polled
    }
}
