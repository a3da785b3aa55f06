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
//! | there is a pooler, several hosts, an old certificate | `poolers_and_hosts` |
//! | background tasks of the application have to end | `app_tasks` |

mod app_tasks;
mod cancelled_families;
mod connections;
mod database_errors;
mod draining_callers;
mod dropped_callers;
mod interrupted_transactions;
mod messages_and_events;
mod poolers_and_hosts;
mod silent_database;
mod workflows_without_task;
