//! Waiting: sleeps, messages, events, streams, timeouts, cancellation.

mod events;
mod messages;
mod payloads;
mod races;
mod random_waits;
mod sleep;
mod streams;
mod timeouts_and_cancellation;
mod waits_during_outages;
