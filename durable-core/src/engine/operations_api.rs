//! The operations of [`Durable`] that are also free functions. The free functions find the engine by
//! themselves; these use this one, and serve programs with several engines.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::engine::durable::Durable;
use crate::operations::admin;
use crate::operations::events::{self, EventValue};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
use crate::operations::outbox;
use crate::operations::schedule_admin::{self, ScheduleInfo};
use crate::operations::send::{self, SendCall};
use crate::operations::streams::{self, StreamReader};
use crate::operations::workflow_handle::WorkflowHandle;
use crate::operations::{export_import, step_context, verify_replay, wait_many};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
use crate::store::Outbox;
use crate::store::ScheduleChange;
use crate::types::error::{Error, Result};
use crate::types::filter::Filter;
use crate::types::history::History;
use crate::types::payload::Payload;
use crate::types::replay_report::ReplayReport;
use crate::types::status::Status;
use crate::types::version_policy::{DeployReport, VersionInfo};

impl Durable {
    /// Sends a message to a workflow: see [`send`](crate::send()).
    ///
    /// # Example
    ///
    /// ```no_run
    /// # use durable_core::Durable;
    /// # async fn example(app: Durable) -> durable_core::Result<()> {
    /// app.send("order-1001", "payment", &250).idempotency_key("pay-77").await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn send<T: Serialize + ?Sized>(
        &self,
        workflow_id: impl AsRef<str>,
        topic: impl Into<String>,
        message: &T,
    ) -> SendCall {
        send::send(workflow_id, topic, message).through(self.runtime())
    }

    /// Sends a message as a part of a transaction of the program's own: see [`send_in`](crate::send_in).
    ///
    /// # Errors
    /// As [`send_in`](crate::send_in).
    #[cfg(any(feature = "sqlite", feature = "postgres"))]
    pub async fn send_in<C, T>(
        &self,
        tx: &mut C,
        workflow_id: impl AsRef<str> + Send,
        topic: impl Into<String> + Send,
        message: &T,
    ) -> Result<()>
    where
        C: Outbox + ?Sized,
        T: Serialize + ?Sized + Sync,
    {
        outbox::send_in_with(self.runtime(), tx, workflow_id.as_ref(), &topic.into(), message).await
    }

    /// Reads an event of a workflow, and waits up to `timeout` until it is set: see
    /// [`get_event`](crate::get_event).
    ///
    /// # Errors
    /// As [`get_event`](crate::get_event).
    pub fn get_event<T: Payload>(
        &self,
        workflow_id: impl AsRef<str>,
        name: impl AsRef<str>,
        timeout: Duration,
    ) -> impl Future<Output = Result<Option<T>>> + Send {
        events::read_event(workflow_id.as_ref(), name.as_ref(), timeout, Some(Arc::clone(self.runtime())))
    }

    /// Every value that an event had, the oldest first: see [`event_history`](crate::event_history).
    ///
    /// # Errors
    /// As [`event_history`](crate::event_history).
    pub fn event_history<T: Payload>(
        &self,
        workflow_id: impl AsRef<str>,
        name: impl AsRef<str>,
    ) -> impl Future<Output = Result<Vec<EventValue<T>>>> + Send {
        events::history(Some(self.runtime()), workflow_id.as_ref(), name.as_ref())
    }

    /// Reads a stream of a workflow from its beginning: see [`read_stream`](crate::read_stream).
    pub fn read_stream<T: Payload>(&self, workflow_id: impl AsRef<str>, name: impl AsRef<str>) -> StreamReader<T> {
        streams::open_reader(Some(Arc::clone(self.runtime())), workflow_id.as_ref(), name.as_ref())
    }

    /// Waits for all of these workflows: see [`wait_all`](crate::wait_all).
    pub fn wait_all<T, E>(
        &self,
        handles: impl IntoIterator<Item = WorkflowHandle<T, E>>,
    ) -> impl Future<Output = Vec<Result<T, E>>> + Send
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        wait_many::wait_all(handles)
    }

    /// Waits until one of these workflows has ended, and returns its index: see
    /// [`wait_first`](crate::wait_first).
    ///
    /// # Errors
    /// As [`wait_first`](crate::wait_first).
    pub fn wait_first<T, E>(
        &self,
        handles: &[WorkflowHandle<T, E>],
    ) -> impl Future<Output = Result<usize>> + Send + use<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        wait_many::wait_first(handles)
    }

    /// The value that the builder was given with `.state(value)`, by its type: see
    /// [`state`](crate::state).
    ///
    /// # Panics
    /// When the builder was given no value of this type.
    #[must_use]
    pub fn state<T: Send + Sync + 'static>(&self) -> Arc<T> {
        step_context::state_of(self.runtime())
    }

    /// Verifies that the present code of a workflow makes the operations that are recorded: see
    /// [`verify_replay`](crate::verify_replay).
    ///
    /// # Errors
    /// As [`verify_replay`](crate::verify_replay).
    pub fn verify_replay<I: AsRef<str>>(&self, id: I) -> impl Future<Output = Result<ReplayReport>> + Send + use<I> {
        verify_replay::verify_one(Some(self.runtime()), id.as_ref())
    }

    /// Verifies each of the workflows that a filter selects: see [`verify_replays`](crate::verify_replays).
    ///
    /// # Errors
    /// As [`list_workflows`](crate::list_workflows).
    pub fn verify_replays(&self, filter: Filter) -> impl Future<Output = Result<Vec<ReplayReport>>> + Send + use<> {
        verify_replay::verify_all(Some(self.runtime()), filter)
    }

    /// How the workflows that were in flight at the launch fit to the present code. The launch looks for workflows whose
    /// function has changed since they were started, and verifies them in the background as
    /// [`verify_replay`](crate::verify_replay) does: at most 1,000, for at most 30 s. This returns once that is over.
    ///
    /// The same is logged, a line for each function: as a warning if some do not fit.
    pub async fn deploy_report(&self) -> DeployReport {
        let mut report = self.runtime().deploy_report.subscribe();
        let known = report.wait_for(Option::is_some).await; // the sender lives as long as this handle
        known.ok().and_then(|it| it.clone()).unwrap_or_default()
    }

    /// What is in flight of each version of the program, and how many executors of it live: see
    /// [`versions`](crate::versions).
    ///
    /// # Errors
    /// As [`versions`](crate::versions).
    pub fn versions(&self) -> impl Future<Output = Result<Vec<VersionInfo>>> + Send + use<> {
        admin::versions_through(Some(self.runtime()))
    }

    /// Reads everything that the database has of a workflow: see [`export_workflow`](crate::export_workflow).
    ///
    /// # Errors
    /// As [`export_workflow`](crate::export_workflow).
    pub fn export_workflow<I: AsRef<str>>(&self, id: I) -> impl Future<Output = Result<History>> + Send + use<I> {
        export_import::export(Some(self.runtime()), id.as_ref())
    }

    /// Writes an exported workflow into this database: see [`import_workflow`](crate::import_workflow).
    ///
    /// # Errors
    /// As [`import_workflow`](crate::import_workflow).
    pub async fn import_workflow(&self, history: &History) -> Result<Status> {
        export_import::import(self.runtime(), history).await
    }

    /// All schedules, by name: see [`list_schedules`](crate::list_schedules).
    ///
    /// # Errors
    /// As [`list_schedules`](crate::list_schedules).
    pub fn list_schedules(&self) -> impl Future<Output = Result<Vec<ScheduleInfo>>> + Send + use<> {
        schedule_admin::list(Some(self.runtime()))
    }

    /// Stops a schedule from starting workflows: see [`pause_schedule`](crate::pause_schedule).
    ///
    /// # Errors
    /// As [`pause_schedule`](crate::pause_schedule).
    pub async fn pause_schedule(&self, name: impl AsRef<str>) -> Result<()> {
        schedule_admin::change(self.runtime(), name.as_ref(), ScheduleChange::Pause).await
    }

    /// Resumes a paused schedule: see [`resume_schedule`](crate::resume_schedule).
    ///
    /// # Errors
    /// As [`resume_schedule`](crate::resume_schedule).
    pub async fn resume_schedule(&self, name: impl AsRef<str>) -> Result<()> {
        schedule_admin::change(self.runtime(), name.as_ref(), ScheduleChange::Resume).await
    }

    /// Deletes a schedule: see [`delete_schedule`](crate::delete_schedule).
    ///
    /// # Errors
    /// As [`delete_schedule`](crate::delete_schedule).
    pub async fn delete_schedule(&self, name: impl AsRef<str>) -> Result<()> {
        schedule_admin::change(self.runtime(), name.as_ref(), ScheduleChange::Delete).await
    }

    /// Starts a schedule's workflow now, and returns its id: see
    /// [`trigger_schedule`](crate::trigger_schedule).
    ///
    /// # Errors
    /// As [`trigger_schedule`](crate::trigger_schedule).
    pub async fn trigger_schedule(&self, name: impl AsRef<str>) -> Result<String> {
        schedule_admin::trigger(self.runtime(), name.as_ref()).await
    }

    /// Starts every tick of a schedule in a range of time: see
    /// [`backfill_schedule`](crate::backfill_schedule).
    ///
    /// # Errors
    /// As [`backfill_schedule`](crate::backfill_schedule).
    pub async fn backfill_schedule(
        &self,
        name: impl AsRef<str>,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Result<u64> {
        schedule_admin::backfill(self.runtime(), name.as_ref(), from, to).await
    }
}
