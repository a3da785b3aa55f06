//! The columns of `executors`.

use super::{Column, read_row};
use crate::store::{ExecutorInfo, NewExecutor};
use crate::types::executor_listing::{ExecutorState, ListedExecutor};
use crate::types::time::Timestamp;

/// The columns that a launch writes, besides the lease, the epoch and the state.
pub(in crate::store) const EXECUTOR: &[Column<NewExecutor>] = &[
    Column::big_int("key", |it| Some(it.key.get())),
    Column::text("name", |it| Some(&it.name)),
    Column::text("host", |it| Some(&it.host)),
    Column::text("lock_file", |it| it.lock_file.as_deref()),
    Column::text("version", |it| Some(&it.version)),
    Column::text("takes", |it| it.takes.as_deref()),
];

read_row! {
    /// An executor, as other executors read it. The last two columns are computed.
    ExecutorRow => ExecutorInfo {
        key: i64 => key: key.into(),
        name: String => name,
        epoch: i64 => epoch: epoch.into(),
        host: String => host,
        lock_file: Option<String> => lock_file,
        expired: bool => expired,
        leaving: bool => leaving,
    }
}

read_row! {
    /// An executor in a listing. The columns `expired` and `running` are computed.
    ListedExecutorRow => ListedExecutor {
        name: String => name,
        host: String => host,
        version: Option<String> => version,
        state: String => state: state_of(&state, expired),
        expired: bool,
        started_at: Timestamp => started_at: started_at.to_date(),
        lease_until: Timestamp => lease_until: lease_until.to_date(),
        running: i64 => running: running.unsigned_abs(),
    }
}

fn state_of(word: &str, expired: bool) -> ExecutorState {
    match word {
        "DEAD" => ExecutorState::Dead,
        _ if expired => ExecutorState::Expired,
        "LEAVING" => ExecutorState::Leaving,
        _ => ExecutorState::Live,
    }
}
