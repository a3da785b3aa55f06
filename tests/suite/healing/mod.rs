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
//! | background tasks of the application have to end | `app_tasks` |
//! | an attempt of a step is given up, or outlives its timeout | `step_attempts` |
//! | steps block their threads | `step_threads` |
//! | a body computes instead of waiting | `computing_bodies` |

mod app_tasks;
mod cancelled_families;
mod computing_bodies;
mod draining_callers;
mod dropped_callers;
mod messages_and_events;
mod step_attempts;
mod step_threads;
mod workflows_without_task;
