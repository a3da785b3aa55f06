//! The cost of a hundred thousand workflows that wait for a day, while nothing happens.
//!
//! ```text
//! cargo bench --bench waiting                      100,000 on both stores
//! cargo bench --bench waiting -- 20000 sqlite      fewer, on one of them
//! ```
//!
//! Each line of the table is a process of its own, which starts that many workflows that `sleep` for
//! a day, or `recv` for a day, and then does nothing for 20 seconds:
//!
//! * **KiB each**: the growth of the resident memory (`VmRSS`) since the engine had run 2,000
//!   workflows that end at once, so that its connections and buffers are not counted. The allocator
//!   is the system's, and its overhead is counted. The aim is 2.
//! * **statements per second** and **CPU** while nothing happens: the heartbeat, and the safety poll
//!   of the engine. The aim is 1 statement per second, however many workflows wait.
//! * **poll**: the time of one safety poll for the messages of all of them.
//! * **wake**: 100 of them at random are sent a message (those that sleep are cancelled), one after
//!   the other; the time until the caller knows that the workflow has ended.
//! * **shutdown**: handing all of them over.
//! * **recovered**: an engine is launched anew; the time until it runs all of them again.

mod stage;
#[path = "../support/mod.rs"]
mod support;

use std::process::Command;

use self::stage::Stage;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime can be built");
    if let [first, rest @ ..] = &arguments[..]
        && first == "--stage"
    {
        return runtime.block_on(Stage::from_arguments(rest).play());
    }
    let count = arguments.iter().find_map(|it| it.parse().ok()).unwrap_or(100_000);
    let only = arguments.iter().find(|it| ["sqlite", "postgres"].contains(&it.as_str()));
    let wanted = |store: &str| only.is_none_or(|it| it == store);

    println!("\n{}", stage::HEAD);
    if wanted("sqlite") {
        for wait in ["sleep", "recv"] {
            let folder = tempfile::tempdir().expect("the directory for temporary files is writable");
            let url = format!("sqlite:{}", folder.path().join("waiting.sqlite").display());
            play_elsewhere(&Stage { store: "sqlite".to_owned(), wait: wait.to_owned(), url, count });
        }
    }
    if wanted("postgres") {
        let Some(url) = support::postgres(&runtime) else {
            return println!("postgres: not measured, there is no server");
        };
        for wait in ["sleep", "recv"] {
            let stage = Stage { store: "postgres".to_owned(), wait: wait.to_owned(), url: url.clone(), count };
            play_elsewhere(&stage);
            runtime.block_on(support::clear(&url, stage::SCHEMA));
        }
    }
}

/// Runs a stage in a process of its own, so that memory of an earlier stage does not affect it.
fn play_elsewhere(stage: &Stage) {
    let program = std::env::current_exe().expect("a program knows where it is");
    let played = Command::new(program).arg("--stage").args(stage.arguments()).status();
    assert!(played.expect("it was started before").success(), "{stage:?} failed");
}
