//! `durable cancel`

use clap::Args;

use crate::cli::exit::Result;
use crate::cli::selection::Selection;
use crate::cli::session::Session;
use crate::{Client, Status};

/// Cancel workflows
///
/// Bodies are dropped where they run; the effects of steps are not undone.
#[derive(Debug, Args)]
pub(in crate::cli) struct CancelArguments {
    #[command(flatten)]
    selection: Selection,
    /// Also cancel everything that they have started
    #[arg(long)]
    children: bool,
}

pub(in crate::cli) async fn run(session: &Session, arguments: &CancelArguments) -> Result<()> {
    let change = async |client: &Client, id: &str| {
        let before = client.workflow(id).await?.map(|it| it.status);
        let call = client.cancel_workflow(id);
        let call = if arguments.children { call.cancel_children() } else { call };
        call.await?;
        Ok(match before {
            Some(status) if status.is_terminal() => format!("it had ended before ({})", word(status)),
            _ => String::new(),
        })
    };
    arguments
        .selection
        .apply(session, "cancel", "cancelled", change, |all| {
            Some(if arguments.children { all.cancel_with_children() } else { all.cancel() })
        })
        .await
}

fn word(status: Status) -> String {
    status.as_str().to_lowercase()
}
