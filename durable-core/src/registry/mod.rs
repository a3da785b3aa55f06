//! The registry: every `#[workflow]`, `#[queue]` and `#[scheduled]` of the program, by name, so that they
//! are found after a restart.

mod arguments;
mod queue;
mod resources;
mod schedule;
mod workflow;
mod workflow_options;

use std::collections::{HashMap, HashSet};

pub use self::arguments::{Arguments, Taken};
pub(crate) use self::queue::INTERNAL_QUEUE;
pub use self::queue::{Queue, RegisteredQueue};
pub use self::resources::Instance;
pub(crate) use self::resources::Resources;
pub use self::schedule::{Misfire, Overlap, RegisteredSchedule, Schedule};
#[cfg(feature = "testing")]
pub use self::workflow::registered_name;
pub use self::workflow::{Registered, Workflow};
pub use self::workflow_options::WorkflowOptions;
use crate::store::{KnownWorkflow, NewQueue, ScheduleRow};
use crate::types::error::{Error, ErrorKind};
use crate::types::metrics::{OTHER, WorkflowLabels};
use crate::types::sync::{Mutex, lock};

/// The workflows of the program by name, its queues and its schedules.
#[derive(Debug)]
pub(crate) struct Registry {
    by_name: HashMap<&'static str, &'static Workflow>,
    queues: Vec<&'static Queue>,
    /// The names of queues that this program has used without declaring them.
    unknown_queues: Mutex<HashSet<String>>,
    schedules: Vec<&'static Schedule>,
}

impl Registry {
    /// That of a client, which has no workflows.
    pub(crate) fn empty() -> Self {
        Self { by_name: HashMap::new(), queues: Vec::new(), unknown_queues: Mutex::default(), schedules: Vec::new() }
    }

    /// Collects what the linked crates have registered.
    ///
    /// # Errors
    /// Two workflows of one name, with the source locations of both: after a restart it would be unknown
    /// which of them a row belongs to. Two queues of one name, or limits that let nothing run.
    pub(crate) fn collect() -> Result<Self, Error> {
        let mut by_name: HashMap<&'static str, &'static Workflow> = HashMap::new();
        for Registered(workflow) in inventory::iter::<Registered> {
            if let Some(earlier) = by_name.insert(workflow.name, workflow) {
                let message = format!(
                    "two workflows are named `{}`: {}:{} (in {}) and {}:{} (in {}); rename one of them, or give it another name in the database with #[workflow(name = \"…\")]",
                    workflow.name,
                    earlier.file,
                    earlier.line,
                    earlier.module,
                    workflow.file,
                    workflow.line,
                    workflow.module
                );
                return Err(Error::new(ErrorKind::Registry, message));
            }
        }
        let queues = queue::collect_queues(inventory::iter::<RegisteredQueue>)?;
        for workflow in by_name.values() {
            check_queue(workflow, &queues)?;
        }
        let schedules = schedule::collect_schedules(inventory::iter::<RegisteredSchedule>)?;
        Ok(Self { by_name, queues, unknown_queues: Mutex::default(), schedules })
    }

    /// The queues of the program, in the order of their names.
    pub(crate) fn queues(&self) -> &[&'static Queue] {
        &self.queues
    }

    /// Logs a warning if the queue of this name is not in this program, once for each name. Returns whether
    /// it did.
    pub(crate) fn expect_queue(&self, name: &str) -> bool {
        let ours = name == INTERNAL_QUEUE || self.queues.binary_search_by_key(&name, |it| it.name()).is_ok();
        if ours || !lock(&self.unknown_queues).insert(name.to_owned()) {
            return false;
        }
        tracing::warn!(
            target: "durable",
            queue = name,
            "a workflow is put on a queue that is not in this program: there is no `#[queue] static` of that name, so only another program can run it"
        );
        true
    }

    /// The schedules of the program, in the order of their workflows' names.
    #[allow(dead_code, reason = "the scheduler asks")]
    pub(crate) fn schedules(&self) -> &[&'static Schedule] {
        &self.schedules
    }

    /// The queues of the program, for the database.
    pub(crate) fn queue_rows(&self) -> Vec<NewQueue> {
        self.queues.iter().map(|it| NewQueue { name: it.name().to_owned(), limits: it.limits() }).collect()
    }

    /// The schedules of the program, for the database.
    pub(crate) fn schedule_rows(&self) -> Vec<ScheduleRow> {
        self.schedules.iter().map(|it| it.row()).collect()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'static Workflow> {
        self.by_name.get(name).copied()
    }

    /// The names in order, for the log, without those of the engine's own workflows.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.by_name.keys().copied().filter(|it| !it.starts_with("durable.")).collect();
        names.sort_unstable();
        names
    }

    /// The name of a workflow as a label of metrics.
    pub(crate) fn name_label(&self, name: &str) -> &'static str {
        self.get(name).map_or(OTHER, |it| it.name)
    }

    /// The name of a queue as a label of metrics.
    pub(crate) fn queue_label(&self, name: &str) -> &'static str {
        if name == INTERNAL_QUEUE {
            return INTERNAL_QUEUE;
        }
        let found = self.queues.binary_search_by_key(&name, |it| it.name()).ok();
        found.and_then(|at| self.queues.get(at)).map_or(OTHER, |it| it.name())
    }

    /// The labels of a workflow.
    pub(crate) fn labels_of(&self, name: &str, queue: Option<&str>) -> WorkflowLabels {
        [self.name_label(name), queue.map_or("", |it| self.queue_label(it))]
    }

    /// The name of a schedule as a label of metrics.
    pub(crate) fn schedule_label(&self, name: &str) -> &'static str {
        self.schedules.iter().find(|it| it.workflow.name == name).map_or(OTHER, |it| it.workflow.name)
    }

    /// All workflows of the program.
    pub(crate) fn all(&self) -> Vec<&'static Workflow> {
        self.by_name.values().copied().collect()
    }

    /// The names with their limits, for the database: of any version, or only of those that they have in an application
    /// of this version, and of none.
    pub(crate) fn known(&self, pinned_to: Option<&str>) -> Vec<KnownWorkflow> {
        let known = |it: &&Workflow, name| KnownWorkflow { name, max_recoveries: it.options.max_recoveries };
        let workflows = self.by_name.values();
        match pinned_to {
            None => workflows.map(|it| known(it, it.name.to_owned())).collect(),
            Some(application) => workflows
                .flat_map(|it| {
                    let of_version = |version| known(it, format!("{}\n{version}", it.name));
                    [of_version(it.version(application)), of_version("")]
                })
                .collect(),
        }
    }
}

/// No process would claim workflows from a queue that is not registered.
fn check_queue(workflow: &Workflow, queues: &[&'static Queue]) -> Result<(), Error> {
    let Some(queue) = workflow.options.queue else { return Ok(()) };
    if queues.iter().any(|it| std::ptr::eq(*it, queue)) {
        return Ok(());
    }
    let message = format!(
        "the workflow `{}` ({}:{}) waits on the queue `{}`, which is not registered: write #[queue] before its `static`",
        workflow.name,
        workflow.file,
        workflow.line,
        queue.name()
    );
    Err(Error::new(ErrorKind::Registry, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::keys::Fingerprint;
    use crate::types::payload::PayloadError;

    static TASKS: Queue = Queue::new("tasks");
    static OTHER: Queue = Queue::new("tasks");

    static RESIZE: Workflow = Workflow {
        name: "resize",
        module: "tests",
        function: "resize",
        file: "src/pictures.rs",
        line: 9,
        fingerprint: Fingerprint::new(0),
        options: WorkflowOptions { queue: Some(&TASKS), ..WorkflowOptions::DEFAULT },
        run: |_| Err(PayloadError::new("it is never run")),
    };

    #[test]
    fn a_queue_that_is_not_in_the_program_is_logged_once() {
        let queues = vec![&OTHER];
        let registry =
            Registry { by_name: HashMap::new(), queues, unknown_queues: Mutex::default(), schedules: Vec::new() };
        assert!(!registry.expect_queue("tasks") && !registry.expect_queue(INTERNAL_QUEUE), "they are known");
        assert!(registry.expect_queue("elsewhere") && registry.expect_queue("nowhere"));
        assert!(!registry.expect_queue("elsewhere"), "it was logged before");
    }

    #[test]
    fn a_queue_that_is_not_registered_is_refused_with_the_fix() {
        assert!(check_queue(&RESIZE, &[&TASKS]).is_ok());
        let error = check_queue(&RESIZE, &[&OTHER]).expect_err("it is another one of the name").to_string();
        assert!(error.contains("`resize` (src/pictures.rs:9) waits on the queue `tasks`"), "{error}");
        assert!(error.ends_with("write #[queue] before its `static`"), "{error}");
    }
}
