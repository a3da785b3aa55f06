//! `durable doctor` on Postgres: it finds planted problems.

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::doctor::{check, doctor, finds};
use super::process::durable;
#[cfg(unix)]
use crate::support::pgbouncer::{PgBouncer, PoolMode};
use crate::support::{ProcessDatabase, url_of};

/// Each case on a database with the schema, and a role that may run an application on it.
macro_rules! role_tests {
    ($($case:ident),+ $(,)?) => {
        $(
            #[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let role = Role::new().await;
                cases::$case(&role).await;
                role.clear().await;
            }
        )+
    };
}

role_tests! {
    a_role_with_its_privileges_is_good,
    a_schema_that_is_missing_or_old_is_found,
    missing_privileges_are_found_and_granted,
    too_few_connections_are_found,
    read_only_transactions_are_found,
    a_clock_that_is_wrong_is_found,
    notifications_that_do_not_arrive_are_found,
    a_server_that_is_away_or_refuses_the_login_is_found,
}

/// A database, and a role in it. The role's URL is that of `database`.
struct Role {
    owner: ProcessDatabase,
    name: String,
    database: ProcessDatabase,
}

impl Role {
    async fn new() -> Self {
        let owner = ProcessDatabase::postgres().await;
        durable(&owner, &["migrate"]).await.good();
        let name = format!("{}_role", url_of(owner.url()).path().trim_start_matches('/'));
        let mut url = url_of(owner.url());
        url.set_username(&name).unwrap();
        url.set_password(Some("secret")).unwrap();
        let database = ProcessDatabase::at(url.as_str());
        let role = Self { owner, name, database };
        role.execute("create role ROLE login password 'secret'").await;
        durable(&role.owner, &["migrate", "--grant", &role.name]).await.good();
        role
    }

    /// Executes a statement as the owner; ROLE is the role, and DATABASE its database.
    async fn execute(&self, statement: &str) {
        let database = url_of(self.owner.url()).path().trim_start_matches('/').to_owned();
        let statement = statement.replace("ROLE", &self.name).replace("DATABASE", &database);
        let mut connection = PgConnection::connect(self.owner.url()).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    async fn clear(self) {
        self.execute("drop owned by ROLE; drop role ROLE").await;
        self.owner.clear().await;
    }
}

mod cases {
    use super::*;

    pub(super) async fn a_role_with_its_privileges_is_good(role: &Role) {
        let printed = doctor(&role.database).await;
        for name in [
            "connection",
            "server version",
            "writes",
            "pooler",
            "notifications",
            "clock",
            "collation",
            "privileges",
            "schema",
        ] {
            assert_eq!(check(&printed, name).0, "good", "{name}: {printed:?}");
        }
        assert!(!printed.out.contains("secret"), "{printed:?}");
    }

    pub(super) async fn a_schema_that_is_missing_or_old_is_found(role: &Role) {
        role.execute("delete from durable._migrations where version = 2").await;
        finds(&doctor(&role.database).await, "schema", "problem", "it has not got the migrations 2 (functions)");
        role.execute("drop schema durable cascade").await;
        let printed = doctor(&role.database).await;
        finds(&printed, "schema", "problem", "there is no schema \"durable\"");
        assert!(check(&printed, "schema").1.contains("may not create one"), "{printed:?}");
        assert!(!check(&doctor(&role.owner).await, "schema").1.contains("may not create one"));
    }

    pub(super) async fn missing_privileges_are_found_and_granted(role: &Role) {
        role.execute("revoke delete on durable.steps, durable.workflows from ROLE").await;
        finds(&doctor(&role.database).await, "privileges", "problem", "lacks delete on steps, delete on workflows");
        role.execute("revoke usage on schema durable from ROLE").await;
        finds(&doctor(&role.database).await, "privileges", "problem", "may not use the schema \"durable\"");
        durable(&role.owner, &["migrate", "--grant", &role.name]).await.good();
        assert_eq!(check(&doctor(&role.database).await, "privileges").0, "good");
    }

    pub(super) async fn too_few_connections_are_found(role: &Role) {
        role.execute("alter role ROLE connection limit 3").await;
        finds(&doctor(&role.database).await, "connections", "problem", "3 connections are allowed");
        role.execute("alter role ROLE connection limit 10").await;
        finds(&doctor(&role.database).await, "connections", "warning", "10 connections are allowed");
    }

    pub(super) async fn read_only_transactions_are_found(role: &Role) {
        role.execute("alter role ROLE set default_transaction_read_only = on").await;
        finds(&doctor(&role.database).await, "writes", "problem", "reset default_transaction_read_only");
    }

    /// A function of the role's own search path stands for a server whose clock is wrong.
    pub(super) async fn a_clock_that_is_wrong_is_found(role: &Role) {
        role.execute(
            "create schema wrong;
             create function wrong.clock_timestamp() returns timestamptz language sql as
                 $$ select pg_catalog.clock_timestamp() - interval '90 seconds' $$;
             grant usage on schema wrong to ROLE;
             alter role ROLE set search_path = wrong, pg_catalog",
        )
        .await;
        finds(&doctor(&role.database).await, "clock", "warning", "behind that of this host");
    }

    pub(super) async fn notifications_that_do_not_arrive_are_found(role: &Role) {
        let proxied = without_notifications(role.database.url()).await;
        let printed = doctor(&ProcessDatabase::at(&proxied)).await;
        finds(&printed, "notifications", "warning", "LISTEN is accepted, and nothing arrives");
    }

    pub(super) async fn a_server_that_is_away_or_refuses_the_login_is_found(role: &Role) {
        let mut url = url_of(role.database.url());
        url.set_password(Some("another")).unwrap();
        role.execute("alter role ROLE password 'secret'").await;
        let printed = doctor(&ProcessDatabase::at(url.as_str())).await;
        // A server that trusts its own host asks for no password.
        if printed.code == Some(1) {
            finds(&printed, "connection", "problem", "correct the URL, the role or its password");
        }
        url.set_port(Some(1)).unwrap();
        finds(&doctor(&ProcessDatabase::at(url.as_str())).await, "connection", "problem", "start the server");
    }
}

/// In a database whose texts are in the order of ICU's rules: the collation "C", which a server may have as its default,
/// has no version.
#[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collation_of_another_version_is_found() {
    let server = ProcessDatabase::postgres().await;
    let mut url = url_of(server.url());
    let name = format!("{}_icu", url.path().trim_start_matches('/'));
    url.set_path(&name);
    let execute = async |statement: String| {
        let mut connection = PgConnection::connect(server.url()).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    };
    execute(format!("create database {name} template template0 locale_provider icu icu_locale 'en-US' locale 'C'"))
        .await;
    let database = ProcessDatabase::at(url.as_str());
    durable(&database, &["migrate"]).await.good();
    assert_eq!(check(&doctor(&database).await, "collation").0, "good");
    execute(format!("update pg_database set datcollversion = '1.0' where datname = '{name}'")).await;
    finds(&doctor(&database).await, "collation", "problem", "refresh collation version");
    execute(format!("drop database {name} with (force)")).await;
    server.clear().await;
}

#[cfg(unix)]
#[cfg_attr(not(all(has_postgres, has_pgbouncer)), ignore = "needs Postgres and PgBouncer: install both")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_is_found() {
    let database = ProcessDatabase::postgres().await;
    durable(&database, &["migrate"]).await.good();
    let pooler = PgBouncer::start(database.url(), PoolMode::Transaction);
    finds(&doctor(&ProcessDatabase::at(pooler.url())).await, "pooler", "warning", "a session of its own");
    drop(pooler);
    database.clear().await;
}

/// A proxy that passes everything on but notifications, as its URL.
async fn without_notifications(url: &str) -> String {
    let mut url = url_of(url);
    let server = (url.host_str().unwrap_or("127.0.0.1").to_owned(), url.port().unwrap_or(5432));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    url.set_host(Some("127.0.0.1")).unwrap();
    url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
    url.set_query(Some("sslmode=disable"));
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(server.clone()).await.unwrap();
            let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
                (client.into_split(), server.into_split());
            tokio::spawn(async move { tokio::io::copy(&mut from_client, &mut to_server).await });
            tokio::spawn(async move {
                // A message of the server: its type, and its length without the type.
                let mut head = [0; 5];
                while from_server.read_exact(&mut head).await.is_ok() {
                    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
                    let mut body = vec![0; length - 4];
                    let read = from_server.read_exact(&mut body).await.is_ok();
                    let is_notification = head[0] == b'A';
                    if !read || !is_notification && to_client.write_all(&[&head, &body[..]].concat()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    url.into()
}
