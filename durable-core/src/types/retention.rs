//! How long workflows are kept after their end.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::types::error::{Error, config_error};
use crate::types::status::Status;
use crate::types::time::Timestamp;

/// How many workflows are deleted in a second, unless [`Retention::per_second`] says otherwise.
const PER_SECOND: u32 = 2_000;
/// The time between two runs, unless [`Retention::every`] says otherwise.
const EVERY: Duration = Duration::from_mins(10);

/// How long workflows are kept after their end. Without such a policy they are kept until they are deleted by a
/// call.
///
/// A policy is about workflows that were not started by another workflow, and that are `SUCCESS`, `ERROR` or
/// `CANCELLED`. Such a workflow is deleted together with all workflows that it and its descendants have started,
/// and with their records, messages, events, streams and labels, as soon as the last of them has ended for so long.
/// While one of them has not ended or is `PARKED`, all of them are kept.
///
/// Of several times the one for the name counts, else the one for the status, else [`keep`](Self::keep).
///
/// The id of a workflow can be used again once it is deleted: calls with that id start a new one. Keep workflows for
/// longer than callers repeat a call.
///
/// # Example
///
/// ```
/// use durable_core::{Retention, Status};
///
/// let policy = Retention::new()
///     .keep(Retention::days(30))
///     .keep_status(Status::Error, Retention::days(90))
///     .keep_name("audit", Retention::FOREVER)
///     .keep_last(100);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "a policy has an effect in `Builder::retention` or `run_retention`"]
pub struct Retention {
    keep: Option<Duration>,
    keep_last: Option<u32>,
    by_status: Vec<(Status, Duration)>,
    by_name: Vec<(String, Duration)>,
    per_second: Option<u32>,
    every: Option<Duration>,
}

impl Retention {
    /// Workflows are not deleted.
    pub const FOREVER: Duration = Duration::MAX;

    /// A policy that keeps everything.
    pub const fn new() -> Self {
        Self { keep: None, keep_last: None, by_status: Vec::new(), by_name: Vec::new(), per_second: None, every: None }
    }

    /// So many days.
    #[must_use]
    pub const fn days(days: u32) -> Duration {
        Duration::from_secs(days as u64 * 86_400)
    }

    /// How long workflows are kept. Without it they are kept forever, unless there is a [`keep_last`](Self::keep_last).
    pub const fn keep(mut self, time: Duration) -> Self {
        self.keep = Some(time);
        self
    }

    /// Keeps the last `number` ended workflows of each name, also beyond their time. Those before them are kept for
    /// their time, or not at all if there is no [`keep`](Self::keep). Workflows that were started by others do not
    /// count.
    pub const fn keep_last(mut self, number: u32) -> Self {
        self.keep_last = Some(number);
        self
    }

    /// How long workflows that ended with this status are kept.
    pub fn keep_status(mut self, status: Status, time: Duration) -> Self {
        self.by_status.retain(|(known, _)| *known != status);
        self.by_status.push((status, time));
        self
    }

    /// How long workflows of this name are kept, whatever their status.
    pub fn keep_name(mut self, name: impl Into<String>, time: Duration) -> Self {
        let name = name.into();
        self.by_name.retain(|(known, _)| *known != name);
        self.by_name.push((name, time));
        self
    }

    /// How many workflows are deleted in a second at most. The default is 2,000. Between two batches there is a pause
    /// in any case that is three times as long as the batch took.
    pub const fn per_second(mut self, workflows: u32) -> Self {
        self.per_second = Some(workflows);
        self
    }

    /// How often workflows are deleted. The default is every 10 min.
    pub const fn every(mut self, time: Duration) -> Self {
        self.every = Some(time);
        self
    }

    /// # Errors
    /// The policy cannot be meant.
    pub(crate) fn check(&self) -> Result<(), Error> {
        for (status, _) in &self.by_status {
            if !status.is_terminal() {
                return Err(config_error(format!(
                    "`keep_status({status})` has no effect: only workflows that are SUCCESS, ERROR or CANCELLED are deleted; leave it out"
                )));
            }
        }
        if self.per_second == Some(0) {
            return Err(config_error("`per_second(0)` deletes nothing; leave the retention out to keep everything"));
        }
        if self.every.is_some_and(|it| it < Duration::from_millis(10)) {
            return Err(config_error("retention is carried out every 10 ms at most; give `every` a longer time"));
        }
        Ok(())
    }

    /// The time between two runs.
    pub(crate) fn interval(&self) -> Duration {
        self.every.unwrap_or(EVERY)
    }

    /// How long it takes at least to delete so many.
    pub(crate) fn time_for(&self, workflows: u64) -> Duration {
        let workflows = u32::try_from(workflows).unwrap_or(u32::MAX);
        Duration::from_secs(1) * workflows / self.per_second.unwrap_or(PER_SECOND)
    }

    /// How many of each name are kept in any case.
    pub(crate) fn last(&self) -> Option<u32> {
        self.keep_last
    }

    /// How long a workflow is kept.
    pub(crate) fn time_of(&self, name: &str, status: Status) -> Duration {
        let by_name = self.by_name.iter().find(|(known, _)| known == name);
        let by_status = || self.by_status.iter().find(|(known, _)| *known == status).map(|(_, time)| *time);
        by_name.map(|(_, time)| *time).or_else(by_status).unwrap_or_else(|| self.other_time())
    }

    fn other_time(&self) -> Duration {
        let without_time = if self.keep_last.is_some() { Duration::ZERO } else { Self::FOREVER };
        self.keep.unwrap_or(without_time)
    }

    /// The different times after which workflows are deleted, the shortest first.
    pub(crate) fn times(&self) -> Vec<Duration> {
        let by_status = self.by_status.iter().map(|(_, time)| *time);
        let by_name = self.by_name.iter().map(|(_, time)| *time);
        let mut times: Vec<_> = by_status.chain(by_name).chain([self.other_time()]).collect();
        times.retain(|it| *it < Self::FOREVER);
        times.sort_unstable();
        times.dedup();
        times
    }
}

/// What a run of the retention has deleted, or would delete.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RetentionReport {
    /// Whether nothing was deleted.
    pub dry_run: bool,
    /// The workflows, by name and status.
    pub groups: Vec<RetentionGroup>,
    /// How many there are in all.
    pub total: u64,
    /// How many rows of dead executors were deleted. A dry run does not count them.
    pub executors: u64,
}

/// What a run of the retention has deleted of one name and status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RetentionGroup {
    /// The name of the function.
    pub name: String,
    /// The status.
    pub status: Status,
    /// How many workflows.
    pub count: u64,
    /// When the first of them ended.
    pub oldest: DateTime<Utc>,
}

/// Counts for a [`RetentionReport`].
#[derive(Debug, Default)]
pub(crate) struct RetentionCounts(BTreeMap<(String, Status), (u64, Timestamp)>);

impl RetentionCounts {
    pub(crate) fn add(&mut self, name: String, status: Status, ended: Timestamp) {
        let (count, oldest) = self.0.entry((name, status)).or_insert((0, ended));
        *count += 1;
        *oldest = ended.min(*oldest);
    }

    pub(crate) fn into_report(self, dry_run: bool, executors: u64) -> RetentionReport {
        let group = |((name, status), (count, oldest)): (_, (u64, Timestamp))| RetentionGroup {
            name,
            status,
            count,
            oldest: oldest.to_date(),
        };
        let groups: Vec<_> = self.0.into_iter().map(group).collect();
        let total = groups.iter().map(|it| it.count).sum();
        RetentionReport { dry_run, groups, total, executors }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn the_time_of_the_name_goes_before_that_of_the_status() {
        let policy = Retention::new()
            .keep(HOUR)
            .keep_status(Status::Error, 2 * HOUR)
            .keep_name("audit", Retention::FOREVER)
            .keep_name("ping", Duration::ZERO);
        assert_eq!(policy.time_of("any", Status::Success), HOUR);
        assert_eq!(policy.time_of("any", Status::Error), 2 * HOUR);
        assert_eq!(policy.time_of("audit", Status::Error), Retention::FOREVER);
        assert_eq!(policy.time_of("ping", Status::Error), Duration::ZERO);
        assert_eq!(policy.times(), [Duration::ZERO, HOUR, 2 * HOUR]);
    }

    #[test]
    fn a_policy_without_a_time_keeps_everything_and_one_with_a_number_only_that() {
        assert_eq!(Retention::new().times(), [] as [Duration; 0]);
        assert_eq!(Retention::new().keep_last(5).times(), [Duration::ZERO]);
        assert_eq!(Retention::new().keep_last(5).keep(HOUR).times(), [HOUR]);
    }
}
