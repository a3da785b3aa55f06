//! The recipes of the guide run as they are printed, each in a process of its own.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::support::processes::program;

/// One test for each recipe.
macro_rules! recipes {
    ($($test:ident runs $recipe:literal),+ $(,)?) => {
        $(
            #[tokio::test]
            async fn $test() {
                recipe_succeeds($recipe).await;
            }
        )+

        const NAMES: &[&str] = &[$($recipe),+];
    };
}

recipes! {
    a_saga_compensates_in_reverse_order runs "saga",
    an_approval_is_given_refused_or_expires runs "approval",
    a_webhook_that_is_delivered_twice_is_handled_once runs "webhook",
    a_failed_child_does_not_disturb_its_siblings runs "fan-out",
    an_agent_uses_tools_and_streams_its_tokens runs "agent",
    a_schedule_is_backfilled_once_per_tick runs "backfill",
    a_workflow_starts_with_the_commit_of_a_transaction runs "outbox",
}

async fn recipe_succeeds(name: &str) {
    let output = run(&[name]).await;
    assert!(output.ends_with(&format!("{name}: ok\n")), "{output}");
}

#[tokio::test]
async fn without_an_argument_every_recipe_runs() {
    let output = run(&[]).await;
    for name in NAMES {
        assert!(output.contains(&format!("{name}: ok\n")), "{name}: {output}");
    }
    assert_eq!(output.matches(": ok\n").count(), NAMES.len(), "a recipe has no test: {output}");
}

async fn run(arguments: &[&str]) -> String {
    let mut command = Command::new(program("recipes"));
    command.args(arguments).env_remove("DURABLE_DATABASE_URL").stderr(Stdio::inherit()).kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_mins(2), command.output());
    let output = output.await.expect("it ends in time").expect("the program can be started");
    let text = String::from_utf8(output.stdout).expect("it prints text");
    assert!(output.status.success(), "{}: {text}", output.status);
    text
}
