//! `durable reset`: guarded.

use durable::prelude::*;

use super::process::{command, durable, run};
use crate::support::{ProcessDatabase, process_tests, url_of};

process_tests! {
    a_reset_needs_the_name_and_a_confirmation_and_no_living_process,
    a_reset_of_a_production_context_is_refused,
}

/// The name of the database, or of its file.
fn name(database: &ProcessDatabase) -> String {
    if database.is_postgres() {
        url_of(database.url()).path().trim_start_matches('/').to_owned()
    } else {
        "database.sqlite".to_owned()
    }
}

async fn a_reset_needs_the_name_and_a_confirmation_and_no_living_process(database: &ProcessDatabase) {
    durable(database, &["migrate"]).await.good();
    durable(database, &["start", "cli_reset", "--id", "w"]).await.good();
    let name = name(database);
    durable(database, &["reset"]).await.fails_with(2);
    let refused = durable(database, &["reset", &name]).await.fails_with(4);
    assert!(refused.contains("nothing was deleted") && refused.contains("add --yes"), "{refused}");
    let refused = durable(database, &["reset", "another", "--yes"]).await.fails_with(4);
    assert!(refused.contains(&format!("{name:?} and not \"another\"")), "{refused}");

    let builder = Durable::builder("cli").system_database(database.url()).executor_id("the-living-one");
    let app = builder.listen_to::<&str>([]).launch().await.unwrap();
    let refused = durable(database, &["reset", &name, "--yes"]).await.fails_with(4);
    assert!(refused.contains("\"the-living-one\""), "{refused}");
    app.shutdown().await;
    durable(database, &["show", "w"]).await.good();

    assert_eq!(durable(database, &["reset", &name, "--yes"]).await.good(), format!("{name}: reset\n"));
    durable(database, &["show", "w"]).await.fails_with(3);
    assert_eq!(durable(database, &["queue", "ls", "-o", "json"]).await.json(), serde_json::json!([]));
}

async fn a_reset_of_a_production_context_is_refused(database: &ProcessDatabase) {
    durable(database, &["migrate"]).await.good();
    durable(database, &["start", "cli_reset", "--id", "w"]).await.good();
    let contexts = format!("[contexts.prod]\nurl = {:?}\nproduction = true\n", database.url());
    std::fs::write(database.folder().join("contexts.toml"), contexts).unwrap();
    let arguments = ["--context", "prod", "reset", &name(database), "--yes"];
    let refused = run(&mut command(database, &arguments)).await.fails_with(4);
    assert!(refused.contains("marked as one of production"), "{refused}");
    durable(database, &["show", "w"]).await.good();
}
