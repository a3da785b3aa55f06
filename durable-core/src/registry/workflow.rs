//! A workflow of the program: the function that `#[workflow]` registers, by its name.

use std::fmt;

use crate::registry::arguments::Taken;
use crate::registry::workflow_options::WorkflowOptions;
use crate::store::BoxFuture;
use crate::types::error::{Error, ErrorKind};
use crate::types::keys::Fingerprint;
use crate::types::payload::{Outcome, PayloadError};

/// A function with the attribute `#[workflow]`.
pub struct Workflow {
    /// The name in the database.
    pub name: &'static str,
    /// The module of the function.
    pub module: &'static str,
    /// The name of the function in the source.
    pub function: &'static str,
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

impl Workflow {
    /// The version that its workflows are recorded with: its own, or that of the application.
    pub(crate) fn version<'a>(&'a self, application: &'a str) -> &'a str {
        self.options.version.unwrap_or(application)
    }

    /// Refuses to be started by a schedule on a partitioned queue.
    ///
    /// # Errors
    /// A tick has no partition key, so none would start.
    pub(crate) fn check_schedulable(&self) -> Result<(), Error> {
        let Some(queue) = self.options.queue.filter(|it| it.is_partitioned()) else { return Ok(()) };
        let message = format!(
            "the workflow `{}` ({}:{}) cannot be scheduled: its queue `{}` needs a partition key, which a schedule does not give; give it another queue, or schedule a workflow that calls it with `.partition(key)`",
            self.name,
            self.file,
            self.line,
            queue.name()
        );
        Err(Error::new(ErrorKind::Registry, message))
    }
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

/// Not public API: the name of the workflow whose function has this path, as `std::any::type_name` gives it.
#[cfg(feature = "testing")]
#[must_use]
pub fn registered_name(path: &str) -> Option<&'static str> {
    let all = || inventory::iter::<Registered>().map(|it| it.0);
    let exactly =
        |it: &&Workflow| path.strip_prefix(it.module).and_then(|it| it.strip_prefix("::")) == Some(it.function);
    // A method, or a function in a function: there is more between the module and the name.
    let within = |it: &&Workflow| {
        let rest = path.strip_prefix(it.module).and_then(|rest| rest.strip_suffix(it.function));
        rest.is_some_and(|it| it.starts_with("::") && it.ends_with("::"))
    };
    let found = all().find(exactly).or_else(|| {
        let mut found = all().filter(within);
        found.next().filter(|_| found.next().is_none()) // of several it is not certain which one is meant
    });
    found.map(|it| it.name)
}
