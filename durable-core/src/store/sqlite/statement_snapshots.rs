//! The statements of this store that are kept as snapshots. The multi-row statements are shown with their
//! smallest number of rows.

use std::sync::Arc;

use super::{Statements, render};
use crate::store::compare_snapshots::compare;

#[test]
fn statements_are_those_of_the_snapshots() {
    let sql = Statements::new(&render);
    let smallest = |statement: &super::batch_sql::SizedStatement| Arc::clone(statement.of(1).0);
    compare(
        "sqlite",
        &[
            ("start", Arc::clone(&sql.single_rows.start)),
            ("record", Arc::clone(&sql.single_rows.record)),
            ("finish", Arc::clone(&sql.single_rows.finish)),
            ("enqueue", Arc::clone(&sql.enqueue.enqueue)),
            ("debounce", Arc::clone(&sql.enqueue.debounce)),
            ("batch_starts", smallest(sql.batch_sql.starts.of(false))),
            ("batch_usual_starts", smallest(sql.batch_sql.starts.of(true))),
            ("batch_queued", smallest(&sql.batch_sql.queued)),
            ("batch_records", smallest(sql.batch_sql.records.of(false))),
            ("batch_usual_records", smallest(sql.batch_sql.records.of(true))),
            ("batch_finishes", smallest(sql.batch_sql.finishes.of(false))),
            ("batch_usual_finishes", smallest(sql.batch_sql.finishes.of(true))),
            ("batch_messages", smallest(&sql.batch_sql.messages)),
            ("batch_events", smallest(&sql.batch_sql.events)),
            ("batch_items", smallest(&sql.batch_sql.items)),
            ("claim", Arc::clone(&sql.claim.claim)),
            ("claim_by_kind", Arc::clone(&sql.claim.claim_by_kind)),
            ("claim_limited_in_order", Arc::clone(&sql.claim_limited.in_order)),
            ("claim_limited_by_partition", Arc::clone(&sql.claim_turns.by_partition_turns)),
            ("claim_next_turn", Arc::clone(&sql.claim_turns.next_turn)),
            ("promote", Arc::clone(&sql.claim.promote)),
            ("take_over", Arc::clone(&sql.takeover.take_over)),
            ("poll", Arc::clone(&sql.poll.poll)),
            ("cancel", Arc::clone(&sql.control.cancel)),
        ],
    );
}
