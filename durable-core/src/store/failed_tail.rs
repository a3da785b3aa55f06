//! Which failed records led to the end of a workflow: a resume and a fork run these operations again.

use crate::types::position::Position;

/// A record, as far as this is decided by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RecordEnd {
    pub(super) position: Position,
    pub(super) failed: bool,
}

/// The failed records behind which nothing succeeded, neither in their own branch nor in the body. The error
/// of any other one was handled by the code, which went on.
pub(super) fn failed_tail(records: &[RecordEnd]) -> Vec<Position> {
    let was_handled = |failed: &Position| {
        records.iter().filter(|it| !it.failed).any(|it| {
            let (later, root) = (&it.position, root_of(&it.position));
            root > root_of(failed) || (later.branch == failed.branch && later.number > failed.number)
        })
    };
    let failed = records.iter().filter(|it| it.failed).map(|it| &it.position);
    failed.filter(|it| !was_handled(it)).cloned().collect()
}

/// The number of the call of the body that a position belongs to.
pub(super) fn root_of(position: &Position) -> i32 {
    let first = position.branch.split('/').next().unwrap_or_default();
    first.parse().unwrap_or(position.number) // the body itself has an empty branch
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tail(records: &[(&str, bool)]) -> Vec<String> {
        let record = |(position, failed): &(&str, bool)| {
            let position = position.parse().expect("it is a position");
            RecordEnd { position, failed: *failed }
        };
        let records: Vec<_> = records.iter().map(record).collect();
        failed_tail(&records).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_failed_records_at_the_end_are_found() {
        assert_eq!(tail(&[("1", false), ("2", true)]), ["2"]);
        assert_eq!(tail(&[("1", true), ("2", true)]), ["1", "2"], "the second may have failed because of the first");
        assert_eq!(tail(&[("1", true), ("2", false)]), [""; 0], "the code went on after the first");
        assert_eq!(tail(&[("1", true), ("2", false), ("3", true)]), ["3"]);
        assert_eq!(tail(&[("1", false)]), [""; 0]);
    }

    #[test]
    fn branches_beside_a_failed_one_do_not_count_as_later() {
        assert_eq!(tail(&[("1", false), ("2/1/1", true), ("2/2/1", false)]), ["2/1/1"]);
        assert_eq!(tail(&[("2/1/1", true), ("2/1/2", false)]), [""; 0], "the branch went on");
        assert_eq!(tail(&[("2/1/1", true), ("3", false)]), [""; 0], "the body went on");
        assert_eq!(tail(&[("2", false), ("2/1", true)]), ["2/1"], "the result of a child behind its start");
    }
}
