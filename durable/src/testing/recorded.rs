//! The history of a workflow as a value that is the same in each run of a test.

use std::fmt;

use durable_core::{History, HistoryStep};

use crate::TestApp;

impl TestApp {
    /// What is recorded of a workflow, as a value for assertions and snapshots: it has no times, no keys and no names of
    /// executors, and its order is that of the positions. A generated id is written as `<id>`.
    ///
    /// Compare its text, by [`Display`](fmt::Display), or the value itself. [`Durable::export_workflow`] gives everything.
    ///
    /// [`Durable::export_workflow`]: durable_core::Durable::export_workflow
    ///
    /// # Panics
    /// There is no such workflow, or the database cannot be reached.
    ///
    /// # Example
    ///
    /// ```
    /// use durable::prelude::*;
    ///
    /// #[step]
    /// async fn price(item: &str) -> u32 {
    ///     item.len() as u32
    /// }
    ///
    /// #[workflow]
    /// async fn quote(item: String) -> Result<u32> {
    ///     durable::set_event("item", &item).await?;
    ///     Ok(price(&item).await)
    /// }
    ///
    /// #[durable::test]
    /// async fn a_quote_is_recorded(app: TestApp) {
    ///     quote("tea".into()).id("q1").await.unwrap();
    ///     let expected = r#"
    /// quote "q1": SUCCESS
    ///   input {"item":"tea"}
    ///   1 set_event item
    ///   2 step price: 3
    ///   event item = "tea"
    ///   output 3
    /// "#;
    ///     assert_eq!(app.history("q1").await.to_string(), expected.trim_start());
    /// }
    /// # fn main() {}
    /// ```
    pub async fn history(&self, id: impl AsRef<str>) -> RecordedHistory {
        match self.export_workflow(id.as_ref()).await {
            Ok(history) => RecordedHistory::of(&history),
            Err(error) => panic!("the history of {:?}: {error}", id.as_ref()),
        }
    }
}

/// What is recorded of a workflow, without anything that differs between two runs of a test: see
/// [`TestApp::history`](crate::TestApp::history). Its `Debug` and its `Display` are the same text.
#[derive(Clone, PartialEq, Eq)]
pub struct RecordedHistory(Vec<String>);

impl RecordedHistory {
    fn of(history: &History) -> Self {
        let workflow = &history.workflow;
        let mut lines = vec![format!("{} {:?}: {}", workflow.name, workflow.id, workflow.status)];
        lines.extend(workflow.reason.iter().map(|it| format!("  reason {it}")));
        lines.push(format!("  input {}", workflow.input));
        lines.extend(history.steps.iter().map(|step| format!("  {}", line_of(step))));
        lines.extend(history.events.iter().map(|it| format!("  event {} = {}", it.name, it.value)));
        lines.extend(history.stream_items.iter().map(|it| match &it.value {
            Some(value) => format!("  stream {} <- {value}", it.name),
            None => format!("  stream {} is closed", it.name),
        }));
        lines.extend(history.messages.iter().map(|it| format!("  message {} <- {}", it.topic, it.payload)));
        lines.extend(workflow.output.iter().map(|it| format!("  output {it}")));
        lines.extend(workflow.error.iter().map(|it| format!("  error {it}")));
        if is_generated(&workflow.id) {
            for line in &mut lines {
                *line = line.replace(&workflow.id, "<id>");
            }
        }
        Self(lines)
    }
}

/// Whether this is an id that the engine made.
fn is_generated(id: &str) -> bool {
    id.len() == 36
        && id.bytes().enumerate().all(|(at, it)| match at {
            8 | 13 | 18 | 23 => it == b'-',
            _ => it.is_ascii_hexdigit(),
        })
}

/// The kinds of operations whose results are times, generated ids and random numbers.
const VARYING_KINDS: [&str; 5] = ["deadline", "now", "random", "sleep", "uuid"];

fn line_of(step: &HistoryStep) -> String {
    let branch = if step.branch.is_empty() { String::new() } else { format!("{}:", step.branch) };
    let name = if step.name.is_empty() || step.name == step.kind { String::new() } else { format!(" {}", step.name) };
    let child = step.child.as_ref().map_or_else(String::new, |child| format!(" {child:?}"));
    let attempts = if step.attempts > 1 { format!(" in {} attempts", step.attempts) } else { String::new() };
    let result = match (&step.output, &step.error) {
        _ if VARYING_KINDS.contains(&step.kind.as_str()) => String::new(),
        (_, Some(error)) => format!(" failed: {error}"),
        (Some(output), None) if output != "null" => format!(": {output}"),
        _ => String::new(),
    };
    format!("{branch}{} {}{name}{child}{attempts}{result}", step.position, step.kind)
}

impl fmt::Display for RecordedHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

impl fmt::Debug for RecordedHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
