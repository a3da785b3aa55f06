//! The command line, run as a process. What it prints is compared with files in `snapshots/`, which are the same for
//! both stores; `BLESS=1` writes them anew.

mod contexts;
mod doctor;
mod doctor_of_postgres;
mod process;
mod repair;
mod start_and_look;
mod steer;
