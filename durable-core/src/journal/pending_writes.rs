//! The pending writes of an execution, as a state machine without locks, tasks or a database.

use crate::store::{Entry, NewRecord, Publication};
use crate::types::keys::MessageKey;

/// Records that the body has moved past and that nothing depends on yet.
///
/// The value of a step is handed to the body before its record is durable. What depends on the
/// record, which is the next side effect and the end of the workflow, waits for it. So the record of
/// the last step and the end of the workflow share a commit.
///
/// What is sent is numbered: batch 1, 2, 3 … reach the writer in this order, and become durable in
/// this order. At any time the execution is in one of four states:
///
/// | state | `unsent` | last batch | next |
/// |---|---|---|---|
/// | idle | none | durable | an operation adds a record |
/// | collecting | some | durable, or with the writer | [`take_batch`](Self::take_batch) |
/// | sending | none | with the writer | the writer's verdict |
/// | in a transaction | any | in the commit of a user's transaction | [`transaction_committed`](Self::transaction_committed) or [`transaction_undone`](Self::transaction_undone) |
#[derive(Debug, Default)]
pub(super) struct PendingWrites {
    /// Boxed, because a waiting workflow has nothing unsent.
    unsent: Option<Box<Entry>>,
    /// The number of the last batch that was handed to the writer or to a transaction.
    last_batch: u64,
    /// Whether the last batch is in a transaction, which can still be undone. Nothing is sent until
    /// then, because what was recorded later must not become durable earlier.
    in_transaction: bool,
}

/// A batch with its number.
pub(super) type NumberedBatch = (u64, Entry);

impl PendingWrites {
    /// Adds a record.
    pub(super) fn add_record(&mut self, record: NewRecord) {
        self.unsent_with(record);
    }

    /// What is unsent, with this record added.
    fn unsent_with(&mut self, record: NewRecord) -> &mut Entry {
        let unsent = self.unsent.get_or_insert_default();
        if unsent.records.is_empty() {
            unsent.records.reserve_exact(1); // most batches have one record
        }
        unsent.records.push(record);
        unsent
    }

    /// Whether something is unsent, and would be the batch with this number.
    pub(super) fn is_unsent(&self, batch: u64) -> bool {
        self.unsent.is_some() && self.flush_target() == batch
    }

    /// Adds an event or a stream item with its record.
    pub(super) fn add_publication(&mut self, record: NewRecord, publication: Publication) {
        self.unsent_with(record).publications.push(publication);
    }

    /// Adds the key of a received message with the record of it.
    pub(super) fn add_received(&mut self, record: NewRecord, message: MessageKey) {
        self.unsent_with(record).received.push(message);
    }

    /// The number of the last batch.
    pub(super) fn last_batch(&self) -> u64 {
        self.last_batch
    }

    pub(super) fn is_in_transaction(&self) -> bool {
        self.in_transaction
    }

    /// Whether everything unsent is records, so that it can go into the commit of a transaction.
    pub(super) fn has_only_records(&self) -> bool {
        self.unsent.as_ref().is_none_or(|it| it.has_only_records())
    }

    /// The batch that has to be durable before everything recorded so far is. What is not sent yet
    /// will be the next batch, also if the batch in a transaction comes back first.
    pub(super) fn flush_target(&self) -> u64 {
        self.last_batch + u64::from(self.unsent.is_some())
    }

    /// Takes what is unsent as the next batch; `None` while there is nothing, or while the last batch
    /// is in a transaction.
    pub(super) fn take_batch(&mut self) -> Option<NumberedBatch> {
        if self.in_transaction {
            return None;
        }
        let entry = self.unsent.take()?;
        Some((self.number_batch(), *entry))
    }

    /// Takes an entry of the caller's as the next batch, behind everything unsent.
    ///
    /// What is unsent goes into the same batch, unless the database can refuse the entry: then it is
    /// the batch before, because what is refused takes its whole batch with it.
    pub(super) fn take_with(&mut self, mut entry: Entry) -> (Option<NumberedBatch>, NumberedBatch) {
        debug_assert!(!self.in_transaction, "nothing is sent while the last batch can be undone");
        let before = match self.unsent.take() {
            None => None,
            Some(unsent) if !entry.can_be_refused() => {
                entry.prepend(*unsent);
                None
            }
            Some(unsent) => Some((self.number_batch(), *unsent)),
        };
        (before, (self.number_batch(), entry))
    }

    /// Takes the unsent records for the commit of a transaction; `None` if there are none. All earlier
    /// batches are durable.
    pub(super) fn take_for_transaction(&mut self) -> Option<Vec<NewRecord>> {
        debug_assert!(!self.in_transaction && self.has_only_records());
        let unsent = self.unsent.take()?;
        self.in_transaction = true;
        self.number_batch();
        Some(unsent.records)
    }

    /// The transaction is committed: gives the number of the batch that is durable now.
    pub(super) fn transaction_committed(&mut self) -> u64 {
        debug_assert!(self.in_transaction);
        self.in_transaction = false;
        self.last_batch
    }

    /// The transaction was undone: its records are unsent again, before those added since.
    pub(super) fn transaction_undone(&mut self, mut records: Vec<NewRecord>) {
        debug_assert!(self.in_transaction);
        let unsent = self.unsent.get_or_insert_default();
        records.append(&mut unsent.records);
        unsent.records = records;
        self.in_transaction = false;
        self.last_batch -= 1;
    }

    fn number_batch(&mut self) -> u64 {
        self.last_batch += 1;
        self.last_batch
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::types::keys::WorkflowKey;
    use crate::types::position::Position;

    fn record(number: i32) -> NewRecord {
        NewRecord {
            workflow: WorkflowKey::new(1),
            position: Position::new("", number),
            kind: "step",
            name: "charge".into(),
            outcome: None,
            child: None,
            attempts: 1,
            failures: None,
            ran_for: Duration::ZERO,
        }
    }

    fn numbers(records: &[NewRecord]) -> Vec<i32> {
        records.iter().map(|it| it.position.number).collect()
    }

    #[test]
    fn records_that_were_added_together_are_one_batch() {
        let mut pending = PendingWrites::default();
        assert!(pending.take_batch().is_none(), "nothing was added");
        pending.add_record(record(1));
        pending.add_record(record(2));
        assert_eq!((pending.last_batch(), pending.flush_target()), (0, 1));
        let (number, entry) = pending.take_batch().expect("there are two records");
        assert_eq!((number, numbers(&entry.records)), (1, vec![1, 2]));
        assert_eq!(pending.flush_target(), 1, "nothing is unsent");
    }

    #[test]
    fn nothing_is_sent_while_a_transaction_can_be_undone() {
        let mut pending = PendingWrites::default();
        pending.add_record(record(1));
        assert_eq!(numbers(&pending.take_for_transaction().expect("there is a record")), [1]);
        pending.add_record(record(2));
        assert!(pending.take_batch().is_none());
        assert_eq!(pending.flush_target(), 2);
        assert_eq!(pending.transaction_committed(), 1);
        assert_eq!(pending.take_batch().expect("it may be sent now").0, 2);
    }

    #[test]
    fn the_records_of_an_undone_transaction_come_first_again() {
        let mut pending = PendingWrites::default();
        pending.add_record(record(1));
        let records = pending.take_for_transaction().expect("there is a record");
        pending.add_record(record(2));
        pending.transaction_undone(records);
        let (number, entry) = pending.take_batch().expect("they are unsent again");
        assert_eq!((number, numbers(&entry.records)), (1, vec![1, 2]));
    }

    #[test]
    fn an_entry_that_can_be_refused_does_not_take_earlier_records_with_it() {
        let mut pending = PendingWrites::default();
        pending.add_record(record(1));
        let message = crate::store::NewMessage {
            key: MessageKey::new(1),
            to: "another".to_owned(),
            topic: "paid".to_owned(),
            payload: "1".to_owned(),
            idempotency_key: None,
        };
        let entry = Entry { records: vec![record(2)], messages: vec![message], ..Entry::default() };
        let (before, (number, entry)) = pending.take_with(entry);
        assert_eq!(before.map(|(number, it)| (number, numbers(&it.records))), Some((1, vec![1])));
        assert_eq!((number, numbers(&entry.records)), (2, vec![2]));

        pending.add_record(record(3));
        let (before, (number, entry)) = pending.take_with(Entry { records: vec![record(4)], ..Entry::default() });
        assert!(before.is_none());
        assert_eq!((number, numbers(&entry.records)), (3, vec![3, 4]));
    }

    /// What an execution can do next.
    #[derive(Debug, Clone, Copy)]
    enum Action {
        Add,
        Send,
        Write,
        Begin,
        Commit,
        Undo,
    }

    proptest! {
        #[test]
        fn all_records_become_durable_once_and_in_order(
            actions in prop::collection::vec(
                prop::sample::select(vec![Action::Add, Action::Add, Action::Send, Action::Write, Action::Begin, Action::Commit, Action::Undo]),
                0..200,
            )
        ) {
            let mut pending = PendingWrites::default();
            let (mut added, mut sent, mut batch) = (0, Vec::new(), 0);
            let mut transaction: Option<Vec<NewRecord>> = None;
            for action in actions {
                let busy = transaction.is_some();
                match action {
                    Action::Add => {
                        added += 1;
                        pending.add_record(record(added));
                    }
                    Action::Send => if let Some((number, entry)) = pending.take_batch() {
                        prop_assert!(!busy, "nothing overtakes a transaction");
                        prop_assert_eq!(number, batch + 1);
                        batch = number;
                        sent.extend(numbers(&entry.records));
                    },
                    Action::Write if !busy => {
                        added += 1;
                        let (before, (number, entry)) =
                            pending.take_with(Entry { records: vec![record(added)], ..Entry::default() });
                        prop_assert!(before.is_none());
                        prop_assert_eq!(number, batch + 1);
                        batch = number;
                        sent.extend(numbers(&entry.records));
                    }
                    Action::Begin if !busy => transaction = pending.take_for_transaction(),
                    Action::Commit => if let Some(records) = transaction.take() {
                        batch += 1;
                        prop_assert_eq!(pending.transaction_committed(), batch);
                        sent.extend(numbers(&records));
                    },
                    Action::Undo => if let Some(records) = transaction.take() {
                        pending.transaction_undone(records);
                    },
                    Action::Write | Action::Begin => {}
                }
                prop_assert!(pending.flush_target() >= pending.last_batch());
            }
            if let Some(records) = transaction.take() {
                pending.transaction_undone(records);
            }
            if let Some((_, entry)) = pending.take_batch() {
                sent.extend(numbers(&entry.records));
            }
            prop_assert_eq!(sent, (1..=added).collect::<Vec<_>>());
        }
    }
}
