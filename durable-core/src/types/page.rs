//! Pages of a listing, and counts.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::types::error::{Error, ErrorKind};

/// A page of a listing. It can be used as the `Vec` of its items, and iterated over.
///
/// # Example
///
/// ```no_run
/// # use durable_core as durable;
/// # use durable::{Filter, Status};
/// # async fn example() -> durable::Result<()> {
/// let mut filter = Filter::new().status(Status::Error).newest_first().limit(50);
/// loop {
///     let page = durable::list_workflows(filter.clone()).await?;
///     for workflow in &page {
///         println!("{} {}", workflow.id, workflow.name);
///     }
///     let Some(next) = page.next else { break };
///     filter = filter.after(next);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins, for [`Filter::after`](crate::Filter::after); `None` if this is the last page.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// A page of these items, of which there may be one more than `limit`; `cursor` is the place of an item.
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub(crate) fn of(mut items: Vec<(Cursor, T)>, limit: usize) -> Self {
        let is_last = items.len() <= limit;
        items.truncate(limit);
        let next = items.last().map(|(cursor, _)| *cursor).filter(|_| !is_last);
        Self { items: items.into_iter().map(|(_, item)| item).collect(), next }
    }
}

impl<T> Deref for Page<T> {
    type Target = Vec<T>;

    fn deref(&self) -> &Vec<T> {
        &self.items
    }
}

impl<T> DerefMut for Page<T> {
    fn deref_mut(&mut self) -> &mut Vec<T> {
        &mut self.items
    }
}

impl<T> IntoIterator for Page<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.into_iter()
    }
}

impl<'a, T> IntoIterator for &'a Page<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.items.iter()
    }
}

/// A place in a listing: the next page begins behind it. It is a text for links and command lines, stays
/// valid while workflows are added and deleted, and holds no data of a workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cursor {
    /// When the workflow ended, in a listing in the order of that.
    pub(crate) completed_at: Option<i64>,
    /// The workflow's key.
    pub(crate) key: i64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.completed_at {
            Some(completed_at) => write!(f, "{completed_at}.{}", self.key),
            None => write!(f, "{}", self.key),
        }
    }
}

impl FromStr for Cursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let read = || {
            let Some((completed_at, key)) = text.split_once('.') else {
                return Some(Self { completed_at: None, key: text.parse().ok()? });
            };
            Some(Self { completed_at: Some(completed_at.parse().ok()?), key: key.parse().ok()? })
        };
        read().ok_or_else(|| {
            let message = format!("{text:?} is no cursor: take the `next` of the page before");
            Error::new(ErrorKind::Misuse, message)
        })
    }
}

impl TryFrom<String> for Cursor {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<Cursor> for String {
    fn from(cursor: Cursor) -> Self {
        cursor.to_string()
    }
}

/// What [`count_workflows`](crate::count_workflows) counts by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GroupBy {
    /// The status.
    Status,
    /// The name of the function.
    Name,
    /// The queue.
    Queue,
    /// The version of the program that started them.
    Version,
    /// The executor that runs them, or ran them last.
    Executor,
}

/// How many workflows there are of each group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WorkflowCounts {
    /// The groups, the largest first.
    pub groups: Vec<GroupCount>,
    /// The sum of the groups.
    pub total: u64,
    /// Whether the count stopped at its limit, so that there are more.
    pub capped: bool,
}

/// How many workflows there are of one group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GroupCount {
    /// The status, name, queue, version or executor; `None` for workflows without one.
    pub value: Option<String>,
    /// How many workflows have it.
    pub count: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_a_text_that_reads_as_the_same_cursor() {
        for cursor in [Cursor { completed_at: None, key: 7 }, Cursor { completed_at: Some(-5), key: 1 << 60 }] {
            assert_eq!(cursor.to_string().parse::<Cursor>().expect("it is a cursor"), cursor);
            let json = serde_json::to_string(&cursor).expect("it is JSON");
            assert_eq!(serde_json::from_str::<Cursor>(&json).expect("it is a cursor"), cursor);
        }
        for bad in ["", "x", "1.", ".1", "1.2.3"] {
            assert!(bad.parse::<Cursor>().is_err(), "{bad:?}");
        }
    }
}
