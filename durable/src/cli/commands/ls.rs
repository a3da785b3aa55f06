//! `durable ls`

use chrono::{DateTime, Utc};
use clap::Args;

use crate::cli::arguments::Format;
use crate::cli::exit::Result;
use crate::cli::filter::filter_of;
use crate::cli::output::Tone;
use crate::cli::session::Session;
use crate::cli::text::{duration, message_of, or_none, shortened, time, tone_of};
use crate::cli::values::{moment, pair};
use crate::conditions::status_word;
use crate::{Cursor, Filter, Status, WorkflowInfo};

/// How many characters of a reason are shown.
const REASON_WIDTH: usize = 120;
/// How many characters of a payload are shown.
const PAYLOAD_WIDTH: usize = 60;

/// List workflows, the newest first
#[derive(Debug, Args)]
pub(in crate::cli) struct LsArguments {
    /// Only those with this status; several are allowed, as of all conditions
    #[arg(long, short, value_name = "STATUS", value_parser = status_word)]
    status: Vec<Status>,
    /// Only those with this name
    #[arg(long, short, value_name = "NAME")]
    name: Vec<String>,
    /// Only those on this queue
    #[arg(long, short, value_name = "NAME")]
    queue: Vec<String>,
    /// Only those with this label
    #[arg(long, value_name = "NAME=VALUE")]
    label: Vec<String>,
    /// Only those whose id begins with this text
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
    /// Only those whose error has this text in it
    #[arg(long, value_name = "TEXT")]
    error: Option<String>,
    /// Only those created at this time or later: 2026-01-31T00:00:00Z, 2026-01-31, or 2d for so long ago
    #[arg(long, value_name = "TIME", value_parser = moment)]
    created_after: Option<DateTime<Utc>>,
    /// Only those created before this time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    created_before: Option<DateTime<Utc>>,
    /// More conditions: executor, version, parent, partition, started-by, completed-after, completed-before
    #[arg(long = "where", value_name = "KEY=VALUE,..", value_delimiter = ',')]
    conditions: Vec<String>,
    /// At most this many
    #[arg(long, short, value_name = "NUMBER", default_value_t = 50)]
    limit: u32,
    /// Go on behind a page, with what it printed as its end
    #[arg(long, value_name = "CURSOR")]
    after: Option<Cursor>,
    /// The oldest first
    #[arg(long)]
    oldest_first: bool,
    /// With the input, the output and the error: in short, and whole in JSON
    #[arg(long)]
    payloads: bool,
}

impl LsArguments {
    fn filter(&self) -> Result<Filter> {
        let mut filter = filter_of(&self.conditions)?.limit(self.limit);
        for label in &self.label {
            let (name, value) = pair("--label", label)?;
            filter = filter.label(name, value);
        }
        filter = self.status.iter().fold(filter, |filter, it| filter.status(*it));
        filter = self.name.iter().fold(filter, Filter::name);
        filter = self.queue.iter().fold(filter, Filter::queue);
        if let Some(prefix) = &self.prefix {
            filter = filter.id_prefix(prefix);
        }
        if let Some(text) = &self.error {
            filter = filter.error_contains(text);
        }
        if let Some(from) = self.created_after {
            filter = filter.created_after(from);
        }
        if let Some(until) = self.created_before {
            filter = filter.created_before(until);
        }
        if let Some(cursor) = self.after {
            filter = filter.after(cursor);
        }
        if self.payloads {
            filter = filter.with_payloads();
        }
        Ok(if self.oldest_first { filter } else { filter.newest_first() })
    }
}

pub(in crate::cli) async fn run(session: &Session, arguments: &LsArguments) -> Result<()> {
    let filter = arguments.filter()?;
    let client = session.connect().await?;
    let page = client.list_workflows(filter).await?;
    client.close().await;
    if session.output.format() == Format::Json {
        return session.output.done(&page, "");
    }
    if page.is_empty() {
        eprintln!("no workflow matches");
        return Ok(());
    }
    list(session, &page, arguments.payloads)?;
    if let Some(next) = page.next {
        eprintln!("there are more: --after {next}");
    }
    Ok(())
}

fn list(session: &Session, found: &[WorkflowInfo], payloads: bool) -> Result<()> {
    let has_reasons = found.iter().any(|it| reason(it).is_some());
    let mut headings = vec!["ID", "NAME", "STATUS", "QUEUE", "CREATED", "TOOK", "ATTEMPTS"];
    headings.extend(has_reasons.then_some("REASON"));
    headings.extend(payloads.then_some(["INPUT", "OUTPUT"]).into_iter().flatten());
    session.output.rows(&headings, found, |it| {
        let took = it.started_at.zip(it.completed_at).and_then(|(from, to)| (to - from).to_std().ok());
        let mut cells = vec![
            (it.id.clone(), Tone::Plain),
            (it.name.clone(), Tone::Plain),
            (it.status.as_str().to_lowercase(), tone_of(it.status)),
            (or_none(it.queue.as_ref()), Tone::Plain),
            (time(it.created_at), Tone::Plain),
            (or_none(took.map(duration)), Tone::Plain),
            (it.attempts.to_string(), if it.recoveries > 0 { Tone::Warning } else { Tone::Plain }),
        ];
        let short = |text: Option<&str>, most| (or_none(text.map(|it| shortened(it, most))), Tone::Plain);
        if has_reasons {
            cells.push(short(reason(it).as_deref(), REASON_WIDTH));
        }
        if payloads {
            cells.extend([it.input.as_deref(), it.output.as_deref()].map(|it| short(it, PAYLOAD_WIDTH)));
        }
        cells
    })
}

/// Why it is parked or cancelled, or its error.
fn reason(workflow: &WorkflowInfo) -> Option<String> {
    workflow.reason.clone().or_else(|| workflow.error.as_deref().map(message_of))
}
