//! What is wrong with a command line, and the exit codes of databases that cannot be used.

use serde_json::json;

use super::process::{command, durable, run};
use crate::support::{ProcessDatabase, process_tests, url_of};

process_tests! {
    a_url_that_cannot_be_read_a_server_that_is_away_and_a_missing_schema_have_codes_of_their_own,
    an_id_for_the_new_workflow_of_several_is_a_usage_error,
    a_verification_without_the_functions_says_where_they_are,
    values_are_read_from_files_and_the_standard_input,
    times_are_also_dates_and_durations,
    what_is_wrong_with_conditions_and_inputs_is_said_in_the_words_of_the_command_line,
    what_was_not_done_for_all_has_the_same_code_for_ids_and_conditions,
    a_file_that_is_no_database_is_named_with_its_path_and_a_remedy,
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

async fn values_are_read_from_files_and_the_standard_input(database: &ProcessDatabase) {
    durable(database, &["migrate"]).await.good();
    std::fs::write(database.folder().join("order.json"), r#"{"number": 7}"#).unwrap();
    std::fs::write(database.folder().join("text.txt"), "no JSON").unwrap();
    let input = async |id: &str| {
        let shown = durable(database, &["show", id, "-o", "json"]).await.json();
        serde_json::from_str::<serde_json::Value>(shown["workflow"]["input"].as_str().unwrap()).unwrap()
    };
    let start = ["start", "cli_values", "--id", "typed", "--arg", "order=@order.json"];
    durable(database, &[&start[..], &["--arg", "text=hurry", "--arg", "at=\"@x\""]].concat()).await.good();
    assert_eq!(input("typed").await, json!({"order": {"number": 7}, "text": "hurry", "at": "@x"}));
    let mut piped = command(database, &["restart", "typed", "--new-id", "piped", "--arg", "order=-"]);
    piped.stdin(std::fs::File::open(database.folder().join("order.json")).unwrap());
    run(&mut piped).await.good();
    durable(database, &["fork", "typed", "--new-id", "forked", "--arg", "text=@order.json"]).await.good();
    assert_eq!(input("piped").await["order"], json!({"number": 7}));
    assert_eq!(input("forked").await["text"], json!({"number": 7}));
    for (arguments, parts) in [
        (&["start", "x", "--arg", "order=@missing.json"][..], ["cannot read missing.json", "'\"@missing.json\"'"]),
        (
            &["restart", "typed", "--arg", "order=@text.txt"],
            ["from text.txt is no JSON", "a text needs quotes of JSON"],
        ),
        (&["fork", "typed", "--output-of", "1=five"], ["the result for position 1", "a text needs quotes of JSON"]),
        (&["fork", "typed", "--output-of", "1=@text.txt"], ["from text.txt is no JSON", "a text needs quotes of JSON"]),
        (&["send", "typed", "topic", "@missing.json"], ["cannot read missing.json", "written as JSON"]),
    ] {
        let wrong = durable(database, arguments).await.fails_with(2);
        assert!(parts.iter().all(|it| wrong.contains(it)), "{arguments:?}: {wrong}");
    }
}

async fn times_are_also_dates_and_durations(database: &ProcessDatabase) {
    durable(database, &["migrate"]).await.good();
    durable(database, &["start", "cli_timed", "--id", "timed"]).await.good();
    for (option, value, found) in [
        ("--created-after", "1h", 1),
        ("--created-after", "2026-01-31", 1),
        ("--created-before", "2d", 0),
        ("--created-before", "2026-01-31T00:00:00Z", 0),
        ("--where", "created-after=90m", 1),
        ("--where", "created-before=2026-01-31", 0),
    ] {
        let listed = durable(database, &["ls", option, value, "-o", "json"]).await.json();
        assert_eq!(listed["items"].as_array().map(Vec::len), Some(found), "{option} {value}");
    }
    for arguments in [["--created-after", "yesterday"], ["--where", "created-after=yesterday"]] {
        let wrong = durable(database, &[&["ls"], &arguments[..]].concat()).await.fails_with(2);
        assert!(wrong.contains("2026-01-31T00:00:00Z, 2026-01-31 (its beginning in UTC), or 1h or 2d"), "{wrong}");
    }
}

async fn what_is_wrong_with_conditions_and_inputs_is_said_in_the_words_of_the_command_line(database: &ProcessDatabase) {
    durable(database, &["migrate"]).await.good();
    durable(database, &["start", "cli_worded", "--id", "worded"]).await.good();
    for (arguments, code, part) in [
        (&["ls", "--where", "tenant=acme"][..], 2, "a label is written label.tenant=acme"),
        (&["ls", "--where", "stats=error"], 2, "did you mean \"status\"?"),
        (&["ls", "--label", "tenant"], 2, "--label tenant is no NAME=VALUE"),
        (&["delete"], 2, "<ID|--where <KEY=VALUE,..>>"),
        (&["delete", "--where", "prefix=", "--yes"], 4, "add a condition, as in --where status=error"),
        (&["cancel", "--where", "name=x", "--per-second", "0"], 2, "0 is not in 1.."),
        (&["start", "x", "--input", "[1, 2]"], 2, "write --input '{\"order\": 7}', or --arg order=7"),
        (&["fork", "worded", "--from", "0"], 2, "the first call is 1"),
        (&["fork", "worded", "--from", "2/1"], 2, "--from 2 is the one that made the branch"),
        (&["fork", "worded", "--from", "7", "--dry-run"], 3, "at position 0, and --from is 7"),
        (&["fork", "worded", "--output-of", "1=2", "--dry-run"], 3, "no record at position 1"),
        (&["restart", "worded", "--arg", "order=1", "--dry-run"], 3, "has no argument \"order\""),
    ] {
        let wrong = durable(database, arguments).await.fails_with(code);
        assert!(wrong.contains(part) && !wrong.contains("json!") && !wrong.contains(".status("), "{wrong}");
    }
    let nothing = durable(database, &["ls", "--name", "cli_wordd"]).await;
    assert_eq!((nothing.code, &*nothing.out, &*nothing.err), (Some(0), "", "no workflow matches\n"));
    let help = durable(database, &["help", "fork"]).await.good();
    assert!(help.contains("--output-of") && help.contains("--version"), "{help}");
    let once = durable(database, &["cancel", "missing"]).await.fails_with(3);
    assert_eq!(once.matches("no workflow has the id").count(), 1, "{once}");
}

async fn what_was_not_done_for_all_has_the_same_code_for_ids_and_conditions(database: &ProcessDatabase) {
    durable(database, &["migrate"]).await.good();
    for id in ["part-1", "part-2", "part-3"] {
        durable(database, &["start", "cli_part", "--id", id]).await.good();
    }
    durable(database, &["cancel", "part-1", "part-2"]).await.good();
    let refused = durable(database, &["delete", "part-1", "part-3"]).await.fails_with(4);
    assert!(refused.contains("some workflows were left as they are"), "{refused}");
    let refused = durable(database, &["delete", "--where", "name=cli_part", "--yes"]).await;
    assert_eq!(refused.out, "1 deleted, 1 refused\n");
    let refused = refused.fails_with(4);
    assert!(refused.contains("1 workflow left as it is"), "{refused}");
    for ids in [&["missing"][..], &["missing", "missing too"]] {
        durable(database, &[&["delete"], ids].concat()).await.fails_with(3);
    }
    durable(database, &["delete", "missing", "part-3"]).await.fails_with(4);
}

async fn a_file_that_is_no_database_is_named_with_its_path_and_a_remedy(database: &ProcessDatabase) {
    let path = |name: &str| std::fs::canonicalize(database.folder()).unwrap().join(name).display().to_string();
    std::fs::write(database.folder().join("effects.log"), "not what SQLite writes").unwrap();
    for command in ["ls", "migrate"] {
        let wrong = durable(database, &["--url", "sqlite:effects.log", command]).await.fails_with(6);
        let hint = format!("{} is no file of SQLite: name the application's with --url", path("effects.log"));
        assert!(wrong.contains(&hint), "{wrong}");
    }
    let missing = durable(database, &["--url", "sqlite:none.sqlite", "ls"]).await.fails_with(6);
    let hint = format!("the file would be {}: name the application's with --url, or make it", path("none.sqlite"));
    assert!(missing.contains(&hint), "{missing}");
}
