//! The shutdown: it loses nothing, records nothing wrong, and ends in time.
//!
//! Mistakes that were seen in other engines, and the tests that exclude them here:
//!
//! | mistake | test |
//! |---|---|
//! | a child that is started during the shutdown is stored as an error | `drain::a_child_can_be_started_during_the_drain` |
//! | a workflow that catches its cancellation is stored as a success | `drain::a_workflow_that_ignores_its_suspension_cannot_complete` |
//! | sleeping workflows keep their threads, and the process does not exit | `suspended_waits::a_long_sleep_is_suspended_at_once` |
//! | without a database the process exits only after minutes | `signals::blocked_processes`: `a_process_exits_although_its_connections_are_cut` |
//! | a parent of enqueued children uses up the whole drain | `suspended_waits::a_parent_waiting_for_queued_children_does_not_delay_the_drain` |
//! | callers that wait for a result wait forever | `drain::waiting_for_a_result_is_interrupted_by_the_shutdown` |
//! | heartbeats end before the workflows, so peers take them over | `handoff::heartbeats_continue_during_the_drain` |
//! | a second call neither shortens nor aborts anything | `shutdown_calls::a_later_shutdown_call_shortens_the_budgets` |
//! | signals are not handled while threads are blocked, and two become one | `signals::blocked_processes`: `signals_are_handled_while_all_runtime_threads_are_blocked` |
//! | a blocked thread delays the exit | `signals::blocked_processes`: `a_blocked_thread_does_not_delay_the_exit` |
//! | closing a pool waits forever for one connection | `closing::closing_is_bounded_while_the_program_holds_a_connection` |
//! | closing waits for the statement of a step that was dropped | `closing::a_query_of_a_dropped_step_does_not_delay_the_close` |
//! | the write-ahead log of SQLite stays behind | `closing::a_clean_shutdown_leaves_one_sqlite_file` |
//! | an endless request delays the exit of a web service | `signals::web_service`: `an_endless_request_does_not_delay_the_exit` |

mod abort;
mod caller_errors;
mod closing;
mod database_outages;
mod drain;
mod dropped_runtimes;
mod exiting_processes;
mod handoff;
mod queues_at_shutdown;
mod shutdown_calls;
mod stuck_steps;
mod suspended_waits;
