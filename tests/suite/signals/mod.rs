//! Signals and web services.

mod before_ready;
mod blocked_processes;
mod embedded_web_service;
mod exit_codes;
mod killed_at_shutdown;
mod rolling_restart_of_web_services;
mod rolling_restart_of_workers;
mod web_example;
mod web_service;
