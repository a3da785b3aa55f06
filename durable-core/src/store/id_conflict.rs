//! Whether an existing workflow is the one that a call wanted to start.

use std::fmt;

use crate::store::ExistingWorkflow;
use crate::types::error::{Error, ErrorKind};

impl ExistingWorkflow {
    /// Whether it is a workflow of this name, on this instance.
    pub(crate) fn is_of(&self, workflow: &str, instance: Option<&str>) -> bool {
        self.name == workflow && self.instance.as_deref() == instance
    }

    /// The error if it is not a workflow of this name, on this instance.
    pub(crate) fn conflict(&self, workflow: &str, instance: Option<&str>) -> Option<Error> {
        if self.is_of(workflow, instance) {
            return None;
        }
        let (theirs, ours) =
            (WorkflowIdentity(&self.name, self.instance.as_deref()), WorkflowIdentity(workflow, instance));
        let message = format!(
            "the workflow id {:?} belongs to a workflow {theirs} already, and was now used to start {ours}; an id names one execution for ever, choose another",
            self.id
        );
        Some(Error::new(ErrorKind::IdConflict, message))
    }
}

/// A workflow as errors name it: with its instance, if it has one.
#[derive(Clone, Copy)]
pub(crate) struct WorkflowIdentity<'a>(pub(crate) &'a str, pub(crate) Option<&'a str>);

impl fmt::Display for WorkflowIdentity<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.0)?;
        self.1.map_or(Ok(()), |instance| write!(f, " on the instance {instance:?}"))
    }
}
