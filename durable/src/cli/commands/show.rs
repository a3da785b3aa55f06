//! `durable show`

use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::cli::exit::{Exit, Failure, Result};
use crate::cli::output::{Tone, print_line, width};
use crate::cli::session::Session;
use crate::cli::text::{message_of, or_none, time, time_or_none, tone_of};
use crate::cli::timeline::{self, Span};
use crate::cli::why::why;
use crate::{Client, Filter, StepInfo, WorkflowInfo};

/// How often a workflow that is watched is looked at.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// How much of a line the other columns of a step need, about.
const REST_OF_LINE: usize = 80;

/// Show one workflow with its steps, and why it waits
#[derive(Debug, Args)]
pub(in crate::cli) struct ShowArguments {
    /// The id of the workflow
    id: String,
    /// Also show the input, the output and the whole error, which may be long, and in short what each step returned
    #[arg(long)]
    payloads: bool,
    /// Show it again every second, until it has ended
    #[arg(long, short)]
    watch: bool,
}

#[derive(Debug, Serialize)]
struct Shown<'a> {
    workflow: &'a WorkflowInfo,
    steps: &'a [StepInfo],
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
}

pub(in crate::cli) async fn run(session: &Session, arguments: &ShowArguments) -> Result<()> {
    let client = session.connect().await?;
    loop {
        let Some(workflow) = client.workflow(&arguments.id).await? else {
            return Err(not_found(&client, &arguments.id).await);
        };
        let steps = client.list_steps(&arguments.id).await?;
        let why = why(&client, &workflow, &steps).await?;
        if arguments.watch && session.output.is_terminal() {
            print_line("\x1b[2J\x1b[H")?; // an empty screen
        }
        show(session, &Shown { workflow: &workflow, steps: &steps, why: why.as_deref() }, arguments.payloads)?;
        if !arguments.watch || workflow.status.is_terminal() {
            break;
        }
        tokio::time::sleep(WATCH_INTERVAL).await;
    }
    client.close().await;
    Ok(())
}

/// The error for an unknown id, with ids that begin with it.
pub(in crate::cli) async fn not_found(client: &Client, id: &str) -> Failure {
    let failure = Failure::new(Exit::NotFound, format!("no workflow has the id {id:?}"));
    let similar = client.list_workflows(Filter::new().id_prefix(id).newest_first().limit(3)).await;
    match similar.as_ref().map_or(&[][..], |page| page.items.as_slice()) {
        [] => failure.hint("`durable ls` lists the newest; an id is the whole text that the workflow was started with"),
        some => failure.hint(format!(
            "these begin with it: {}",
            some.iter().map(|it| it.id.as_str()).collect::<Vec<_>>().join(", ")
        )),
    }
}

fn labels_of(workflow: &WorkflowInfo) -> Option<String> {
    let labels: Vec<_> = workflow.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    (!labels.is_empty()).then(|| labels.join(", "))
}

fn show(session: &Session, shown: &Shown<'_>, payloads: bool) -> Result<()> {
    if session.output.is_json() {
        return session.output.done(shown, "");
    }
    let Shown { workflow: it, steps, why } = *shown;
    let plain = |name: &'static str, text: String| (name, text, Tone::Plain);
    let mut properties = vec![
        plain("workflow", it.id.clone()),
        plain("name", it.name.clone()),
        ("status", it.status.as_str().to_lowercase(), tone_of(it.status)),
    ];
    for (name, text) in [
        ("reason", it.reason.clone()),
        ("error", it.error.as_deref().map(message_of)),
        ("why", why.map(ToOwned::to_owned)),
        ("queue", it.queue.clone()),
        ("partition", it.partition_key.clone()),
        ("parent", it.parent.clone()),
        ("forked from", it.forked_from.clone()),
        ("started by", it.started_by.clone()),
        ("labels", labels_of(it)),
        ("executor", it.executor.clone()),
        ("version", it.version.clone()),
    ] {
        properties.extend(text.map(|text| plain(name, text)));
    }
    properties.extend([
        plain("attempts", format!("{}, {} recoveries", it.attempts, it.recoveries)),
        plain("created", time(it.created_at)),
        plain("started", time_or_none(it.started_at)),
        plain("ended", time_or_none(it.completed_at)),
    ]);
    if payloads {
        properties.extend([
            plain("input", or_none(it.input.as_ref())),
            plain("output", or_none(it.output.as_ref())),
            plain("whole error", or_none(it.error.as_ref())),
        ]);
    }
    session.output.one(&it, &properties)?;
    if steps.is_empty() {
        return Ok(());
    }
    let span = Span::of(it, steps);
    print_line("")?;
    let output = payloads.then(|| usize::from(width()).saturating_sub(REST_OF_LINE).clamp(20, 200));
    let mut headings = vec!["POSITION", "KIND", "NAME", "TOOK", "TIME", ""];
    headings.extend(output.map(|_| "OUTPUT"));
    session.output.rows(&headings, steps, |step| timeline::cells(step, &span, output))
}
