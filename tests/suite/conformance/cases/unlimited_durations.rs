//! Durations such as `Duration::MAX`.

use std::time::Duration;

use durable_core::store::{NewWorkflow, Store, Timestamp, Verdict};

use crate::support::store_database::StoreDatabase;
use crate::support::store_queues::{
    claim, claim_ids, declare_queues, enqueue, enqueue_together, on_queue, queued_workflow, with_debounce, with_delay,
    with_rate_limit,
};
use crate::support::store_rows::{begin, cancel, commit, register_executor};

/// The last microsecond of the year 9999.
pub(super) const LATEST: Timestamp = Timestamp::from_micros(253_402_300_799_999_999);

const HOUR: Duration = Duration::from_hours(1);

/// When the next delayed workflow is due.
async fn next_due(store: &dyn Store) -> Option<Timestamp> {
    let promoted = store.promote().await.unwrap();
    assert!(promoted.queues.is_empty(), "nothing is due yet");
    promoted.next_due
}

pub(crate) async fn an_unlimited_delay_is_due_at_the_end_of_the_year_9999(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    enqueue(&*store, me, "alone", with_delay(Duration::MAX)).await;
    assert_eq!(next_due(&*store).await, Some(LATEST), "alone");
    cancel(&*store, "alone", "by hand").await;
    let two = [queued_workflow("one of two", with_delay(Duration::MAX)), queued_workflow("in time", with_delay(HOUR))];
    enqueue_together(&*store, me, &two).await;
    assert!(next_due(&*store).await.is_some_and(|it| it < LATEST), "in time");
    cancel(&*store, "in time", "by hand").await;
    assert_eq!(next_due(&*store).await, Some(LATEST), "one of two");
    cancel(&*store, "one of two", "by hand").await;
    for (id, longest) in [("debounced", None), ("again", None), ("bounded", Some(Duration::MAX))] {
        enqueue(&*store, me, id, with_debounce(id, Duration::MAX, longest)).await;
        assert_eq!(next_due(&*store).await, Some(LATEST), "{id}");
        let again = begin(&queued_workflow("the second call", with_debounce(id, Duration::MAX, longest)));
        assert!(matches!(commit(&*store, me, again).await, Verdict::Debounced(_)));
        assert_eq!(next_due(&*store).await, Some(LATEST), "{id}");
        cancel(&*store, id, "by hand").await;
    }
    enqueue(&*store, me, "soon", with_debounce("soon", HOUR, Some(Duration::MAX))).await;
    assert!(next_due(&*store).await.is_some_and(|it| it < LATEST), "soon");
}

pub(crate) async fn an_unlimited_timeout_ends_with_the_year_9999(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    let endless = |id: &str| NewWorkflow { timeout: Some(Duration::MAX), ..queued_workflow(id, on_queue()) };
    commit(&*store, me, begin(&endless("alone"))).await;
    enqueue_together(&*store, me, &[endless("one of two"), queued_workflow("beside", on_queue())]).await;
    let deadlines: Vec<_> = claim(&*store, me, 9).await.runs.into_iter().map(|it| it.deadline).collect();
    assert_eq!(deadlines, [Some(LATEST), Some(LATEST), None]);
}

pub(crate) async fn an_unlimited_rate_window_never_ends(StoreDatabase { store, .. }: StoreDatabase) {
    let me = register_executor(&*store, "a").await;
    declare_queues(&*store, with_rate_limit(1, Duration::MAX)).await;
    enqueue_together(&*store, me, &[queued_workflow("first", on_queue()), queued_workflow("second", on_queue())]).await;
    assert_eq!(claim_ids(&*store, me, 9).await, ["first"]);
    let claimed = claim(&*store, me, 9).await;
    assert!(claimed.runs.is_empty() && claimed.next_at > Some(LATEST), "{claimed:?}");
}
