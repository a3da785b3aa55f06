//! `durable reset`

use clap::Args;
use serde::Serialize;

use crate::cli::exit::Result;
use crate::cli::session::Session;

/// Delete all workflows, queues and schedules, for tests and development
///
/// It is refused for a context of production, and while a process of the application lives.
#[derive(Debug, Args)]
pub(in crate::cli) struct ResetArguments {
    /// The name of the database, or of the file of SQLite, once more
    #[arg(value_name = "DATABASE")]
    name: String,
}

#[derive(Debug, Serialize)]
struct ResetDatabase<'a> {
    database: &'a str,
    result: &'static str,
}

pub(in crate::cli) async fn run(session: &Session, arguments: &ResetArguments) -> Result<()> {
    let name = &arguments.name;
    session.confirm_reset(name)?;
    session.database().reset(name).await?;
    session.output.done(&ResetDatabase { database: name, result: "reset" }, &format!("{name}: reset"))
}
