//! Queues: what users see of them.

mod calendar;
mod debounce;
mod endless;
mod failing;
mod fleet;
mod lifetime;
mod limits;
mod outbox;
mod permits;
mod places;
mod refusals;
mod schedules;
