//! What happens after a crash: recovery, takeover, replay, parking.

mod faults_at_every_commit;
mod faults_in_branches;
mod interrupted_takeover;
mod ownership;
mod recovery;
mod replay;
