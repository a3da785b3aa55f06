//! Support for the tests.

pub(crate) mod counters;
pub(crate) mod databases;
pub(crate) mod http;
pub(crate) mod log_capture;
pub(crate) mod os_process;
pub(crate) mod pgbouncer;
pub(crate) mod process_database;
pub(crate) mod processes;
pub(crate) mod random;
pub(crate) mod recorder;
pub(crate) mod shutdown;
pub(crate) mod signal_processes;
pub(crate) mod store_database;
pub(crate) mod store_queues;
pub(crate) mod store_rows;
pub(crate) mod tcp_proxy;
pub(crate) mod test_macros;
pub(crate) mod until;
pub(crate) mod watched_process;

pub(crate) use counters::{arrived, count, counted, fresh, gate};
pub(crate) use databases::{TestDatabase, failing_at};
pub(crate) use durable_core::store::{FaultMode, FaultPlan, FaultyStore, HoldAt};
pub(crate) use log_capture::LogCapture;
pub(crate) use os_process::{Signal, lift_file_size_limit, send_signal, set_frozen};
pub(crate) use process_database::{ProcessDatabase, url_of};
pub(crate) use processes::{finished, kill_9, ledger, program, start};
pub(crate) use random::Random;
pub(crate) use recorder::Recorder;
pub(crate) use shutdown::{budgets, on_dropped_runtime, patient, start_shutdown};
pub(crate) use test_macros::{app_tests, database_tests, one_thread_tests, postgres_store_tests, process_tests};
pub(crate) use until::{begun, until, wait_for_steps};
pub(crate) use watched_process::WatchedProcess;
