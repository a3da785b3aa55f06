//! The engine's own tasks: each has an owner, a name, a level at which it ends, and is joined.

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::engine::report::{TaskOutcome, TaskReport};
use crate::runtime::panics::CatchPanic;
use crate::types::sync::lock;
use crate::wait::shutdown_phase::EnginePhase;

/// The engine's own tasks.
#[derive(Debug, Default)]
pub(super) struct Background {
    tasks: Arc<Tasks>,
}

#[derive(Debug, Default)]
struct Tasks {
    list: Mutex<Vec<Task>>,
    /// How many have ended: pokes whoever waits for it.
    ended: watch::Sender<usize>,
}

#[derive(Debug)]
struct Task {
    name: &'static str,
    stops_at: EnginePhase,
    begun: Instant,
    abort: Option<AbortHandle>,
    /// How it ended, and after how long.
    over: Option<(TaskOutcome, Duration)>,
}

impl Background {
    /// Starts a task. It ends by itself when the level is `stops_at`.
    pub(super) fn spawn(
        &self,
        name: &'static str,
        stops_at: EnginePhase,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let number = {
            let mut list = lock(&self.tasks.list);
            list.push(Task { name, stops_at, begun: Instant::now(), abort: None, over: None });
            list.len() - 1
        };
        let note = TaskExitNote { tasks: Arc::clone(&self.tasks), number, outcome: TaskOutcome::Dropped };
        let spawned = tokio::spawn(async move {
            let mut note = note; // all of it is in the task from the start
            note.outcome = match CatchPanic(Box::pin(task)).await {
                Ok(()) => TaskOutcome::Ended,
                Err(panic) => {
                    tracing::error!(target: "durable", task = name, %panic, "a task of the engine panicked, and what it does is not done any more; end this process");
                    TaskOutcome::Panicked(panic.to_string())
                }
            };
        });
        lock(&self.tasks.list)[number].abort = Some(spawned.abort_handle());
    }

    /// Returns once all tasks have ended that end at `level` or before.
    pub(super) async fn wait_for_end(&self, level: EnginePhase) {
        let all_over = || lock(&self.tasks.list).iter().all(|it| it.over.is_some() || it.stops_at > level);
        let _ = self.tasks.ended.subscribe().wait_for(|_| all_over()).await.map(drop); // the sender is in `self`
    }

    /// Drops those that should have ended at `level` or before, where they stand.
    pub(super) fn abort(&self, level: EnginePhase) {
        for task in lock(&self.tasks.list).iter().filter(|it| it.stops_at <= level && it.over.is_none()) {
            if let Some(abort) = &task.abort {
                abort.abort();
            }
        }
    }

    /// The panics of those that panicked.
    pub(super) fn panics(&self) -> Vec<String> {
        let panic = |it: &Task| match &it.over {
            Some((TaskOutcome::Panicked(why), _)) => Some(format!("the task {} {why}", it.name)),
            _ => None,
        };
        lock(&self.tasks.list).iter().filter_map(panic).collect()
    }

    /// What has become of each.
    pub(super) fn report(&self) -> Vec<TaskReport> {
        let shown = |it: &Task| {
            let (outcome, ran_for) = it.over.clone().unwrap_or((TaskOutcome::Running, it.begun.elapsed()));
            TaskReport { name: it.name, outcome, ran_for }
        };
        lock(&self.tasks.list).iter().map(shown).collect()
    }
}

/// Notes the end of a task, on whatever way it ends.
struct TaskExitNote {
    tasks: Arc<Tasks>,
    number: usize,
    outcome: TaskOutcome,
}

impl Drop for TaskExitNote {
    fn drop(&mut self) {
        let outcome = std::mem::replace(&mut self.outcome, TaskOutcome::Dropped);
        if let Some(task) = lock(&self.tasks.list).get_mut(self.number) {
            task.over = Some((outcome, task.begun.elapsed()));
        }
        self.tasks.ended.send_modify(|count| *count += 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tasks_are_joined_by_level_and_their_ends_are_told() {
        let background = Background::default();
        background.spawn("ends", EnginePhase::Quiesced, async {});
        background.spawn("panics", EnginePhase::Quiesced, async { panic!("it was meant to") });
        background.spawn("stays", EnginePhase::Stopping, std::future::pending());
        background.wait_for_end(EnginePhase::Quiesced).await;
        background.abort(EnginePhase::Stopping);
        background.wait_for_end(EnginePhase::Stopping).await;
        let outcomes: Vec<_> = background.report().into_iter().map(|it| (it.name, it.outcome)).collect();
        assert_eq!(outcomes[0], ("ends", TaskOutcome::Ended));
        assert!(matches!(&outcomes[1].1, TaskOutcome::Panicked(why) if why.contains("it was meant to")));
        assert_eq!(outcomes[2], ("stays", TaskOutcome::Dropped));
    }
}
