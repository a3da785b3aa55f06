//! From a database URL to a store.

use std::sync::Arc;

#[cfg(not(all(feature = "postgres", feature = "sqlite")))]
use crate::store::location::cannot_open;
use crate::store::location::shown_without_password;
use crate::store::{Store, StoreError, StoreErrorKind, StoreSettings};
use crate::types::diagnosis::Diagnosis;

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
    match scheme(url) {
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => {
            Ok(Arc::new(crate::store::postgres::PostgresStore::open(url, schema, settings).await?))
        }
        #[cfg(feature = "sqlite")]
        "sqlite" => Ok(Arc::new(crate::store::sqlite::SqliteStore::open(url, settings.for_client).await?)),
        #[cfg(not(feature = "postgres"))]
        "postgres" | "postgresql" => Err(not_compiled(url, "postgres")),
        #[cfg(not(feature = "sqlite"))]
        "sqlite" => Err(not_compiled(url, "sqlite")),
        _ => Err(unknown_form(url)),
    }
}

/// The SQL that prepares an empty database for this release, to be run by its administrator. It connects to nothing.
///
/// # Errors
/// [`StoreErrorKind::Refused`] when the URL is of no known form, its store is not compiled in, or no schema can have
/// the name.
#[cfg_attr(not(feature = "postgres"), allow(unused_variables, reason = "only Postgres has schemas"))]
pub fn migration_script(url: &str, schema: &str) -> Result<String, StoreError> {
    match scheme(url) {
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => crate::store::postgres::migration_script(url, schema),
        #[cfg(feature = "sqlite")]
        "sqlite" => Ok(crate::store::sqlite::migration_script()),
        #[cfg(not(feature = "postgres"))]
        "postgres" | "postgresql" => Err(not_compiled(url, "postgres")),
        #[cfg(not(feature = "sqlite"))]
        "sqlite" => Err(not_compiled(url, "sqlite")),
        _ => Err(unknown_form(url)),
    }
}

/// Looks at the database for what keeps applications from working.
#[cfg_attr(not(feature = "postgres"), allow(unused_variables, reason = "only Postgres has schemas"))]
pub(crate) async fn diagnose(url: &str, schema: &str) -> Diagnosis {
    match scheme(url) {
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => crate::store::postgres::diagnose::diagnose(url, schema).await,
        #[cfg(feature = "sqlite")]
        "sqlite" => crate::store::sqlite::diagnose::diagnose(url).await,
        _ => {
            let mut diagnosis = Diagnosis::of(shown_without_password(url));
            let remedy =
                "write sqlite:path/to/file.sqlite or postgres://user@host/database, for a program with that store";
            diagnosis.problem("connection", unknown_form(url).message, remedy);
            diagnosis
        }
    }
}

fn scheme(url: &str) -> &str {
    url.split_once(':').map_or("", |(scheme, _)| scheme)
}

fn unknown_form(url: &str) -> StoreError {
    StoreError::new(
        StoreErrorKind::Refused,
        format_args!(
            "the database URL {:?} is of no known form; write sqlite:path/to/file.sqlite, sqlite::memory: or postgres://user@host/database",
            shown_without_password(url)
        ),
    )
}

#[cfg(not(all(feature = "postgres", feature = "sqlite")))]
fn not_compiled(url: &str, feature: &str) -> StoreError {
    let why = format!("this program was built without the feature `{feature}` of durable");
    cannot_open(shown_without_password(url), StoreErrorKind::Refused, why)
}
