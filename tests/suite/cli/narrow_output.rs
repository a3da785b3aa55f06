//! The width of the output.

use super::process::{command, durable, run};
use crate::support::{ProcessDatabase, process_tests};

process_tests! {
    times_statuses_and_numbers_are_not_broken_however_narrow_the_output_is,
    an_id_is_whole_where_there_is_room_and_always_in_what_is_shown_of_one_workflow,
}

const UUID: &str = "0192f0c1-2f8a-7c3b-9d4e-5a6b7c8d9e0f";
const ID: &str = "0192f0c1-2f8a-7c3b-9d4e-5a6b7c8d9e0f-of-a-very-long-id-that-needs-more-columns-than-there-are";

async fn printed(database: &ProcessDatabase, columns: &str, arguments: &[&str]) -> String {
    run(command(database, arguments).env("COLUMNS", columns)).await.good()
}

async fn times_statuses_and_numbers_are_not_broken_however_narrow_the_output_is(database: &ProcessDatabase) {
    durable(database, &["migrate"]).await.good();
    let queue = ["--queue", "a-queue-with-a-name"];
    for id in [UUID, ID] {
        durable(database, &[&["enqueue", "cli_with_a_long_name", "--id", id], &queue[..]].concat()).await.good();
    }
    durable(database, &["cancel", ID]).await.good();
    let listed = durable(database, &["ls", "-o", "json"]).await.json();
    let created = listed["items"][0]["created_at"].as_str().unwrap()[..19].to_owned() + "Z";
    for columns in ["60", "80", "100"] {
        let listed = printed(database, columns, &["ls"]).await;
        let width: usize = columns.parse().unwrap();
        assert!(listed.lines().all(|line| line.chars().count() <= width), "{columns}: {listed}");
        for word in [&*created, "cancelled", "enqueued", "STATUS"] {
            let is_whole = listed.lines().any(|line| line.split_whitespace().any(|it| it == word));
            assert!(is_whole || columns == "60" && word == created, "{columns}, {word}: {listed}");
        }
    }
    let narrow = run(command(database, &["ls", "--status", "enqueued"]).env("COLUMNS", "60")).await;
    assert!(narrow.err.contains("left out, because the lines are narrow: ATTEMPTS, TOOK"), "{narrow:?}");
    for columns in ["60", "80"] {
        let versions = printed(database, columns, &["version", "ls"]).await;
        assert!(versions.lines().count() == 2, "{columns}: {versions}");
    }
}

async fn an_id_is_whole_where_there_is_room_and_always_in_what_is_shown_of_one_workflow(database: &ProcessDatabase) {
    durable(database, &["migrate"]).await.good();
    for id in [ID, UUID] {
        let label = "note=some words that have room only in a wide line";
        durable(database, &["start", "cli_narrow", "--id", id, "--label", label]).await.good();
    }
    durable(database, &["fork", ID, "--from", "1", "--new-id", "fork"]).await.good();
    let listed = printed(database, "200", &["ls", "--oldest-first"]).await;
    assert!(listed.lines().any(|line| line.contains(ID)), "{listed}");
    let listed = printed(database, "110", &["ls", "--where", &format!("id={UUID}")]).await;
    assert!(listed.lines().any(|line| line.contains(UUID)), "{listed}");
    durable(database, &["cancel", ID]).await.good();
    let piped = durable(database, &["ls"]).await.good();
    assert!(piped.contains("REASON") && piped.lines().any(|line| line.contains(ID)), "{piped}");
    for columns in ["20", "60", "200"] {
        let shown = printed(database, columns, &["show", "fork"]).await;
        assert!(shown.lines().any(|line| line.contains(ID)), "{columns}: {shown}");
        let is_one_line = shown.lines().any(|line| line.contains("some words that have room only in a wide line"));
        assert_eq!(is_one_line, columns == "200", "{columns}: {shown}");
    }
}
