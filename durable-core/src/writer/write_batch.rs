//! Which waiting entries go into one commit.

use std::fmt;

use crate::store::{Entry, Fence};
use crate::types::keys::WorkflowKey;
use crate::writer::completion::Completion;

/// How many rows one commit takes. Beyond about a thousand nothing is gained per row.
pub(super) const MAX_ROWS: usize = 1024;
/// How many payload bytes one commit takes, so that small records do not wait for a large one.
const MAX_BYTES: usize = 1 << 20;
/// An entry above this size is committed alone.
const MAX_SHARED_BYTES: usize = 64 << 10;
/// How many entries a part of a batch has at least: a commit costs as much as some entries.
const MIN_PART: usize = 64;

/// What the writer's task receives.
#[allow(clippy::large_enum_variant, reason = "all but the last one are writes, and a box is freed by another thread")]
pub(super) enum WriteRequest {
    Write {
        fence: Fence,
        entry: Entry,
        completion: Completion,
        /// Whether an attempt without an answer may have stored it.
        uncertain: bool,
    },
    Stop,
}

impl WriteRequest {
    /// Whether an attempt without an answer may have stored it.
    pub(super) fn is_uncertain(&self) -> bool {
        matches!(self, Self::Write { uncertain: true, .. })
    }

    /// The run whose writes become durable in the order in which they are submitted.
    pub(super) fn run(&self) -> Option<WorkflowKey> {
        let Self::Write { entry, .. } = self else { return None };
        run_of(entry)
    }
}

/// Entries of one fence that go into one commit, in the order in which they were submitted.
pub(super) struct WriteBatch {
    pub(super) fence: Fence,
    pub(super) entries: Vec<Entry>,
    pub(super) completions: Vec<Completion>,
    /// Whether one of them may be stored already.
    pub(super) uncertain: bool,
}

impl WriteBatch {
    /// Divides a large batch into parts that may be committed at the same time, at most so many. Entries of one run stay
    /// in one part, in their order; so do those of no run, because calls of one caller have an order, too.
    pub(super) fn divide(self, most: usize) -> Vec<Self> {
        let parts = most.min(self.entries.len() / MIN_PART);
        // One that may be stored already locks the executor's row: another one would wait for it.
        if parts < 2 || self.uncertain {
            return vec![self];
        }
        let part = || (Vec::with_capacity(self.entries.len()), Vec::with_capacity(self.completions.len()));
        let mut divided: Vec<_> = std::iter::repeat_with(part).take(parts).collect();
        for (entry, completion) in self.entries.into_iter().zip(self.completions) {
            let part = run_of(&entry).map_or(0, |run| spread(run, parts));
            divided[part].0.push(entry);
            divided[part].1.push(completion);
        }
        divided.retain(|(entries, _)| !entries.is_empty());
        let whole = |(entries, completions)| Self { fence: self.fence, entries, completions, uncertain: false };
        divided.into_iter().map(whole).collect()
    }
}

/// A number below `parts` for each run, about equally often. Keys of runs are not random.
fn spread(run: WorkflowKey, parts: usize) -> usize {
    let mixed = run.get().unsigned_abs().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32; // Fibonacci hashing
    usize::try_from(mixed).unwrap_or_default() % parts
}

/// The run that an entry is of.
fn run_of(entry: &Entry) -> Option<WorkflowKey> {
    let record = entry.records.first().map(|it| it.workflow);
    record.or_else(|| entry.finish.as_ref().map(|it| it.workflow))
}

/// Takes a batch from the front of the queue; `None` if a stop is at the front.
pub(super) fn next_batch(waiting: &mut Vec<WriteRequest>) -> Option<WriteBatch> {
    let Some(WriteRequest::Write { fence, .. }) = waiting.first() else { return None };
    let fence = *fence;
    let (mut rows, mut bytes, mut taken) = (0, 0, 0);
    for request in waiting.iter() {
        let WriteRequest::Write { fence: next_fence, entry, .. } = request else { break };
        let (more_rows, more_bytes) = (entry.rows(), entry.bytes());
        let too_much = rows + more_rows > MAX_ROWS || bytes + more_bytes > MAX_BYTES || more_bytes > MAX_SHARED_BYTES;
        if taken > 0 && (too_much || *next_fence != fence) {
            break;
        }
        (rows, bytes, taken) = (rows + more_rows, bytes + more_bytes, taken + 1);
        if more_bytes > MAX_SHARED_BYTES {
            break;
        }
    }
    let (entries, completions) = (Vec::with_capacity(taken), Vec::with_capacity(taken));
    let mut batch = WriteBatch { fence, entries, completions, uncertain: false };
    for request in waiting.drain(..taken) {
        if let WriteRequest::Write { entry, completion, uncertain, .. } = request {
            batch.entries.push(entry);
            batch.completions.push(completion);
            batch.uncertain |= uncertain;
        }
    }
    Some(batch)
}

impl fmt::Debug for WriteRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Write { .. } => "Write",
            Self::Stop => "Stop",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::{Finish, NewWorkflow};

    fn request(key: usize, bytes: usize, epoch: i64) -> WriteRequest {
        let start = NewWorkflow {
            key: i64::try_from(key).expect("small").into(),
            id: "w".into(),
            name: "w".into(),
            input: "x".repeat(bytes),
            instance: None,
            parent: None,
            version: None,
            fingerprint: 0.into(),
            timeout: None,
            deadline: None,
            placement: None,
            context: crate::store::StartContext::default(),
        };
        let entry = Entry { start: Some(std::sync::Arc::new(start)), ..Entry::default() };
        let (fence, completion) = (Fence { executor: 1.into(), epoch: epoch.into() }, Completion::new(drop));
        WriteRequest::Write { fence, entry, completion, uncertain: false }
    }

    fn requests(sizes: impl IntoIterator<Item = usize>) -> Vec<WriteRequest> {
        sizes.into_iter().enumerate().map(|(key, bytes)| request(key, bytes, 1)).collect()
    }

    fn batches(mut waiting: Vec<WriteRequest>) -> Vec<WriteBatch> {
        std::iter::from_fn(|| next_batch(&mut waiting)).collect()
    }

    fn sizes(waiting: Vec<WriteRequest>) -> Vec<usize> {
        batches(waiting).iter().map(|it| it.entries.len()).collect()
    }

    fn key(entry: &Entry) -> i64 {
        entry.start.as_ref().map_or(-1, |start| start.key.get())
    }

    #[test]
    fn a_batch_is_bounded_and_a_large_payload_goes_alone() {
        assert_eq!(sizes(requests([10; 2000])), [1024, 976]);
        assert_eq!(sizes(requests([10, 100 << 10, 10, 10])), [1, 1, 2]);
        assert_eq!(sizes(requests([60 << 10; 40])), [17, 17, 6]);
    }

    /// An entry of a run, with a number; of no run if there is none.
    fn numbered(run: Option<i64>, number: i64) -> Entry {
        let finish = run.map(|run| Finish {
            workflow: run.into(),
            attempt: 1,
            status: crate::types::status::Status::Success,
            outcome: None,
            reason: None,
        });
        Entry { finish, received: vec![number.into()], ..Entry::default() }
    }

    proptest! {
        #[test]
        fn parts_of_a_batch_keep_the_order_of_each_run_and_of_calls(
            runs in prop::collection::vec(prop::option::of(-40..40_i64), 0..400),
            most in 1..4_usize,
            uncertain in prop::bool::weighted(0.1),
        ) {
            let entries: Vec<Entry> = (0..).zip(&runs).map(|(number, run)| numbered(*run, number)).collect();
            let completions = entries.iter().map(|_| Completion::new(drop)).collect();
            let fence = Fence { executor: 1.into(), epoch: 1.into() };
            let parts = WriteBatch { fence, entries, completions, uncertain }.divide(most);
            prop_assert!(parts.len() <= most);
            prop_assert!(parts.len() == 1 || !uncertain && runs.len() >= 2 * MIN_PART);
            let mut found = Vec::new();
            let mut part_of: std::collections::HashMap<Option<WorkflowKey>, usize> = std::collections::HashMap::new();
            for (index, part) in parts.iter().enumerate() {
                prop_assert_eq!(part.entries.len(), part.completions.len());
                prop_assert!(parts.len() == 1 || !part.entries.is_empty());
                let numbers: Vec<i64> = part.entries.iter().map(|it| it.received[0].get()).collect();
                prop_assert!(numbers.is_sorted());
                for entry in &part.entries {
                    prop_assert_eq!(*part_of.entry(run_of(entry)).or_insert(index), index, "in one part");
                }
                found.extend(numbers);
            }
            found.sort_unstable();
            prop_assert_eq!(found, (0..i64::try_from(runs.len()).expect("few")).collect::<Vec<_>>());
        }

        #[test]
        fn batches_keep_the_order_the_bounds_and_one_fence_and_end_at_a_stop(
            script in prop::collection::vec((prop_oneof![8 => 0..200_usize, 2 => 30_000..70_000_usize, 1 => 200_000..2_000_000_usize], 0..3_i64), 0..120),
            stop in 0..140_usize,
        ) {
            let mut waiting = Vec::new();
            for (key, (bytes, epoch)) in script.iter().enumerate() {
                if key == stop {
                    waiting.push(WriteRequest::Stop);
                }
                waiting.push(request(key, *bytes, *epoch));
            }
            let batches = batches(waiting);
            let keys: Vec<i64> = batches.iter().flat_map(|it| &it.entries).map(key).collect();
            let before_stop = i64::try_from(script.len().min(stop)).expect("small");
            prop_assert_eq!(keys, (0..before_stop).collect::<Vec<_>>(), "all before the stop, once, in order");
            for batch in batches {
                let bytes = |entry: &Entry| entry.bytes();
                prop_assert_eq!(batch.entries.len(), batch.completions.len());
                prop_assert!(batch.entries.iter().map(Entry::rows).sum::<usize>() <= MAX_ROWS);
                let alone = batch.entries.len() == 1;
                prop_assert!(alone || batch.entries.iter().map(bytes).sum::<usize>() <= MAX_BYTES);
                prop_assert!(alone || batch.entries.iter().map(bytes).all(|it| it <= MAX_SHARED_BYTES));
                for entry in &batch.entries {
                    let index = usize::try_from(key(entry)).expect("a key of the script");
                    prop_assert_eq!(script[index].1, batch.fence.epoch.get());
                }
            }
        }
    }
}
