//! Exporting and importing the history of a workflow.

use std::future::Future;
use std::sync::Arc;

use crate::journal::checkpoint::Operation;
use crate::journal::context::Context;
use crate::journal::current_engine;
use crate::operations::admin::not_found;
use crate::operations::caller_errors::failed_to;
use crate::operations::look::Look;
use crate::runtime::Runtime;
use crate::types::error::{Error, ErrorKind, Result};
use crate::types::history::History;
use crate::types::id::check_id;
use crate::types::status::Status;
use crate::types::time::Timestamp;

/// Reads everything that the database has of a workflow: its row, records, events, stream items and messages, as they
/// are at one moment. Write it as JSON with `serde_json`; [`import_workflow`] reads it, also into another database of
/// either kind.
///
/// It contains arguments and results as they are stored.
///
/// In a workflow's body the answer is recorded, at a position that is reserved when this is called.
///
/// # Errors
/// No workflow has this id; no engine runs; it was called in a transaction; the database cannot be reached (in a body the
/// workflow waits for it).
///
/// # Example
///
/// ```no_run
/// # use durable_core as durable;
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let history = durable::export_workflow("order-7").await?;
/// std::fs::write("order-7.json", serde_json::to_string_pretty(&history)?)?;
/// # Ok(())
/// # }
/// ```
pub fn export_workflow<I: AsRef<str>>(id: I) -> impl Future<Output = Result<History>> + Send + use<I> {
    export(None, id.as_ref())
}

/// Writes an exported workflow into this database, under its own id.
///
/// A workflow that has ended is imported as it is. One that had not is PARKED, so that nothing runs by surprise; the
/// reason says how it is resumed. Its parent is not kept, and its children are not imported with it.
///
/// # Errors
/// A workflow with this id exists, and nothing is written; the history is of a newer release; it is called in the body of
/// a workflow, where it is not recorded: move it into a step. No engine runs, or the database cannot be reached.
///
/// # Example
///
/// ```no_run
/// # use durable_core as durable;
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let history = serde_json::from_str(&std::fs::read_to_string("order-7.json")?)?;
/// let status = durable::import_workflow(&history).await?;
/// # Ok(())
/// # }
/// ```
pub async fn import_workflow(history: &History) -> Result<Status> {
    import(&current_engine::engine()?, history).await
}

pub(crate) fn export(engine: Option<&Arc<Runtime>>, id: &str) -> impl Future<Output = Result<History>> + Send + use<> {
    let (look, id) = (Look::through(engine), Arc::<str>::from(id));
    async move {
        check_id("the workflow id", &id)?;
        let question = |runtime: Arc<Runtime>| {
            let id = Arc::clone(&id);
            async move { Ok(runtime.store.export(&id).await?.ok_or_else(|| not_found(&id))) }
        };
        look.ask(Operation::on("export_workflow", &id), "export a workflow", question).await
    }
}

pub(crate) async fn import(runtime: &Arc<Runtime>, history: &History) -> Result<Status> {
    Context::refuse_unrecorded("an import")?;
    let mut history = history.clone();
    check_id("the workflow id", &history.workflow.id)?;
    if history.format > History::FORMAT {
        let message = format!(
            "the history of the workflow {:?} has the format {}, and this release reads up to {}; import it with the release that exported it",
            history.workflow.id,
            history.format,
            History::FORMAT
        );
        return Err(Error::new(ErrorKind::Misuse, message));
    }
    let workflow = &mut history.workflow;
    if !workflow.status.is_terminal() && workflow.status != Status::Parked {
        workflow.reason = Some(format!(
            "imported while it was {}, and parked so that nothing runs by surprise; run `durable resume {}` to let it go on",
            workflow.status, workflow.id
        ));
        workflow.status = Status::Parked;
    }
    let status = workflow.status;
    let task_runtime = Arc::clone(runtime);
    let call = async move {
        let runtime = &task_runtime;
        let created_at = Timestamp::from_micros(history.workflow.created_at); // listings by time go by the key
        let imported = runtime.store.import(runtime.keys.at(created_at), &history).await;
        if imported.map_err(|error| failed_to(runtime, "import a workflow", &error))? {
            return Ok(status);
        }
        let id = &history.workflow.id;
        let message = format!(
            "a workflow with the id {id:?} is in the database already, so the history was not imported; delete that one first, or import it into another database"
        );
        Err(Error::new(ErrorKind::Duplicate, message).with_workflow(id))
    };
    runtime.finish_call(call).await
}
