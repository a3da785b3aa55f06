//! Support for the benchmarks: a server that syncs its commits, and cleaning up.

use durable_core::store::StoreErrorKind;
use sqlx::{Connection, PgConnection};
use tokio::runtime::Runtime;

/// A Postgres that syncs its commits: the server that `DURABLE_TEST_POSTGRES_URL` names, else a
/// throw-away one. `None` where there is neither.
pub(crate) fn postgres(runtime: &Runtime) -> Option<String> {
    use durable::testing::server;
    if !server::is_available() {
        return None;
    }
    let url = server::url();
    if std::env::var_os(server::URL_VARIABLE).is_none() {
        // The throw-away server is meant for tests, which should be fast and need not survive a power cut.
        runtime.block_on(execute(
            &url,
            &["alter system set fsync = on", "alter system set full_page_writes = on", "select pg_reload_conf()"],
        ));
    }
    Some(url)
}

/// Deletes the tables of a benchmark.
pub(crate) async fn clear(url: &str, schema: &str) {
    let store = durable_core::store::open(url, schema).await.expect("the store is there");
    // The server may still vacuum them, which holds their locks. The store waits for a lock before it gives up.
    while let Err(error) = store.drop_everything().await {
        assert_eq!(error.kind, StoreErrorKind::Contended, "its tables cannot be dropped: {error}");
    }
    store.close().await;
}

/// Runs statements on the server.
async fn execute(url: &str, statements: &[&'static str]) {
    let mut connection = PgConnection::connect(url).await.expect("the server answers");
    for statement in statements {
        sqlx::raw_sql(*statement).execute(&mut connection).await.expect("the server obeys");
    }
}
