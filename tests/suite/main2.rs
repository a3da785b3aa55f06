//! x
mod cost;
mod counter;
mod crash;
mod restart;
mod shutdown;
mod stage;
mod workflows;
