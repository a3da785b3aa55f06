//! The ordered shutdown: nothing is lost, nothing is falsified, and it ends in time.
//!
//! What other engines were seen to do wrong, and the test that says it is not so here:
//!
//! | elsewhere | here |
//! |---|---|
//! | a child that is started during the shutdown is stored as an error | `drain::child_started_while_draining_is_counted` |
//! | a workflow that catches its cancellation is stored as a success | `drain::swallowing_workflow_cannot_complete` |
//! | sleepers keep their threads, and the process stays | `waits::long_sleep_released_at_once` |
//! | with the database gone the process stays for minutes | `signals::blocked`: `a_process_exits_although_the_server_is_gone` |
//! | a parent of enqueued children uses up the whole drain | `waits::parent_of_enqueued_children_does_not_burn_drain` |
//! | whoever waits for a result from outside waits for ever | `drain::external_result_waiter_interrupted` |
//! | heartbeats end before the work, so peers steal it | `handoff::heartbeat_outlives_drain` |
//! | a second call neither shortens nor aborts anything | `lifecycle::later_call_shortens_never_extends` |
//! | signals wait behind blocked threads, and two become one | `signals::blocked`: `signals_work_with_blocked_workers` |
//! | a blocking thread holds up the end of the process | `signals::blocked`: `a_thread_that_blocks_does_not_hold_up_the_exit` |
//! | closing the pool waits for ever for one connection | `closing::closing_is_cut_off_while_the_program_keeps_a_connection` |
//! | closing waits for the statement of a step that was dropped | `closing::aborted_query_does_not_delay_close` |
//! | the write-ahead log of SQLite stays behind | `closing::sqlite_wal_gone_after_clean_shutdown` |
//! | an endless request holds up the web service | `signals::web`: `endless_http_handler_bounded` |

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
