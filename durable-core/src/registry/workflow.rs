//! A workflow of the program: the function that `#[workflow]` registers, by its name.

use std::fmt;

use crate::registry::arguments::Taken;
use crate::registry::workflow_options::WorkflowOptions;
use crate::store::BoxFuture;
use crate::types::keys::Fingerprint;
use crate::types::payload::{Outcome, PayloadError};

/// A function with the attribute `#[workflow]`.
pub struct Workflow {
    /// The name in the database.
    pub name: &'static str,
    /// The module of the function.
    pub module: &'static str,
    /// The source file.
    pub file: &'static str,
    /// The line of the function's name.
    pub line: u32,
    /// A hash of the function's source tokens.
    pub fingerprint: Fingerprint,
    /// Its options.
    pub options: WorkflowOptions,
    /// Reads the arguments and returns the future of the body.
    pub run: fn(&mut Taken) -> Result<BoxFuture<'static, Outcome>, PayloadError>,
}

impl fmt::Debug for Workflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}:{})", self.name, self.file, self.line)
    }
}

/// A workflow in the program-wide list. `inventory` needs a type for each list.
#[derive(Debug)]
pub struct Registered(pub &'static Workflow);

inventory::collect!(Registered);
