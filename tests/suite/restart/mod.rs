//! What happens after a crash: recovery, takeover, replay, parking.

mod branches;
pub(crate) mod faults;
mod ownership;
mod recovery;
mod replay;
