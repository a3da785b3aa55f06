//! From a database URL to a store.

use std::sync::Arc;

#[cfg(not(all(feature = "postgres", feature = "sqlite")))]
use crate::store::location::cannot_open;
use crate::store::location::shown_without_password;
use crate::store::{Store, StoreError, StoreErrorKind, StoreSettings};

/// Opens the store that `url` names; `schema` is where its tables go in Postgres.
///
/// # Errors
/// [`StoreErrorKind::Refused`] when the URL is of no known form or its store is not compiled in;
/// [`StoreErrorKind::Unreachable`] when the database cannot be reached. Messages hold the URL without its password.
pub async fn open(url: &str, schema: &str) -> Result<Arc<dyn Store>, StoreError> {
    open_with(url, schema, StoreSettings::default()).await
}

/// The same with settings.
///
/// # Errors
/// As [`open`].
#[cfg_attr(not(feature = "postgres"), allow(unused_variables, reason = "only Postgres has schemas"))]
pub async fn open_with(url: &str, schema: &str, settings: StoreSettings) -> Result<Arc<dyn Store>, StoreError> {
    match url.split_once(':').map_or("", |(scheme, _)| scheme) {
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => {
            Ok(Arc::new(crate::store::postgres::PostgresStore::open(url, schema, settings).await?))
        }
        #[cfg(feature = "sqlite")]
        "sqlite" => Ok(Arc::new(crate::store::sqlite::SqliteStore::open(url).await?)),
        #[cfg(not(feature = "postgres"))]
        "postgres" | "postgresql" => Err(not_compiled(url, "postgres")),
        #[cfg(not(feature = "sqlite"))]
        "sqlite" => Err(not_compiled(url, "sqlite")),
        _ => Err(StoreError::new(
            StoreErrorKind::Refused,
            format_args!(
                "the database URL {:?} is of no known form; write sqlite:path/to/file.sqlite, sqlite::memory: or postgres://user@host/database",
                shown_without_password(url)
            ),
        )),
    }
}

#[cfg(not(all(feature = "postgres", feature = "sqlite")))]
fn not_compiled(url: &str, feature: &str) -> StoreError {
    let why = format!("this program was built without the feature `{feature}` of durable");
    cannot_open(shown_without_password(url), StoreErrorKind::Refused, why)
}
