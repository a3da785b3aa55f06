//! The testing kit for applications.

mod crash_and_restart;
mod crash_everywhere;
mod kit;
mod mocks;
mod replays;
mod standstill;
mod virtual_time;
