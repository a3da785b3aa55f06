//! Time and talk: sleeps, messages, events, streams, timeouts, cancellation.

mod clockwork;
mod ending;
mod events;
mod messages;
mod outage;
mod payloads;
mod races;
mod sleeping;
mod streams;
