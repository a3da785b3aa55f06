//! Queues and schedules, as users see them.

mod debounce;
mod enqueue_and_run;
mod failing_claims;
mod killed_queue_workers;
mod limits;
mod max_concurrent_workflows;
mod queues_across_restarts;
mod refused_queue_calls;
mod schedule_management;
mod schedules;
mod start_in_transaction;
mod unlimited_delays;
