//! What every store has to do, each sentence run against each store. A store that passes these can
//! carry the engine.

#![allow(clippy::unwrap_used, reason = "an error of a store fails the case, and shows itself")]

mod cases;
mod line;
mod make;
mod site;

/// Makes one test per case and store. The first list is of cases that need no more than one store;
/// the second one of cases that look at the database from two sides, which memory does not allow.
macro_rules! every_store_passes {
    (
        alone { $($topic:ident: $($case:ident,)+ ;)+ }
        shared { $($shared_topic:ident: $($shared_case:ident,)+ ;)+ }
    ) => {
        mod memory {
            $(mod $topic {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    super::super::site::in_memory(super::super::cases::$topic::$case).await;
                })+
            })+
        }
        mod sqlite {
            $(mod $topic {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    super::super::site::in_sqlite(super::super::cases::$topic::$case).await;
                })+
            })+
            $(mod $shared_topic {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $shared_case() {
                    super::super::site::in_sqlite(super::super::cases::$shared_topic::$shared_case).await;
                })+
            })+
        }
        mod postgres {
            $(mod $topic {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                #[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
                async fn $case() {
                    super::super::site::in_postgres(super::super::cases::$topic::$case).await;
                })+
            })+
            $(mod $shared_topic {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                #[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
                async fn $shared_case() {
                    super::super::site::in_postgres(super::super::cases::$shared_topic::$shared_case).await;
                })+
            })+
        }
    };
}

every_store_passes! {
    alone {
        verdicts:
            a_record_is_stored_once,
            an_equal_record_that_is_there_counts_as_stored,
            a_begin_stores_what_it_was_given,
            a_second_begin_of_an_id_attaches_to_the_first,
            a_run_ends_once,
            an_end_of_another_run_does_not_apply,
            an_end_of_a_cancelled_workflow_is_superseded,
            the_last_record_goes_with_its_end_or_not_at_all,
            a_parked_workflow_has_a_reason_and_no_completion,
            an_empty_call_has_no_verdicts,
        ;
        entries:
            a_lost_race_takes_its_entry_and_no_other,
            a_child_and_the_record_of_its_parent_are_stored_together,
            an_existing_child_still_gets_the_record_of_its_parent,
            a_child_whose_id_belongs_to_something_else_gets_a_record_of_the_error,
            a_child_of_a_parent_that_lost_the_race_is_not_begun,
            an_end_that_does_not_apply_takes_only_its_own_records,
            an_entry_that_begins_and_ends_is_all_or_nothing,
            of_two_ends_in_one_call_one_is_superseded,
            of_two_begins_in_one_call_one_attaches,
            batches_of_every_size_are_stored_whole,
            a_batch_of_mixed_fates_gets_a_verdict_each,
        ;
        again:
            what_was_committed_counts_as_stored,
            what_was_never_committed_is_stored_now,
            what_was_partly_there_is_completed,
            what_somebody_else_wrote_is_not_taken_for_ones_own,
        ;
        fences:
            a_deposed_executor_writes_nothing,
            only_one_of_two_takeovers_succeeds,
            an_executor_that_signed_off_writes_nothing,
        ;
        payloads:
            inputs_of_every_size_come_back,
            a_large_record_comes_back,
            texts_of_every_script_come_back,
            a_raw_nul_is_refused_and_nothing_is_stored,
        ;
        takeover:
            workflows_of_a_dead_executor_are_adopted_and_counted,
            a_look_says_what_work_is_left,
            a_released_workflow_is_adopted_and_not_counted,
            workflows_of_the_living_are_left_alone,
            the_oldest_are_adopted_first_up_to_the_limit,
            unknown_names_are_left_and_counted,
            a_workflow_that_was_recovered_too_often_is_parked,
            a_fenced_executor_adopts_nothing,
            an_adopted_workflow_cannot_be_ended_by_its_former_run,
            a_deadline_comes_back_with_the_workflow,
            what_was_adopted_without_an_answer_is_adopted_again,
        ;
        presence:
            a_heartbeat_prolongs_the_lease,
            a_heartbeat_tells_the_time,
            a_heartbeat_learns_who_has_expired,
            a_heartbeat_learns_of_orphans,
            a_heartbeat_learns_which_runs_are_no_longer_its_own,
            a_deposed_executor_learns_it_from_its_heartbeat,
            an_executor_that_leaves_says_so,
            signing_on_twice_is_signing_on_once,
            an_executor_with_a_stuck_workflow_keeps_its_row,
        ;
        people:
            a_cancelled_workflow_says_what_it_was,
            an_ended_workflow_is_not_cancelled,
            a_listing_is_filtered,
            a_percent_sign_in_a_prefix_is_a_percent_sign,
            a_listing_has_a_limit_and_a_direction,
            steps_are_listed_in_the_order_of_their_positions,
            a_workflow_shows_its_parent_and_its_executor,
            ends_are_found_by_id,
        ;
        mail:
            messages_are_received_in_the_order_of_their_sending,
            messages_of_one_call_are_ordered_by_their_keys,
            a_message_without_a_receiver_takes_its_entry_and_no_other,
            a_lone_message_without_a_receiver_is_refused,
            a_parked_workflow_receives,
            a_workflow_that_is_begun_in_the_same_call_receives,
            a_message_with_an_idempotency_key_is_taken_once,
            the_retry_of_a_success_is_a_success,
            a_message_is_received_with_its_record_or_not_at_all,
            an_end_that_does_not_apply_sends_nothing,
            a_workflow_can_write_to_itself_and_end,
            batches_of_messages_of_every_size_are_stored_whole,
        ;
        shows:
            the_values_of_an_event_are_its_history,
            items_are_read_in_the_order_of_their_writing,
            a_stream_tells_where_its_workflow_stands,
            what_one_call_shows_is_ordered_by_key,
            what_a_lost_race_shows_is_not_shown,
        ;
        look:
            one_look_finds_everything,
            a_look_for_nothing_tells_the_time,
            the_last_value_of_an_event_is_found,
            an_event_that_will_never_be_set_is_known_for_that,
            a_stream_has_news_behind_its_mark_only,
            a_look_finds_what_was_cancelled_of_ones_own_and_since_when,
            a_look_for_thousands_is_one_statement,
        ;
        cancel:
            a_cancellation_reaches_everything_below_that_has_not_ended,
            a_cancellation_of_one_leaves_its_children_alone,
            a_workflow_that_nobody_runs_is_cancelled_without_an_executor,
        ;
        life:
            a_closed_store_writes_nothing_and_still_releases,
            everything_can_be_dropped_and_migrated_again,
            a_commit_that_is_dropped_midway_can_be_sent_again,
            the_clock_is_the_clock,
        ;
        costs:
            a_lone_row_costs_one_statement_and_one_commit,
            a_last_record_with_its_end_costs_one_commit,
            a_batch_costs_one_commit,
            an_existing_workflow_costs_no_commit,
            a_lost_race_costs_no_commit,
            lives_of_executors_cost_what_they_cost,
            what_is_said_alone_costs_one_statement_and_one_commit,
            a_message_in_vain_costs_no_commit,
            a_batch_of_messages_costs_one_commit,
            reading_what_is_said_costs_one_statement,
            a_cancellation_costs_one_commit,
        ;
        enqueue:
            a_workflow_with_a_place_waits_and_does_not_run,
            inputs_of_every_size_wait,
            queued_and_direct_ones_go_together,
            an_id_that_is_there_is_not_enqueued,
            a_duplicate_takes_its_entry_and_no_other,
            a_deduplication_id_is_free_again_when_its_workflow_has_ended,
            of_two_duplicates_in_one_call_the_first_is_stored,
            of_two_duplicates_in_one_commit_the_first_call_wins,
            what_was_enqueued_counts_as_stored,
            a_deposed_executor_enqueues_nothing,
            who_is_enqueued_in_the_same_call_receives,
            a_nul_in_a_place_is_refused,
            thousands_are_enqueued_in_one_commit,
        ;
        delays:
            a_delayed_workflow_waits_until_it_is_due,
            many_become_due_at_once,
            a_promoted_workflow_stands_where_it_would_without_its_delay,
            a_debounced_call_gives_its_arguments_to_the_one_that_waits,
            a_debounce_is_not_put_off_for_longer_than_it_may,
            a_debounce_begins_anew_once_it_was_due,
            the_record_of_a_debounced_child_names_the_one_that_waits,
            a_debounce_that_lost_its_position_changes_nothing,
            a_delayed_workflow_of_a_dead_executor_waits_on,
            a_debounce_and_a_deduplication_go_together,
            calls_of_two_instances_do_not_become_one,
            the_last_debounced_call_gives_its_priority_and_its_limits,
        ;
        endless:
            what_would_be_due_behind_the_calendar_is_due_at_its_end,
            a_timeout_without_end_ends_with_the_calendar,
            a_window_without_end_is_one,
        ;
        lines:
            turns_go_by_priority_and_then_by_time,
            what_waits_is_asked_of_all_queues_at_once,
            a_claimed_workflow_is_the_claimers_and_runs,
            unknown_names_are_left_for_those_who_know_them,
            a_paused_queue_gives_nothing,
            a_deposed_executor_claims_nothing,
            a_deadline_begins_with_the_claim,
            what_is_given_back_stands_in_its_old_place,
            what_a_lost_claim_took_is_given_back,
            queued_workflows_of_the_dead_go_back_to_their_queues,
            a_queued_workflow_that_was_recovered_too_often_is_parked,
            the_code_says_the_limits_until_somebody_changes_them,
            queues_say_what_waits_in_them,
            claims_cost_what_they_cost,
        ;
        limits:
            no_more_run_at_once_than_may,
            the_slots_of_the_dead_come_back,
            no_more_begin_in_a_window_than_may,
            a_window_counts_whatever_began_in_it,
            a_window_is_in_the_way_only_if_something_waits_and_has_room,
            a_limit_of_none_lets_nobody_through,
        ;
        partitions:
            one_at_a_time_and_in_order_for_each_key,
            keys_take_turns,
            a_long_line_starves_nobody,
            a_key_that_comes_and_goes_does_not_starve_who_waits,
            an_unknown_name_holds_its_key_and_no_other,
            what_is_delayed_or_parked_holds_nobody_up,
            no_key_is_a_key,
            as_many_run_of_a_key_as_may,
            each_key_has_a_window_of_its_own,
            both_windows_count,
        ;
        schedules:
            a_schedule_is_stored_as_it_is_and_begins_now,
            another_of_its_name_keeps_its_pause_and_its_last_tick,
            another_calendar_begins_now,
            a_schedule_in_the_code_gives_way_to_none_that_is_not,
            the_last_tick_never_goes_back,
            what_a_pause_missed_stays_missed,
            a_change_says_whether_there_is_such_a_schedule,
        ;
    }
    shared {
        races:
            a_takeover_waits_for_a_flush_in_flight,
            a_flush_waits_for_a_takeover_and_then_writes_nothing,
            two_adopters_share_without_overlap,
            two_executors_begin_the_same_ids_once,
            two_senders_of_the_same_idempotency_keys_are_heard_once,
            a_cancellation_of_a_family_meets_its_ends,
            two_records_for_one_position_leave_one,
        ;
        queues:
            a_queued_workflow_goes_back_to_its_queue,
            a_queued_workflow_receives,
            a_timeout_is_kept_until_it_begins_to_run,
        ;
        outbox:
            a_posted_message_is_there_when_the_transaction_is_committed,
            a_posted_message_goes_with_its_transaction,
            a_message_is_not_posted_to_nobody,
            a_message_is_posted_once,
            a_message_is_posted_to_the_system_database_only,
            a_nul_is_not_posted,
        ;
        turns:
            claimers_share_without_overlap_and_without_waiting,
            claimers_never_exceed_the_concurrency,
            claimers_never_exceed_the_rate,
            claimers_keep_the_order_of_every_key,
            claimers_never_exceed_the_limits_of_a_key,
            of_racing_duplicates_one_is_stored,
            racing_debounces_are_one,
        ;
        posts:
            a_posted_workflow_is_there_when_the_transaction_is_committed,
            a_posted_workflow_goes_with_its_transaction,
            what_is_there_is_not_posted,
            a_workflow_is_posted_to_a_queue_of_the_system_database,
        ;
        endless_rows:
            no_timeout_in_a_row_is_in_the_way_of_a_claim,
        ;
        clock:
            what_is_shown_later_is_later_though_the_clock_went_back,
        ;
        migrations:
            ten_processes_migrate_an_empty_database_at_once,
            a_migrated_database_is_left_as_it_is,
            a_newer_database_is_refused_by_name,
            a_database_of_another_build_is_refused,
        ;
    }
}

#[cfg(unix)]
mod files;
mod functions;
mod listening;
mod servers;
