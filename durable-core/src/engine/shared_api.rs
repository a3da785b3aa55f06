//! Messages, events, streams, queues and schedules as methods of [`Durable`] and of [`Client`]. The free functions
//! find the engine by themselves; these use this one.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::engine::client::Client;
use crate::engine::durable::Durable;
use crate::engine::waiting_work_check::{self, UntakenWork};
use crate::operations::events::{self, EventValue};
use crate::operations::queue_admin::{self, QueueInfo, QueueLimits};
use crate::operations::schedule_admin::{self, ScheduleInfo};
use crate::operations::send::{self, SendCall};
use crate::operations::streams::{self, StreamReader};
use crate::operations::throughput::{self, ThroughputBucket};
use crate::operations::workflow_handle::{self, WorkflowHandle};
use crate::operations::{admin, export_import, verify_replay};
use crate::store::{QueueChange, ScheduleChange};
use crate::types::error::Result;
use crate::types::executor_listing::ListedExecutor;
use crate::types::filter::Filter;
use crate::types::history::History;
use crate::types::payload::Payload;
use crate::types::replay_report::ReplayReport;
use crate::types::status::Status;
use crate::types::version_policy::VersionInfo;

/// The methods, which are the same for both.
macro_rules! shared_methods {
    ($handle:ident) => {
        impl $handle {
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
            pub fn read_stream<T: Payload>(
                &self,
                workflow_id: impl AsRef<str>,
                name: impl AsRef<str>,
            ) -> StreamReader<T> {
                streams::open_reader(Some(Arc::clone(self.runtime())), workflow_id.as_ref(), name.as_ref())
            }

            /// Finds a workflow by its id: see [`retrieve_workflow`](crate::retrieve_workflow).
            ///
            /// # Errors
            /// As [`retrieve_workflow`](crate::retrieve_workflow).
            pub fn retrieve_workflow<T: Payload>(
                &self,
                id: impl AsRef<str>,
            ) -> impl Future<Output = Result<WorkflowHandle<T>>> + Send {
                workflow_handle::retrieve(Some(self.runtime()), id.as_ref())
            }

            /// What is in flight of each version of the program, and how many executors of it live: see
            /// [`versions`](crate::versions).
            ///
            /// # Errors
            /// As [`versions`](crate::versions).
            pub fn versions(&self) -> impl Future<Output = Result<Vec<VersionInfo>>> + Send + use<> {
                admin::versions_through(Some(self.runtime()))
            }

            /// Verifies that the present code of a workflow makes the operations that are recorded: see
            /// [`verify_replay`](crate::verify_replay). A client needs
            /// [`functions_of`](crate::ClientBuilder::functions_of) for it: otherwise it knows no function.
            ///
            /// # Errors
            /// As [`verify_replay`](crate::verify_replay).
            pub fn verify_replay<I: AsRef<str>>(
                &self,
                id: I,
            ) -> impl Future<Output = Result<ReplayReport>> + Send + use<I> {
                verify_replay::verify_one(Some(self.runtime()), id.as_ref())
            }

            /// Verifies each of the workflows that a filter selects: see [`verify_replays`](crate::verify_replays). A
            /// client needs [`functions_of`](crate::ClientBuilder::functions_of) for it.
            ///
            /// # Errors
            /// As [`list_workflows`](crate::list_workflows).
            pub fn verify_replays(
                &self,
                filter: Filter,
            ) -> impl Future<Output = Result<Vec<ReplayReport>>> + Send + use<> {
                verify_replay::verify_all(Some(self.runtime()), filter)
            }

            /// Reads everything that the database has of a workflow: see [`export_workflow`](crate::export_workflow).
            ///
            /// # Errors
            /// As [`export_workflow`](crate::export_workflow).
            pub fn export_workflow<I: AsRef<str>>(
                &self,
                id: I,
            ) -> impl Future<Output = Result<History>> + Send + use<I> {
                export_import::export(Some(self.runtime()), id.as_ref())
            }

            /// Writes an exported workflow into this database: see [`import_workflow`](crate::import_workflow).
            ///
            /// # Errors
            /// As [`import_workflow`](crate::import_workflow).
            pub async fn import_workflow(&self, history: &History) -> Result<Status> {
                export_import::import(self.runtime(), history).await
            }

            /// Lists all queues with their depth, lag and limits: see [`list_queues`](crate::list_queues).
            ///
            /// # Errors
            /// As [`list_queues`](crate::list_queues).
            pub fn list_queues(&self) -> impl Future<Output = Result<Vec<QueueInfo>>> + Send + use<> {
                queue_admin::list(Some(self.runtime()))
            }

            /// Pauses a queue: see [`Queue::pause`](crate::Queue::pause).
            ///
            /// # Errors
            /// There is no queue of this name, or the database cannot be reached.
            pub async fn pause_queue(&self, name: impl AsRef<str>) -> Result<()> {
                queue_admin::change(self.runtime(), name.as_ref(), QueueChange::Pause).await
            }

            /// Resumes a paused queue: see [`Queue::resume`](crate::Queue::resume).
            ///
            /// # Errors
            /// There is no queue of this name, or the database cannot be reached.
            pub async fn resume_queue(&self, name: impl AsRef<str>) -> Result<()> {
                queue_admin::change(self.runtime(), name.as_ref(), QueueChange::Resume).await
            }

            /// Changes the limits of a queue in the whole fleet: see [`Queue::set_limits`](crate::Queue::set_limits). They
            /// apply until they are changed again, also to processes that are launched later.
            ///
            /// # Errors
            /// A limit would let nothing run; there is no queue of this name, or the database cannot be reached.
            pub async fn set_queue_limits(&self, name: impl AsRef<str>, limits: QueueLimits) -> Result<()> {
                let name = name.as_ref();
                limits.check(name)?;
                queue_admin::change(self.runtime(), name, QueueChange::Limits(limits.0)).await
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

            /// How many workflows ended in each of so many stretches of time: see [`throughput`](crate::throughput()).
            ///
            /// # Errors
            /// As [`throughput`](crate::throughput()).
            pub fn throughput(
                &self,
                from: DateTime<Utc>,
                length: Duration,
                stretches: u32,
            ) -> impl Future<Output = Result<Vec<ThroughputBucket>>> + Send + use<> {
                throughput::count(Some(self.runtime()), from, length, stretches)
            }

            /// Lists the executors: the launches of programs that run, or ran, the workflows of this database. The oldest
            /// is first.
            ///
            /// # Errors
            /// The database cannot be reached.
            pub fn list_executors(&self) -> impl Future<Output = Result<Vec<ListedExecutor>>> + Send + use<> {
                admin::executors(Some(self.runtime()))
            }

            /// Lists what waits and that no living executor takes, by queue and name: on queues that are not paused, and
            /// unqueued workflows without an owner. Of each of the two at most 20,000 workflows are counted. An executor of
            /// another release may take anything: while one lives, nothing is listed.
            ///
            /// # Errors
            /// It is called in the body of a workflow, where it is not recorded: move it into a step. The database cannot
            /// be reached.
            ///
            /// # Example
            ///
            /// ```no_run
            /// # use durable_core::Durable;
            /// # async fn example(app: Durable) -> durable_core::Result<()> {
            /// for work in app.list_untaken_work().await? {
            ///     println!("{} of `{}` wait, and no process has that workflow", work.workflows, work.name);
            /// }
            /// # Ok(())
            /// # }
            /// ```
            pub async fn list_untaken_work(&self) -> Result<Vec<UntakenWork>> {
                waiting_work_check::untaken_work(self.runtime()).await
            }

            /// The time by the clock of the database, by which all times of workflows are.
            ///
            /// # Errors
            /// It is called in the body of a workflow, where it is not recorded: move it into a step. The database cannot
            /// be reached.
            pub async fn database_time(&self) -> Result<DateTime<Utc>> {
                admin::database_time(self.runtime()).await
            }

            /// The number of the newest migration of the database's schema that this release has, and the database too.
            #[must_use]
            pub fn schema_version(&self) -> i64 {
                self.runtime().store.schema_version()
            }

            /// Whether changes by other processes arrive as notifications, with `LISTEN` on Postgres. Otherwise the
            /// database is polled.
            #[must_use]
            pub fn is_listening(&self) -> bool {
                self.runtime().waiters.is_listening()
            }
        }
    };
}

shared_methods!(Durable);
shared_methods!(Client);
