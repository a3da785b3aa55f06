//! Which executors with an expired lease are certainly dead.

use std::collections::HashMap;
use std::time::Duration;

use crate::engine::lock_file::LockState;
use crate::store::ExecutorInfo;
use crate::types::keys::ExecutorKey;

/// The executors with an expired lease, and since when.
///
/// After an outage of the database every lease has expired, and every executor finds those of the others
/// expired in its first answer. So one that could not extend its own lease gives all others a whole one,
/// counted from that answer. One whose lock is held has its process on this host: it may have had no answer
/// where this executor had one, so it has a whole lease, too. If it is stopped, it is taken for dead then.
#[derive(Debug)]
pub(super) struct Suspects {
    lease: Duration,
    /// When each of them was first found expired.
    since: HashMap<ExecutorKey, Duration>,
    /// Until when no lease counts as expired, because this executor had no answer itself.
    grace_until: Duration,
}

impl Suspects {
    pub(super) fn new(lease: Duration) -> Self {
        Self { lease, since: HashMap::new(), grace_until: Duration::ZERO }
    }

    /// Of the executors that an answer of the database reports as expired, those that are certainly dead.
    /// `was_away` is whether this executor's own lease had expired before that answer.
    pub(super) fn certainly_dead(
        &mut self,
        expired: Vec<ExecutorInfo>,
        now: Duration,
        was_away: bool,
        lock_state: impl Fn(&ExecutorInfo) -> LockState,
    ) -> Vec<ExecutorInfo> {
        if was_away {
            self.grace_until = now + self.lease;
            self.since.clear();
        }
        self.since.retain(|key, _| expired.iter().any(|it| it.key == *key));
        let is_dead = |it: &ExecutorInfo| {
            let since = *self.since.entry(it.key).or_insert(now);
            match lock_state(it) {
                LockState::Free => true,
                LockState::Held => now >= self.grace_until && now >= since + self.lease,
                LockState::Unknown => now >= self.grace_until,
            }
        };
        expired.into_iter().filter(is_dead).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Fence;

    const LEASE: Duration = Duration::from_secs(15);

    fn expired() -> Vec<ExecutorInfo> {
        vec![ExecutorInfo {
            key: ExecutorKey::new(1),
            name: "a".to_owned(),
            epoch: Fence::FIRST_EPOCH,
            host: "here".to_owned(),
            lock_file: None,
            expired: true,
            leaving: false,
        }]
    }

    #[test]
    fn an_expired_executor_of_another_host_is_dead_at_once_and_a_full_lease_after_an_outage_of_ones_own() {
        let mut suspects = Suspects::new(LEASE);
        let mut dead = |seconds, was_away, state| {
            let now = Duration::from_secs(seconds);
            !suspects.certainly_dead(expired(), now, was_away, |_| state).is_empty()
        };
        assert!(dead(100, false, LockState::Unknown));
        assert!(!dead(200, true, LockState::Unknown), "this executor was away itself");
        assert!(!dead(214, false, LockState::Unknown));
        assert!(dead(214, false, LockState::Free), "a free lock is a proof");
        assert!(dead(215, false, LockState::Unknown));
    }

    #[test]
    fn an_executor_whose_lock_is_held_has_one_more_lease() {
        let mut suspects = Suspects::new(LEASE);
        let mut dead = |seconds, expired| {
            let now = Duration::from_secs(seconds);
            !suspects.certainly_dead(expired, now, false, |_| LockState::Held).is_empty()
        };
        assert!(!dead(100, expired()));
        assert!(!dead(114, expired()));
        assert!(dead(115, expired()));
        assert!(!dead(116, Vec::new()), "it has extended its lease");
        assert!(!dead(120, expired()), "counted anew");
    }
}
