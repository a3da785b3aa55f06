//! What is wrong with a command line, and the exit codes of databases that cannot be used.

use super::process::{command, durable, run};
use crate::support::{ProcessDatabase, process_tests, url_of};

process_tests! {
    a_url_that_cannot_be_read_a_server_that_is_away_and_a_missing_schema_have_codes_of_their_own,
    an_id_for_the_new_workflow_of_several_is_a_usage_error,
    a_verification_without_the_functions_says_where_they_are,
}

async fn a_url_that_cannot_be_read_a_server_that_is_away_and_a_missing_schema_have_codes_of_their_own(
    database: &ProcessDatabase,
) {
    for url in ["mysql://host/database", "app.sqlite", "postgres://user:secret@host:port/database"] {
        for arguments in [&["ls"][..], &["migrate"], &["doctor"], &["gc", "--keep", "1d", "--yes"]] {
            let arguments = [&["--url", url], arguments].concat();
            let printed = run(&mut command(database, &arguments)).await.fails_with(2);
            assert!(printed.starts_with("error: ") && !printed.contains("secret"), "{printed}");
        }
    }
    if database.is_postgres() {
        let wrong = durable(database, &["--schema", "no-\u{1}", "ls"]).await.fails_with(2);
        assert!(wrong.contains("schema"), "{wrong}");
        durable(database, &["ls"]).await.fails_with(6);
    }
    let (away, code): (String, _) = if database.is_postgres() {
        let mut url = url_of(database.url());
        url.set_port(Some(1)).unwrap();
        (url.into(), 5)
    } else {
        // A file that is not there yet has no schema.
        (format!("sqlite:{}", database.folder().join("missing/app.sqlite").display()), 6)
    };
    durable(database, &["--url", &away, "--connect-timeout", "1s", "ls"]).await.fails_with(code);
}

async fn an_id_for_the_new_workflow_of_several_is_a_usage_error(database: &ProcessDatabase) {
    durable(database, &["migrate"]).await.good();
    for id in ["a", "b"] {
        durable(database, &["start", "cli_copied", "--id", id]).await.good();
    }
    for verb in ["restart", "fork"] {
        let wrong = durable(database, &[verb, "a", "b", "--new-id", "c"]).await.fails_with(2);
        assert!(wrong.contains("--new-id is for one workflow, and 2 ids are given"), "{wrong}");
    }
    assert_eq!(database.workflows().await.len(), 2);
}

async fn a_verification_without_the_functions_says_where_they_are(database: &ProcessDatabase) {
    durable(database, &["migrate"]).await.good();
    let refused = durable(database, &["verify", "w"]).await.fails_with(4);
    assert!(refused.contains("`durable::cli::run(builder, arguments)`"), "{refused}");
}
