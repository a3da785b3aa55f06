//! Time and talk: sleeps, messages, events, streams, timeouts, cancellation.

mod ending;
mod events;
mod messages;
mod sleeping;
mod streams;
