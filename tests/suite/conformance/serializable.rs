//! Concurrent commits where transactions are serializable by default: the engine's have the level that they are made
//! for, or they would fail for each other.

use super::cases::concurrent_commits;

macro_rules! serializable_store_passes {
    ($($case:ident),+ $(,)?) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        #[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
        async fn $case() {
            crate::support::store_database::in_serializable_postgres(concurrent_commits::$case).await;
        })+
    };
}

serializable_store_passes! {
    a_takeover_waits_for_a_commit_in_flight,
    two_executors_take_over_different_workflows,
    two_executors_starting_the_same_ids_start_each_once,
    two_senders_with_the_same_idempotency_keys_deliver_once,
    cancelling_a_tree_races_with_its_workflows_ending,
    of_two_records_for_one_position_one_is_stored,
}
