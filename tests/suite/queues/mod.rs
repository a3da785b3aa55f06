//! Queues: what users see of them.

mod debounce;
mod lifetime;
mod limits;
mod places;
