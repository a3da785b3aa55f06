//! Migrating the schema.

use durable_core::store::StoreErrorKind;

use crate::support::store_database::StoreDatabase;
use crate::support::store_rows::{register_executor, start_running};

pub(crate) async fn ten_processes_can_migrate_an_empty_database_at_once(database: StoreDatabase) {
    for _ in 0..3 {
        database.store.drop_everything().await.unwrap();
        let processes: Vec<_> = (0..10)
            .map(|_| {
                let database = database.clone();
                tokio::spawn(async move {
                    let store = database.second().await;
                    let migrated = store.migrate().await;
                    store.close().await;
                    migrated
                })
            })
            .collect();
        for process in processes {
            process.await.expect("it does not panic").unwrap();
        }
        let me = register_executor(&*database.store, "a").await;
        start_running(&*database.store, me, "w").await;
    }
}

pub(crate) async fn migrating_an_up_to_date_database_writes_nothing(database: StoreDatabase) {
    let me = register_executor(&*database.store, "a").await;
    start_running(&*database.store, me, "w").await;
    let before = database.store.statement_counts();
    database.store.migrate().await.unwrap();
    assert_eq!(
        (database.store.statement_counts() - before).commits,
        0,
        "a launch on a database of its release writes nothing"
    );
    assert!(database.store.find("w").await.unwrap().is_some());
}

pub(crate) async fn a_database_of_a_newer_release_is_refused_with_its_name(database: StoreDatabase) {
    let blob = if database.is_postgres() { "'\\x00'::bytea" } else { "x'00'" };
    let newer = format!(
        "insert into durable._migrations (version, description, checksum, applied_at)
values (9999, 'time travel', {blob}, 0)"
    );
    database.direct_connection().await.execute(&newer).await;
    let error = database.store.migrate().await.expect_err("it is of a newer release");
    assert_eq!(error.kind, StoreErrorKind::Foreign);
    for word in ["9999", "time travel", "newer release"] {
        assert!(error.message.contains(word), "{error}");
    }
}

pub(crate) async fn a_database_with_other_migration_checksums_is_refused(database: StoreDatabase) {
    let blob = if database.is_postgres() { "'\\x00'::bytea" } else { "x'00'" };
    database.direct_connection().await.execute(&format!("update durable._migrations set checksum = {blob}")).await;
    let error = database.store.migrate().await.expect_err("it is of another build");
    assert_eq!(error.kind, StoreErrorKind::Foreign);
    assert!(error.message.contains("migration 1 (foundation)"), "{error}");
}
