//! The steps of a workflow as a tree, each with a bar for when it ran.

use chrono::{DateTime, Utc};

use super::output::Tone;
use super::text::{duration, message_of, shortened};
use crate::{StepInfo, WorkflowInfo};

/// How many characters a bar has at most.
const WIDTH: i64 = 30;

/// One line of the tree; with what the step returned, in so many characters.
pub(super) fn cells(step: &StepInfo, span: &Span, output: Option<usize>) -> Vec<(String, Tone)> {
    let position = step.position.to_string();
    let depth = position.matches('/').count();
    let (bad, tone) = if step.error.is_some() { ("failed", Tone::Bad) } else { ("", Tone::Plain) };
    let took = (step.completed_at - step.started_at).to_std().unwrap_or_default();
    let attempts = if step.attempts > 1 { format!("{} attempts", step.attempts) } else { String::new() };
    let notes = [bad.to_owned(), attempts, step.child.as_ref().map_or_else(String::new, |it| format!("-> {it}"))];
    let notes: Vec<_> = notes.into_iter().filter(|it| !it.is_empty()).collect();
    let mut cells = vec![
        (format!("{}{position}", "  ".repeat(depth)), Tone::Plain),
        (step.kind.clone(), Tone::Plain),
        (step.name.clone(), tone),
        (duration(took), Tone::Plain),
        (span.bar(step.started_at, step.completed_at), if step.error.is_some() { Tone::Bad } else { Tone::Active }),
        (notes.join(", "), tone),
    ];
    if let Some(most) = output {
        let error = step.error.as_deref().map(message_of);
        cells.push((shortened(error.as_deref().or(step.output.as_deref()).unwrap_or("-"), most), tone));
    }
    cells
}

/// The time from the start of a workflow until its end, or now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    from: i64,
    to: i64,
}

impl Span {
    pub(super) fn of(workflow: &WorkflowInfo, steps: &[StepInfo]) -> Self {
        let micros = |at: DateTime<Utc>| at.timestamp_micros();
        let first = steps.iter().map(|it| it.started_at).min().unwrap_or(workflow.created_at);
        let last = steps.iter().map(|it| it.completed_at).max().unwrap_or(first);
        Self { from: micros(first), to: micros(workflow.completed_at.unwrap_or(last).max(last)) }
    }

    /// A bar from the start to the end of a step, in the span.
    fn bar(self, from: DateTime<Utc>, to: DateTime<Utc>) -> String {
        let length = (self.to - self.from).max(1);
        let column = |at: DateTime<Utc>| ((at.timestamp_micros() - self.from) * WIDTH / length).clamp(0, WIDTH - 1);
        let (first, last) = (column(from), column(to));
        let repeat = |text: &str, times: i64| text.repeat(usize::try_from(times).unwrap_or_default());
        format!("{}{}", repeat(" ", first), repeat("█", last - first + 1))
    }
}
