//! `durable::select!`: the winner is recorded, and a replay polls only the winner.

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex};

use durable::prelude::*;

use crate::support::{TestDatabase, arrived, count, counted, database_tests, fresh, gate, wait_for_steps};

database_tests! {
    a_replay_polls_only_the_recorded_winner,
    the_first_ready_arm_in_source_order_wins,
    select_handlers_run_in_the_workflow_body,
    a_select_in_a_loop_is_recorded_in_each_round,
    join_map_spawn_and_select_can_be_nested,
    a_recorded_winner_without_its_arm_parks_the_workflow,
    a_call_made_before_a_branch_keeps_its_position,
}

#[step]
async fn wait_for(key: &str, name: &str) -> String {
    count(format!("{key} {name}"));
    gate(&format!("{key} {name}")).acquire().await.unwrap().forget();
    name.to_owned()
}

fn open(key: &str, name: &str) {
    gate(&format!("{key} {name}")).add_permits(1);
}

async fn recorded(app: &Durable, id: &str) -> Vec<String> {
    let steps = app.list_steps(id).await.unwrap();
    steps.iter().map(|it| format!("{} {} {}", it.position, it.name, it.output.as_deref().unwrap_or("-"))).collect()
}

struct Dropped(String);

impl Drop for Dropped {
    fn drop(&mut self) {
        count(format!("{} dropped", self.0));
    }
}

#[workflow]
async fn races(key: String) -> Result<String> {
    let held = Dropped(format!("{key} slow"));
    let winner = durable::select! {
        slow = async {
            let _held = held;
            count(format!("{key} slow polled"));
            [wait_for(&key, "slow").await, wait_for(&key, "never").await].concat()
        } => slow,
        fast = async { [wait_for(&key, "fast").await, wait_for(&key, "faster").await].concat() } => {
            assert!(counted(&format!("{key} slow dropped")) > 0, "the losers are gone before the handler runs");
            fast
        }
    };
    Ok(format!("{winner} {}", wait_for(&key, "after").await))
}

async fn a_replay_polls_only_the_recorded_winner(database: &TestDatabase) {
    let key = fresh("race");
    let app = database.launch().await;
    app.scope(async { races(key.clone()).id("w").start().await.unwrap() }).await;
    open(&key, "fast");
    open(&key, "faster");
    arrived(&format!("{key} after"), 1).await;
    assert_eq!(counted(&format!("{key} slow polled")), 1);
    let shown = ["1 select 2", "1/2/1 wait_for \"fast\"", "1/2/2 wait_for \"faster\""];
    assert_eq!(recorded(&app, "w").await, shown, "it was durable before the step after it began");
    database.crash(app).await;

    open(&key, "slow"); // it would win this time
    let app = database.launch().await;
    open(&key, "after");
    let text = app.retrieve_workflow::<String>("w").await.unwrap().await.unwrap();
    assert_eq!(text, "fastfaster after");
    assert_eq!(counted(&format!("{key} slow polled")), 1, "the loser was not polled again");
    assert_eq!(counted(&format!("{key} slow dropped")), 2, "and what it held was dropped in both runs");
    assert_eq!(counted(&format!("{key} fast")), 1);
    app.shutdown().await;
}

#[workflow]
async fn two_are_ready() -> Result<Vec<u32>> {
    let mut all = Vec::new();
    for _ in 0..20 {
        all.push(durable::select! {
            () = std::future::pending() => 1,
            number = std::future::ready(2) => number,
            number = std::future::ready(3) => number,
        });
    }
    Ok(all)
}

async fn the_first_ready_arm_in_source_order_wins(database: &TestDatabase) {
    let app = database.launch().await;
    let all = app.scope(async { two_are_ready().await.unwrap() }).await;
    assert_eq!(all, [2; 20]);
    app.shutdown().await;
}

#[workflow]
async fn handled(key: String, way: u32) -> Result<String> {
    let mut rounds = Vec::new();
    let mut more = String::new();
    loop {
        durable::select! {
            (text, number) = async { (wait_for(&key, "go").await, way) } => {
                more.push_str(&text); // what the arms have borrowed is free again
                rounds.push(number);
                match number {
                    0 => break,
                    1 => return Ok(wait_for(&key, "in the handler").await),
                    2 => Err(Error::msg("handed up"))?,
                    _ if rounds.len() == 2 => return Ok(more),
                    _ => {}
                }
            }
            () = std::future::pending() => (),
        }
    }
    Ok(format!("{rounds:?}"))
}

async fn select_handlers_run_in_the_workflow_body(database: &TestDatabase) {
    let app = database.launch().await;
    let expected = [Ok("[0]"), Ok("in the handler"), Err("handed up"), Ok("gogo")];
    for (way, expected) in (0..).zip(expected) {
        let key = fresh("handler");
        for name in ["go", "go", "in the handler"] {
            open(&key, name);
        }
        let text = app.scope(async { handled(key, way).id(format!("w{way}")).await }).await;
        assert_eq!(text.map_err(|it| it.to_string()).as_deref(), expected.map_err(str::to_owned).as_deref());
    }
    let shown = ["1 select 1", "1/1/1 wait_for \"go\"", "2 wait_for \"in the handler\""];
    assert_eq!(recorded(&app, "w1").await, shown, "the handler stands in the surrounding branch");
    app.shutdown().await;
}

#[workflow]
async fn rounds(key: String) -> Result<Vec<String>> {
    let mut all = Vec::new();
    let mut background = durable::spawn({
        let key = key.clone();
        async move { wait_for(&key, "background").await }
    });
    loop {
        let name = format!("round {}", all.len());
        durable::select! {
            last = &mut background => {
                all.push(last);
                return Ok(all);
            }
            text = wait_for(&key, &name) => all.push(text),
        }
    }
}

async fn a_select_in_a_loop_is_recorded_in_each_round(database: &TestDatabase) {
    let key = fresh("rounds");
    let app = database.launch().await;
    app.scope(async { rounds(key.clone()).id("w").start().await.unwrap() }).await;
    open(&key, "round 0");
    arrived(&format!("{key} round 1"), 1).await;
    database.crash(app).await;

    let app = database.launch().await;
    arrived(&format!("{key} round 1"), 2).await;
    open(&key, "round 1");
    arrived(&format!("{key} round 2"), 1).await;
    open(&key, "background");
    let all = app.retrieve_workflow::<Vec<String>>("w").await.unwrap().await.unwrap();
    assert_eq!(all, ["round 0", "round 1", "background"]);
    let shown = [
        "1/1 wait_for \"background\"",
        "2 select 2",
        "2/2/1 wait_for \"round 0\"",
        "3 select 2",
        "3/2/1 wait_for \"round 1\"",
        "4 select 1",
    ];
    assert_eq!(recorded(&app, "w").await, shown);
    app.shutdown().await;
}

#[workflow]
async fn nested(key: String) -> Result<Vec<String>> {
    let key = &key;
    Ok(durable::map(["a", "b"], 2, |name| async move {
        durable::select! {
            both = async {
                let (left, right) = (format!("{name} left"), format!("{name} right"));
                durable::join!(wait_for(key, &left), async { wait_for(key, &right).await })
            } => format!("{} and {}", both.0, both.1),
            late = wait_for(key, &format!("{name} late")) => late,
        }
    })
    .await)
}

async fn join_map_spawn_and_select_can_be_nested(database: &TestDatabase) {
    let key = fresh("nested");
    let app = database.launch().await;
    app.scope(async { nested(key.clone()).id("w").start().await.unwrap() }).await;
    open(&key, "b late");
    open(&key, "a right");
    wait_for_steps(&app, "w", 3).await;
    database.crash(app).await;

    let app = database.launch().await;
    open(&key, "a left");
    let all = app.retrieve_workflow::<Vec<String>>("w").await.unwrap().await.unwrap();
    assert_eq!(all, ["a left and a right", "b late"]);
    let shown = [
        "1/1/1 select 1",
        "1/1/1/1/1/1 wait_for \"a left\"",
        "1/1/1/1/2/1 wait_for \"a right\"",
        "1/2/1 select 2",
        "1/2/1/2/1 wait_for \"b late\"",
    ];
    assert_eq!(recorded(&app, "w").await, shown);
    assert_eq!(counted(&format!("{key} b late")) + counted(&format!("{key} a right")), 2);
    app.shutdown().await;
}

/// The keys of workflows that run the code of the next release.
static CHANGED: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);

#[workflow]
async fn loses_an_arm(key: String) -> Result<String> {
    let changed = CHANGED.lock().unwrap().contains(&key);
    let winner = if changed {
        durable::select! { a = wait_for(&key, "a") => a, b = wait_for(&key, "b") => b }
    } else {
        durable::select! { a = wait_for(&key, "a") => a, b = wait_for(&key, "b") => b, c = wait_for(&key, "c") => c }
    };
    Ok(format!("{winner} {}", wait_for(&key, "after").await))
}

async fn a_recorded_winner_without_its_arm_parks_the_workflow(database: &TestDatabase) {
    let key = fresh("lost arm");
    let app = database.launch().await;
    app.scope(async { loses_an_arm(key.clone()).id("w").start().await.unwrap() }).await;
    open(&key, "c");
    arrived(&format!("{key} after"), 1).await;
    database.crash(app).await;

    CHANGED.lock().unwrap().insert(key.clone());
    let app = database.launch().await;
    let error = app.retrieve_workflow::<String>("w").await.unwrap().await.unwrap_err();
    let text = error.to_string();
    assert!(error.is_parked(), "{text}");
    assert!(text.contains("position 1") && text.contains("arm 3") && text.contains("2 arms"), "{text}");
    app.shutdown().await;
}

#[workflow]
async fn made_outside(key: String) -> Result<String> {
    let (first, second) = (wait_for(&key, "first"), wait_for(&key, "second"));
    let (second, first) = durable::join!(second, async { first.await + &wait_for(&key, "third").await });
    Ok(format!("{first} {second}"))
}

async fn a_call_made_before_a_branch_keeps_its_position(database: &TestDatabase) {
    let key = fresh("outside");
    let app = database.launch().await;
    for name in ["first", "second", "third"] {
        open(&key, name);
    }
    let text = app.scope(async { made_outside(key.clone()).id("w").await.unwrap() }).await;
    assert_eq!(text, "firstthird second");
    let shown = ["1 wait_for \"first\"", "2 wait_for \"second\"", "4/1 wait_for \"third\""];
    assert_eq!(recorded(&app, "w").await, shown);
    app.shutdown().await;
}
