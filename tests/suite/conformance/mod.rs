//! The requirements for every store. Each case runs on each store; the engine can run on a store that passes them.

#![allow(clippy::unwrap_used, reason = "an error of a store fails the case, and shows itself")]

mod cases;

/// Makes one test per case and store. The cases of the first list need only one store. Those of the second
/// list open the database twice, which is impossible in memory.
macro_rules! every_store_passes {
    (
        alone { $($topic:ident: $($case:ident,)+ ;)+ }
        shared { $($shared_topic:ident: $($shared_case:ident,)+ ;)+ }
    ) => {
        mod memory {
            $(mod $topic {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    crate::support::store_database::in_memory(super::super::cases::$topic::$case).await;
                })+
            })+
        }
        mod sqlite {
            $(mod $topic {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    crate::support::store_database::in_sqlite(super::super::cases::$topic::$case).await;
                })+
            })+
            $(mod $shared_topic {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $shared_case() {
                    crate::support::store_database::in_sqlite(super::super::cases::$shared_topic::$shared_case).await;
                })+
            })+
        }
        mod postgres {
            $(mod $topic {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                #[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
                async fn $case() {
                    crate::support::store_database::in_postgres(super::super::cases::$topic::$case).await;
                })+
            })+
            $(mod $shared_topic {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                #[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
                async fn $shared_case() {
                    crate::support::store_database::in_postgres(super::super::cases::$shared_topic::$shared_case).await;
                })+
            })+
        }
    };
}

every_store_passes! {
    alone {
        writes_of_clients:
            a_start_of_a_client_that_is_sent_again_starts_one_workflow,
            a_debounced_start_of_a_client_gives_its_arguments_to_the_delayed_one,
            a_start_of_a_client_has_a_queue_and_the_key_that_the_queue_asks_for,
            a_message_of_a_client_that_is_sent_again_is_received_once,
        ;
        commit_verdicts:
            a_record_is_stored_once,
            an_equal_existing_record_counts_as_stored,
            a_started_workflow_is_stored_as_given,
            a_second_start_with_an_id_attaches_to_the_first,
            a_run_ends_once,
            an_end_by_another_run_is_superseded,
            an_end_of_a_cancelled_workflow_is_superseded,
            the_last_record_and_the_end_are_one_commit,
            a_parked_workflow_has_a_reason_and_no_completion,
            an_empty_commit_has_no_verdicts,
        ;
        commit_entries:
            a_lost_race_fails_its_entry_and_no_other,
            a_child_and_its_parents_record_are_stored_together,
            attaching_to_an_existing_child_is_recorded_in_the_parent,
            a_child_id_taken_by_another_workflow_is_recorded_as_an_error,
            a_child_is_not_started_if_its_parents_record_lost_the_race,
            a_child_is_only_started_in_its_parents_run,
            a_superseded_end_discards_only_its_own_records,
            an_entry_with_a_start_and_an_end_is_atomic,
            of_two_ends_in_one_commit_the_second_is_superseded,
            of_two_starts_with_one_id_in_one_commit_one_attaches,
            batches_of_every_size_are_stored_whole,
            each_entry_of_a_mixed_batch_gets_its_own_verdict,
        ;
        commit_retries:
            a_retried_commit_finds_its_own_rows_stored,
            a_retried_commit_stores_what_is_missing,
            a_retried_commit_completes_a_partial_one,
            a_retried_commit_does_not_match_rows_of_another_writer,
        ;
        fencing:
            a_fenced_executor_writes_nothing,
            only_one_of_two_takeovers_succeeds,
            a_removed_executor_writes_nothing,
        ;
        stored_payloads:
            inputs_of_every_size_are_read_as_written,
            a_large_record_is_read_as_written,
            texts_of_every_script_are_read_as_written,
            a_raw_nul_is_refused_and_nothing_is_stored,
        ;
        dead_executors:
            workflows_of_a_dead_executor_are_taken_over_and_counted_as_recovered,
            remaining_work_is_reported,
            taking_over_a_released_workflow_is_not_a_recovery,
            taking_over_from_a_process_that_was_alive_is_not_a_recovery,
            workflows_of_live_executors_are_not_taken_over,
            the_oldest_workflows_are_taken_over_first_up_to_the_limit,
            workflows_unknown_to_the_executor_are_left_and_counted,
            a_workflow_over_its_recovery_limit_is_parked,
            a_fenced_executor_takes_over_nothing,
            a_run_cannot_end_a_workflow_that_was_taken_over,
            a_taken_over_workflow_keeps_its_deadline,
            a_takeover_without_an_answer_can_be_repeated,
            a_release_of_many_workflows_releases_all_but_the_exceptions,
        ;
        executors:
            a_heartbeat_extends_the_lease,
            a_heartbeat_returns_the_databases_time,
            a_heartbeat_reports_expired_executors,
            a_heartbeat_reports_workflows_without_an_owner,
            a_heartbeat_reports_runs_that_are_lost_to_the_executor,
            a_heartbeat_compares_only_the_part_that_it_is_given,
            a_heartbeat_tells_an_executor_that_it_is_fenced,
            an_executor_can_announce_that_it_is_leaving,
            registering_an_executor_twice_is_idempotent,
            an_executor_with_a_stuck_workflow_keeps_its_row,
        ;
        listings:
            cancelling_returns_the_previous_status,
            an_ended_workflow_is_not_cancelled,
            a_listing_can_be_filtered,
            wildcards_in_an_id_prefix_are_literal,
            a_listing_can_be_limited_and_reversed,
            steps_are_listed_in_position_order,
            a_listing_shows_parent_and_executor,
            ended_workflows_are_found_by_id,
        ;
        stored_messages:
            messages_are_received_in_the_order_sent,
            messages_of_one_commit_are_ordered_by_their_keys,
            a_message_without_a_receiver_fails_its_entry_and_no_other,
            a_lone_message_without_a_receiver_is_refused,
            a_parked_workflow_still_receives_messages,
            a_workflow_started_in_the_same_commit_receives_messages,
            a_message_with_the_same_idempotency_key_is_stored_once,
            retrying_a_sent_message_succeeds_after_the_receiver_ended,
            receiving_a_message_commits_with_its_record,
            a_superseded_end_sends_nothing,
            a_workflow_can_send_to_itself_and_end_in_one_commit,
            batches_of_messages_of_every_size_are_stored_whole,
        ;
        events_and_streams:
            all_values_of_an_event_are_kept_as_its_history,
            stream_items_are_read_in_the_order_written,
            reading_a_stream_returns_the_status_of_its_workflow,
            events_and_items_of_one_commit_are_ordered_by_key,
            events_of_a_lost_race_are_not_stored,
        ;
        pinned_versions:
            a_claim_of_one_version_leaves_the_others_in_the_queue,
            a_workflow_of_another_version_holds_up_those_of_its_partition_key,
            a_takeover_of_one_version_leaves_the_others_and_counts_them,
            versions_are_counted_by_status_with_their_living_executors,
            workflows_whose_code_may_have_changed_are_found_if_they_have_records,
        ;
        polling:
            one_poll_finds_everything_waited_for,
            polling_for_nothing_returns_the_time,
            the_last_value_of_an_event_is_found,
            an_event_of_an_ended_or_parked_workflow_is_found_to_be_unset,
            polling_a_stream_finds_items_after_the_mark_only,
            polling_finds_the_executors_own_cancelled_workflows,
            polling_for_thousands_is_one_statement,
        ;
        cancellations:
            cancelling_children_reaches_all_unfinished_descendants,
            cancelling_a_parent_leaves_its_children_running,
            several_workflows_are_cancelled_in_one_commit,
            children_that_are_being_started_are_cancelled_or_refused,
            cancelling_a_workflow_without_an_owner_names_no_executor,
        ;
        store_lifecycle:
            after_close_work_rows_can_still_be_released,
            everything_can_be_dropped_and_migrated_again,
            a_commit_dropped_midway_can_be_retried,
            the_database_time_advances,
        ;
        statement_counts:
            a_lone_row_costs_one_statement_and_one_commit,
            a_last_record_with_its_end_costs_one_statement_and_one_commit,
            a_batch_costs_one_commit,
            an_existing_workflow_costs_no_commit,
            a_lost_race_costs_no_commit,
            executor_operations_execute_a_fixed_number_of_statements,
            what_a_scrape_reads_costs_four_statements,
            a_single_message_or_event_costs_one_statement_and_one_commit,
            a_message_without_a_receiver_costs_no_commit,
            a_batch_of_messages_costs_one_commit,
            reading_events_and_streams_costs_one_statement_each,
            a_cancellation_costs_one_commit,
        ;
        enqueueing:
            an_enqueued_workflow_has_no_executor,
            inputs_of_every_size_can_be_enqueued,
            queued_and_direct_workflows_can_share_a_commit,
            enqueueing_an_existing_id_attaches_to_it,
            a_duplicate_is_refused_and_the_rest_of_the_batch_stored,
            a_deduplication_id_can_be_reused_after_its_workflow_ended,
            of_two_duplicates_in_one_commit_the_first_call_wins,
            of_two_equal_ids_or_debounce_keys_in_one_commit_the_first_call_wins,
            a_retried_enqueue_finds_its_own_rows_stored,
            a_fenced_executor_enqueues_nothing,
            a_workflow_enqueued_in_the_same_commit_receives_messages,
            a_nul_in_a_queue_option_is_refused,
            thousands_can_be_enqueued_in_one_commit,
        ;
        delays_and_debounce:
            a_delayed_workflow_waits_until_it_is_due,
            many_delayed_workflows_can_become_due_at_once,
            a_delayed_workflow_keeps_the_position_of_its_enqueue_time,
            a_debounced_call_replaces_the_arguments_of_the_waiting_one,
            a_debounce_is_postponed_no_longer_than_its_limit,
            a_debounce_starts_over_once_it_was_due,
            the_record_of_a_debounced_child_names_the_waiting_workflow,
            a_debounced_child_that_lost_the_race_changes_nothing,
            a_delayed_workflow_survives_the_executor_that_enqueued_it,
            debounce_and_deduplication_can_be_combined,
            debounced_calls_of_two_instances_stay_separate,
            the_last_debounced_call_sets_priority_and_timeout,
        ;
        unlimited_durations:
            an_unlimited_delay_is_due_at_the_end_of_the_year_9999,
            an_unlimited_timeout_ends_with_the_year_9999,
            an_unlimited_rate_window_never_ends,
        ;
        claims:
            claims_follow_priority_and_then_enqueue_time,
            one_statement_asks_which_queues_have_work,
            a_claimed_workflow_is_pending_and_owned_by_the_claimer,
            workflows_unknown_to_the_claimer_stay_in_the_queue,
            nothing_is_claimed_from_a_paused_queue,
            a_fenced_executor_claims_nothing,
            a_queued_timeout_starts_at_the_claim,
            a_returned_claim_keeps_its_position_in_the_queue,
            workflows_of_a_claim_without_an_answer_are_released,
            queued_workflows_of_a_dead_executor_go_back_to_their_queues,
            a_queued_workflow_over_its_recovery_limit_is_parked,
            limits_come_from_the_code_until_they_are_changed,
            queues_report_their_depth,
            claims_execute_a_fixed_number_of_statements,
        ;
        queue_limits:
            the_concurrency_is_never_exceeded,
            slots_of_a_dead_executor_become_free,
            the_rate_limit_is_not_exceeded_in_any_window,
            a_rate_limit_counts_every_start_in_its_window,
            a_rate_limit_reports_its_next_start_only_if_it_is_what_blocks,
            a_limit_of_zero_starts_nothing,
        ;
        partition_keys:
            a_partition_key_runs_one_at_a_time_and_in_order,
            partition_keys_take_turns,
            a_key_with_many_workflows_does_not_starve_the_others,
            a_busy_partition_key_does_not_starve_the_others,
            a_workflow_unknown_to_the_claimer_blocks_only_its_partition_key,
            delayed_and_parked_workflows_do_not_block_their_partition_key,
            a_partition_key_means_order_under_all_limits,
            workflows_without_a_partition_key_wait_for_no_other,
            priorities_hold_between_partition_keys,
            the_concurrency_of_a_partition_key_is_used_and_not_exceeded,
            each_partition_key_has_its_own_rate_limit,
            rate_limits_of_queue_and_partition_both_apply,
        ;
        partition_turns:
            every_key_is_served_once_in_a_rotation,
            a_rotation_goes_on_where_the_last_claim_stopped,
            new_keys_do_not_keep_an_old_one_waiting,
            more_urgent_workflows_go_first_whatever_their_key,
            keys_whose_workflows_all_have_other_priorities_run_by_priority,
            workflows_without_a_key_take_turns_with_the_keys,
            keys_at_their_limits_are_passed_over,
            workflows_behind_many_unknown_ones_are_claimed_in_their_order,
            a_claim_behind_many_unknown_workflows_keeps_the_limits,
        ;
        stored_schedules:
            a_new_schedule_starts_from_now,
            a_replaced_schedule_keeps_its_pause_and_its_last_tick,
            a_changed_cron_expression_starts_from_now,
            a_schedule_in_code_is_not_replaced_by_one_created_at_run_time,
            the_last_tick_never_goes_back,
            ticks_missed_during_a_pause_stay_missed,
            changing_a_schedule_reports_whether_it_exists,
        ;
    }
    shared {
        concurrent_commits:
            a_takeover_waits_for_a_commit_in_flight,
            a_commit_during_a_takeover_waits_and_writes_nothing,
            two_executors_take_over_different_workflows,
            two_executors_starting_the_same_ids_start_each_once,
            two_senders_with_the_same_idempotency_keys_deliver_once,
            cancelling_a_tree_races_with_its_workflows_ending,
            of_two_records_for_one_position_one_is_stored,
        ;
        recovered_queued_workflows:
            a_released_queued_workflow_goes_back_to_its_queue,
            a_queued_workflow_receives_messages,
            a_queued_workflow_keeps_its_timeout,
        ;
        posted_messages:
            a_posted_message_is_visible_after_the_commit,
            a_posted_message_is_rolled_back_with_its_transaction,
            a_message_to_an_ended_or_unknown_workflow_is_refused,
            a_message_with_the_same_key_is_posted_once,
            a_message_is_posted_to_the_system_database_only,
            a_posted_message_with_a_nul_is_refused,
        ;
        concurrent_claims:
            concurrent_claims_take_different_workflows_without_waiting,
            concurrent_claims_never_exceed_the_concurrency,
            concurrent_claims_never_exceed_the_rate_limit,
            concurrent_claims_keep_the_order_of_every_partition_key,
            concurrent_claims_keep_the_order_of_a_partition_key_on_a_queue_without_limits,
            concurrent_claims_never_exceed_the_limits_of_a_partition_key,
            of_concurrent_duplicates_one_is_stored,
            concurrent_debounced_calls_become_one_workflow,
        ;
        posted_workflows:
            a_posted_workflow_is_visible_after_the_commit,
            a_posted_workflow_is_rolled_back_with_its_transaction,
            posting_an_existing_workflow_attaches_to_it,
            a_workflow_can_only_be_posted_to_a_queue_of_the_system_database,
        ;
        removed_executors:
            rows_of_dead_executors_are_removed_once_their_workflows_are_taken_over,
        ;
        unlimited_timeouts_in_rows:
            any_stored_timeout_can_be_claimed,
        ;
        clock_going_back:
            events_and_items_stay_in_order_when_the_clock_goes_back,
            a_rate_limited_queue_continues_within_a_period_when_the_clock_goes_back,
            a_rate_limited_partition_key_continues_within_a_period_when_the_clock_goes_back,
        ;
        migrations:
            ten_processes_can_migrate_an_empty_database_at_once,
            migrating_an_up_to_date_database_writes_nothing,
            a_database_of_a_newer_release_is_refused_with_its_name,
            a_database_with_other_migration_checksums_is_refused,
        ;
    }
}

mod notifications;
mod postgres_connections;
mod rows_read;
mod serializable;
mod sql_functions;
#[cfg(unix)]
mod sqlite_files;
