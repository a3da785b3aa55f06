//! The workflows that a command is about: ids, or all that match conditions.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::{ArgGroup, Args, value_parser};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use serde_json::Value;

use super::arguments::Format;
use super::commands::show::not_found;
use super::exit::{Exit, Failure, Result};
use super::filter::{filter_of, ids_of};
use super::output::print_line;
use super::session::Session;
use super::text::{groups, workflows};
use crate::{Bulk, BulkCall, Client, Filter, GroupBy, WorkflowCounts};

/// The ids, or the conditions.
#[derive(Debug, Args)]
#[group(skip)]
#[command(group(ArgGroup::new("selected").required(true).args(["ids", "conditions"])))]
pub(super) struct Selection {
    /// The ids of the workflows
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// All that match: status=error,name=checkout,label.tenant=acme
    #[arg(long = "where", value_name = "KEY=VALUE,..", value_delimiter = ',')]
    conditions: Vec<String>,
    /// Only say how many there are, by status, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Change at most so many in a second, so that other work has room
    #[arg(long, value_name = "NUMBER", requires = "conditions", value_parser = value_parser!(u32).range(1..))]
    per_second: Option<u32>,
}

/// What became of the workflows of a command.
#[derive(Debug, Default, Serialize)]
struct Tally {
    done: u64,
    refused: u64,
    /// How many needed no change.
    #[serde(skip_serializing_if = "Option::is_none")]
    unchanged: Option<u64>,
    /// What was made of which workflow, where new ones are made.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    new: BTreeMap<String, String>,
}

/// What became of one workflow.
#[derive(Debug, Serialize)]
struct ChangedWorkflow<'a> {
    id: &'a str,
    result: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    returned: Option<Value>,
}

/// What a change gives to print.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// What was done, if it is not the usual; or the id of the new workflow, where one is made.
    pub(super) detail: String,
    /// What the workflow returned, if that was waited for.
    pub(super) returned: Option<Value>,
}

impl From<String> for Done {
    fn from(detail: String) -> Self {
        Self { detail, returned: None }
    }
}

impl From<()> for Done {
    fn from((): ()) -> Self {
        Self::default()
    }
}

impl Selection {
    /// Carries the change out, after a question: for each id, or in batches for all that match. `verb` and `done` name
    /// what happens, as in "cancel" and "cancelled". The change gives what to print for a workflow; without a call in
    /// bulk it makes a new one, whose id it gives, and is made for each that matches, too.
    pub(super) async fn apply<D: Into<Done>>(
        &self,
        session: &Session,
        verb: &str,
        done: &str,
        change: impl AsyncFn(&Client, &str) -> Result<D>,
        in_bulk: impl FnOnce(&Bulk) -> Option<BulkCall>,
    ) -> Result<()> {
        if self.conditions.is_empty() && !self.dry_run {
            return self.apply_to_ids(session, verb, done, change).await;
        }
        let filter = self.filter()?;
        let client = session.connect().await?;
        let counts = client.count_workflows(filter.clone(), GroupBy::Status).await?;
        if self.dry_run || counts.total == 0 {
            for id in &self.ids {
                if client.workflow(id).await?.is_none() {
                    return Err(not_found(&client, id).await);
                }
            }
            client.close().await;
            let verb = if counts.total == 1 { "matches" } else { "match" };
            return session
                .output
                .done(&counts, &format!("{} {verb}{}", number_of(&counts), by_status(&counts, ": ", "")));
        }
        session.confirm_always(&format!("{verb} {}{}", number_of(&counts), by_status(&counts, " (", ")")))?;
        let bar = progress_bar(session, counts.total);
        let tally = match in_bulk(&client.bulk(filter.clone())) {
            Some(call) => {
                let call = self.per_second.into_iter().fold(call, BulkCall::per_second);
                let report = call.run(|so_far| bar.set_position(so_far.matched)).await?;
                bar.finish_and_clear();
                for reason in report.reasons.values() {
                    eprintln!("{reason}");
                }
                let (refused, unchanged) = (report.refused, report.unchanged);
                let done = report.matched.saturating_sub(refused + unchanged);
                Tally { done, refused, unchanged: Some(unchanged), new: BTreeMap::new() }
            }
            None => self.apply_to_all(session, &bar, &client, filter, &change).await?,
        };
        client.close().await;
        let refused = if tally.refused == 0 { String::new() } else { format!(", {} refused", tally.refused) };
        let unchanged = tally.unchanged.filter(|it| *it > 0);
        let unchanged = unchanged.map_or_else(String::new, |it| format!(", {it} left as they were"));
        session.output.done(&tally, &format!("{} {done}{unchanged}{refused}", tally.done))?;
        match tally {
            Tally { refused: 0, .. } => Ok(()),
            Tally { done: 0, .. } => Err(Failure::new(Exit::Refused, "nothing was changed")),
            Tally { refused, .. } => {
                let message =
                    format!("{} left as {}", workflows(refused), if refused == 1 { "it is" } else { "they are" });
                Err(Failure::new(Exit::Refused, message))
            }
        }
    }

    /// Makes new workflows one by one, and prints the id of each. The ids are read first, because a new one may match the
    /// conditions, too.
    async fn apply_to_all<D: Into<Done>>(
        &self,
        session: &Session,
        bar: &ProgressBar,
        client: &Client,
        filter: Filter,
        change: &impl AsyncFn(&Client, &str) -> Result<D>,
    ) -> Result<Tally> {
        let mut tally = Tally::default();
        let mut pace = self.per_second.map(|most| tokio::time::interval(Duration::from_secs(1) / most.max(1)));
        for id in ids_of(client, filter).await? {
            if let Some(pace) = &mut pace {
                pace.tick().await;
            }
            match change(client, &id).await {
                Ok(done) => {
                    let new = done.into().detail;
                    tally.done += 1;
                    if session.output.format() == Format::Table {
                        bar.suspend(|| print_line(&format!("{id}: {new}")))?;
                    }
                    tally.new.insert(id, new);
                }
                Err(failure) if failure.is_about_one() => {
                    tally.refused += 1;
                    bar.suspend(|| eprintln!("{id}: {}", failure.message()));
                }
                Err(failure) => return Err(failure),
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(tally)
    }

    /// The ids; none where there are conditions.
    pub(super) fn ids(&self) -> &[String] {
        &self.ids
    }

    /// The id of the single workflow that would be changed.
    pub(super) fn dry_run_of_one(&self) -> Option<&str> {
        match self.ids.as_slice() {
            [id] if self.dry_run => Some(id),
            _ => None,
        }
    }

    fn filter(&self) -> Result<Filter> {
        let selects_all = !self.conditions.is_empty() && self.conditions.iter().all(|it| it == "prefix=");
        if selects_all {
            return Err(Failure::new(Exit::Refused, "`--where prefix=` selects every workflow, so nothing was done")
                .hint("add a condition, as in --where status=error or --where completed-before=30d"));
        }
        let filter = filter_of(&self.conditions)?;
        Ok(self.ids.iter().fold(filter, Filter::id))
    }

    async fn apply_to_ids<D: Into<Done>>(
        &self,
        session: &Session,
        verb: &str,
        done: &str,
        change: impl AsyncFn(&Client, &str) -> Result<D>,
    ) -> Result<()> {
        session.confirm_write(&format!("{verb} {}", self.ids.join(", ")))?;
        let client = session.connect().await?;
        let mut failures = Vec::new();
        for id in &self.ids {
            match change(&client, id).await {
                Ok(changed) => {
                    let Done { detail, returned } = changed.into();
                    let result = if detail.is_empty() { done } else { &detail };
                    let lines = returned.iter().fold(format!("{id}: {result}"), |lines, it| format!("{lines}\n{it}"));
                    session.output.done(&ChangedWorkflow { id, result, returned }, &lines)?;
                }
                // The others are carried out all the same.
                Err(failure) if failure.is_about_one() => {
                    if self.ids.len() > 1 {
                        eprintln!("{id}: {}", failure.message());
                    }
                    failures.push(failure);
                }
                Err(failure) => return Err(failure),
            }
        }
        client.close().await;
        match failures.pop() {
            None => Ok(()),
            Some(failure) if self.ids.len() == 1 => Err(failure),
            Some(last) => {
                let exit = if failures.iter().all(|it| it.exit == last.exit) { last.exit } else { Exit::Refused };
                Err(Failure::new(exit, "some workflows were left as they are"))
            }
        }
    }
}

/// How many there are, as in "2 workflows".
fn number_of(counts: &WorkflowCounts) -> String {
    format!("{}{}", if counts.capped { "at least " } else { "" }, workflows(counts.total))
}

/// How many there are of each status, between these texts.
fn by_status(counts: &WorkflowCounts, before: &str, behind: &str) -> String {
    if counts.groups.is_empty() { String::new() } else { format!("{before}{}{behind}", groups(counts)) }
}

/// A progress bar, if the output is a terminal.
fn progress_bar(session: &Session, total: u64) -> ProgressBar {
    let bar = ProgressBar::new(total);
    if session.output.is_json() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} {eta}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
