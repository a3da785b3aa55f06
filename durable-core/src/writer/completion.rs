//! How who hands something to the writer hears of it: always, and what is certain.

use crate::store::{StoreError, StoreErrorKind, Verdict};

type Call = Box<dyn FnOnce(Result<Verdict, StoreError>) + Send>;

/// What is called with an entry's verdict: once, whatever becomes of the entry and of the writer. A
/// caller who is told that nothing was written must be able to rely on it.
pub(crate) struct Completion {
    call: Option<Call>,
    from_caller: bool,
    sent: bool,
}

impl Completion {
    /// `call` is called on the writer's task: it must not block.
    pub(crate) fn new(call: impl FnOnce(Result<Verdict, StoreError>) + Send + 'static) -> Self {
        Self { call: Some(Box::new(call)), from_caller: false, sent: false }
    }

    /// The same for a caller outside, who has to decide what to do now; an execution that lost its
    /// right to write is over in any case.
    pub(crate) fn for_external_caller(mut self) -> Self {
        self.from_caller = true;
        self
    }

    pub(crate) fn is_from_caller(&self) -> bool {
        self.from_caller
    }

    /// From now on the database may have the entry.
    pub(crate) fn mark_sent(&mut self) {
        self.sent = true;
    }

    pub(crate) fn complete(mut self, verdict: Result<Verdict, StoreError>) {
        if let Some(call) = self.call.take() {
            call(verdict);
        }
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            call(Err(if self.sent { unconfirmed() } else { engine_closed() }));
        }
    }
}

/// Nothing was written, and nothing will be.
pub(crate) fn engine_closed() -> StoreError {
    StoreError::new(StoreErrorKind::Closed, "the engine has been shut down")
}

/// It may have been written.
pub(crate) fn unconfirmed() -> StoreError {
    StoreError::new(StoreErrorKind::Unreachable, "the engine was shut down before the database had answered")
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::types::sync::lock;

    #[test]
    fn who_is_never_answered_is_told_whether_the_database_may_have_it() {
        let told = Arc::<Mutex<Vec<StoreErrorKind>>>::default();
        let answer = || {
            let told = Arc::clone(&told);
            Completion::new(move |verdict| lock(&told).push(verdict.expect_err("there is no verdict").kind))
        };
        drop(answer());
        let mut sent = answer();
        sent.mark_sent();
        drop(sent);
        assert_eq!(*lock(&told), [StoreErrorKind::Closed, StoreErrorKind::Unreachable]);
    }
}
