//! What can be observed from outside: metrics and traces.

mod counts;
mod example_files;
mod gauges;
mod scrapes;
