//! The statements of this store that are kept as snapshots.

use std::sync::Arc;

use super::Statements;
use super::batch_sql::{Kinds, statement};
use super::schema::Schema;
use crate::store::compare_snapshots::compare;

#[test]
fn statements_are_those_of_the_snapshots() {
    let schema = Schema::new("durable").expect("it is a good name");
    let sql = Statements::new(&|text| schema.render(text));
    let batch = |kinds: &[usize]| schema.render(&statement(Kinds(kinds.iter().sum())));
    let usual = [Kinds::USUAL_STARTS, Kinds::USUAL_RECORDS, Kinds::USUAL_FINISHES];
    compare(
        "postgres",
        &[
            ("start", Arc::clone(&sql.single_rows.start)),
            ("record", Arc::clone(&sql.single_rows.record)),
            ("finish", Arc::clone(&sql.single_rows.finish)),
            ("record_and_finish", Arc::clone(&sql.commit.record_and_finish)),
            ("enqueue", Arc::clone(&sql.enqueue.enqueue)),
            ("debounce", Arc::clone(&sql.enqueue.debounce)),
            ("batch_starts", batch(&[Kinds::STARTS])),
            ("batch_queued", batch(&[Kinds::QUEUED])),
            ("batch_records", batch(&[Kinds::RECORDS])),
            ("batch_finishes", batch(&[Kinds::FINISHES])),
            ("batch_records_and_finishes", batch(&[Kinds::RECORDS, Kinds::FINISHES])),
            ("batch_starts_and_records", batch(&[Kinds::STARTS, Kinds::RECORDS])),
            ("batch_starts_records_and_finishes", batch(&[Kinds::STARTS, Kinds::RECORDS, Kinds::FINISHES])),
            (
                "batch_usual_starts_records_and_finishes",
                batch(&[&usual[..], &[Kinds::STARTS, Kinds::RECORDS, Kinds::FINISHES]].concat()),
            ),
            ("batch_usual_queued", batch(&[Kinds::QUEUED, Kinds::USUAL_QUEUED])),
            ("batch_messages_and_records", batch(&[Kinds::MESSAGES, Kinds::RECORDS])),
            ("batch_of_all_kinds", batch(&[Kinds::ALL])),
            ("claim", Arc::clone(&sql.claim.claim)),
            ("claim_by_kind", Arc::clone(&sql.claim.claim_by_kind)),
            ("claim_limited_in_order", Arc::clone(&sql.claim_limited.in_order)),
            ("claim_limited_by_partition", Arc::clone(&sql.claim_turns.by_partition_turns)),
            ("claim_next_turn", Arc::clone(&sql.claim_turns.next_turn)),
            ("promote", Arc::clone(&sql.claim.promote)),
            ("heartbeat", Arc::clone(&sql.takeover.heartbeat)),
            ("take_over", Arc::clone(&sql.takeover.take_over)),
            ("poll", Arc::clone(&sql.poll.poll)),
            ("cancel", Arc::clone(&sql.control.cancel)),
        ],
    );
}
