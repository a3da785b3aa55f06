//! The rules of transactions, and the calls that they refuse.

use durable::prelude::*;
use durable::sqlx::{self, SqliteConnection};

use crate::support::{TestDatabase, count, counted, fresh};
use crate::workflows::branch;

#[transaction]
async fn make_table(tx: &mut SqliteConnection) -> Result<()> {
    sqlx::query("create table if not exists users (id text primary key, name text not null)").execute(tx).await?;
    Ok(())
}

#[transaction]
async fn create_user(tx: &mut SqliteConnection, id: &str, name: &str) -> Result<u64> {
    count(format!("create {id}"));
    let done = sqlx::query("insert into users (id, name) values (?, ?)").bind(id).bind(name).execute(&mut *tx).await?;
    Ok(done.rows_affected())
}

#[transaction(read_only)]
async fn name_of(tx: &mut SqliteConnection, id: String) -> Result<Option<String>> {
    Ok(sqlx::query_scalar("select name from users where id = ?").bind(id).fetch_optional(tx).await?)
}

#[workflow]
async fn user_workflow(id: String, name: String) -> Result<Option<String>> {
    create_user(&id, &name).await?;
    name_of(id).await
}

#[durable::test]
async fn sql_and_record_commit_together(app: TestApp) {
    make_table().await.unwrap();
    let id = fresh("u");
    assert_eq!(user_workflow(id.clone(), "Ada".into()).id("w").await.unwrap().as_deref(), Some("Ada"));
    let kinds: Vec<_> = app.list_steps("w").await.unwrap().into_iter().map(|it| (it.kind, it.name)).collect();
    assert_eq!(kinds, [("transaction".into(), "create_user".into()), ("transaction".into(), "name_of".into())]);
    assert_eq!(name_of(id.clone()).await.unwrap().as_deref(), Some("Ada"), "outside it is a plain transaction");
    assert_eq!(counted(&format!("create {id}")), 1);
}

#[transaction]
async fn insert_and_fail(tx: &mut SqliteConnection, id: &str) -> Result<(), String> {
    sqlx::query("insert into users (id, name) values (?, 'x')")
        .bind(id)
        .execute(tx)
        .await
        .map_err(|it| it.to_string())?;
    Err("changed my mind".to_owned())
}

#[workflow]
async fn undone(id: String) -> Result<String> {
    let error = insert_and_fail(&id).await.unwrap_err();
    Ok(format!("{error}, {:?}", name_of(id).await?))
}

#[durable::test]
async fn an_error_rolls_back_and_is_recorded(app: TestApp) {
    make_table().await.unwrap();
    assert_eq!(undone(fresh("u")).id("w").await.unwrap(), "changed my mind, None");
    let step = &app.list_steps("w").await.unwrap()[0];
    assert!(step.error.as_deref().unwrap().contains("changed my mind"), "{step:?}");
}

#[transaction]
async fn insert_and_panic(tx: &mut SqliteConnection, id: &str) -> Result<()> {
    sqlx::query("insert into users (id, name) values (?, 'x')").bind(id).execute(tx).await?;
    panic!("in the middle");
}

#[workflow]
async fn panics_in_a_transaction(id: String) -> Result<()> {
    insert_and_panic(&id).await
}

#[durable::test]
async fn a_panic_rolls_back_and_ends_the_workflow(_app: TestApp) {
    make_table().await.unwrap();
    let id = fresh("u");
    let error = panics_in_a_transaction(id.clone()).await.unwrap_err();
    assert!(
        error.is_panic() && error.to_string().contains("the transaction `insert_and_panic` at position 1"),
        "{error}"
    );
    assert_eq!(name_of(id).await.unwrap(), None);
}

#[step]
async fn a_step() -> u32 {
    1
}

#[transaction]
async fn calls_a_step(_tx: &mut SqliteConnection) -> Result<u32> {
    Ok(a_step().await)
}

#[transaction]
async fn calls_a_workflow(_tx: &mut SqliteConnection) -> Result<Option<String>> {
    user_workflow("x".into(), "y".into()).await
}

#[step]
async fn calls_a_transaction() -> Result<Option<String>> {
    name_of("x".into()).await
}

#[workflow]
async fn misplaced(which: u32) -> Result<String> {
    Ok(match which {
        0 => format!("{:?}", calls_a_step().await),
        1 => calls_a_workflow().await.unwrap_err().to_string(),
        _ => calls_a_transaction().await.unwrap_err().to_string(),
    })
}

#[durable::test]
async fn durable_calls_in_transactions_and_transactions_in_steps_are_refused(_app: TestApp) {
    make_table().await.unwrap();
    let parked = misplaced(0).await.unwrap_err();
    assert!(
        parked.is_parked() && parked.to_string().contains("the step `a_step` was called inside the transaction"),
        "{parked}"
    );
    let text = misplaced(1).await.unwrap();
    assert!(text.contains("`user_workflow` was called inside the transaction `calls_a_workflow`"), "{text}");
    let text = misplaced(2).await.unwrap();
    assert!(text.contains("the transaction `name_of` was called inside the step `calls_a_transaction`"), "{text}");
}

#[transaction]
async fn branches(_tx: &mut SqliteConnection, kind: &str) -> Result<()> {
    branch(kind).await;
    Ok(())
}

#[workflow]
async fn branches_in_a_transaction(kind: String) -> Result<()> {
    branches(&kind).await
}

#[durable::test]
async fn branches_inside_a_transaction_are_refused(app: TestApp) {
    for kind in ["durable::join!", "durable::map", "durable::spawn", "durable::select!"] {
        let parked = branches_in_a_transaction(kind.to_owned()).await.unwrap_err();
        let text = parked.to_string();
        assert!(parked.is_parked(), "{text}");
        assert!(text.contains(&format!("`{kind}` was called inside the transaction `branches`")), "{text}");
        let outside = app.spawn_scoped(async move { branches(kind).await });
        assert!(outside.await.unwrap_err().is_panic(), "outside any workflow there is nothing to park");
    }
}

#[transaction(database = "nowhere")]
async fn to_a_database_that_is_not_there(_tx: &mut SqliteConnection) -> Result<()> {
    Ok(())
}

#[transaction]
async fn to_another_kind_of_database(_tx: &mut sqlx::PgConnection) -> Result<()> {
    Ok(())
}

#[durable::test]
async fn a_wrong_database_is_refused_with_the_fix(_app: TestApp) {
    let error = to_a_database_that_is_not_there().await.unwrap_err();
    assert!(error.to_string().contains(".database(\"nowhere\", pool)"), "{error}");
    let error = to_another_kind_of_database().await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("takes a `PgConnection` and the system database has `SqliteConnection`s"), "{text}");
}

/// Two transactions that read what the other one writes: one of them fails to serialize, and is retried.
#[transaction(isolation = "serializable")]
async fn add_to_sum(tx: &mut sqlx::PgConnection, table: String) -> Result<i64> {
    let select = format!("select coalesce(sum(n), 0)::bigint from {table}");
    let sum: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(select)).fetch_one(&mut *tx).await?;
    let insert = format!("insert into {table} values ($1)");
    sqlx::query(sqlx::AssertSqlSafe(insert)).bind(sum + 1).execute(tx).await?;
    Ok(sum + 1)
}

#[transaction]
async fn run_sql(tx: &mut sqlx::PgConnection, text: String) -> Result<()> {
    sqlx::raw_sql(sqlx::AssertSqlSafe(text)).execute(tx).await?;
    Ok(())
}

#[workflow]
async fn adds(table: String) -> Result<i64> {
    add_to_sum(table).await
}

#[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_serialization_failure_is_retried_until_it_succeeds() {
    let database = TestDatabase::postgres();
    let app = database.launch().await;
    let table = format!("\"{}\".numbers", database.schema());
    app.scope(run_sql(format!("create table {table} (n bigint)"))).await.unwrap();
    let calls: Vec<_> = (0..24).map(|_| app.spawn_scoped(adds(table.clone()))).collect();
    let mut sums = Vec::new();
    for call in calls {
        sums.push(call.await.unwrap().unwrap());
    }
    sums.sort_unstable();
    let expected: Vec<i64> = (0..24).map(|it| 1 << it).collect();
    assert_eq!(sums, expected, "each saw what all before it had written");
    app.shutdown().await;
    database.clear().await;
}
