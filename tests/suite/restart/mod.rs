//! What happens after a crash: recovery, takeover, replay, parking.

mod faults;
mod ownership;
mod recovery;
mod replay;
