//! The command line, run as a process. What it prints is compared with files in `snapshots/`, which are the same for
//! both stores; `BLESS=1` writes them anew.

mod contexts;
mod dashboards;
mod doctor;
mod doctor_of_postgres;
mod narrow_output;
mod process;
mod repair;
mod resets;
mod start_and_look;
mod steer;
mod usage_errors;
mod waiting_work;
