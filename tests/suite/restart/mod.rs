//! What happens after a crash: recovery, takeover, replay, parking.

mod branches;
mod faults;
pub(crate) mod faulty;
mod ownership;
mod recovery;
mod replay;
mod takeover;
