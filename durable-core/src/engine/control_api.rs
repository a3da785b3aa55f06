//! Listing and control as methods of [`Durable`] and of [`Client`]. The free functions find the engine by
//! themselves; these use this one.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::engine::client::Client;
use crate::engine::durable::Durable;
use crate::operations::bulk::Bulk;
use crate::operations::cancel::CancelCall;
use crate::operations::fork::{ForkCall, ForkFrom};
use crate::operations::queue_backlog::{self, QueueBacklog};
use crate::operations::retention_run::RunRetention;
use crate::operations::{admin, change, reset};
use crate::store::WorkflowChange;
use crate::types::error::{Error, ErrorKind, Result};
use crate::types::filter::Filter;
use crate::types::listing::{EventInfo, MessageInfo, StepInfo, StreamItemInfo, WorkflowInfo};
use crate::types::page::{GroupBy, Page, WorkflowCounts};
use crate::types::position::Position;

/// The methods, which are the same for both.
macro_rules! control_methods {
    ($handle:ident) => {
        impl $handle {
            /// Deletes workflows that have been kept for their time, now: see [`run_retention`](crate::run_retention()).
            ///
            /// # Example
            ///
            /// ```no_run
            /// # use durable_core::{Durable, Retention};
            /// # async fn example(app: Durable) -> durable_core::Result<()> {
            /// let policy = Retention::new().keep(Retention::days(30)).keep_name("audit", Retention::FOREVER);
            /// let report = app.run_retention().policy(policy).dry_run().await?;
            /// println!("{} workflows would be deleted", report.total);
            /// # Ok(())
            /// # }
            /// ```
            pub fn run_retention(&self) -> RunRetention {
                RunRetention::new(Ok(Arc::clone(self.runtime())))
            }

            /// How much work a queue has, for autoscalers: see [`queue_backlog`](crate::queue_backlog).
            ///
            /// # Errors
            /// As [`queue_backlog`](crate::queue_backlog).
            pub fn queue_backlog<Q: AsRef<str>>(
                &self,
                queue: Q,
            ) -> impl Future<Output = Result<QueueBacklog>> + Send + use<Q> {
                queue_backlog::backlog(Some(self.runtime()), queue.as_ref())
            }

            /// A page of the workflows that a filter selects: see [`list_workflows`](crate::list_workflows).
            ///
            /// # Errors
            /// As [`list_workflows`](crate::list_workflows).
            pub fn list_workflows(
                &self,
                filter: Filter,
            ) -> impl Future<Output = Result<Page<WorkflowInfo>>> + Send + use<> {
                admin::list(Some(self.runtime()), filter)
            }

            /// One workflow, with its payloads: see [`workflow`](crate::workflow()).
            ///
            /// # Errors
            /// As [`workflow`](crate::workflow()).
            pub fn workflow<I: AsRef<str>>(
                &self,
                id: I,
            ) -> impl Future<Output = Result<Option<WorkflowInfo>>> + Send + use<I> {
                admin::show(Some(self.runtime()), id.as_ref())
            }

            /// Counts workflows by group: see [`count_workflows`](crate::count_workflows).
            ///
            /// # Errors
            /// As [`count_workflows`](crate::count_workflows).
            pub fn count_workflows(
                &self,
                filter: Filter,
                group: GroupBy,
            ) -> impl Future<Output = Result<WorkflowCounts>> + Send + use<> {
                admin::count(Some(self.runtime()), filter, group)
            }

            /// The records of a workflow in the order of their positions: see [`list_steps`](crate::list_steps).
            ///
            /// # Errors
            /// As [`list_steps`](crate::list_steps).
            pub fn list_steps<I: AsRef<str>>(
                &self,
                id: I,
            ) -> impl Future<Output = Result<Vec<StepInfo>>> + Send + use<I> {
                admin::steps(Some(self.runtime()), id.as_ref())
            }

            /// The positions of the records of a workflow, in order. This reads no payloads, so it is quick for a
            /// workflow with very many records: show them in parts with [`list_steps_at`](Self::list_steps_at).
            ///
            /// In a workflow's body the answer is recorded, at a position that is reserved when this is called.
            ///
            /// # Errors
            /// As [`list_steps`](crate::list_steps).
            ///
            /// # Example
            ///
            /// ```no_run
            /// # use durable_core::Durable;
            /// # async fn example(app: Durable) -> durable_core::Result<()> {
            /// for some in app.list_step_positions("order-7").await?.chunks(1000) {
            ///     for step in app.list_steps_at("order-7", some).await? {
            ///         println!("{} {}", step.position, step.name);
            ///     }
            /// }
            /// # Ok(())
            /// # }
            /// ```
            pub fn list_step_positions<I: AsRef<str>>(
                &self,
                id: I,
            ) -> impl Future<Output = Result<Vec<Position>>> + Send + use<I> {
                admin::step_positions(Some(self.runtime()), id.as_ref())
            }

            /// Those records of a workflow that are at these positions, in order. A position without a record is left out.
            ///
            /// In a workflow's body the answer is recorded, at a position that is reserved when this is called.
            ///
            /// # Errors
            /// As [`list_steps`](crate::list_steps).
            pub fn list_steps_at<I: AsRef<str>>(
                &self,
                id: I,
                positions: &[Position],
            ) -> impl Future<Output = Result<Vec<StepInfo>>> + Send + use<I> {
                admin::steps_at(Some(self.runtime()), id.as_ref(), positions)
            }

            /// The events of a workflow: see [`list_events`](crate::list_events).
            ///
            /// # Errors
            /// As [`list_events`](crate::list_events).
            pub fn list_events<I: AsRef<str>>(
                &self,
                id: I,
            ) -> impl Future<Output = Result<Vec<EventInfo>>> + Send + use<I> {
                admin::events(Some(self.runtime()), id.as_ref())
            }

            /// The messages to a workflow: see [`list_messages`](crate::list_messages).
            ///
            /// # Errors
            /// As [`list_messages`](crate::list_messages).
            pub fn list_messages<I: AsRef<str>>(
                &self,
                id: I,
            ) -> impl Future<Output = Result<Vec<MessageInfo>>> + Send + use<I> {
                admin::messages(Some(self.runtime()), id.as_ref())
            }

            /// Items of the streams of a workflow: see [`list_stream_items`](crate::list_stream_items).
            ///
            /// # Errors
            /// As [`list_stream_items`](crate::list_stream_items).
            pub fn list_stream_items<I: AsRef<str>>(
                &self,
                id: I,
                stream: Option<&str>,
                limit: u32,
                offset: u32,
            ) -> impl Future<Output = Result<Vec<StreamItemInfo>>> + Send + use<I> {
                admin::stream_items(Some(self.runtime()), id.as_ref(), stream, limit, offset)
            }

            /// Cancels a workflow: see [`cancel_workflow`](crate::cancel_workflow).
            pub fn cancel_workflow(&self, id: impl AsRef<str>) -> CancelCall {
                CancelCall::new(Ok(Arc::clone(self.runtime())), id.as_ref())
            }

            /// All workflows that a filter selects, to be changed together: see [`bulk`](crate::bulk()).
            pub fn bulk(&self, filter: Filter) -> Bulk {
                Bulk::new(Some(self.runtime()), filter)
            }

            /// Lets a workflow go on from where it stands: see [`resume_workflow`](crate::resume_workflow).
            ///
            /// # Errors
            /// As [`resume_workflow`](crate::resume_workflow).
            pub fn resume_workflow<I: AsRef<str>>(&self, id: I) -> impl Future<Output = Result<()>> + Send + use<I> {
                change::resume(Some(self.runtime()), id.as_ref())
            }

            /// Makes a new workflow with the same arguments: see [`restart_workflow`](crate::restart_workflow).
            pub fn restart_workflow(&self, id: impl AsRef<str>) -> ForkCall {
                ForkCall::new(Some(self.runtime()), "restart_workflow", id.as_ref(), ForkFrom::Position(1))
            }

            /// Makes a new workflow with a part of the records: see [`fork_workflow`](crate::fork_workflow).
            pub fn fork_workflow(&self, id: impl AsRef<str>, from: impl Into<ForkFrom>) -> ForkCall {
                ForkCall::new(Some(self.runtime()), "fork_workflow", id.as_ref(), from.into())
            }

            /// Deletes a workflow and its descendants: see [`delete_workflow`](crate::delete_workflow).
            ///
            /// # Errors
            /// As [`delete_workflow`](crate::delete_workflow).
            pub fn delete_workflow<I: AsRef<str>>(&self, id: I) -> impl Future<Output = Result<u64>> + Send + use<I> {
                change::delete(Some(self.runtime()), id.as_ref())
            }

            /// Adds labels to a workflow: see [`set_labels`](crate::set_labels).
            ///
            /// # Errors
            /// As [`set_labels`](crate::set_labels).
            pub fn set_labels<I, L, N, V>(
                &self,
                id: I,
                labels: L,
            ) -> impl Future<Output = Result<()>> + Send + use<I, L, N, V>
            where
                I: AsRef<str>,
                L: IntoIterator<Item = (N, V)>,
                N: Into<String>,
                V: Into<String>,
            {
                let labels: Vec<_> = labels.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
                change::label(Some(self.runtime()), id.as_ref(), &labels)
            }

            /// Changes the priority of a waiting workflow: see [`set_priority`](crate::set_priority).
            ///
            /// # Errors
            /// As [`set_priority`](crate::set_priority).
            pub fn set_priority<I: AsRef<str>>(
                &self,
                id: I,
                priority: i32,
            ) -> impl Future<Output = Result<()>> + Send + use<I> {
                change::change(Some(self.runtime()), "set_priority", id.as_ref(), WorkflowChange::Priority(priority))
            }

            /// Delays a waiting workflow: see [`set_delay`](crate::set_delay).
            ///
            /// # Errors
            /// As [`set_delay`](crate::set_delay).
            pub fn set_delay<I: AsRef<str>>(
                &self,
                id: I,
                delay: Duration,
            ) -> impl Future<Output = Result<()>> + Send + use<I> {
                change::change(Some(self.runtime()), "set_delay", id.as_ref(), WorkflowChange::Delay(delay))
            }

            /// Moves a waiting workflow to another queue: see [`move_to_queue`](crate::move_to_queue).
            ///
            /// # Errors
            /// As [`move_to_queue`](crate::move_to_queue).
            pub fn move_to_queue<I: AsRef<str>, Q: AsRef<str>>(
                &self,
                id: I,
                queue: Q,
            ) -> impl Future<Output = Result<()>> + Send + use<I, Q> {
                let to = WorkflowChange::Queue(queue.as_ref().to_owned());
                change::change(Some(self.runtime()), "move_to_queue", id.as_ref(), to)
            }
        }
    };
}

impl Durable {
    /// Deletes all workflows and what belongs to them, for tests and development. This engine goes on with an empty
    /// database: it has the queues and schedules of its code, as after a first launch. Workflows that run are
    /// cancelled first.
    ///
    /// # Errors
    /// The builder has no [`allow_reset`](crate::Builder::allow_reset), or another executor uses the database: nothing
    /// was deleted ([`ErrorKind::Refused`](crate::ErrorKind::Refused)). A step that blocks its thread did not end: the
    /// workflows were cancelled, and not deleted. It was called in a workflow; the database cannot be reached.
    ///
    /// # Example
    ///
    /// ```no_run
    /// # use durable_core::Durable;
    /// # async fn example() -> durable_core::Result<()> {
    /// let app = Durable::builder("my-app").allow_reset().launch().await?;
    /// app.reset_system_database().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn reset_system_database(&self) -> Result<()> {
        if !self.runtime().settings.allow_reset {
            let message = "`reset_system_database` deletes all workflows, and this engine does not allow it; add `.allow_reset()` to the builder, in tests and development only";
            return Err(Error::new(ErrorKind::Refused, message));
        }
        reset::reset(self.runtime()).await
    }
}

control_methods!(Durable);
control_methods!(Client);
