//! Files of SQLite databases, and errors of URLs that cannot be opened.

use std::os::unix::fs::PermissionsExt;

use durable_core::store::{StoreError, StoreErrorKind, open};

async fn refused(url: &str) -> StoreError {
    open(url, "durable").await.map(drop).expect_err("it cannot be opened")
}

#[tokio::test]
async fn a_new_database_file_is_readable_by_its_owner_only() {
    let folder = tempfile::tempdir().expect("there is a folder for temporary files");
    let path = folder.path().join("app.sqlite");
    let store = open(&format!("sqlite:{}", path.display()), "durable").await.unwrap();
    store.migrate().await.unwrap();
    for file in std::fs::read_dir(folder.path()).expect("the folder is there") {
        let file = file.expect("the file is there");
        let mode = file.metadata().expect("the file is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.path().display());
    }
    let location = store.location();
    assert_eq!((location.file.as_deref(), location.in_memory), (Some(&*path), false));
    store.close().await;
    let kept = std::fs::read_dir(folder.path()).expect("the folder is there").count();
    assert_eq!(kept, 1, "a closed database is one file");
}

#[tokio::test]
async fn a_read_only_database_is_refused_with_its_path() {
    let folder = tempfile::tempdir().expect("there is a folder for temporary files");
    let path = folder.path().join("app.sqlite");
    let url = format!("sqlite:{}", path.display());
    open(&url, "durable").await.unwrap().close().await;
    let error = refused(&format!("{url}?mode=ro")).await;
    assert_eq!(error.kind, StoreErrorKind::Refused);
    assert!(error.message.contains(&format!("{} is not writable", path.display())), "{error}");

    let missing = folder.path().join("no/such/folder.sqlite");
    let error = refused(&format!("sqlite:{}", missing.display())).await;
    assert!(error.message.contains("its folder does not exist"), "{error}");
    let error = refused(&format!("sqlite:{}?mode=rw", folder.path().join("none").display())).await;
    assert!(error.message.contains("there is no such file"), "{error}");
    let error = refused(&format!("sqlite:{}", folder.path().display())).await;
    assert!(error.message.contains("it is a folder"), "{error}");
}

#[cfg_attr(
    not(has_read_only_folder),
    ignore = "root may write to any folder here: run it as another user, or with /sys"
)]
#[tokio::test]
async fn a_read_only_folder_is_named_as_the_cause() {
    let folder = tempfile::tempdir().expect("there is a folder for temporary files");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o555)).expect("the folder is ours");
    // Root may write to any folder of a disk, but creates no files in /sys.
    let is_root = std::fs::File::create(folder.path().join("probe")).is_ok();
    let folder = if is_root { std::path::Path::new("/sys") } else { folder.path() };
    let error = refused(&format!("sqlite:{}/new.sqlite", folder.display())).await;
    assert_eq!(error.kind, StoreErrorKind::Refused);
    assert!(error.message.contains("new.sqlite: its folder is not writable"), "{error}");
}

#[tokio::test]
async fn an_invalid_url_is_refused_with_the_accepted_forms() {
    for word in ["postgres", "postgresql", "sqlite", "app.sqlite", ""] {
        let error = refused(word).await;
        assert!(error.message.contains(&format!("{word:?} is of no known form; write")), "{error}");
    }
    for (url, why) in [("postgres://ada:s3cret@h:port/app", "invalid port number"), ("postgres://", "")] {
        let error = refused(url).await;
        assert_eq!(error.message.matches("cannot open").count(), 1, "{error}");
        assert!(error.message.contains(why) && !error.message.contains("s3cret"), "{error}");
        assert!(!error.message.contains("error with configuration"), "{error}");
    }
}

#[tokio::test]
async fn a_file_that_is_not_a_database_is_refused() {
    let folder = tempfile::tempdir().expect("there is a folder for temporary files");
    let path = folder.path().join("notes.txt");
    std::fs::write(&path, "these are notes and no database at all\n".repeat(100)).expect("the file is written");
    let error = refused(&format!("sqlite:{}", path.display())).await;
    assert_eq!(error.kind, StoreErrorKind::Foreign);
    assert!(error.message.contains("notes.txt"), "{error}");
}

#[tokio::test]
async fn databases_in_memory_are_separate() {
    let (one, two) =
        (open("sqlite::memory:", "durable").await.unwrap(), open("sqlite::memory:", "durable").await.unwrap());
    one.migrate().await.unwrap();
    assert!(two.find("w").await.is_err(), "the other one has no tables");
    assert!(one.location().in_memory);
}

#[tokio::test]
async fn an_unreachable_server_is_an_error_at_once_that_hides_the_password() {
    let error = refused("postgres://ada:s3cret@127.0.0.1:1/app").await;
    assert_eq!(error.kind, StoreErrorKind::Unreachable, "{error}");
    assert!(error.message.contains("ada:***@127.0.0.1:1") && !error.message.contains("s3cret"), "{error}");
    assert_eq!(refused("mysql://localhost/app").await.kind, StoreErrorKind::Refused);
}
