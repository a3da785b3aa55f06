//! How an execution hands its records to the writer, and waits until they are durable.

use std::future::{pending, poll_fn};
use std::sync::{Arc, Weak};

use crate::journal::execution::Execution;
use crate::journal::pending_writes::PendingWrites;
use crate::journal::piggyback::PiggybackedRecords;
use crate::runtime::changes::Change;
use crate::runtime::late_records::UnsentRecords;
use crate::runtime::stop_reason::StopReason;
use crate::store::{Entry, NewRecord, Publication, StoreError, StoreErrorKind, Verdict};
use crate::types::keys::MessageKey;
use crate::types::sync::lock;
use crate::writer::completion::{CompletesBatches, Completion};

impl Execution {
    /// Adds a record to what is yet to be written.
    pub(crate) fn record(self: &Arc<Self>, record: NewRecord) {
        self.add(|pending| pending.add_record(record));
    }

    /// Adds something that is yet to be written. If the body computes instead of waiting, a thread sends it.
    fn add(self: &Arc<Self>, add: impl FnOnce(&mut PendingWrites)) {
        let begun = {
            let mut pending = lock(&self.pending);
            let before = pending.flush_target();
            add(&mut pending);
            let target = pending.flush_target();
            (target > before).then_some(target)
        };
        if let Some(batch) = begun {
            let run: Weak<Self> = Arc::downgrade(self);
            self.runtime.late_records.note(run, batch);
        }
        self.count_operations(1);
    }

    /// Adds an event or a stream item, with the record of it.
    pub(crate) fn publish(self: &Arc<Self>, record: NewRecord, publication: Publication) {
        self.add(|pending| pending.add_publication(record, publication));
    }

    /// Receives a message, unless another call of this run received it first: the record holds the
    /// payload.
    pub(crate) fn receive(self: &Arc<Self>, message: MessageKey, record: impl FnOnce() -> NewRecord) -> bool {
        let first = lock(&self.cold().received).insert(message);
        if first {
            self.add(|pending| pending.add_received(record(), message));
        }
        first
    }

    /// Hands everything unsent to the writer, without waiting.
    pub(crate) fn send_pending(self: &Arc<Self>) {
        // The lock is held until the batch is handed over, so that batches reach the writer in the
        // order of their numbers.
        let mut pending = lock(&self.pending);
        if let Some((number, entry)) = pending.take_batch() {
            self.send_batch(number, entry);
        }
    }

    fn send_batch(self: &Arc<Self>, number: u64, entry: Entry) {
        if entry.has_only_records() {
            let completion = Completion::of_batch(Arc::<Self>::clone(self), number);
            self.runtime.writer.submit(self.fence, entry, completion);
        } else {
            self.send_batch_then(number, entry, drop);
        }
    }

    fn send_batch_then(
        self: &Arc<Self>,
        number: u64,
        entry: Entry,
        then: impl FnOnce(Result<Verdict, StopReason>) + Send + 'static,
    ) {
        let execution = Arc::clone(self);
        let changes = Change::from_entry(&entry, Some(&self.row.id));
        let completion = Completion::new(move |verdict| then(execution.on_verdict(number, &changes, verdict)));
        self.runtime.writer.submit(self.fence, entry, completion);
    }

    fn on_verdict(
        &self,
        number: u64,
        changes: &[Change],
        verdict: Result<Verdict, StoreError>,
    ) -> Result<Verdict, StopReason> {
        let reason = match verdict {
            Ok(stored @ (Verdict::Stored | Verdict::Existing(_) | Verdict::Debounced(_))) => {
                self.runtime.announce(changes);
                self.watermark.advance_to(number);
                return Ok(stored);
            }
            Ok(refused @ (Verdict::NoReceiver { .. } | Verdict::Duplicate(_))) => {
                self.watermark.advance_to(number); // nothing else was in this batch
                return Ok(refused);
            }
            Ok(Verdict::Superseded) => StopReason::Replay,
            Ok(Verdict::Fenced) => StopReason::Lost,
            Err(error) => stop_reason_for(&error),
        };
        self.watermark.fail(reason.clone());
        self.request_stop(reason.clone());
        Err(reason)
    }

    /// Returns once everything recorded so far is durable. If that is impossible it never returns: the
    /// driver has been given the reason to stop.
    pub(crate) async fn flush(self: &Arc<Self>) {
        if self.try_flush().await.is_err() {
            pending::<()>().await;
        }
    }

    /// The same for the driver, which needs the reason.
    pub(crate) async fn try_flush(self: &Arc<Self>) -> Result<(), StopReason> {
        let target = lock(&self.pending).flush_target();
        poll_fn(|cx| {
            let flushed = self.watermark.poll_durable(target, cx);
            if flushed.is_pending() {
                self.send_pending(); // a transaction may have ended since the last try
            }
            flushed
        })
        .await
    }

    /// Takes what is unsent for the commit of a transaction, once everything sent is durable. With
    /// branches running nothing is taken, because they would have to wait for the whole transaction;
    /// and only records are taken. What is not taken is durable when this returns.
    ///
    /// # Errors
    /// The reason why the execution stops.
    pub(crate) async fn take_piggyback(self: &Arc<Self>) -> Result<PiggybackedRecords, StopReason> {
        if self.has_branches() || !lock(&self.pending).has_only_records() {
            self.try_flush().await?;
            return Ok(PiggybackedRecords::empty(self));
        }
        poll_fn(|cx| {
            let mut pending = lock(&self.pending);
            self.watermark.poll_durable(pending.last_batch(), cx).map_ok(|()| {
                let records = pending.take_for_transaction().unwrap_or_default();
                PiggybackedRecords::new(self, records)
            })
        })
        .await
    }

    /// The transaction that the records were in is committed.
    pub(super) fn piggyback_committed(&self) {
        let durable = lock(&self.pending).transaction_committed();
        self.watermark.advance_to(durable);
    }

    /// The transaction that the records were in was undone: they are unsent again.
    pub(super) fn restore_piggyback(&self, records: Vec<NewRecord>) {
        lock(&self.pending).transaction_undone(records);
        self.watermark.wake_all();
    }

    /// Writes an entry together with everything unsent, and gives its verdict.
    ///
    /// Other branches wait for it as for every batch: their records may be in it.
    ///
    /// # Errors
    /// The reason why the execution stops, when the entry or something before it cannot be stored.
    pub(crate) async fn write(self: &Arc<Self>, entry: Entry) -> Result<Verdict, StopReason> {
        self.write_then(entry, |_| {}).await
    }

    /// The same, and calls `then` with the verdict once the entry is stored, also if the caller no longer
    /// waits. What has to follow the commit is done there; it must not block.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub(crate) async fn write_then(
        self: &Arc<Self>,
        entry: Entry,
        then: impl FnOnce(&Verdict) + Send + 'static,
    ) -> Result<Verdict, StopReason> {
        let mut then = Some(then);
        let earlier = lock(&self.pending).last_batch();
        let records = entry.records.len();
        let mut entry = Some(entry);
        let answer = poll_fn(|cx| {
            let mut pending = lock(&self.pending);
            let target =
                if pending.is_in_transaction() { pending.last_batch() } else { earlier.min(pending.last_batch()) };
            self.watermark.poll_durable(target, cx).map_ok(|()| {
                let (sender, answer) = tokio::sync::oneshot::channel();
                if let Some(entry) = entry.take() {
                    let (before, (number, entry)) = pending.take_with(entry);
                    if let Some((number, unsent)) = before {
                        self.send_batch(number, unsent);
                    }
                    // The entry is written also if the caller no longer waits.
                    let then = then.take();
                    self.send_batch_then(number, entry, move |verdict| {
                        if let (Ok(verdict), Some(then)) = (&verdict, then) {
                            then(verdict);
                        }
                        drop(sender.send(verdict));
                    });
                }
                answer
            })
        })
        .await?;
        // The writer always answers, unless the process ends.
        let verdict = answer.await.unwrap_or(Err(StopReason::Suspend));
        if verdict.is_ok() {
            self.count_operations(records);
        }
        verdict
    }

    /// Writes an entry by itself, where what came before it can never be stored.
    ///
    /// # Errors
    /// The reason why the execution stops.
    pub(crate) async fn write_alone(&self, entry: Entry) -> Result<Verdict, StopReason> {
        match self.runtime.write(self.fence, entry, Some(&self.row.id)).await {
            Ok(Verdict::Superseded) => Err(StopReason::Replay),
            Ok(Verdict::Fenced) => Err(StopReason::Lost),
            Ok(stored) => Ok(stored),
            Err(error) => Err(stop_reason_for(&error)),
        }
    }
}

impl CompletesBatches for Execution {
    fn complete_batch(&self, number: u64, verdict: Result<Verdict, StoreError>, records: Vec<NewRecord>) {
        match verdict {
            Ok(Verdict::Stored) => self.watermark.advance_with(number, records),
            // A run that has to stop is given the reason by that.
            verdict => drop(self.on_verdict(number, &[], verdict)),
        }
    }
}

impl UnsentRecords for Execution {
    fn send_late(self: Arc<Self>, batch: u64) -> bool {
        let mut pending = lock(&self.pending);
        if !pending.is_unsent(batch) {
            return false;
        }
        if pending.is_in_transaction() {
            return true;
        }
        if let Some((number, entry)) = pending.take_batch() {
            self.send_batch(number, entry);
        }
        false
    }
}

/// What an error of the store means for the execution that wanted to write.
fn stop_reason_for(error: &StoreError) -> StopReason {
    match error.kind {
        StoreErrorKind::Refused => {
            StopReason::Park(format!("the database refuses what this workflow wants to record: {error}"))
        }
        // The writer gives up what is not refused only when the engine shuts down.
        StoreErrorKind::Closed
        | StoreErrorKind::Unreachable
        | StoreErrorKind::Unavailable
        | StoreErrorKind::Contended
        | StoreErrorKind::Foreign => StopReason::Suspend,
    }
}
