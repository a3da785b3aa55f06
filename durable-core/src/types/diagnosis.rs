//! What is right and wrong about a database: the answer of
//! [`ClientBuilder::diagnose`](crate::ClientBuilder::diagnose).

use serde::{Deserialize, Serialize};

/// What was found out about a database. As JSON the fields have these names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Diagnosis {
    /// The database, without its password.
    pub database: String,
    /// What was looked at, in this order. A check that depends on one that failed is left out.
    pub checks: Vec<DiagnosisCheck>,
}

impl Diagnosis {
    pub(crate) fn of(database: String) -> Self {
        Self { database, checks: Vec::new() }
    }

    /// Whether no check found a problem. There may be warnings.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.checks.iter().all(|it| it.verdict != CheckVerdict::Problem)
    }

    pub(crate) fn good(&mut self, name: &str, finding: impl Into<String>) {
        self.add(name, CheckVerdict::Good, finding.into(), None);
    }

    pub(crate) fn warning(&mut self, name: &str, finding: impl Into<String>, remedy: impl Into<String>) {
        self.add(name, CheckVerdict::Warning, finding.into(), Some(remedy.into()));
    }

    pub(crate) fn problem(&mut self, name: &str, finding: impl Into<String>, remedy: impl Into<String>) {
        self.add(name, CheckVerdict::Problem, finding.into(), Some(remedy.into()));
    }

    fn add(&mut self, name: &str, verdict: CheckVerdict, finding: String, remedy: Option<String>) {
        self.checks.push(DiagnosisCheck { name: name.to_owned(), verdict, finding, remedy });
    }
}

/// One check of a [`Diagnosis`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DiagnosisCheck {
    /// What was looked at, such as `privileges`.
    pub name: String,
    /// How it is.
    pub verdict: CheckVerdict,
    /// What was found.
    pub finding: String,
    /// What to do about it, unless it is good.
    pub remedy: Option<String>,
}

/// How something is. In JSON it is the lower-case word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum CheckVerdict {
    /// As it is to be.
    Good,
    /// It works, and could be better.
    Warning,
    /// An application cannot work with this.
    Problem,
}
