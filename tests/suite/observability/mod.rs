//! What can be observed from outside: metrics and traces.

mod counts;
mod example_files;
mod fault_counts;
mod gauges;
mod replayed_logs;
mod scrapes;
mod trace_contexts;
mod traces;
