//! What goes wrong heals by itself.
//!
//! | what goes wrong | file or test |
//! |---|---|
//! | a caller is dropped while its call writes | `dropped_callers` |
//! | children are started while their parent is cancelled | `cancelled_families`, `children_that_are_being_started_are_cancelled_or_refused` |
//! | a workflow of a living executor has lost its task | `workflows_without_task` |
//! | a body cancels its own workflow | `a_workflow_that_cancels_itself_records_nothing_more` |
//! | a caller waits while the process shuts down | `draining_callers` |
//! | a message or an event is of another type, its sender or receiver is parked | `messages_and_events` |
//! | a result comes after the deadline | `a_result_after_the_deadline_is_a_timeout` |
//! | the database answers with an error that is not about the data | `database_errors` |
//! | a transaction loses its connection, or its statement is cancelled | `interrupted_transactions` |
//! | the database cannot be used at launch, connections are few, transactions run long | `connections` |
//! | the database is silent, or a session holds locks forever | `silent_database` |
//! | a transaction holds the one writer of SQLite | `one_writer` |
//! | a helper of a body spawns a task that makes calls | `spawned_tasks` |
//! | a transaction fails or loses a race | `logs_of_transactions` |
//! | processes are killed under a mixed load | `torture` |
//! | there is a pooler, several hosts, an old certificate | `poolers_and_hosts` |
//! | background tasks of the application have to end | `app_tasks` |
//! | a process was stopped or cut off for longer than its lease | `expired_leases` |
//! | the database was away for longer than the leases | `executors_do_not_take_over_from_each_other_after_an_outage` |
//! | a process is killed | `a_killed_process_is_taken_over_at_once_and_leaves_nothing_behind` |
//! | a row names a file that is no lock file | `a_lock_file_that_is_not_of_the_engine_is_left_alone` |
//! | two applications are launched on one schema | `two_applications`, `a_role_that_can_read_nothing_calls_the_sql_functions_it_was_granted` |
//! | an SQLite file is moved, replaced or deleted | `moved_files` |
//! | a clock goes back | `clocks`, `conformance/cases/clock_going_back.rs` |
//! | an attempt of a step is given up, or outlives its timeout | `step_attempts` |
//! | steps block their threads | `step_threads` |
//! | a body computes instead of waiting | `computing_bodies` |
//! | notifications do not arrive | `without_notifications` |

mod app_tasks;
mod cancelled_families;
mod clocks;
mod computing_bodies;
mod connections;
mod database_errors;
mod draining_callers;
mod dropped_callers;
mod expired_leases;
mod interrupted_transactions;
mod living_and_dead;
mod logs_of_transactions;
mod messages_and_events;
#[cfg(unix)]
mod moved_files;
mod one_writer;
mod poolers_and_hosts;
mod silent_database;
mod spawned_tasks;
mod step_attempts;
mod step_threads;
mod torture;
mod two_applications;
mod without_notifications;
mod workflows_without_task;
