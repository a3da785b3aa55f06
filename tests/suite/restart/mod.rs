//! What happens after a crash: recovery, takeover, replay, parking.

pub(crate) mod faults;
mod ownership;
mod recovery;
mod replay;
