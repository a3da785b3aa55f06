//! Floor 1, the registry: every `#[workflow]` of the program, found by its name after a restart.

mod arguments;
mod objects;

use std::collections::HashMap;
use std::fmt;

pub use self::arguments::{Arguments, Taken};
pub use self::objects::Instance;
pub(crate) use self::objects::Objects;
use crate::store::{BoxFuture, KnownWorkflow};
use crate::words::error::{Error, ErrorKind};
use crate::words::payload::{Outcome, PayloadError};
use crate::words::policy::WorkflowOptions;

/// What a `#[workflow]` attribute makes of a function.
pub struct Workflow {
    /// The name in the database.
    pub name: &'static str,
    /// The module it stands in.
    pub module: &'static str,
    /// The source file.
    pub file: &'static str,
    /// The line of the function's name.
    pub line: u32,
    /// A hash of the function's source tokens.
    pub fingerprint: i64,
    /// Its options.
    pub options: WorkflowOptions,
    /// Reads the arguments and makes the body's future.
    pub run: fn(&mut Taken) -> Result<BoxFuture<'static, Outcome>, PayloadError>,
}

impl fmt::Debug for Workflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}:{})", self.name, self.file, self.line)
    }
}

/// A workflow in the program-wide list. A type of its own, because the list belongs to a type.
#[derive(Debug)]
pub struct Registered(pub &'static Workflow);

inventory::collect!(Registered);

/// The workflows by name.
#[derive(Debug)]
pub(crate) struct Registry {
    by_name: HashMap<&'static str, &'static Workflow>,
}

impl Registry {
    /// Gathers what the linked crates have registered.
    ///
    /// # Errors
    /// Two workflows of one name, with the places of both: after a restart nobody could tell which
    /// of them a row belongs to.
    pub(crate) fn gather() -> Result<Self, Error> {
        let mut by_name: HashMap<&'static str, &'static Workflow> = HashMap::new();
        for Registered(workflow) in inventory::iter::<Registered> {
            if let Some(earlier) = by_name.insert(workflow.name, workflow) {
                let message = format!(
                    "two workflows are named `{}`: {}:{} (in {}) and {}:{} (in {}); rename one of them, or give it another name in the database with #[workflow(name = \"…\")]",
                    workflow.name,
                    earlier.file,
                    earlier.line,
                    earlier.module,
                    workflow.file,
                    workflow.line,
                    workflow.module
                );
                return Err(Error::new(ErrorKind::Registry, message));
            }
        }
        Ok(Self { by_name })
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'static Workflow> {
        self.by_name.get(name).copied()
    }

    /// The names in order, for the log.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.by_name.keys().copied().collect();
        names.sort_unstable();
        names
    }

    /// The names with their limits, for the database.
    pub(crate) fn known(&self) -> Vec<KnownWorkflow> {
        self.by_name
            .values()
            .map(|it| KnownWorkflow { name: it.name.to_owned(), max_recoveries: it.options.max_recoveries })
            .collect()
    }
}
