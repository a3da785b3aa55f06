//! Connections: the engine never waits for users' transactions, few are enough, and a launch waits for them.

use durable::prelude::*;
use durable::sqlx::{AssertSqlSafe, Connection, PgConnection, query_scalar, raw_sql};
use durable::testing::server;
use durable::{ErrorKind, queue};

use crate::support::{TestDatabase, arrived, count, fresh, gate, until, url_of};

macro_rules! postgres_tests {
    ($($case:ident),+ $(,)?) => {
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

postgres_tests! {
running_transactions_keep_nothing_of_the_engine_waiting,
a_role_with_four_connections_runs_everything,
a_launch_waits_for_a_free_connection,
a_launch_without_a_free_connection_names_the_cause_and_the_number,
a_role_with_too_few_connections_is_refused_at_launch,
a_database_that_is_not_utf8_is_refused_at_launch,
launches_at_once_all_succeed,
}

#[transaction]
async fn held_open(tx: &mut PgConnection, key: &str) -> Result<u32> {
    raw_sql("select 1").execute(&mut *tx).await?;
    count(key);
    gate(key).acquire().await.unwrap().forget();
    Ok(1)
}

#[workflow]
async fn holds_a_transaction(key: String) -> Result<u32> {
    held_open(&key).await
}

#[step]
async fn doubled(number: u32) -> u32 {
    number * 2
}

#[transaction]
async fn selects(tx: &mut PgConnection, number: i32) -> Result<i32> {
    Ok(query_scalar("select $1 + 1").bind(number).fetch_one(tx).await?)
}

#[workflow]
async fn steps_and_messages(number: u32) -> Result<u32> {
    let doubled = doubled(number).await;
    let received = durable::recv::<u32>("n", Duration::from_secs(30)).await?.unwrap_or_default();
    Ok(doubled + received)
}

#[workflow]
async fn one_step_only(number: u32) -> Result<u32> {
    Ok(doubled(number).await)
}

#[workflow]
async fn a_bit_of_all(number: u32) -> Result<i32> {
    let child = one_step_only(number).await?;
    let received = durable::recv::<u32>("n", Duration::from_secs(30)).await?.unwrap_or_default();
    selects(i32::try_from(child + received)?).await
}

#[queue]
static BUSY: Queue = Queue::new("busy-connections");

async fn running_transactions_keep_nothing_of_the_engine_waiting(database: &TestDatabase) {
    let key = fresh("held");
    let app = database.builder("app").connections(4).launch().await.unwrap();
    let others = app.scope(async {
        let mut held = Vec::new();
        for _ in 0..12 {
            held.push(holds_a_transaction(key.clone()).start().await.unwrap());
        }
        arrived(&key, 1).await; // the others wait for its connection
        let work = async {
            let receiver = steps_and_messages(2).start().await.unwrap();
            durable::send(receiver.id(), "n", &3).await.unwrap();
            assert_eq!(receiver.await.unwrap(), 7);
            assert_eq!(one_step_only(4).queue(&BUSY).start().await.unwrap().await.unwrap(), 8);
            assert!(app.list_workflows(Filter::new()).await.unwrap().len() >= 14);
            held[11].cancel().await.unwrap();
            assert!(held[11].status().await.unwrap() == Status::Cancelled);
        };
        tokio::time::timeout(Duration::from_secs(5), work).await.expect("nothing waits for the transactions");
        gate(&key).add_permits(12);
        held.truncate(11);
        held
    });
    for handle in others.await {
        assert_eq!(handle.await.unwrap(), 1);
    }
    app.shutdown().await;
}

/// A role that may have so many connections, and a URL with it.
struct LimitedRole {
    name: String,
    admin: PgConnection,
    url: url::Url,
}

/// Rights on a database are in one row, and Postgres refuses to change it twice at once ("tuple concurrently updated").
const ONE_AT_A_TIME: &str = "select pg_advisory_xact_lock(7402)";

impl LimitedRole {
    async fn new(connections: u32) -> Self {
        let name = format!("limited_{}", server::fresh_schema());
        let mut admin = PgConnection::connect(&server::url()).await.unwrap();
        let mut url = url_of(&server::url());
        let database = url.path().trim_start_matches('/').to_owned();
        let create = format!(
            "{ONE_AT_A_TIME}; create role {name} login connection limit {connections};
             grant create on database {database} to {name}"
        );
        raw_sql(AssertSqlSafe(create)).execute(&mut admin).await.unwrap();
        url.set_username(&name).unwrap();
        Self { name, admin, url }
    }

    /// Opens as many connections as the role may have.
    async fn occupy(&self, connections: u32) -> Vec<PgConnection> {
        let mut all = Vec::new();
        for _ in 0..connections {
            all.push(PgConnection::connect(self.url.as_str()).await.unwrap());
        }
        all
    }

    async fn drop(mut self) {
        let name = &self.name;
        let end = format!(
            "{ONE_AT_A_TIME}; select pg_terminate_backend(pid) from pg_stat_activity where usename = '{name}';
             drop owned by {name}; drop role {name}"
        );
        raw_sql(AssertSqlSafe(end)).execute(&mut self.admin).await.unwrap();
        self.admin.close().await.unwrap();
    }
}

async fn a_role_with_four_connections_runs_everything(database: &TestDatabase) {
    let role = LimitedRole::new(4).await;
    let app = database.builder("app").system_database(role.url.as_str()).launch().await.unwrap();
    app.scope(async {
        let mut handles = Vec::new();
        for number in 0..20 {
            handles.push(a_bit_of_all(number).queue(&BUSY).start().await.unwrap());
        }
        for handle in &handles {
            durable::send(handle.id(), "n", &1).await.unwrap();
        }
        for (number, handle) in (0..).zip(handles) {
            assert_eq!(handle.await.unwrap(), number * 2 + 2);
        }
    })
    .await;
    assert!(app.shutdown().await.is_clean());
    role.drop().await;
}

async fn a_launch_waits_for_a_free_connection(database: &TestDatabase) {
    let role = LimitedRole::new(4).await;
    let occupied = role.occupy(4).await;
    let builder = database.builder("app").system_database(role.url.as_str());
    let launch = tokio::spawn(builder.launch());
    tokio::time::sleep(Duration::from_millis(100)).await; // the first try has failed
    assert!(!launch.is_finished());
    for connection in occupied {
        connection.close().await.unwrap();
    }
    let app = launch.await.unwrap().expect("there are connections now");
    assert_eq!(app.scope(one_step_only(1)).await.unwrap(), 2);
    app.shutdown().await;
    role.drop().await;
}

async fn a_launch_without_a_free_connection_names_the_cause_and_the_number(database: &TestDatabase) {
    let role = LimitedRole::new(4).await;
    let occupied = role.occupy(4).await;
    let builder = database.builder("app").system_database(role.url.as_str());
    let error = builder.launch_timeout(Duration::from_millis(300)).launch().await.expect_err("there is no connection");
    let text = error.to_string();
    assert_eq!(error.kind(), ErrorKind::Database);
    assert!(text.contains("too many connections for role") && text.contains("at least 4 connections"), "{text}");
    drop(occupied);
    until("its sessions have ended", async || PgConnection::connect(role.url.as_str()).await.is_ok()).await;
    role.drop().await;
}

async fn a_role_with_too_few_connections_is_refused_at_launch(database: &TestDatabase) {
    let role = LimitedRole::new(3).await;
    let error = database.builder("app").system_database(role.url.as_str()).launch().await.expect_err("3 are too few");
    assert!(error.to_string().contains("may have 3 connections, and durable needs at least 4"), "{error}");
    role.drop().await;
}

async fn a_database_that_is_not_utf8_is_refused_at_launch(database: &TestDatabase) {
    let mut admin = PgConnection::connect(&server::url()).await.unwrap();
    for encoding in ["SQL_ASCII", "LATIN1"] {
        let name = server::fresh_schema();
        let create = format!("create database {name} encoding '{encoding}' locale 'C' template template0");
        raw_sql(AssertSqlSafe(create)).execute(&mut admin).await.unwrap();
        let mut url = url_of(&server::url());
        url.set_path(&name);
        let launched = database.builder("app").system_database(url.as_str()).launch().await;
        let error = launched.expect_err("texts would be changed").to_string();
        assert!(error.contains(encoding) && error.contains("encoding 'UTF8'"), "{error}");
        raw_sql(AssertSqlSafe(format!("drop database {name} with (force)"))).execute(&mut admin).await.unwrap();
    }
    admin.close().await.unwrap();
}

async fn launches_at_once_all_succeed(database: &TestDatabase) {
    // The strictest level makes them lose races.
    let mut url = url_of(database.url());
    url.query_pairs_mut().append_pair("options[default_transaction_isolation]", "serializable");
    let launches: Vec<_> = (0..4)
        .map(|number| {
            let builder = database.builder(&format!("app {number}")).system_database(url.as_str());
            tokio::spawn(builder.launch())
        })
        .collect();
    for launch in launches {
        let app = launch.await.unwrap().expect("each launch succeeds");
        app.shutdown().await;
    }
}
