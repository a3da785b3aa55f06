//! The testing kit.

mod standstill;
mod virtual_time;
