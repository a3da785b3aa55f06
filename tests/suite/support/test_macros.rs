//! Lists of cases that become a test on each store.

use crate::support::{Recorder, TestDatabase};

/// Runs each case on SQLite and on Postgres, on a database of its own, for cases that launch their engines.
macro_rules! database_tests {
    ($($case:ident),+ $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let database = crate::support::TestDatabase::sqlite();
                    super::$case(&database).await;
                    database.clear().await;
                }
            )+
        }
        mod postgres {
            $(
                #[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let database = crate::support::TestDatabase::postgres();
                    super::$case(&database).await;
                    database.clear().await;
                }
            )+
        }
    };
}
pub(crate) use database_tests;

/// Runs each case on SQLite and on Postgres, with an engine of its own.
macro_rules! app_tests {
    ($($case:ident),+ $(,)?) => {
        mod sqlite {
            use durable::testing::TestApp;
            $(
                #[durable::test(timeout = "5m")] // for busy machines
                async fn $case(app: TestApp) {
                    super::$case(app).await;
                }
            )+
        }
        mod postgres {
            use durable::testing::TestApp;
            $(
                #[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
                #[durable::test(postgres, timeout = "5m")]
                async fn $case(app: TestApp) {
                    super::$case(app).await;
                }
            )+
        }
    };
}
pub(crate) use app_tests;

/// Runs each case on SQLite and on Postgres, on a database of its own, for cases that start processes.
macro_rules! process_tests {
    ($($case:ident),+ $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test]
                async fn $case() {
                    let database = crate::support::ProcessDatabase::sqlite();
                    super::$case(&database).await;
                    database.clear().await;
                }
            )+
        }
        mod postgres {
            $(
                #[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
                #[tokio::test]
                async fn $case() {
                    let database = crate::support::ProcessDatabase::postgres().await;
                    super::$case(&database).await;
                    database.clear().await;
                }
            )+
        }
    };
}
pub(crate) use process_tests;

/// Runs each case of the stores' conformance on Postgres, in a schema of its own.
macro_rules! postgres_store_tests {
    ($($case:ident),+ $(,)?) => {
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
            async fn $case() {
                crate::support::store_database::in_postgres(super::$case).await;
            })+
        }
    };
}
pub(crate) use postgres_store_tests;

/// Runs each case on SQLite and on Postgres, on a database of its own and on one thread, with a recorder for the metrics
/// of the engines that the case launches, or without one.
macro_rules! one_thread_tests {
    (without a recorder: $($case:ident),+ $(,)?) => {
        crate::support::one_thread_tests! { @run_unrecorded $($case),+ }
    };
    (@$run:ident $($case:ident),+) => {
        mod sqlite {
            $(
                #[tokio::test]
                async fn $case() {
                    crate::support::test_macros::$run(crate::support::TestDatabase::sqlite(), super::$case).await;
                }
            )+
        }
        mod postgres {
            $(
                #[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
                #[tokio::test]
                async fn $case() {
                    crate::support::test_macros::$run(crate::support::TestDatabase::postgres(), super::$case).await;
                }
            )+
        }
    };
    ($($case:ident),+ $(,)?) => {
        crate::support::one_thread_tests! { @run_recorded $($case),+ }
    };
}
pub(crate) use one_thread_tests;

/// Runs a case of [`one_thread_tests`] with a recorder.
pub(crate) async fn run_recorded(database: TestDatabase, case: impl AsyncFnOnce(&TestDatabase, &Recorder)) {
    let recorder = Recorder::new();
    let recording = recorder.record();
    case(&database, &recorder).await;
    drop(recording);
    database.clear().await;
}

/// Runs a case of [`one_thread_tests`] without one.
pub(crate) async fn run_unrecorded(database: TestDatabase, case: impl AsyncFnOnce(&TestDatabase)) {
    case(&database).await;
    database.clear().await;
}
