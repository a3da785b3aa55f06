//! Clients: programs without an engine, beside those that run the workflows.

mod control_by_clients;
mod enqueue_by_name;
mod lost_answers;
mod other_processes;
mod schema_of_clients;
