//! Records of steps that go into the commit of the transaction behind them.

use std::sync::Arc;

use crate::journal::execution::Execution;
use crate::store::NewRecord;

/// Records that go into the commit of a transaction. Nothing else of the execution is sent meanwhile.
///
/// Unless [`committed`](Self::committed) is called they become unsent again when this is dropped:
/// the transaction was undone, or its caller is gone. If it was committed after all, the store
/// recognizes the records when they are sent again.
#[derive(Debug)]
pub(crate) struct PiggybackedRecords {
    execution: Arc<Execution>,
    records: Vec<NewRecord>,
}

impl PiggybackedRecords {
    pub(super) fn new(execution: &Arc<Execution>, records: Vec<NewRecord>) -> Self {
        Self { execution: Arc::clone(execution), records }
    }

    /// No records: other writes of the execution go on beside the transaction.
    pub(super) fn empty(execution: &Arc<Execution>) -> Self {
        Self::new(execution, Vec::new())
    }

    pub(crate) fn records(&self) -> &[NewRecord] {
        &self.records
    }

    /// The transaction is committed, with these records and its own.
    pub(crate) fn committed(mut self) {
        if !std::mem::take(&mut self.records).is_empty() {
            self.execution.piggyback_committed();
        }
        self.execution.count_operations(1); // the transaction's own record
    }
}

impl Drop for PiggybackedRecords {
    fn drop(&mut self) {
        let records = std::mem::take(&mut self.records);
        if !records.is_empty() {
            self.execution.restore_piggyback(records);
        }
    }
}
