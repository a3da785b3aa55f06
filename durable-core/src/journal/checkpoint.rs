//! The one path of every durable operation: replay it if it is recorded, else do it and record it.

use std::borrow::Cow;
use std::future::{Future, Pending};
use std::time::Duration;

use crate::journal::execution::Execution;
use crate::journal::reserved_position::{ReservedPosition, pend_unless};
use crate::runtime::stop_reason::StopReason;
use crate::store::{NewRecord, Record};
use crate::types::error::{Error, ErrorKind};
use crate::types::payload::{Codec, Outcome, PayloadError, RecordedError, encode};

/// What an operation is: kind and name must be the same on replay.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operation<'a> {
    pub(crate) kind: &'static str,
    pub(crate) name: &'a str,
    /// The name, if it is a constant of the program, so that a record needs no copy of it.
    constant_name: Option<&'static str>,
}

impl Operation<'static> {
    const fn constant(kind: &'static str, name: &'static str) -> Self {
        Self { kind, name, constant_name: Some(name) }
    }

    pub(crate) const fn step(name: &'static str) -> Self {
        Self::constant("step", name)
    }

    pub(crate) const fn transaction(name: &'static str) -> Self {
        Self::constant("transaction", name)
    }

    /// A value that is determined once and recorded: its name is its kind.
    pub(crate) const fn once(name: &'static str) -> Self {
        Self::constant(name, name)
    }

    pub(crate) const fn workflow(name: &'static str) -> Self {
        Self::constant("workflow", name)
    }
}

impl<'a> Operation<'a> {
    pub(crate) const fn send(topic: &'a str) -> Self {
        Self::on("send", topic)
    }

    pub(crate) const fn recv(topic: &'a str) -> Self {
        Self::on("recv", topic)
    }

    pub(crate) const fn set_event(name: &'a str) -> Self {
        Self::on("set_event", name)
    }

    pub(crate) const fn get_event(name: &'a str) -> Self {
        Self::on("get_event", name)
    }

    /// The marker of a patch.
    pub(crate) const fn patch(name: &'a str) -> Self {
        Self::on("patch", name)
    }

    pub(crate) const fn cancel(id: &'a str) -> Self {
        Self::on("cancel", id)
    }

    /// An operation on something that has a name or an id.
    pub(crate) const fn on(kind: &'static str, name: &'a str) -> Self {
        Self { kind, name, constant_name: None }
    }

    /// The next item of a stream.
    pub(crate) const fn read_stream(name: &'a str) -> Self {
        Self::on("read_stream", name)
    }

    /// The time up to which an operation waits, in its own branch.
    pub(crate) const fn deadline(of: &'a str) -> Self {
        Self::on("deadline", of)
    }

    pub(crate) const fn result(id: &'a str) -> Self {
        Self::on("result", id)
    }
}

impl Operation<'_> {
    /// Whether a record is of this operation.
    pub(crate) fn is_of(&self, record: &Record) -> bool {
        record.kind == self.kind && record.name == self.name
    }
}

/// The result of an operation.
#[derive(Debug, Default)]
pub(crate) struct OperationResult {
    pub(crate) outcome: Option<Outcome>,
    pub(crate) child: Option<String>,
    pub(crate) attempts: u32,
    /// The errors of the failed attempts before the last one.
    pub(crate) failures: Vec<String>,
    pub(crate) ran_for: Duration,
}

impl ReservedPosition {
    /// Whether the operation may go on. In a verification it may if it is recorded here.
    pub(crate) fn may_go_on(&self, operation: Operation<'_>) -> bool {
        let Some(check) = self.execution.replay_check() else { return true };
        match self.execution.recorded(&self.position) {
            Some(record) => check.compare(record, operation.kind, operation.name),
            None => self.may_wait(operation),
        }
    }

    /// Whether the operation may wait for something that is not recorded. In a verification it may not.
    pub(crate) fn may_wait(&self, operation: Operation<'_>) -> bool {
        let Some(check) = self.execution.replay_check() else { return true };
        check.note_unrecorded(&self.position, operation.kind, operation.name);
        false
    }

    /// The record of an earlier run at this position, if there is one.
    ///
    /// A record of another operation means that the code has changed under the workflow, which is
    /// parked at once with both names. Nothing is overwritten. In a verification it returns only with a record.
    pub(crate) async fn replayed(&self, operation: Operation<'_>) -> Option<&Record> {
        pend_unless(self.may_go_on(operation)).await;
        let Some(record) = self.execution.recorded(&self.position) else {
            self.execution.end_replay();
            self.execution.leave_muted_poll().await;
            return None;
        };
        if operation.is_of(record) {
            let is_last = self.execution.count_replayed();
            if self.is_new_behind(operation, is_last) {
                self.execution.end_replay();
                self.execution.leave_muted_poll().await;
            }
            return Some(record);
        }
        self.execution.stop_here(StopReason::Park(self.mismatch(record, operation))).await
    }

    /// Whether what follows this recorded operation is new. That is so behind a sleep, which is recorded when it begins: behind
    /// the last record, and where nothing is recorded in its branch behind it. A branch other than the body ends, and the
    /// body may have records behind that, unless another branch does something new. In a verification nothing is new.
    fn is_new_behind(&self, operation: Operation<'_>, is_last: bool) -> bool {
        let in_body_or_beside_new = || self.position.branch.is_empty() || !self.execution.is_replaying();
        self.execution.replay_check().is_none()
            && matches!(operation.kind, "sleep" | "deadline")
            && (is_last
                || operation.kind == "sleep"
                    && in_body_or_beside_new()
                    && !self.execution.has_records_behind(&self.position))
    }

    /// The reason to park a workflow whose record is of another operation.
    fn mismatch(&self, record: &Record, operation: Operation<'_>) -> String {
        let repair = if record.kind == Operation::patch("").kind {
            format!(
                "bring `durable::patch({0:?})` back there, or `durable::deprecate_patch({0:?})`, or deploy the version that has it",
                record.name
            )
        } else if record.kind == operation.kind && matches!(operation.kind, "step" | "transaction" | "workflow") {
            format!(
                "restore the earlier order of calls, give what was only renamed its earlier name (`name = {:?}`), or deploy the earlier version",
                record.name
            )
        } else {
            "restore the earlier order of calls, or deploy the earlier version".to_owned()
        };
        format!(
            "at position {} this workflow recorded the {} `{}`, and the code now calls the {} `{}` there; {repair}",
            self.position, record.kind, record.name, operation.kind, operation.name
        )
    }

    /// Decodes a recorded outcome. A record that cannot be decoded parks the workflow, because no other
    /// run could decode it either. A recorded panic ends the workflow as it did the first time.
    pub(crate) async fn decode<R>(&self, codec: Codec<R>, record: &Record) -> R {
        let outcome = record.outcome.clone().unwrap_or_else(|| Outcome::Output("null".to_owned()));
        if let Outcome::Error(text) = &outcome
            && let recorded = RecordedError::from_text(text)
            && recorded.panic
        {
            return self.execution.stop_here(StopReason::Fail(recorded.into_error())).await;
        }
        match (codec.decode)(&outcome) {
            Ok(value) => value,
            Err(error) => self.park_unreadable(&record.name, &error).await,
        }
    }

    /// Parks the workflow because a recorded value cannot be decoded.
    pub(crate) fn park_unreadable<R>(&self, name: &str, error: &PayloadError) -> Pending<R> {
        let (id, position) = (&self.execution.row.id, &self.position);
        let reason = format!(
            "the record of `{name}` at position {position} cannot be decoded: {error}; a copy goes on with another result after `durable fork {id} --from N --output-of {position}=JSON`, with the N of a later call"
        );
        self.execution.stop_here(StopReason::Park(reason))
    }

    /// Returns once the operation may begin: the shutdown does not abort yet, the lease holds, and everything
    /// recorded before is durable, so that no side effect depends on a record that can still be lost.
    pub(crate) async fn ensure_accepting_and_flushed(&self) {
        self.ensure_accepting().await;
        self.execution.flush().await;
        self.ensure_accepting().await; // the shutdown may have come meanwhile
    }

    /// Returns once an operation may begin that only writes: earlier records are in its commit or in
    /// an earlier one.
    pub(crate) async fn ensure_accepting(&self) {
        if self.execution.runtime.shutdown.is_aborting() {
            self.execution.stop_here::<()>(StopReason::Suspend).await;
        }
        self.ensure_lease().await;
    }

    /// Returns once the lease certainly holds, which costs nothing unless it has expired by this machine's
    /// clock. If another executor has taken over, the workflow is its own now, and this never returns.
    pub(crate) async fn ensure_lease(&self) {
        let Execution { runtime, fence, .. } = &*self.execution;
        // The wait is boxed, because the futures of all operations contain this one.
        if !runtime.lease.holds(*fence) && !Box::pin(runtime.lease.confirmed(*fence)).await {
            self.execution.stop_here::<()>(StopReason::Lost).await;
        }
    }

    /// Makes the record of an operation.
    pub(crate) fn new_record(&self, operation: Operation<'_>, done: OperationResult) -> NewRecord {
        NewRecord {
            workflow: self.execution.row.key,
            position: self.position.clone(),
            kind: operation.kind,
            name: operation.constant_name.map_or_else(|| operation.name.to_owned().into(), Cow::Borrowed),
            outcome: done.outcome,
            child: done.child,
            failures: (!done.failures.is_empty()).then(|| encode(&done.failures).unwrap_or_default()),
            attempts: i32::try_from(done.attempts).unwrap_or(i32::MAX),
            ran_for: done.ran_for,
        }
    }

    /// Records the result of an operation, which is durable before anything depends on it. A result
    /// that is too large ends the workflow, before anything is written.
    pub(crate) fn record_result(
        &self,
        operation: Operation<'_>,
        done: OperationResult,
    ) -> impl Future<Output = ()> + Send + use<> {
        pend_unless(self.try_record_result(operation, done))
    }

    fn try_record_result(&self, operation: Operation<'_>, done: OperationResult) -> bool {
        let size = done.outcome.as_ref().map_or(0, Outcome::len);
        let what =
            || format!("the result of the {} `{}` at position {}", operation.kind, operation.name, self.position);
        if let Err(error) = self.execution.runtime.check_size(what, size) {
            self.execution.request_stop(StopReason::Fail(error));
            return false;
        }
        self.execution.record(self.new_record(operation, done));
        true
    }

    /// Encodes the result of an operation.
    ///
    /// # Errors
    /// The value cannot be encoded. That ends the workflow: it is a bug of the program, and another run
    /// would meet it again.
    pub(crate) fn encode<R>(&self, codec: Codec<R>, operation: Operation<'_>, value: &R) -> Result<Outcome, Error> {
        (codec.encode)(value).map_err(|error| {
            let Operation { kind, name, .. } = operation;
            let message =
                format!("the result of the {kind} `{name}` at position {} cannot be recorded: {error}", self.position);
            Error::new(ErrorKind::Payload, message)
        })
    }
}
