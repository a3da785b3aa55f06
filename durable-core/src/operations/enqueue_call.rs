//! Starting a workflow by its name, from a program that does not have it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::journal::context::Context as Here;
use crate::operations::call::{Call, CallOptions, delegate_to_call};
use crate::operations::caller_errors::RETRY_START;
use crate::operations::start::{self, StartedWorkflow};
use crate::operations::unfenced_write::write_persistently;
use crate::operations::workflow_handle::WorkflowHandle;
use crate::runtime::Runtime;
use crate::store::{Debounce, ExistingWorkflow, NewWorkflow, QueuePlacement, Verdict, WorkflowIdentity};
use crate::types::error::{Error, ErrorKind, Result};
use crate::types::id::{check_id, check_name, fresh_workflow_id};
use crate::types::keys::Fingerprint;
use crate::types::payload::{Codec, PayloadError, encode};

/// The start of a workflow by its name. Given by [`Client::enqueue`](crate::Client::enqueue).
#[must_use = "nothing is enqueued until it is awaited"]
pub struct EnqueueCall {
    call: Call<'static, EnqueueOptions, Result<WorkflowHandle<Value>>>,
}

struct EnqueueOptions {
    runtime: Arc<Runtime>,
    name: String,
    input: Result<String, PayloadError>,
    id: Option<String>,
    instance: Option<String>,
    placement: QueuePlacement,
    timeout: Option<Duration>,
    or_existing: bool,
    labels: BTreeMap<String, String>,
    started_by: Option<String>,
}

impl EnqueueCall {
    pub(crate) fn new<A: Serialize + ?Sized>(runtime: &Arc<Runtime>, name: String, arguments: &A) -> Self {
        Self::of(runtime, name, encode(arguments))
    }

    /// A call whose arguments are text already.
    pub(super) fn with_input(runtime: &Arc<Runtime>, name: String, input: String) -> Self {
        Self::of(runtime, name, Ok(input))
    }

    fn of(runtime: &Arc<Runtime>, name: String, input: Result<String, PayloadError>) -> Self {
        Self {
            call: Call::new(EnqueueOptions {
                runtime: Arc::clone(runtime),
                name,
                input,
                id: None,
                instance: None,
                placement: start::internal(),
                timeout: None,
                or_existing: false,
                labels: BTreeMap::new(),
                started_by: None,
            }),
        }
    }

    /// Puts the workflow on this queue. Without it the workflow is on the engine's own queue, and starts as soon as
    /// a process of the application has capacity.
    pub fn queue(self, queue: impl AsRef<str>) -> Self {
        let name = queue.as_ref().to_owned();
        self.with_placement(|placement| placement.queue = name)
    }

    /// Sets the workflow's id, its idempotency key: a call with the id of an existing workflow of the same name
    /// attaches to that one.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        let id = id.into();
        self.call.set(|options| options.id = Some(id));
        self
    }

    /// Names the object that the workflow is a method of, by its
    /// [`instance_name`](crate::Instance::instance_name).
    pub fn instance(mut self, name: impl Into<String>) -> Self {
        let name = name.into();
        self.call.set(|options| options.instance = Some(name));
        self
    }

    /// Sets the priority: see [`WorkflowCall::priority`](crate::WorkflowCall::priority).
    pub fn priority(self, priority: i32) -> Self {
        self.with_placement(|placement| placement.priority = priority)
    }

    /// Sets the partition key: see [`WorkflowCall::partition`](crate::WorkflowCall::partition).
    pub fn partition(self, key: impl Into<String>) -> Self {
        let key = key.into();
        self.with_placement(|placement| placement.partition = Some(key))
    }

    /// Sets the deduplication id: see [`WorkflowCall::deduplicate`](crate::WorkflowCall::deduplicate).
    pub fn deduplicate(self, id: impl Into<String>) -> Self {
        let id = id.into();
        self.with_placement(|placement| placement.deduplication_id = Some(id))
    }

    /// Attaches to an existing workflow with the same deduplication id: see
    /// [`WorkflowCall::or_existing`](crate::WorkflowCall::or_existing).
    pub fn or_existing(mut self) -> Self {
        self.call.set(|options| options.or_existing = true);
        self
    }

    /// Delays the start: see [`WorkflowCall::delay`](crate::WorkflowCall::delay).
    pub fn delay(self, delay: Duration) -> Self {
        self.with_placement(|placement| placement.delay = Some(delay))
    }

    /// Debounces the start: see [`WorkflowCall::debounce`](crate::WorkflowCall::debounce).
    pub fn debounce(self, key: impl Into<String>, period: Duration) -> Self {
        let key = key.into();
        self.with_placement(|placement| {
            let longest = placement.debounce.take().and_then(|it| it.longest);
            placement.debounce = Some(Debounce { key, period, longest });
        })
    }

    /// Bounds the delay of debounced calls: see
    /// [`WorkflowCall::debounce_up_to`](crate::WorkflowCall::debounce_up_to).
    pub fn debounce_up_to(self, longest: Duration) -> Self {
        self.with_placement(|placement| {
            let none = Debounce { key: String::new(), period: Duration::ZERO, longest: None };
            placement.debounce.get_or_insert(none).longest = Some(longest);
        })
    }

    /// Cancels the workflow if it takes longer, counted from the start of its first run. The timeout in the
    /// workflow's attribute is unknown here and does not count.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.call.set(|options| options.timeout = Some(timeout));
        self
    }

    /// Adds a label: see [`WorkflowCall::label`](crate::WorkflowCall::label).
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let (name, value) = (name.into(), value.into());
        self.call.set(|options| drop(options.labels.insert(name, value)));
        self
    }

    /// Notes the user on whose behalf the workflow is started, for listings.
    pub fn started_by(mut self, user: impl Into<String>) -> Self {
        let user = user.into();
        self.call.set(|options| options.started_by = Some(user));
        self
    }

    fn with_placement(mut self, change: impl FnOnce(&mut QueuePlacement)) -> Self {
        self.call.set(|options| change(&mut options.placement));
        self
    }
}

impl CallOptions<'static> for EnqueueOptions {
    type Output = Result<WorkflowHandle<Value>>;

    async fn run(self: Box<Self>) -> Result<WorkflowHandle<Value>> {
        Here::refuse_unrecorded("`enqueue` of a client")?;
        let runtime = Arc::clone(&self.runtime);
        let new = self.check()?;
        let what = format!("the workflow {:?}", new.id);
        let written = write_persistently(&runtime, &what, RETRY_START, || runtime.store.enqueue(&new)).await;
        let (id, is_new) = match written.map_err(|error| error.with_workflow(&new.id))? {
            Verdict::Existing(existing) => {
                let id = self.attach(existing)?;
                start::warn_about_other_arguments(&runtime, &id, &new.name, &new.input).await;
                (id, false)
            }
            Verdict::Debounced(existing) => (self.attach(existing)?, false),
            Verdict::Duplicate(existing) => (self.attach_to_duplicate(existing)?, false),
            _ => (new.id, true),
        };
        Ok(WorkflowHandle::new(StartedWorkflow { runtime, id, run: None, is_new }, Codec::<Result<Value>>::BY_MESSAGE))
    }
}

impl EnqueueOptions {
    /// The row to write. What cannot be stored is refused before anything is written.
    fn check(&self) -> Result<NewWorkflow> {
        let (runtime, name) = (&self.runtime, &self.name);
        check_id("the workflow's name", name)?;
        let id = self.id.clone().unwrap_or_else(fresh_workflow_id);
        check_id("the workflow id", &id)?;
        check_name("the instance's name", self.instance.as_deref().unwrap_or_default())?;
        // Whether the queue is partitioned, the store knows.
        start::check_placement(name, &self.placement, false)?;
        let unusable = |why: &dyn fmt::Display| {
            Error::new(ErrorKind::Payload, format!("the workflow `{name}` cannot be enqueued: {why}"))
        };
        let input = self.input.clone().map_err(|error| unusable(&error))?;
        if !input.starts_with('{') {
            return Err(unusable(
                &"its arguments are a JSON object with a value for each argument, by name, as in `json!({\"order\": 7})`",
            ));
        }
        runtime.check_size(|| format!("the arguments of the workflow `{name}`"), input.len())?;
        Ok(NewWorkflow {
            key: runtime.keys.next(),
            id,
            name: name.clone(),
            input,
            instance: self.instance.clone(),
            parent: None,
            version: None,
            fingerprint: Fingerprint::new(0),
            timeout: self.timeout,
            deadline: None,
            placement: Some(self.placement.clone()),
            context: start::context_of(None, self.started_by.as_deref(), &self.labels)?,
        })
    }

    fn attach(&self, existing: ExistingWorkflow) -> Result<String> {
        let conflict = existing.conflict(&self.name, self.instance.as_deref());
        conflict.map_or_else(|| Ok(existing.id), Err)
    }

    fn attach_to_duplicate(&self, existing: ExistingWorkflow) -> Result<String> {
        let same = existing.is_of(&self.name, self.instance.as_deref());
        if self.or_existing && same {
            return Ok(existing.id);
        }
        let own = WorkflowIdentity(&self.name, self.instance.as_deref());
        Err(start::duplicate(own, Some(&self.placement), &existing, same))
    }
}

impl fmt::Debug for EnqueueOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.name)
    }
}

delegate_to_call!("EnqueueCall", [] EnqueueCall => Result<WorkflowHandle<Value>>, [] EnqueueCall);
