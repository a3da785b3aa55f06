//! The ordered shutdown: nothing is lost, nothing is falsified, and it ends in time.

mod drain;
mod lifecycle;
