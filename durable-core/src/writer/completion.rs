//! The completion of a write: called exactly once, with what is certain.

use std::sync::Arc;

use crate::store::{Entry, NewRecord, StoreError, StoreErrorKind, Verdict};

/// A run, which receives the verdict on each of its batches.
pub(crate) trait CompletesBatches: Send + Sync {
    /// Receives the verdict on the batch with this number. The records are those of the batch, given back to be freed. It is
    /// called on the writer's task: it must not block.
    fn complete_batch(&self, number: u64, verdict: Result<Verdict, StoreError>, records: Vec<NewRecord>);
}

/// What is called.
enum Call {
    Function(Box<dyn FnOnce(Result<Verdict, StoreError>) + Send>),
    /// Without a function of its own, for the records of steps, which are most writes.
    Batch(Arc<dyn CompletesBatches>, u64),
}

impl Call {
    fn call(self, verdict: Result<Verdict, StoreError>, entry: Entry) {
        match self {
            Self::Function(call) => call(verdict),
            Self::Batch(run, number) => run.complete_batch(number, verdict, entry.records),
        }
    }
}

/// Called with an entry's verdict: exactly once, whatever happens to the entry and to the writer. If it
/// reports that nothing was written, nothing was.
pub(crate) struct Completion {
    call: Option<Call>,
    from_caller: bool,
    sent: bool,
}

impl Completion {
    /// `call` is called on the writer's task: it must not block.
    pub(crate) fn new(call: impl FnOnce(Result<Verdict, StoreError>) + Send + 'static) -> Self {
        Self::of(Call::Function(Box::new(call)))
    }

    /// Gives a run the verdict on its batch with this number.
    pub(crate) fn of_batch(run: Arc<dyn CompletesBatches>, number: u64) -> Self {
        Self::of(Call::Batch(run, number))
    }

    fn of(call: Call) -> Self {
        Self { call: Some(call), from_caller: false, sent: false }
    }

    /// Marks the caller as one outside of executions: it has to decide what to do next, so it must not
    /// be answered with a guess. An execution that lost its lease is over in any case.
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

    /// Calls it, with the entry that the verdict is on.
    pub(crate) fn complete(mut self, verdict: Result<Verdict, StoreError>, entry: Entry) {
        if let Some(call) = self.call.take() {
            call.call(verdict, entry);
        }
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            call.call(Err(if self.sent { unconfirmed() } else { engine_closed() }), Entry::default());
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
    use std::sync::Arc;

    use super::*;
    use crate::types::sync::{Mutex, lock};

    #[test]
    fn a_dropped_completion_reports_whether_the_entry_may_be_stored() {
        let kinds = Arc::<Mutex<Vec<StoreErrorKind>>>::default();
        let completion = || {
            let kinds = Arc::clone(&kinds);
            Completion::new(move |verdict| lock(&kinds).push(verdict.expect_err("there is no verdict").kind))
        };
        drop(completion());
        let mut sent = completion();
        sent.mark_sent();
        drop(sent);
        assert_eq!(*lock(&kinds), [StoreErrorKind::Closed, StoreErrorKind::Unreachable]);
    }
}
