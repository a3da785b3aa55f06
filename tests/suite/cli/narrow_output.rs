//! The width of the output.

use super::process::{command, durable, run};
use crate::support::{ProcessDatabase, process_tests};

process_tests! {
    an_id_is_not_broken_however_narrow_the_output_is,
}

const ID: &str = "0192f0c1-2f8a-7c3b-9d4e-5a6b7c8d9e0f-of-a-very-long-id-that-needs-more-columns-than-there-are";

async fn printed(database: &ProcessDatabase, columns: &str, arguments: &[&str]) -> String {
    run(command(database, arguments).env("COLUMNS", columns)).await.good()
}

async fn an_id_is_not_broken_however_narrow_the_output_is(database: &ProcessDatabase) {
    durable(database, &["migrate"]).await.good();
    durable(
        database,
        &["start", "cli_narrow", "--id", ID, "--label", "note=some words that have room only in a wide line"],
    )
    .await
    .good();
    durable(database, &["fork", ID, "--from", "1", "--new-id", "fork"]).await.good();
    for columns in ["20", "60", "200"] {
        let listed = printed(database, columns, &["ls", "--oldest-first"]).await;
        assert!(listed.lines().any(|line| line.contains(ID)), "{columns}: {listed}");
        let shown = printed(database, columns, &["show", "fork"]).await;
        assert!(shown.lines().any(|line| line.contains(ID)), "{columns}: {shown}");
        let is_one_line = shown.lines().any(|line| line.contains("some words that have room only in a wide line"));
        assert_eq!(is_one_line, columns == "200", "{columns}: {shown}");
    }
}
