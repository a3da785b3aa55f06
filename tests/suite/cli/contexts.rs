//! Databases by name, and questions before something is written.

use super::process::{command, durable, run};
use crate::support::{ProcessDatabase, process_tests};

process_tests! {
    a_context_names_a_database,
    a_production_context_asks_before_it_writes,
}

/// Writes the file of contexts.
fn write_contexts(database: &ProcessDatabase, text: &str) {
    let text = text.replace("{url}", database.url());
    std::fs::write(database.folder().join("contexts.toml"), text).unwrap();
}

/// Runs the command line without the environment variable for the database.
async fn without_variable(database: &ProcessDatabase, arguments: &[&str]) -> super::process::Printed {
    run(command(database, arguments).env_remove("DURABLE_DATABASE_URL")).await
}

async fn a_context_names_a_database(database: &ProcessDatabase) {
    write_contexts(
        database,
        "default = \"dev\"\n[contexts.dev]\nurl = \"{url}\"\n[contexts.ci]\nurl_from = \"CI_URL\"\n",
    );
    without_variable(database, &["migrate"]).await.good();
    without_variable(database, &["--context", "dev", "status"]).await.good();
    let unset = without_variable(database, &["--context", "ci", "status"]).await.fails_with(2);
    assert!(unset.contains("the environment variable CI_URL, which is not set"), "{unset}");
    let mut from_variable = command(database, &["status", "--context", "ci"]);
    run(from_variable.env("CI_URL", database.url())).await.good();
    let unknown = durable(database, &["--context", "prod", "status"]).await.fails_with(3);
    assert!(unknown.contains("there is no context \"prod\"") && unknown.contains("it has: ci, dev"), "{unknown}");
    let listed = durable(database, &["context", "ls"]).await.good();
    assert!(listed.contains("dev") && !listed.contains("://"), "no URL, which may hold a password: {listed}");
    write_contexts(database, "[contexts.dev]\nurll = \"{url}\"\n");
    let mistake = durable(database, &["--context", "dev", "status"]).await.fails_with(2);
    assert!(mistake.contains("unknown field `urll`"), "{mistake}");
}

async fn a_production_context_asks_before_it_writes(database: &ProcessDatabase) {
    durable(database, &["migrate"]).await.good();
    write_contexts(database, "[contexts.prod]\nurl = \"{url}\"\nproduction = true\n");
    let start = ["--context", "prod", "enqueue", "anything", "--queue", "q", "--id", "asked"];
    let refused = durable(database, &start).await.fails_with(4);
    assert!(refused.contains("nothing was done"), "{refused}");
    assert!(refused.contains("start the workflow `anything` in the production context \"prod\"?"), "{refused}");
    assert!(database.workflows().await.is_empty());
    durable(database, &["--context", "prod", "ls"]).await.good(); // looking needs no question
    durable(database, &[&start[..], &["--yes"]].concat()).await.good();
    assert_eq!(database.workflows().await.len(), 1);
    for arguments in [&["cancel", "asked"][..], &["send", "asked", "t", "1"], &["queue", "pause", "q"], &["migrate"]] {
        let refused = durable(database, &[&["--context", "prod"], arguments].concat()).await.fails_with(4);
        assert!(refused.contains("Add --yes"), "{refused}");
    }
}
