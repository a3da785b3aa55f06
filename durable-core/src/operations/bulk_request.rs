//! What a bulk change is to do, and what it has done.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::operations::fork::ForkFrom;
use crate::types::error::Result;
use crate::types::filter::Filter;

/// What a bulk change does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BulkAction {
    Cancel { children: bool },
    Resume,
    Restart,
    Fork(ForkFrom),
    Delete,
    SetLabels(Vec<(String, String)>),
    SetPriority(i32),
    SetDelay(Duration),
    MoveToQueue(String),
}

/// The arguments of the engine's own workflow that carries out a bulk change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct BulkRequest {
    pub(crate) filter: Filter,
    pub(crate) action: BulkAction,
    pub(crate) per_second: Option<u32>,
}

/// What a bulk change has done so far. The workflow that carries it out returns it, and sets it as its event
/// `progress` after each batch. As JSON the fields have these names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct BulkReport {
    /// How many workflows the filter has selected.
    pub matched: u64,
    /// How many of them were changed. With descendants that were deleted or cancelled with them it can be more.
    pub changed: u64,
    /// How many were already as they should be.
    pub unchanged: u64,
    /// How many could not be changed.
    pub refused: u64,
    /// Why, for the first 20 of those, by their ids.
    pub reasons: BTreeMap<String, String>,
}

impl BulkReport {
    /// How many reasons are kept.
    const MAX_REASONS: usize = 20;

    pub(super) fn add(&mut self, more: Self) {
        self.matched += more.matched;
        self.changed += more.changed;
        self.unchanged += more.unchanged;
        self.refused += more.refused;
        let room = Self::MAX_REASONS.saturating_sub(self.reasons.len());
        self.reasons.extend(more.reasons.into_iter().take(room));
    }

    /// Notes how many workflows were changed for one of them, or why it was not.
    pub(super) fn note(&mut self, id: &str, result: Result<u64>) {
        match result {
            Ok(0) => self.unchanged += 1,
            Ok(changed) => self.changed += changed,
            Err(error) => {
                self.refused += 1;
                if self.reasons.len() < Self::MAX_REASONS {
                    self.reasons.insert(id.to_owned(), error.to_string());
                }
            }
        }
    }
}
