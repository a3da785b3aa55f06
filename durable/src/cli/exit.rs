//! How a command ends: its exit code, and the error that it prints.

use std::fmt;
use std::process::ExitCode;

use crate::error_scope::is_about_one;
use crate::{Error, ErrorKind};

/// What a script can tell apart. `--help` and the guide list them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// The command failed, the workflow that it waited for ended with an error, or a check found something.
    Failed = 1,
    /// The command line cannot be understood. Clap uses the same code.
    Usage = 2,
    /// There is no workflow, queue, schedule, version or context of this name.
    NotFound = 3,
    /// Nothing was done, or not for all: it was refused, or not confirmed.
    Refused = 4,
    /// The database cannot be reached.
    Unreachable = 5,
    /// The schema is missing, or of another release.
    Schema = 6,
}

/// Why a command ends early.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) exit: Exit,
    about_one: bool,
    message: String,
    /// What to do.
    hint: Option<String>,
}

pub(super) type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    pub(super) fn new(exit: Exit, message: impl Into<String>) -> Self {
        let about_one = matches!(exit, Exit::NotFound | Exit::Refused);
        Self { exit, about_one, message: message.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same, about one workflow of several.
    pub(super) fn about_one(mut self) -> Self {
        self.about_one = true;
        self
    }

    /// Whether it is about one workflow, so that the change of the next one may succeed.
    pub(super) fn is_about_one(&self) -> bool {
        self.about_one
    }

    pub(super) fn message(&self) -> &str {
        &self.message
    }

    pub(super) fn code(&self) -> ExitCode {
        ExitCode::from(self.exit as u8)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "\n  help: {hint}")?;
        }
        Ok(())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exit = match error.kind() {
            ErrorKind::NotFound => Exit::NotFound,
            ErrorKind::IdConflict
            | ErrorKind::Duplicate
            | ErrorKind::Ended
            | ErrorKind::InvalidId
            | ErrorKind::Registry
            | ErrorKind::Misuse
            | ErrorKind::Payload
            | ErrorKind::Refused => Exit::Refused,
            ErrorKind::Database | ErrorKind::Unconfirmed | ErrorKind::Unavailable => Exit::Unreachable,
            ErrorKind::Config => Exit::Schema,
            _ => Exit::Failed,
        };
        Self { about_one: is_about_one(&error), ..Self::new(exit, error.to_string()) }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(Exit::Failed, error.to_string())
    }
}
