//! Listing and control of workflows: what an operator sees and changes.

mod activities;
mod another_database;
mod bulk_changes;
mod bulk_crashes;
mod changes_in_bodies;
mod changes_on_queues;
mod deletes;
mod filters;
mod forks;
mod large_tables;
mod odd_filters;
mod queue_backlogs;
mod races_on_postgres;
mod random_filters;
mod repairs_in_parallel;
mod resets;
mod resumes;
mod retention;
mod throughput;
mod unanalyzed_tables;
