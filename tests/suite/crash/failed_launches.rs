//! Launches that cannot succeed explain why.

use std::os::unix::fs::PermissionsExt;

use durable::prelude::*;

use crate::support::{TestDatabase, url_of};

async fn refusal(url: &str) -> String {
    let builder = Durable::builder("bad input").system_database(url).launch_timeout(Duration::from_millis(100));
    let error = builder.launch().await.expect_err("it cannot be opened");
    error.to_string()
}

#[tokio::test]
async fn an_unsupported_url_is_refused_with_the_accepted_forms() {
    let text = refusal("mysql://localhost/app").await;
    assert!(text.contains("sqlite:path/to/file.sqlite") && text.contains("postgres://user@host/database"), "{text}");
}

#[tokio::test]
async fn a_missing_folder_is_named_in_the_error() {
    let text = refusal("sqlite:/no/such/folder/app.sqlite").await;
    assert!(text.contains("/no/such/folder"), "{text}");
}

#[tokio::test]
async fn an_unreachable_server_is_named_without_its_password() {
    let text = refusal("postgres://ada:s3cret@127.0.0.1:1/app").await;
    assert!(text.contains("127.0.0.1") && !text.contains("s3cret"), "{text}");
}

#[tokio::test]
#[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
async fn a_server_error_is_shown_once_with_its_sqlstate() {
    let mut wrong_database = url_of(&durable::testing::server::url());
    wrong_database.set_path("/nodb");
    let mut wrong_role = url_of(&durable::testing::server::url());
    wrong_role.set_username("nobody_here").unwrap();
    wrong_role.set_password(Some("s3cret")).unwrap();
    for (url, expected) in
        [(wrong_database, "database \"nodb\" does not exist (SQLSTATE 3D000)"), (wrong_role, "(SQLSTATE 28")]
    {
        let text = refusal(url.as_str()).await;
        assert!(text.starts_with("cannot open the database postgres"), "{text}");
        assert!(text.contains(expected) && !text.contains("s3cret"), "{text}");
        assert!(!text.contains("at line") && text.matches("cannot open").count() == 1, "{text}");
    }
}

#[tokio::test]
async fn a_file_that_is_not_a_database_is_left_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    let notes = "not a database, and longer than the hundred bytes that a header of SQLite takes ".repeat(4);
    std::fs::write(&path, &notes).unwrap();
    let text = refusal(&format!("sqlite:{}", path.display())).await;
    assert!(text.contains("notes.txt"), "{text}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), notes);
}

#[tokio::test]
async fn a_read_only_file_is_named_in_the_error() {
    let database = TestDatabase::sqlite();
    database.launch().await.shutdown().await;
    let path = database.folder().join("app.sqlite");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o444)).unwrap();
    // Root may write to it all the same, so the file is opened as one that may only be read.
    let text = refusal(&format!("sqlite:{}?mode=ro", path.display())).await;
    assert!(text.contains("app.sqlite") && text.contains("not writable"), "{text}");
}

#[tokio::test]
async fn invalid_settings_are_refused() {
    let text = Durable::builder("").launch().await.unwrap_err().to_string();
    assert!(text.contains("the application's name"), "{text}");
    let text = Durable::builder("a").max_concurrent_workflows(0).launch().await.unwrap_err().to_string();
    assert!(text.contains("max_concurrent_workflows(0)"), "{text}");
    let text = Durable::builder("a").lease(Duration::from_millis(1)).launch().await.unwrap_err().to_string();
    assert!(text.contains("at least 100 ms"), "{text}");
}

/// The result of a launch on such a runtime.
fn on(mut runtime: tokio::runtime::Builder) -> Result<()> {
    let database = TestDatabase::sqlite();
    let launched = runtime.build().unwrap().block_on(async {
        database.builder("app").launch().await?.shutdown().await;
        Ok(())
    });
    let opened = database.folder().join("app.sqlite").exists();
    assert_eq!(opened, launched.is_ok(), "what is refused opens nothing");
    launched
}

#[test]
fn a_runtime_without_timers_or_io_is_refused_with_the_fix() {
    use tokio::runtime::Builder;
    let cases =
        [(false, false, "no timers and IO"), (true, false, "no IO,"), (false, true, "no timers,"), (true, true, "")];
    for (timers, io, lacks) in cases {
        for mut runtime in [Builder::new_current_thread(), Builder::new_multi_thread()] {
            if timers {
                runtime.enable_time();
            }
            if io {
                runtime.enable_io();
            }
            match on(runtime) {
                Ok(()) => assert!(timers && io, "it has {lacks}"),
                Err(error) => {
                    let text = error.to_string();
                    assert!(!lacks.is_empty() && text.contains(lacks) && text.contains("`.enable_all()`"), "{text}");
                }
            }
        }
    }
}
