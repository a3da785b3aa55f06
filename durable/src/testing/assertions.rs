//! Assertions about what a test has enqueued and scheduled.

use std::any::type_name;
use std::fmt::Write as _;

use durable_core::{Filter, Queue, WorkflowInfo};
use serde_json::Value;

use crate::TestApp;

/// Fails the test unless a workflow of this function was enqueued, whatever has become of it since.
///
/// The conditions are optional: `queue`, a [`Queue`] or its name; `id`; `partition`, its key; `input`, a JSON object of
/// which every field has to be among the arguments; `times`, how many there are, exactly. Without `queue`, any queue is
/// meant.
///
/// # Panics
/// There is none, or another number of them. The message lists the workflows of the function.
///
/// # Example
///
/// ```
/// use durable::prelude::*;
///
/// #[queue]
/// static MAIL: Queue = Queue::new("mail");
///
/// #[workflow]
/// async fn welcome(user: u32) -> Result<u32> {
///     Ok(user)
/// }
///
/// #[durable::test]
/// async fn users_are_welcomed(app: TestApp) {
///     welcome(7).queue(&MAIL).start().await.unwrap();
///     durable::assert_enqueued!(app, welcome, queue = MAIL);
///     durable::assert_enqueued!(app, welcome, input = serde_json::json!({"user": 7}), times = 1);
///     durable::assert_enqueued!(app, welcome, input = serde_json::json!({"user": 8}), times = 0);
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! assert_enqueued {
    ($app:expr, $workflow:expr $(, $condition:ident = $value:expr)* $(,)?) => {{
        let function = $crate::testing::function_of(&$workflow);
        let assertion = $crate::testing::EnqueuedAssertion::of(function)$(.$condition(&$value))*;
        if let ::core::result::Result::Err(message) = assertion.check(&$app).await {
            ::core::panic!("{message}");
        }
    }};
}

/// Fails the test unless there is a schedule for workflows of this function, in the code or made at run time.
///
/// The conditions are optional: `name`, `cron` and `tz` of the schedule.
///
/// # Panics
/// There is none. The message lists the schedules.
///
/// # Example
///
/// ```
/// use durable::prelude::*;
///
/// #[workflow]
/// async fn report(of: String) -> Result<String> {
///     Ok(of)
/// }
///
/// #[durable::test]
/// async fn the_report_comes_daily(app: TestApp) {
///     report("sales".into()).schedule("sales", "0 9 * * *").await.unwrap();
///     durable::assert_scheduled!(app, report, name = "sales", cron = "0 9 * * *");
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! assert_scheduled {
    ($app:expr, $workflow:expr $(, $condition:ident = $value:expr)* $(,)?) => {{
        let function = $crate::testing::function_of(&$workflow);
        let assertion = $crate::testing::ScheduledAssertion::of(function)$(.$condition(&$value))*;
        if let ::core::result::Result::Err(message) = assertion.check(&$app).await {
            ::core::panic!("{message}");
        }
    }};
}

/// Fails the test unless the present code replays each of the exported histories in these files: it makes the operations
/// that are recorded. Nothing is run. Use it in a plain `#[test]`, or in a test with an engine.
///
/// The pattern is relative to the folder of the package's `Cargo.toml`; `*` stands for part of a name, and `**` for any
/// folders. `durable export ID` writes such a file. A workflow that had not ended is compared up to where it stood.
///
/// # Panics
/// A history does not fit; the message has the file, the position, what is recorded there and what the code calls now.
/// Or there is no such file, or a file is not a history.
///
/// # Example
///
/// ```no_run
/// #[test]
/// fn recorded_orders_replay() {
///     durable::assert_replays!("tests/histories/*.json");
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! assert_replays {
    ($pattern:expr) => {
        $crate::testing::assert_replays(::core::env!("CARGO_MANIFEST_DIR"), $pattern)
    };
}

/// Not public API: the path of a function.
#[doc(hidden)]
#[must_use]
pub fn function_of<F>(_: &F) -> &'static str {
    type_name::<F>()
}

/// A queue, or its name.
pub trait QueueName {
    /// The name.
    fn name(&self) -> &str;
}

impl QueueName for Queue {
    fn name(&self) -> &str {
        Queue::name(self)
    }
}

impl QueueName for str {
    fn name(&self) -> &str {
        self
    }
}

impl QueueName for String {
    fn name(&self) -> &str {
        self
    }
}

impl<Q: QueueName + ?Sized> QueueName for &Q {
    fn name(&self) -> &str {
        Q::name(self)
    }
}

/// Not public API: what [`assert_enqueued!`](crate::assert_enqueued) looks for.
#[doc(hidden)]
#[derive(Debug)]
pub struct EnqueuedAssertion {
    function: &'static str,
    queue: Option<String>,
    id: Option<String>,
    partition: Option<String>,
    input: Option<Value>,
    times: Option<usize>,
}

#[allow(missing_docs, clippy::must_use_candidate, clippy::return_self_not_must_use, reason = "not public API")]
impl EnqueuedAssertion {
    pub fn of(function: &'static str) -> Self {
        Self { function, queue: None, id: None, partition: None, input: None, times: None }
    }

    pub fn queue(mut self, queue: &impl QueueName) -> Self {
        self.queue = Some(queue.name().to_owned());
        self
    }

    pub fn id(mut self, id: &impl AsRef<str>) -> Self {
        self.id = Some(id.as_ref().to_owned());
        self
    }

    pub fn partition(mut self, key: &impl AsRef<str>) -> Self {
        self.partition = Some(key.as_ref().to_owned());
        self
    }

    pub fn input(mut self, input: &Value) -> Self {
        self.input = Some(input.clone());
        self
    }

    pub fn times(mut self, times: &usize) -> Self {
        self.times = Some(*times);
        self
    }

    pub async fn check(&self, app: &TestApp) -> Result<(), String> {
        let name = registered_name(self.function)?;
        let mut of_function = Vec::new();
        let mut filter = Filter::new().name(name).with_payloads().limit(1_000);
        loop {
            let page = app.list_workflows(filter.clone()).await.map_err(|it| it.to_string())?;
            of_function.extend(page.items);
            let Some(next) = page.next else { break };
            filter = filter.after(next);
        }
        let found = of_function.iter().filter(|it| self.fits(it)).count();
        let is_right = self.times.map_or(found > 0, |times| found == times);
        if is_right {
            return Ok(());
        }
        let mut message = format!("`{name}` was enqueued {found} times");
        let conditions = [
            self.queue.as_ref().map(|it| format!("on the queue `{it}`")),
            self.id.as_ref().map(|it| format!("with the id {it:?}")),
            self.partition.as_ref().map(|it| format!("with the partition key {it:?}")),
            self.input.as_ref().map(|it| format!("with the arguments {it}")),
        ];
        for condition in conditions.into_iter().flatten() {
            let _ = write!(message, " {condition}"); // a String takes everything
        }
        let wanted = self.times.map_or_else(|| "at least one".to_owned(), |times| times.to_string());
        let _ = write!(message, ", and not {wanted}");
        for it in of_function.iter().take(20) {
            let queue = it.queue.as_deref().map_or_else(|| "not on a queue".to_owned(), |it| format!("on `{it}`"));
            let input = it.input.as_deref().unwrap_or_default();
            let _ = write!(message, "\n  {:?} {queue}, {}: {input}", it.id, it.status); // a String takes everything
        }
        Err(message)
    }

    fn fits(&self, workflow: &WorkflowInfo) -> bool {
        let Some(queue) = &workflow.queue else { return false };
        let is_same =
            |wanted: &Option<String>, found: Option<&str>| wanted.as_deref().is_none_or(|it| found == Some(it));
        let input = || workflow.input.as_deref().and_then(|it| serde_json::from_str(it).ok()).unwrap_or(Value::Null);
        is_same(&self.queue, Some(queue))
            && is_same(&self.id, Some(&workflow.id))
            && is_same(&self.partition, workflow.partition_key.as_deref())
            && self.input.as_ref().is_none_or(|wanted| contains(&input(), wanted))
    }
}

/// Whether every field of the wanted object is in the other.
fn contains(input: &Value, wanted: &Value) -> bool {
    match (input, wanted) {
        (Value::Object(input), Value::Object(wanted)) => wanted.iter().all(|(key, it)| input.get(key) == Some(it)),
        _ => input == wanted,
    }
}

/// Not public API: what [`assert_scheduled!`](crate::assert_scheduled) looks for.
#[doc(hidden)]
#[derive(Debug)]
pub struct ScheduledAssertion {
    function: &'static str,
    name: Option<String>,
    cron: Option<String>,
    tz: Option<String>,
}

#[allow(missing_docs, clippy::must_use_candidate, clippy::return_self_not_must_use, reason = "not public API")]
impl ScheduledAssertion {
    pub fn of(function: &'static str) -> Self {
        Self { function, name: None, cron: None, tz: None }
    }

    pub fn name(mut self, name: &impl AsRef<str>) -> Self {
        self.name = Some(name.as_ref().to_owned());
        self
    }

    pub fn cron(mut self, cron: &impl AsRef<str>) -> Self {
        self.cron = Some(cron.as_ref().to_owned());
        self
    }

    pub fn tz(mut self, tz: &impl AsRef<str>) -> Self {
        self.tz = Some(tz.as_ref().to_owned());
        self
    }

    pub async fn check(&self, app: &TestApp) -> Result<(), String> {
        let workflow = registered_name(self.function)?;
        let schedules = app.list_schedules().await.map_err(|it| it.to_string())?;
        let is_same = |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|it| it == found);
        let found = schedules.iter().any(|it| {
            it.workflow == workflow
                && is_same(&self.name, &it.name)
                && is_same(&self.cron, &it.cron)
                && is_same(&self.tz, &it.timezone)
        });
        if found {
            return Ok(());
        }
        let mut message = format!("no schedule starts `{workflow}`");
        for (what, wanted) in [("name", &self.name), ("cron", &self.cron), ("tz", &self.tz)] {
            if let Some(wanted) = wanted {
                let _ = write!(message, ", {what} = {wanted:?}"); // a String takes everything
            }
        }
        message.push_str("; there are:");
        for it in &schedules {
            let _ = write!(message, "\n  {:?} starts `{}`: {:?} in {}", it.name, it.workflow, it.cron, it.timezone);
        }
        Err(message)
    }
}

/// The name under which the function of a workflow is registered.
fn registered_name(function: &str) -> Result<&'static str, String> {
    durable_core::registered_name(function)
        .ok_or_else(|| format!("`{function}` is not a workflow: name a function with the attribute #[workflow]"))
}
