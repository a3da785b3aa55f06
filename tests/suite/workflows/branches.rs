//! Branches: `durable::join!`, `durable::map` and `durable::spawn`.

use durable::prelude::*;

use crate::support::{TestDatabase, arrived, budgets, count, counted, database_tests, fresh, gate, wait_for_steps};

database_tests! {
join_map_and_spawn_record_below_their_positions,
branches_may_complete_in_another_order_after_a_crash,
map_limits_concurrency_and_keeps_the_order,
a_map_collects_errors_and_replays_them,
stop_on_error_returns_the_error_of_the_first_failed_item,
a_workflow_ends_after_its_branches,
a_panic_in_a_branch_ends_the_workflow,
cancelling_a_workflow_drops_its_branches,
running_steps_of_branches_finish_during_the_abort,
the_shutdown_report_counts_running_branches,
}

#[step]
async fn pass(key: &str, name: &str) -> String {
    count(format!("{key} {name}"));
    name.to_owned()
}

#[step]
async fn wait_for(key: &str, name: &str) -> String {
    count(format!("{key} {name}"));
    gate(&format!("{key} {name}")).acquire().await.unwrap().forget();
    name.to_owned()
}

/// Waits until this many records are durable.
async fn recorded(app: &Durable, id: &str, many: usize) -> Vec<String> {
    let steps = wait_for_steps(app, id, many).await;
    steps.iter().map(|it| format!("{} {}", it.position, it.output.as_deref().unwrap_or("-"))).collect()
}

#[workflow]
async fn every_form(key: String) -> Result<String> {
    let before = pass(&key, "before").await;
    let (left, right) = durable::join!(
        async {
            pass(&key, "left").await;
            let inner = durable::join!(pass(&key, "inner left"), pass(&key, "inner right"));
            format!("{} {}", inner.0, inner.1)
        },
        pass(&key, "right"),
    );
    let spawned = durable::spawn({
        let key = key.clone();
        async move {
            pass(&key, "spawned").await;
            pass(&key, "spawned again").await
        }
    });
    let mapped = durable::map(1..=2, 2, |item| {
        let first = pass(&key, "made before the future");
        let key = &key;
        async move { format!("{item} {} {}", first.await, pass(key, "mapped").await) }
    })
    .await;
    let after = pass(&key, "after").await;
    let spawned = spawned.await;
    Ok([before, left, right, spawned, mapped.join(", "), after].join("; "))
}

async fn join_map_and_spawn_record_below_their_positions(database: &TestDatabase) {
    let app = database.launch().await;
    let text = app.scope(async { every_form(fresh("forms")).id("w").await.unwrap() }).await;
    let first = "1 made before the future mapped, 2 made before the future mapped";
    assert_eq!(text, format!("before; inner left inner right; right; spawned again; {first}; after"));
    let expected = [
        "1 \"before\"",
        "2/1 \"left\"",
        "2/2/1 \"inner left\"",
        "2/3/1 \"inner right\"",
        "3/1 \"right\"",
        "4/1 \"spawned\"",
        "4/2 \"spawned again\"",
        "5/1/1 \"made before the future\"",
        "5/1/2 \"mapped\"",
        "5/2/1 \"made before the future\"",
        "5/2/2 \"mapped\"",
        "6 \"after\"",
    ];
    assert_eq!(recorded(&app, "w", 12).await, expected);
    app.shutdown().await;
}

#[workflow]
async fn two_by_two(key: String) -> Result<Vec<String>> {
    let (left, right) =
        durable::join!(async { [wait_for(&key, "a1").await, wait_for(&key, "a2").await].concat() }, async {
            [wait_for(&key, "b1").await, wait_for(&key, "b2").await].concat()
        },);
    let mut all = vec![left, right];
    all.extend(durable::map(["c", "d", "e"], 3, |name| wait_for(&key, name)).await);
    Ok(all)
}

async fn branches_may_complete_in_another_order_after_a_crash(database: &TestDatabase) {
    let key = fresh("order");
    let open = |name: &str| gate(&format!("{key} {name}")).add_permits(1);
    let app = database.launch().await;
    app.scope(async { two_by_two(key.clone()).id("w").start().await.unwrap() }).await;
    open("b1");
    open("b2");
    assert_eq!(recorded(&app, "w", 2).await, ["2/1 \"b1\"", "2/2 \"b2\""], "the second arm was first");
    database.crash(app).await;

    let app = database.launch().await;
    for name in ["a1", "a2", "e"] {
        open(name);
    }
    let shown = recorded(&app, "w", 5).await;
    assert_eq!(shown, ["1/1 \"a1\"", "1/2 \"a2\"", "2/1 \"b1\"", "2/2 \"b2\"", "3/3/1 \"e\""]);
    database.crash(app).await;

    let app = database.launch().await;
    for name in ["d", "c"] {
        open(name);
    }
    let all = app.retrieve_workflow::<Vec<String>>("w").await.unwrap().await.unwrap();
    assert_eq!(all, ["a1a2", "b1b2", "c", "d", "e"]);
    assert_eq!(counted(&format!("{key} b1")) + counted(&format!("{key} b2")) + counted(&format!("{key} e")), 3);
    app.shutdown().await;
}

#[workflow]
async fn bounded(key: String) -> Result<Vec<String>> {
    let items: Vec<String> = (1..=5).map(|number| number.to_string()).collect();
    Ok(durable::map(&items, 2, |item| wait_for(&key, item)).await)
}

async fn map_limits_concurrency_and_keeps_the_order(database: &TestDatabase) {
    let key = fresh("bounded");
    let begun = |number| counted(&format!("{key} {number}"));
    let app = database.launch().await;
    let handle = app.scope(async { bounded(key.clone()).id("w").start().await.unwrap() }).await;
    // The first item runs until the end, so the other items run one after the other.
    for number in 2..=5 {
        arrived(&format!("{key} {number}"), 1).await;
        assert_eq!(begun(number + 1), 0, "two are at work already");
        gate(&format!("{key} {number}")).add_permits(1);
    }
    gate(&format!("{key} 1")).add_permits(1);
    assert_eq!(handle.await.unwrap(), ["1", "2", "3", "4", "5"]);
    app.shutdown().await;
}

#[step]
async fn check(key: &str, item: u32) -> Result<u32, String> {
    count(format!("{key} {item}"));
    if item.is_multiple_of(2) { Err(format!("{item} is even")) } else { Ok(item) }
}

#[workflow]
async fn collects(key: String) -> Result<Vec<Result<u32, String>>> {
    let checked = durable::map(1..=4, 3, |item| check(&key, item)).await;
    wait_for(&key, "hold").await;
    Ok(checked)
}

async fn a_map_collects_errors_and_replays_them(database: &TestDatabase) {
    let key = fresh("collects");
    let app = database.launch().await;
    app.scope(async { collects(key.clone()).id("w").start().await.unwrap() }).await;
    arrived(&format!("{key} hold"), 1).await;
    database.crash(app).await;

    let app = database.launch().await;
    gate(&format!("{key} hold")).add_permits(1);
    let checked = app.retrieve_workflow::<Vec<Result<u32, String>>>("w").await.unwrap().await.unwrap();
    assert_eq!(checked, [Ok(1), Err("2 is even".into()), Ok(3), Err("4 is even".into())]);
    assert!((1..=4).all(|item| counted(&format!("{key} {item}")) == 1), "nothing was checked again");
    app.shutdown().await;
}

#[step]
async fn fails_when_opened(key: &str, item: u32) -> Result<u32, String> {
    count(format!("{key} {item}"));
    gate(&format!("{key} {item}")).acquire().await.unwrap().forget();
    if item.is_multiple_of(2) { Err(format!("{item} is even")) } else { Ok(item) }
}

#[workflow]
async fn stops(key: String, all: Vec<u32>) -> Result<String> {
    let text = match durable::map(all, 5, |item| fails_when_opened(&key, item)).stop_on_error().await {
        Ok(all) => format!("{all:?}"),
        Err(error) => error,
    };
    wait_for(&key, "hold").await;
    Ok(text)
}

async fn stop_on_error_returns_the_error_of_the_first_failed_item(database: &TestDatabase) {
    let key = fresh("stops");
    let open = |item: &str| gate(&format!("{key} {item}")).add_permits(1);
    let app = database.launch().await;
    app.scope(async { stops(key.clone(), (1..=7).collect()).id("w").start().await.unwrap() }).await;
    arrived(&format!("{key} 5"), 1).await;
    open("4"); // the first failure, and not the answer
    recorded(&app, "w", 1).await;
    open("1");
    open("3");
    recorded(&app, "w", 3).await;
    open("2");
    arrived(&format!("{key} hold"), 1).await;
    assert_eq!(counted(&format!("{key} 6")), 0, "no further item was started");
    database.crash(app).await;

    let app = database.launch().await;
    open("hold");
    assert_eq!(app.retrieve_workflow::<String>("w").await.unwrap().await.unwrap(), "2 is even");
    let shown = recorded(&app, "w", 5).await;
    assert!(!shown.iter().any(|it| it.starts_with("1/5")), "the item behind was dropped: {shown:?}");
    ["1", "3", "hold"].into_iter().for_each(open);
    let fine = app.scope(async { stops(key.clone(), vec![1, 3]).await.unwrap() }).await;
    assert_eq!(fine, "[1, 3]");
    app.shutdown().await;
}

#[workflow]
async fn spawns_and_returns(key: String, forget: bool) -> Result<u32> {
    let handle = durable::spawn({
        let key = key.clone();
        async move {
            wait_for(&key, "branch").await;
            drop(durable::spawn(async move { wait_for(&key, "branch of the branch").await }));
        }
    });
    if forget {
        drop(handle);
        return Err(Error::msg("the body fails, and its branches go on"));
    }
    handle.await;
    Ok(1)
}

async fn a_workflow_ends_after_its_branches(database: &TestDatabase) {
    let app = database.launch().await;
    for forget in [true, false] {
        let key = fresh("spawn");
        let handle = app.scope(async { spawns_and_returns(key.clone(), forget).id(&key).start().await.unwrap() }).await;
        for (many, name) in ["branch", "branch of the branch"].iter().enumerate() {
            arrived(&format!("{key} {name}"), 1).await;
            recorded(&app, &key, many).await;
            assert_eq!(handle.status().await.unwrap(), Status::Pending);
            gate(&format!("{key} {name}")).add_permits(1);
        }
        assert_eq!(handle.await.is_err(), forget);
        assert_eq!(recorded(&app, &key, 2).await, ["1/1 \"branch\"", "1/2/1 \"branch of the branch\""]);
    }
    app.shutdown().await;
}

struct Dropped(String);

impl Drop for Dropped {
    fn drop(&mut self) {
        count(format!("{} dropped", self.0));
        let badly = self.0.ends_with("badly") && !std::thread::panicking();
        assert!(!badly, "a destructor panics, and no other one must suffer for it");
    }
}

#[workflow]
async fn panics_beside(key: String) -> Result<()> {
    let _in_the_body = Dropped(key.clone());
    let dropped = [Dropped(key.clone()), Dropped(format!("{key} badly")), Dropped(key.clone())];
    for it in dropped {
        drop(durable::spawn(async move {
            let _in_the_branch = it;
            std::future::pending::<()>().await;
        }));
    }
    drop(durable::spawn(async move {
        pass(&key, "before").await;
        panic!("no stock of tea");
    }));
    std::future::pending().await
}

async fn a_panic_in_a_branch_ends_the_workflow(database: &TestDatabase) {
    let key = fresh("panic");
    let app = database.launch().await;
    let error = app.scope(async { panics_beside(key.clone()).id("w").await.unwrap_err() }).await;
    assert!(error.is_panic(), "{error}");
    assert!(error.to_string().contains("branches.rs:") && error.to_string().ends_with(": no stock of tea"), "{error}");
    assert_eq!(recorded(&app, "w", 1).await, ["4/1 \"before\""]);
    assert_eq!(counted(&format!("{key} dropped")), 3, "the body's and the branches' destructors have run");
    assert_eq!(counted(&format!("{key} badly dropped")), 1);
    app.shutdown().await;
}

#[workflow]
async fn holds_in_branches(key: String) -> Result<String> {
    drop(durable::spawn({
        let key = key.clone();
        async move {
            let _held = Dropped(key.clone());
            wait_for(&key, "spawned").await
        }
    }));
    let (joined, _) = durable::join!(
        async {
            let _held = Dropped(key.clone());
            wait_for(&key, "joined").await
        },
        durable::map(["mapped", "too"], 2, |name| {
            let held = Dropped(key.clone());
            let key = &key;
            async move {
                let _held = held;
                wait_for(key, name).await
            }
        }),
    );
    Ok(joined)
}

const HELD: [&str; 4] = ["spawned", "joined", "mapped", "too"];

async fn cancelling_a_workflow_drops_its_branches(database: &TestDatabase) {
    let key = fresh("cancelled");
    let app = database.launch().await;
    let handle = app.scope(async { holds_in_branches(key.clone()).id("w").start().await.unwrap() }).await;
    for name in HELD {
        arrived(&format!("{key} {name}"), 1).await;
    }
    handle.cancel().await.unwrap();
    assert!(handle.await.unwrap_err().is_cancelled());
    let report = app.shutdown().await; // waits until the body is gone
    assert!(report.is_clean(), "{report}");
    assert_eq!(counted(&format!("{key} dropped")), 4, "all destructors have run");
}

async fn running_steps_of_branches_finish_during_the_abort(database: &TestDatabase) {
    let key = fresh("down");
    let app = database.launch().await;
    app.scope(async { holds_in_branches(key.clone()).id("w").start().await.unwrap() }).await;
    for name in HELD {
        arrived(&format!("{key} {name}"), 1).await;
    }
    let down = tokio::spawn({
        let app = app.clone();
        async move { app.shutdown_with(budgets(0, 60_000)).await }
    });
    app.wait_for_phase(durable::EnginePhase::Aborting).await;
    for name in HELD {
        gate(&format!("{key} {name}")).add_permits(1);
    }
    let report = down.await.unwrap();
    assert!(report.is_clean(), "{report}");
    assert_eq!(counted(&format!("{key} dropped")), 4, "nothing is left");

    let app = database.launch().await;
    assert_eq!(app.retrieve_workflow::<String>("w").await.unwrap().await.unwrap(), "joined");
    for name in HELD {
        assert_eq!(counted(&format!("{key} {name}")), 1, "the step {name} came to its end and was recorded");
    }
    app.shutdown().await;
}

async fn the_shutdown_report_counts_running_branches(database: &TestDatabase) {
    let key = fresh("report");
    let app = database.launch().await;
    app.scope(async { holds_in_branches(key.clone()).id("w").start().await.unwrap() }).await;
    for name in HELD {
        arrived(&format!("{key} {name}"), 1).await;
    }
    for name in ["spawned", "mapped"] {
        gate(&format!("{key} {name}")).add_permits(1);
    }
    recorded(&app, "w", 2).await;
    let report = app.shutdown_with(budgets(0, 1)).await;
    assert_eq!(report.killed.len(), 1, "{report}");
    assert_eq!(report.killed[0].at.as_deref(), Some("step `wait_for`, and 1 more"), "{report}");
    assert_eq!(counted(&format!("{key} dropped")), 4, "nothing is left");

    let app = database.launch().await;
    for name in ["joined", "too"] {
        gate(&format!("{key} {name}")).add_permits(1);
    }
    assert_eq!(app.retrieve_workflow::<String>("w").await.unwrap().await.unwrap(), "joined");
    assert_eq!(counted(&format!("{key} spawned")) + counted(&format!("{key} mapped")), 2, "these did not run again");
    app.shutdown().await;
}
