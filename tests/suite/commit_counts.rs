//! The number of statements and commits of each operation.

use durable::prelude::*;
use durable::queue;
use durable_core::store::StatementCounts;

use crate::support::{TestDatabase, count, counted, database_tests, fresh};

database_tests! {
a_workflow_of_n_steps_costs_n_plus_1_commits,
a_started_workflow_costs_one_commit,
a_child_workflow_adds_one_commit,
branches_need_no_commits_and_only_select_has_a_record,
concurrent_workflows_share_commits,
recovery_costs_the_same_for_one_workflow_and_for_fifty,
a_transaction_commits_earlier_records_with_it,
a_queued_workflow_costs_three_commits_and_no_extra_query,
enqueue_all_shares_commits,
a_full_queue_is_claimed_a_hundred_workflows_at_a_time,
several_free_slots_are_filled_with_one_claim,
idle_queues_execute_no_statements,
}

#[step]
async fn nothing(number: u32) -> u32 {
    number
}

#[workflow]
pub(crate) async fn steps_in_a_row(many: u32) -> Result<u32> {
    let mut sum = 0;
    for number in 0..many {
        sum += nothing(number).await;
    }
    Ok(sum)
}

#[workflow]
async fn with_a_child(many: u32) -> Result<u32> {
    steps_in_a_row(many).await
}

/// Waits until no statement was executed for a while.
async fn idle(app: &Durable) {
    app.listening().await; // it polls when it begins to listen
    let mut last = app.store().statement_counts();
    loop {
        tokio::time::sleep(Duration::from_millis(150)).await; // the engine is idle when nothing happens in it
        let now = app.store().statement_counts();
        if now == last {
            return;
        }
        last = now;
    }
}

/// The cost of `work` on an engine that does nothing else: its lease is an hour long.
async fn cost(app: &Durable, work: impl Future<Output = ()>) -> StatementCounts {
    idle(app).await;
    let before = app.store().statement_counts();
    app.scope(work).await;
    app.store().statement_counts() - before
}

/// The same, the least of a few measurements: the engine polls every 10 s in case a notification was lost, SQLite
/// checks now and then for writes of other processes, and a measurement may include that.
async fn least_cost(app: &Durable, mut work: impl AsyncFnMut()) -> StatementCounts {
    let mut least = cost(app, work()).await;
    for _ in 0..3 {
        let again = cost(app, work()).await;
        least = if again.statements < least.statements { again } else { least };
    }
    least
}

async fn a_workflow_of_n_steps_costs_n_plus_1_commits(database: &TestDatabase) {
    let app = database.launch().await;
    for many in [0, 1, 2, 10] {
        let costs =
            least_cost(&app, async || assert_eq!(steps_in_a_row(many).await.unwrap(), (0..many).sum::<u32>())).await;
        assert_eq!(costs.commits, u64::from(many.max(1)) + 1, "{many} steps: {costs:?}");
        if database.is_postgres() {
            assert_eq!(costs.statements, costs.commits, "every commit is one round trip, and nothing is read");
            assert_eq!(costs.notifications, 0, "no other process listens");
        }
    }
    app.shutdown().await;
}

async fn a_started_workflow_costs_one_commit(database: &TestDatabase) {
    let app = database.launch().await;
    let costs = cost(&app, async { assert_eq!(steps_in_a_row(0).start().await.unwrap().await.unwrap(), 0) }).await;
    assert_eq!(costs.commits, 2, "start and finish: {costs:?}");
    app.shutdown().await;
}

async fn a_child_workflow_adds_one_commit(database: &TestDatabase) {
    let app = database.launch().await;
    let costs = cost(&app, async { assert_eq!(with_a_child(1).await.unwrap(), 0) }).await;
    // The parent's start; the child's row with the parent's record; the child's step with its end;
    // the child's result in the parent with the parent's end.
    assert_eq!(costs.commits, 4, "{costs:?}");
    app.shutdown().await;
}

#[workflow]
async fn one_step_in_branches() -> Result<u32> {
    let (number,) = durable::join!(async {
        durable::select! {
        () = std::future::pending() => 0,
        numbers = durable::map([1], 1, nothing) => numbers[0],
        }
    });
    Ok(number)
}

async fn branches_need_no_commits_and_only_select_has_a_record(database: &TestDatabase) {
    let app = database.launch().await;
    let costs = cost(&app, async { assert_eq!(one_step_in_branches().id("w").await.unwrap(), 1) }).await;
    assert_eq!(costs.commits, 2, "the start, and the end with all records: {costs:?}");
    let steps = app.list_steps("w").await.unwrap();
    let shown: Vec<_> = steps.iter().map(|it| format!("{} {}", it.position, it.kind)).collect();
    assert_eq!(shown, ["1/1 select", "1/1/2/1/1/1 step"]);
    app.shutdown().await;
}

async fn concurrent_workflows_share_commits(database: &TestDatabase) {
    let app = database.launch().await;
    let costs = cost(&app, async {
        let calls: Vec<_> = (0..64).map(|_| app.spawn_scoped(steps_in_a_row(10))).collect();
        for call in calls {
            call.await.unwrap().unwrap();
        }
    })
    .await;
    // Without sharing there would be 64 times 11 commits, in lockstep 11. The benchmark measures the actual
    // number.
    assert!(costs.commits < 64 * 11 / 4, "{costs:?}");
    app.shutdown().await;
}

#[workflow]
async fn waits_for_a_test(name: String) -> Result<u32> {
    count(&name);
    crate::support::gate(&name).acquire().await?.forget();
    Ok(1)
}

async fn recovery_costs_the_same_for_one_workflow_and_for_fifty(database: &TestDatabase) {
    let mut statements = Vec::new();
    for many in [1, 50] {
        let name = fresh("recovered");
        let app = database.launch().await;
        app.scope(async {
            for _ in 0..many {
                waits_for_a_test(name.clone()).start().await.unwrap();
            }
        })
        .await;
        crate::support::arrived(&name, many).await;
        database.crash(app).await;

        let app = database.launch().await;
        crate::support::arrived(&name, 2 * many).await;
        idle(&app).await;
        statements.push(app.store().statement_counts().statements);
        crate::support::gate(&name).add_permits(many as usize);
        app.shutdown().await;
    }
    // The first launch migrates nothing either: the schema was there from the launch before. The
    // engine polls when it is launched and again when it begins to listen, which may be one.
    let differ = statements[0].abs_diff(statements[1]);
    assert!(differ <= 10, "the launch with its recovery, for 1 workflow and for 50: {statements:?}");
}

#[transaction(read_only)]
async fn ask_lite(tx: &mut sqlx::SqliteConnection) -> Result<i64> {
    Ok(sqlx::query_scalar("select 1").fetch_one(tx).await?)
}

#[transaction(read_only)]
async fn ask_postgres(tx: &mut sqlx::PgConnection) -> Result<i64> {
    Ok(sqlx::query_scalar("select 1::bigint").fetch_one(tx).await?)
}

#[workflow]
async fn a_step_and_two_transactions(postgres: bool) -> Result<i64> {
    let mut sum = i64::from(nothing(1).await);
    for _ in 0..2 {
        sum += if postgres { ask_postgres().await? } else { ask_lite().await? };
    }
    Ok(sum)
}

async fn a_transaction_commits_earlier_records_with_it(database: &TestDatabase) {
    let postgres = database.is_postgres();
    let app = database.launch().await;
    let costs = least_cost(&app, async || assert_eq!(a_step_and_two_transactions(postgres).await.unwrap(), 3)).await;
    // The start; the first transaction with the step's record; the second one; the end.
    assert_eq!(costs.commits, 4, "{costs:?}");
    // Start and end are one statement each. A transaction is BEGIN, COMMIT, and one for each record,
    // besides the user's own, which are not counted.
    assert_eq!(costs.statements, 2 + 4 + 3, "{costs:?}");
    app.shutdown().await;
}

#[queue]
static COSTED: Queue = Queue::new("cost-free");
#[queue]
static COSTED_BY_FIVE: Queue = Queue::new("cost-five").worker_concurrency(5);

#[workflow]
async fn counted_in_a_queue(key: String) -> Result<()> {
    count(&key);
    Ok(())
}

/// Waits until so many bodies have run and everything is recorded.
async fn settled(app: &Durable, key: &str, many: u32) {
    crate::support::arrived(key, many).await;
    idle(app).await;
}

async fn a_queued_workflow_costs_three_commits_and_no_extra_query(database: &TestDatabase) {
    let key = fresh("life");
    let app = database.builder("idle").listen_to::<&str>([]).launch().await.unwrap();
    let enqueues = async || drop(counted_in_a_queue(key.clone()).enqueue(&COSTED).await.unwrap());
    let costs = least_cost(&app, enqueues).await;
    assert_eq!((costs.statements, costs.commits), (1, 1), "to enqueue is one statement: {costs:?}");
    app.shutdown().await;

    let app = database.builder("works").listen_to([&COSTED]).launch().await.unwrap();
    settled(&app, &key, 4).await; // the first ones
    let mut many = 4;
    let costs = least_cost(&app, async || {
        many += 1;
        counted_in_a_queue(key.clone()).enqueue(&COSTED).await.unwrap();
        settled(&app, &key, many).await;
    })
    .await;
    assert_eq!(costs.commits, 3, "enqueued, claimed, finished: {costs:?}");
    // SQLite also checks whether there is something to claim, and for writes of other processes.
    if database.is_postgres() {
        assert_eq!(costs.statements, costs.commits, "no statement asks whether there is more: {costs:?}");
    }
    app.shutdown().await;
}

async fn enqueue_all_shares_commits(database: &TestDatabase) {
    let app = database.builder("idle").listen_to::<&str>([]).launch().await.unwrap();
    let costs = cost(&app, async {
        let calls = (0..1_000).map(|_| counted_in_a_queue("nobody".to_owned()));
        assert_eq!(COSTED.enqueue_all(calls).await.unwrap().len(), 1_000);
    })
    .await;
    // It is two or three, and more where the machine is busy and the calls are slower than the commits.
    assert!(costs.commits <= 50, "{costs:?}");
    app.shutdown().await;
}

/// The cost of claiming and completing so many workflows of a queue.
async fn cost_of_a_full_queue(database: &TestDatabase, queue: &'static Queue, many: u32) -> StatementCounts {
    let key = fresh("line");
    let app = database.builder("works").listen_to([queue]).launch().await.unwrap();
    app.scope(async {
        queue.pause().await.unwrap();
        queue.enqueue_all((0..many).map(|_| counted_in_a_queue(key.clone()))).await.unwrap();
    })
    .await;
    settled(&app, &key, 0).await;
    let costs = cost(&app, async {
        queue.resume().await.unwrap();
        settled(&app, &key, many).await;
    })
    .await;
    let left = database.workflows().await.iter().filter(|it| it.status != Status::Success).count();
    assert_eq!((left, counted(&key)), (0, many));
    app.shutdown().await;
    costs
}

async fn a_full_queue_is_claimed_a_hundred_workflows_at_a_time(database: &TestDatabase) {
    let costs = cost_of_a_full_queue(database, &COSTED, 1_000).await;
    // Ten claims, and commits of the ends of several workflows each.
    assert!((11..=60).contains(&costs.commits), "{costs:?}");
    if database.is_postgres() {
        assert!(costs.statements <= costs.commits + 5, "hardly a claim was in vain: {costs:?}");
    }
}

async fn several_free_slots_are_filled_with_one_claim(database: &TestDatabase) {
    // Five with one claim and one end would be 80 commits, one by one 400. On a busy machine workflows end apart, which only
    // adds commits: as in `least_cost`, the least of several counts.
    let most = if database.is_postgres() { 140 } else { 180 };
    let mut costs = cost_of_a_full_queue(database, &COSTED_BY_FIVE, 200).await;
    for _ in 0..9 {
        if costs.commits > most {
            costs = cost_of_a_full_queue(database, &COSTED_BY_FIVE, 200).await;
        }
    }
    assert!(costs.commits <= most, "{costs:?}");
}

async fn idle_queues_execute_no_statements(database: &TestDatabase) {
    let key = fresh("silent");
    let app = database.launch().await;
    app.scope(counted_in_a_queue(key.clone()).enqueue(&COSTED)).await.unwrap();
    settled(&app, &key, 1).await;
    let costs = least_cost(&app, async || tokio::time::sleep(Duration::from_secs(1)).await).await; // nothing may happen in it
    assert_eq!(costs, StatementCounts::default());
    app.shutdown().await;
}
