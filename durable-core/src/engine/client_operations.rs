//! The operations of a [`Client`]: those of [`Durable`](crate::Durable) that need no workflow in the program.

use serde::Serialize;

use crate::engine::client::Client;
use crate::operations::enqueue_call::EnqueueCall;

impl Client {
    /// Starts a workflow of the application by its name. `arguments` is a JSON object with a value for each argument,
    /// under its name in the code. The handle gives the result as JSON;
    /// [`retrieve_workflow`](Self::retrieve_workflow) gives one for a type.
    ///
    /// Whether the application has a workflow of this name is not known here: one without is never run.
    ///
    /// # Errors
    /// The arguments are no JSON object or are too large; a name, an id or a key cannot be stored; the id belongs to
    /// a workflow of another name; the deduplication id is in use; the database cannot be reached. If it did not
    /// confirm the workflow, the error is [`ErrorKind::Unconfirmed`](crate::ErrorKind::Unconfirmed), and
    /// [its id](crate::Error::workflow_id) can be used again.
    pub fn enqueue<A: Serialize>(&self, workflow: impl Into<String>, arguments: A) -> EnqueueCall {
        EnqueueCall::new(self.runtime(), workflow.into(), &arguments)
    }
}
