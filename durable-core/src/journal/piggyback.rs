//! Records that ride with the commit of a transaction.

use std::sync::Arc;

use crate::journal::execution::Execution;
use crate::store::NewRecord;

/// Records that ride with the commit of a transaction, while nothing else of the execution is sent.
///
/// Unless it is said that they have arrived they are put back when this is dropped: the transaction
/// was undone, or nobody waits for it any more. If they had arrived after all, they are found to be
/// there when they are sent again.
#[derive(Debug)]
pub(crate) struct PiggybackedRecords {
    execution: Arc<Execution>,
    records: Vec<NewRecord>,
}

impl PiggybackedRecords {
    pub(crate) fn new(execution: &Arc<Execution>, records: Vec<NewRecord>) -> Self {
        Self { execution: Arc::clone(execution), records }
    }

    /// Nothing rides, and everything else may be sent.
    pub(crate) fn empty(execution: &Arc<Execution>) -> Self {
        Self::new(execution, Vec::new())
    }

    pub(crate) fn records(&self) -> &[NewRecord] {
        &self.records
    }

    /// The transaction is committed.
    pub(crate) fn committed(mut self) {
        if !std::mem::take(&mut self.records).is_empty() {
            self.execution.piggyback_committed();
        }
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
