//! Bringing the schema up to date.

use durable_core::store::StoreErrorKind;

use super::super::make::{register_executor, running};
use super::super::site::Site;

pub(crate) async fn ten_processes_migrate_an_empty_database_at_once(site: Site) {
    for _ in 0..3 {
        site.store.drop_everything().await.unwrap();
        let processes: Vec<_> = (0..10)
            .map(|_| {
                let site = site.clone();
                tokio::spawn(async move {
                    let store = site.second().await;
                    let migrated = store.migrate().await;
                    store.close().await;
                    migrated
                })
            })
            .collect();
        for process in processes {
            process.await.expect("it does not panic").unwrap();
        }
        let me = register_executor(&*site.store, "a").await;
        running(&*site.store, me, "w").await;
    }
}

pub(crate) async fn a_migrated_database_is_left_as_it_is(site: Site) {
    let me = register_executor(&*site.store, "a").await;
    running(&*site.store, me, "w").await;
    let before = site.store.statement_counts();
    site.store.migrate().await.unwrap();
    assert_eq!(
        (site.store.statement_counts() - before).commits,
        0,
        "a launch on a database of its release writes nothing"
    );
    assert!(site.store.find("w").await.unwrap().is_some());
}

pub(crate) async fn a_newer_database_is_refused_by_name(site: Site) {
    let blob = if site.is_postgres() { "'\\x00'::bytea" } else { "x'00'" };
    let newer = format!(
        "insert into durable._migrations (version, description, checksum, applied_at)
         values (9999, 'time travel', {blob}, 0)"
    );
    site.side_door().await.execute(&newer).await;
    let error = site.store.migrate().await.expect_err("it is of a newer release");
    assert_eq!(error.kind, StoreErrorKind::Foreign);
    for word in ["9999", "time travel", "newer release"] {
        assert!(error.message.contains(word), "{error}");
    }
}

pub(crate) async fn a_database_of_another_build_is_refused(site: Site) {
    let blob = if site.is_postgres() { "'\\x00'::bytea" } else { "x'00'" };
    site.side_door().await.execute(&format!("update durable._migrations set checksum = {blob}")).await;
    let error = site.store.migrate().await.expect_err("it is of another build");
    assert_eq!(error.kind, StoreErrorKind::Foreign);
    assert!(error.message.contains("migration 1 (foundation)"), "{error}");
}
