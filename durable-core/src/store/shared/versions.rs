//! Versions of the program: what is in flight of each, and workflows whose code has changed.

use sqlx::Row;

use super::SqlStore;
use super::dialect::{AND_CLOCK, LINE_FEED, is_in, list, now};
use crate::store::sql::sql_statements;
use crate::store::{ChangedWorkflow, KnownCode, StoreFuture, Versions};
use crate::types::time::Timestamp;
use crate::types::version_policy::VersionInfo;

/// How many workflows in flight of each status are looked at.
const LOOKED_AT: u32 = 20_000;

sql_statements! {
    /// The workflows in flight are read through the indexes that hold nothing else, and not in their order. $1 names;
    /// $2 names and fingerprints; $3 the same with versions; $4 how many at most.
    changed = format!(
        "select w.id, w.name, not {same} as has_changed from (
             select * from (select key, id, name, fingerprint, version from durable.workflows where status = 'PENDING'
                             limit {LOOKED_AT}) pending
             union all
             select * from (select key, id, name, fingerprint, version from durable.workflows
                             where status = 'ENQUEUED' and queue is not null limit {LOOKED_AT}) enqueued) w
          where {} and not {}
            and exists (select 1 from durable.steps s where s.workflow = w.key)
          order by has_changed desc limit $4",
        is_in("w.name", 1),
        is_in(&format!("({} || {LINE_FEED} || coalesce(w.version, ''))", code()), 3),
        same = is_in(&format!("({})", code()), 2)
    );
    /// Each count reads an index that holds nothing else. $1 now.
    in_flight = format!(
        "select w.version, 'PENDING' as what, count(*) as many, min(w.created_at) as oldest
           from durable.workflows w where w.status = 'PENDING' group by w.version
         union all
         select w.version, 'ENQUEUED', count(*), min(w.created_at)
           from durable.workflows w where w.status = 'ENQUEUED' group by w.version
         union all
         select w.version, 'DELAYED', count(*), min(w.created_at)
           from durable.workflows w where w.status = 'DELAYED' group by w.version
         union all
         select w.version, 'PARKED', count(*), null
           from durable.workflows w where w.status = 'PARKED' and w.status <> 'SUCCESS' group by w.version
         union all
         select e.version, 'LIVE', count(*), null
           from durable.executors e {AND_CLOCK} where e.state <> 'DEAD' and e.lease_until >= {}
          group by e.version",
        now(1)
    );
}

/// The name and the fingerprint of a workflow `w`.
fn code() -> String {
    format!("w.name || {LINE_FEED} || w.fingerprint")
}

impl Versions for SqlStore {
    fn changed<'a>(&'a self, code: &'a [KnownCode], limit: u32) -> StoreFuture<'a, Vec<ChangedWorkflow>> {
        self.call(async move {
            let names: Vec<&str> = code.iter().map(|it| it.name).collect();
            let present: Vec<String> = code.iter().map(|it| format!("{}\n{}", it.name, it.fingerprint)).collect();
            let versions: Vec<String> =
                code.iter().zip(&present).map(|(it, code)| format!("{code}\n{}", it.version)).collect();
            let query =
                self.query(&self.sql.versions.changed).bind(list(&names)).bind(list(&present)).bind(list(&versions));
            let rows = query.bind(i64::from(limit)).fetch_all(&mut *self.reading().await?).await?;
            let row = |row: &_| Ok(changed_row(row)?);
            rows.iter().map(row).collect()
        })
    }

    fn versions(&self) -> StoreFuture<'_, Vec<VersionInfo>> {
        self.call(async move {
            let query = self.bind_now(self.query(&self.sql.versions.in_flight));
            let rows = query.fetch_all(&mut *self.reading().await?).await?;
            let mut found: Vec<VersionInfo> = Vec::new();
            for row in &rows {
                let version: Option<String> = row.try_get("version")?;
                let many = row.try_get::<i64, _>("many")?.unsigned_abs();
                let oldest: Option<Timestamp> = row.try_get("oldest")?;
                let index = found.iter().position(|it| it.version == version).unwrap_or_else(|| {
                    found.push(VersionInfo { version, ..VersionInfo::default() });
                    found.len() - 1
                });
                let info = &mut found[index];
                match row.try_get::<&str, _>("what")? {
                    "PENDING" => info.pending = many,
                    "ENQUEUED" => info.enqueued = many,
                    "DELAYED" => info.delayed = many,
                    "PARKED" => info.parked = many,
                    _ => info.executors = many,
                }
                let oldest = oldest.map(Timestamp::to_date);
                info.oldest = info.oldest.into_iter().chain(oldest).min();
            }
            found.sort_by(|left, right| left.version.cmp(&right.version));
            Ok(found)
        })
    }
}

fn changed_row<R>(row: &R) -> Result<ChangedWorkflow, sqlx::Error>
where
    R: Row,
    for<'c> &'c str: sqlx::ColumnIndex<R>,
    for<'r> String: sqlx::Type<R::Database> + sqlx::Decode<'r, R::Database>,
    for<'r> bool: sqlx::Type<R::Database> + sqlx::Decode<'r, R::Database>,
{
    Ok(ChangedWorkflow { id: row.try_get("id")?, name: row.try_get("name")?, has_changed: row.try_get("has_changed")? })
}
