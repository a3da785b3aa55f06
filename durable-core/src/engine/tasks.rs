//! The engine's own tasks, and those of the application: each has a name, the phase in which it ends, and
//! is waited for.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::engine::report::{TaskOutcome, TaskReport};
use crate::runtime::Runtime;
use crate::runtime::panics::CatchPanic;
#[cfg(feature = "testing")]
use crate::runtime::rest::Rest;
use crate::types::sync::{Mutex, lock};
use crate::wait::shutdown_phase::EnginePhase;

/// How many tasks are listed before those that have ended as they should are forgotten.
const MAX_LISTED: usize = 200;

/// The engine's own tasks.
#[derive(Debug, Default)]
pub(super) struct Background {
    tasks: Arc<Tasks>,
    #[cfg(feature = "testing")]
    rest: Arc<Rest>,
}

#[derive(Debug, Default)]
struct Tasks {
    list: Mutex<BTreeMap<u64, Task>>,
    /// The number of tasks that have ended.
    ended: watch::Sender<usize>,
}

#[derive(Debug)]
struct Task {
    name: Cow<'static, str>,
    ends_in: EnginePhase,
    started: Instant,
    abort: Option<AbortHandle>,
    /// How it ended, and after how long; `None` while it runs.
    ended: Option<(TaskOutcome, Duration)>,
}

impl Background {
    /// The tasks of an engine, of which there are none yet.
    #[cfg_attr(not(feature = "testing"), allow(unused_variables, reason = "tests watch what the tasks do"))]
    pub(super) fn of(runtime: &Runtime) -> Self {
        Self {
            tasks: Arc::default(),
            #[cfg(feature = "testing")]
            rest: Arc::clone(&runtime.rest),
        }
    }

    /// Spawns a task that ends by itself in the phase `ends_in`.
    pub(super) fn spawn(
        &self,
        name: &'static str,
        ends_in: EnginePhase,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        #[cfg(feature = "testing")]
        let task = self.rest.of_engine(task);
        self.spawn_on(&Handle::current(), name.into(), ends_in, task);
    }

    /// Spawns a task of the application on this runtime. Its end in the phase `ends_in` is up to it.
    pub(super) fn spawn_on(
        &self,
        tokio: &Handle,
        name: Cow<'static, str>,
        ends_in: EnginePhase,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let number = {
            let mut list = lock(&self.tasks.list);
            if list.len() >= MAX_LISTED {
                // A program may spawn a task for each of its requests.
                list.retain(|_, it| !matches!(it.ended, Some((TaskOutcome::Ended, _))));
            }
            let number = list.last_key_value().map_or(0, |(last, _)| last + 1);
            list.insert(
                number,
                Task { name: name.clone(), ends_in, started: Instant::now(), abort: None, ended: None },
            );
            number
        };
        let end = RecordTaskEnd { tasks: Arc::clone(&self.tasks), number, outcome: TaskOutcome::Dropped };
        let spawned = tokio.spawn(async move {
            let mut end = end; // moves the whole guard into the task
            end.outcome = match CatchPanic(Box::pin(task)).await {
                Ok(()) => TaskOutcome::Ended,
                Err(panic) => {
                    tracing::error!(target: "durable", task = %name, %panic, "a background task panicked and does not run any more; restart this process");
                    TaskOutcome::Panicked(panic.to_string())
                }
            };
        });
        if let Some(task) = lock(&self.tasks.list).get_mut(&number) {
            task.abort = Some(spawned.abort_handle());
        }
    }

    /// Returns once all tasks have ended that end in `phase` or before.
    pub(super) async fn wait_for_end(&self, phase: EnginePhase) {
        let all_ended = || lock(&self.tasks.list).values().all(|it| it.ended.is_some() || it.ends_in > phase);
        let _ = self.tasks.ended.subscribe().wait_for(|_| all_ended()).await.map(drop); // the sender is in `self`
    }

    /// Aborts the tasks that should have ended in `phase` or before.
    pub(super) fn abort(&self, phase: EnginePhase) {
        for task in lock(&self.tasks.list).values().filter(|it| it.ends_in <= phase && it.ended.is_none()) {
            if let Some(abort) = &task.abort {
                abort.abort();
            }
        }
    }

    /// The panics of the tasks that panicked.
    pub(super) fn panics(&self) -> Vec<String> {
        let panic = |it: &Task| match &it.ended {
            Some((TaskOutcome::Panicked(panic), _)) => Some(format!("the task {} {panic}", it.name)),
            _ => None,
        };
        lock(&self.tasks.list).values().filter_map(panic).collect()
    }

    /// The state of each task, for the report.
    pub(super) fn report(&self) -> Vec<TaskReport> {
        let report = |it: &Task| {
            let (outcome, ran_for) = it.ended.clone().unwrap_or((TaskOutcome::Running, it.started.elapsed()));
            TaskReport { name: it.name.clone(), outcome, ran_for }
        };
        lock(&self.tasks.list).values().map(report).collect()
    }
}

/// Records the end of a task when it is dropped, however it ends.
struct RecordTaskEnd {
    tasks: Arc<Tasks>,
    number: u64,
    outcome: TaskOutcome,
}

impl Drop for RecordTaskEnd {
    fn drop(&mut self) {
        let outcome = std::mem::replace(&mut self.outcome, TaskOutcome::Dropped);
        if let Some(task) = lock(&self.tasks.list).get_mut(&self.number) {
            task.ended = Some((outcome, task.started.elapsed()));
        }
        self.tasks.ended.send_modify(|count| *count += 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tasks_are_waited_for_by_phase_and_report_how_they_ended() {
        let background = Background::default();
        background.spawn("ends", EnginePhase::Quiesced, async {});
        background.spawn("panics", EnginePhase::Quiesced, async { panic!("this task panics") });
        background.spawn("stays", EnginePhase::Stopping, std::future::pending());
        background.wait_for_end(EnginePhase::Quiesced).await;
        background.abort(EnginePhase::Stopping);
        background.wait_for_end(EnginePhase::Stopping).await;
        let outcomes: Vec<_> = background.report().into_iter().map(|it| (it.name.into_owned(), it.outcome)).collect();
        assert_eq!(outcomes[0], ("ends".to_owned(), TaskOutcome::Ended));
        assert!(matches!(&outcomes[1].1, TaskOutcome::Panicked(panic) if panic.contains("this task panics")));
        assert_eq!(outcomes[2], ("stays".to_owned(), TaskOutcome::Dropped));
    }
}
