//! Crashes of a workflow at each of its commits.

use std::cell::RefCell;
use std::collections::HashSet;
use std::pin::Pin;
use std::time::{Duration, Instant};

use durable_core::store::{
    FaultMode, FaultPlan, ScheduleChange, TableCopies, copy_tables, forget_copies, restore_tables,
};
use durable_core::{Error, Result, Status, WorkflowCall};

use super::observation::{Expectation, Observation, all_workflows, family};
use super::test_engine::{TestEngine, TestProcess};
use crate::TestApp;

/// How long one run may take, of the machine's time.
const RUN_LIMIT: Duration = Duration::from_mins(1);
/// How much further on the sequences of the database are for the second run without a crash. In a run with a crash a
/// transaction that is rolled back leaves a gap in them.
const SEQUENCES_AHEAD: u32 = 1_000;
/// How many runs without a crash there are at most. A difference that one of them makes, too, is none.
const MOST_WITHOUT_CRASH: usize = 5;
/// How long is waited before a further one, so that times in whole seconds differ.
const A_SECOND: Duration = Duration::from_millis(1_100);
/// How many differences a message shows.
const MAX_DIFFERENCES: usize = 8;

impl TestApp {
    /// Crashes a workflow at each of its commits, and fails the test if that makes a difference.
    ///
    /// The call is run to its end twice without a crash. Then it is run three times for each commit: with a crash before
    /// the commit, with a crash after it, and with a commit that is done and whose answer is lost, so that the engine
    /// cannot know. After a crash the engine is launched again and recovers the workflow. Each run starts from the
    /// database as it is at the call, in an engine of its own and with an id of its own; virtual time passes whenever
    /// everything rests, so that sleeps, timeouts, delays and retries end. Commits are those of records, starts, ends,
    /// transactions, messages, events, stream items and claims from queues, also of the workflows that it starts.
    ///
    /// These are compared with the run without a crash:
    ///
    /// * the status, the arguments and the result of the workflow, and of all workflows that it starts (not those that
    ///   are started within transactions or by schedules);
    /// * their records: position, kind, name, output and error, and the started workflow;
    /// * their events, stream items and messages. What a step publishes may come again when the step runs again, and
    ///   counts once;
    /// * the rows of the application's tables in the same database: on SQLite all of them, on Postgres those of the
    ///   schema in which an unqualified `create table` of a transaction creates them.
    ///
    /// What differs between the runs without a crash is not compared: generated ids, random numbers, the present time.
    /// Where a run with a crash is different there are up to three more of them, at other times. In the second of them the sequences of a Postgres database are ahead, because a transaction that was rolled
    /// back leaves a gap in them. A generated id that is in several places has to be the same in all of them. How often
    /// a step was tried is not compared, nor how far those arms of a `select!` came that lost. A failed run of a
    /// `map` with `stop_on_error` may have started another item or not: where that shows in records, it is a difference.
    ///
    /// Steps run several times over, so they need fakes that can take it; a fake that finds repeated requests by their
    /// [idempotency key](durable_core::idempotency_key) works as it does in production. A message or an event from outside
    /// does not come: let a workflow of the test call the one that waits for it, and send it.
    ///
    /// It returns the result of a run without a crash: check it, because a workflow that fails in its first step has
    /// few commits at which it can be crashed. When it returns, the engine of the test has been launched again, and the
    /// database is as it was before. [`fail_times`](crate::Mock::fail_times) of a mock counts the calls of all runs together, and
    /// what steps keep in the memory of the process stays there.
    ///
    /// # Panics
    /// If a crash makes a difference. The message names the commit, and what is different. It also panics if a run without
    /// a crash is parked, if a run does not end within a minute, or if the database cannot be set back: on Postgres that takes a role that may set
    /// `session_replication_role`.
    ///
    /// # Example
    ///
    /// ```no_run
    /// use durable::prelude::*;
    ///
    /// # #[step]
    /// # async fn charge(cents: u64) -> String { format!("charged {cents}") }
    /// #[workflow]
    /// async fn checkout(cents: u64) -> Result<String> {
    ///     let receipt = charge(cents).await;
    ///     durable::sleep(Duration::from_secs(30 * 86_400)).await;
    ///     Ok(receipt)
    /// }
    ///
    /// #[durable::test]
    /// async fn survives_a_crash_anywhere(app: TestApp) {
    ///     let receipt = app.crash_everywhere(|| checkout(700)).await.unwrap();
    ///     assert_eq!(receipt, "charged 700");
    /// }
    /// # fn main() {}
    /// ```
    pub async fn crash_everywhere<T, E>(&self, call: impl Fn() -> WorkflowCall<T, E>) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let call = &call;
        let start = |id: String| -> Start<'_> { Box::pin(async move { call().id(id).start().await.map(drop) }) };
        // The id belongs to a workflow that has ended, so nothing is started.
        let result = RefCell::new(None);
        let read =
            |id: String| -> Read<'_> { Box::pin(async { result.replace(Some(call().id(id).await)).map_or((), drop) }) };
        crash_everywhere(&self.engine, &start, &read).await;
        result.into_inner().expect("the first run was read")
    }
}

type Start<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;
type Read<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

async fn crash_everywhere<'a>(
    engine: &TestEngine,
    start: &dyn Fn(String) -> Start<'a>,
    read: &dyn Fn(String) -> Read<'a>,
) {
    let before = engine.process();
    before.crash().await;
    let earlier = ids(engine).await;
    let copies = copy_tables(engine.store(), engine.schema()).await;
    let copies = copies.unwrap_or_else(|error| panic!("the tables cannot be copied: {error}"));
    let mut runs = CrashRuns { engine, start, read, earlier, copies, number: 0 };

    let no_crash = || FaultPlan { claims_count: true, counts_later: true, ..FaultPlan::default() };
    let (first, commits, _) = runs.run(no_crash()).await;
    runs.restore(SEQUENCES_AHEAD).await;
    let (second, ..) = runs.run(no_crash()).await;
    runs.restore(0).await;
    if let Some(reason) = first.reason_of_parking() {
        panic!("without a crash the workflow is parked, so nothing can be compared: {reason}");
    }
    let mut without_crash = vec![first, second];
    let mut expectation = Expectation::of(&without_crash);
    for mode in [FaultMode::Before, FaultMode::After, FaultMode::LostAnswer] {
        // How many commits there are may differ: records of concurrent branches share one, or do not.
        for at in 1.. {
            let plan = FaultPlan { faults: FaultPlan::one(mode, at).faults, ..no_crash() };
            let (observation, _, failed) = runs.run(plan).await;
            runs.restore(0).await;
            let mut differences = expectation.differences(&observation);
            while !differences.is_empty() && without_crash.len() < MOST_WITHOUT_CRASH {
                tokio::time::sleep(A_SECOND).await;
                without_crash.push(runs.run(no_crash()).await.0);
                runs.restore(0).await;
                expectation = Expectation::of(&without_crash);
                differences = expectation.differences(&observation);
            }
            assert!(differences.is_empty(), "{}", message(mode, failed.as_deref(), &differences));
            if failed.is_none() && at >= commits {
                break;
            }
        }
    }
    let forgotten = forget_copies(engine.store(), engine.schema(), &runs.copies).await;
    forgotten.unwrap_or_else(|error| panic!("the copies of the tables cannot be removed: {error}"));
    engine.restart().await;
}

fn message(mode: FaultMode, failed: Option<&str>, differences: &[String]) -> String {
    let commit = failed.unwrap_or("nothing");
    let fault = match mode {
        _ if failed.is_none() => "another run without a crash".to_owned(),
        FaultMode::Before => format!("a crash before the commit of {commit}"),
        FaultMode::After => format!("a crash after the commit of {commit}"),
        _ => format!("losing the answer to the commit of {commit}"),
    };
    let shown = differences[..differences.len().min(MAX_DIFFERENCES)].join("\n  ");
    let more = match differences.len().saturating_sub(MAX_DIFFERENCES) {
        0 => String::new(),
        more => format!("\n  and {more} more"),
    };
    let hint = if failed.is_some() {
        "A body has to make the same calls whenever it runs. Everything else that it does belongs in steps, which may run again after a crash, or in transactions, which do not"
    } else {
        "What the workflow does depends on the time, on chance, or on what ran before, so that runs cannot be compared: let the test decide it, with arguments or mocks"
    };
    format!("{fault} makes a difference:\n  {shown}{more}\n{hint}")
}

async fn ids(engine: &TestEngine) -> HashSet<String> {
    let listed = all_workflows(engine.store()).await;
    let listed = listed.unwrap_or_else(|error| panic!("the workflows cannot be listed: {error}"));
    listed.into_iter().map(|it| it.id).collect()
}

/// The runs of one call.
struct CrashRuns<'a, 'c> {
    engine: &'a TestEngine,
    start: &'a dyn Fn(String) -> Start<'c>,
    /// Keeps the result of a workflow that has ended.
    read: &'a dyn Fn(String) -> Read<'c>,
    /// The workflows that were there before.
    earlier: HashSet<String>,
    copies: TableCopies,
    number: u32,
}

impl CrashRuns<'_, '_> {
    /// Sets the database back.
    async fn restore(&self, sequences_ahead: u32) {
        let (store, schema) = (self.engine.store(), self.engine.schema());
        let restored = restore_tables(store, schema, &self.copies, sequences_ahead).await;
        restored.unwrap_or_else(|error| panic!("the tables cannot be set back: {error}"));
    }

    /// Runs the call to its end, through the crash that is planned. Returns what it left, how many commits there were
    /// before that crash, and at which one it was, if it was reached.
    async fn run(&mut self, plan: FaultPlan) -> (Observation, u64, Option<String>) {
        self.number += 1;
        let id = format!("crash-everywhere-{:06}", self.number);
        let first = self.engine.start_process(plan).await;
        first.store.begin_counting(); // the launch has recovered what was in flight before
        let ended = self.run_in(&first, &id).await;
        if ended && self.number == 1 {
            first.app.scope((self.read)(id.clone())).await;
        }
        first.crash().await;
        if !ended {
            let second = self.engine.start_process(FaultPlan::default()).await;
            assert!(self.run_in(&second, &id).await, "there is no second crash");
            second.crash().await;
        }
        let observation = Observation::read(self.engine.store(), self.engine.schema(), &id, &self.earlier).await;
        let observation = observation.unwrap_or_else(|error| panic!("the workflow cannot be read: {error}"));
        (observation, first.store.calls(), first.store.failed_commit())
    }

    /// Starts the workflow unless it is there, and waits until it and everything that it started has ended. Returns
    /// whether the process has lived so long.
    async fn run_in(&self, process: &TestProcess, id: &str) -> bool {
        let store = self.engine.store();
        for schedule in store.schedules().await.unwrap_or_default() {
            // Its ticks in virtual time are no part of the call. What is paused is set back with the tables.
            let paused = store.change_schedule(&schedule.name, ScheduleChange::Pause).await;
            paused.unwrap_or_else(|error| panic!("a schedule cannot be paused: {error}"));
        }
        let ended = async {
            let started = process.app.scope((self.start)(id.to_owned())).await;
            match started {
                Err(error) if !process.store.is_dead() => panic!("the workflow cannot be started: {error}"),
                _ => self.wait_for_end(process, id).await,
            }
        };
        tokio::select! {
            biased;
            () = process.store.until_death() => false,
            () = ended => true,
        }
    }

    async fn wait_for_end(&self, process: &TestProcess, id: &str) {
        let deadline = Instant::now() + RUN_LIMIT;
        loop {
            process.alive(process.app.advance(Duration::ZERO).await).await; // lets everything rest
            let unended = self.unended(id).await;
            if unended.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "a run does not end within {RUN_LIMIT:?}: {}", unended.join(", "));
            let moved = process.alive(process.app.advance_to_next().await).await;
            assert!(moved.is_some(), "a run does not end, and nothing is due: {}", unended.join(", "));
        }
    }

    /// The workflows of this run that have not ended, and their statuses.
    async fn unended(&self, id: &str) -> Vec<String> {
        let listed = all_workflows(self.engine.store()).await;
        let listed = listed.unwrap_or_else(|error| panic!("the workflows cannot be listed: {error}"));
        let family = family(&listed, id);
        let own = listed.iter().filter(|it| family.contains(it.id.as_str()) && !self.earlier.contains(&it.id));
        let unended = own.filter(|it| !it.status.is_terminal() && it.status != Status::Parked);
        unended.map(|it| format!("{} {:?} is {}", it.name, it.id, it.status)).collect()
    }
}
