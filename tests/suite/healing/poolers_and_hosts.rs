//! Postgres behind `PgBouncer`, and URLs with several hosts.

use durable::prelude::*;
use durable::sqlx::{AssertSqlSafe, PgConnection, query, query_scalar, raw_sql};
use durable::{Builder, queue};

use crate::support::pgbouncer::{PgBouncer, PoolMode};
use crate::support::tcp_proxy::{Link, tcp_proxy};
use crate::support::{LogCapture, TestDatabase, arrived, count, fresh, gate, url_of};

#[transaction]
async fn creates_a_table(tx: &mut PgConnection, table: &str) -> Result<()> {
    raw_sql(AssertSqlSafe(format!("create table {table} (number integer)"))).execute(tx).await?;
    Ok(())
}

#[transaction]
async fn adds_and_sums(tx: &mut PgConnection, table: &str, number: i32) -> Result<i64> {
    query(AssertSqlSafe(format!("insert into {table} values ($1)"))).bind(number).execute(&mut *tx).await?;
    Ok(query_scalar(AssertSqlSafe(format!("select count(*) from {table}"))).fetch_one(tx).await?)
}

#[step]
async fn tripled(number: i32) -> i32 {
    number * 3
}

#[workflow]
async fn behind_a_pooler_child(number: i32) -> Result<i32> {
    Ok(tripled(number).await)
}

#[workflow]
async fn behind_a_pooler(table: String, number: i32) -> Result<i32> {
    let child = behind_a_pooler_child(number).await?;
    adds_and_sums(&table, number).await?;
    durable::sleep(Duration::from_millis(5)).await;
    let received = durable::recv::<i32>("n", Duration::from_secs(30)).await?.unwrap_or_default();
    durable::set_event("sum", &(child + received)).await?;
    Ok(child + received)
}

#[queue]
static POOLED: Queue = Queue::new("behind-a-pooler").worker_concurrency(8);
#[queue]
static LIMITED: Queue = Queue::new("behind-a-pooler-limited").concurrency(2);

async fn runs_everything(builder: Builder, database: &TestDatabase) {
    const MANY: i32 = 24;
    let table = format!("{}.sums", database.schema());
    let app = builder.launch().await.unwrap();
    app.scope(async {
        creates_a_table(&table).await.unwrap();
        let mut handles = Vec::new();
        for number in 0..MANY {
            let call = behind_a_pooler(table.clone(), number);
            handles.push(match number % 3 {
                0 => call.start().await.unwrap(),
                1 => call.queue(&POOLED).start().await.unwrap(),
                _ => call.queue(&LIMITED).start().await.unwrap(),
            });
        }
        for handle in &handles {
            durable::send(handle.id(), "n", &1).await.unwrap();
        }
        for (number, handle) in (0..MANY).zip(handles) {
            let id = handle.id().to_owned();
            assert_eq!(handle.await.unwrap(), number * 3 + 1);
            let event = durable::get_event::<i32>(&id, "sum", Duration::from_secs(1)).await.unwrap();
            assert_eq!(event, Some(number * 3 + 1));
        }
        assert_eq!(adds_and_sums(&table, 0).await.unwrap(), i64::from(MANY) + 1, "each transaction once");
        behind_a_pooler(table.clone(), 0).start().await.unwrap().cancel().await.unwrap();
    })
    .await;
    assert!(app.shutdown().await.is_clean());
}

/// On one thread, so that all of the log is recorded.
#[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
#[cfg_attr(not(has_pgbouncer), ignore = "no PgBouncer: install pgbouncer")]
#[tokio::test]
async fn everything_runs_behind_pgbouncer_in_transaction_mode_and_the_log_says_so() {
    let (database, log) = (TestDatabase::postgres(), LogCapture::default());
    let pooler = PgBouncer::start(database.url(), PoolMode::Transaction);
    let recording = log.record();
    runs_everything(database.builder("pooled").system_database(pooler.url()), &database).await;
    drop(recording);
    assert!(log.text().contains("without LISTEN"), "{}", log.text());
    database.clear().await;
}

#[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
#[cfg_attr(not(has_pgbouncer), ignore = "no PgBouncer: install pgbouncer")]
#[tokio::test]
async fn everything_runs_behind_pgbouncer_in_session_mode() {
    let (database, log) = (TestDatabase::postgres(), LogCapture::default());
    let pooler = PgBouncer::start(database.url(), PoolMode::Session);
    let recording = log.record();
    runs_everything(database.builder("pooled").system_database(pooler.url()), &database).await;
    drop(recording);
    assert!(!log.text().contains("without LISTEN"), "{}", log.text());
    database.clear().await;
}

#[step]
async fn waits_for_failover(key: &str) -> u32 {
    count(key);
    gate(key).acquire().await.unwrap().forget();
    9
}

#[workflow]
async fn lives_through_a_failover(key: String) -> Result<u32> {
    let before = tripled(1).await;
    Ok(waits_for_failover(&key).await + u32::try_from(before)?)
}

#[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_url_with_several_hosts_reaches_the_one_that_can_be_written_to() {
    let (database, key) = (TestDatabase::postgres(), fresh("failover"));
    let (first, first_link) = tcp_proxy(&url_of(database.url())).await;
    let (second, second_link) = tcp_proxy(&url_of(database.url())).await;
    let hosts = format!("127.0.0.1:{},127.0.0.1:{}", first.port().unwrap(), second.port().unwrap());
    let mut url = url_of(database.url());
    url.set_host(Some("hosts")).unwrap();
    url.set_port(None).unwrap();
    url.set_query(Some("target_session_attrs=read-write&sslmode=disable"));
    let url = url.as_str().replace("hosts", &hosts);
    second_link.send_replace(Link::Cut);
    let app = database.builder("app").system_database(&*url).launch().await.unwrap();
    let handle = app.scope(async { lives_through_a_failover(key.clone()).start().await.unwrap() }).await;
    arrived(&key, 1).await;
    second_link.send_replace(Link::Open);
    first_link.send_replace(Link::Cut);
    gate(&key).add_permits(1);
    let ended = tokio::time::timeout(Duration::from_secs(15), handle).await.expect("the other host is used");
    assert_eq!(ended.unwrap(), 12);
    app.shutdown().await;
    database.clear().await;
}

/// Starts a server that offers TLS with a self-made certificate of version 1, and gives its port.
fn server_with_an_old_certificate(folder: &std::path::Path) -> (u16, std::process::Child) {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::process::{Command, Stdio};
    let (key, request, certificate) = (folder.join("key.pem"), folder.join("request.pem"), folder.join("cert.pem"));
    let openssl = |arguments: &[&str]| {
        let status = Command::new("openssl").args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(status.unwrap().success(), "openssl {arguments:?}");
    };
    let [key, request, certificate] = [&key, &request, &certificate].map(|it| it.to_str().unwrap());
    openssl(&[
        "req",
        "-new",
        "-nodes",
        "-newkey",
        "rsa:2048",
        "-subj",
        "/CN=localhost",
        "-keyout",
        key,
        "-out",
        request,
    ]);
    openssl(&["x509", "-req", "-in", request, "-signkey", key, "-days", "2", "-out", certificate]);
    let free = || TcpListener::bind("127.0.0.1:0").unwrap();
    let tls_port = free().local_addr().unwrap().port();
    let tls = Command::new("openssl")
        .args(["s_server", "-quiet", "-accept", &format!("127.0.0.1:{tls_port}"), "-key", key, "-cert", certificate])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let listener = free();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let mut client = client;
            // What Postgres does: it is asked for TLS, says yes, and the rest is TLS.
            if client.read_exact(&mut [0; 8]).is_err() || client.write_all(b"S").is_err() {
                continue;
            }
            let Ok(server) = TcpStream::connect(("127.0.0.1", tls_port)) else { continue };
            let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            let (mut from, mut to) = (server, client);
            std::thread::spawn(move || std::io::copy(&mut from, &mut to));
        }
    });
    (port, tls)
}

#[cfg_attr(not(has_openssl), ignore = "no openssl to make a certificate with")]
#[tokio::test]
async fn a_refused_certificate_is_explained_at_launch() {
    let folder = tempfile::tempdir().unwrap();
    let (port, mut tls) = server_with_an_old_certificate(folder.path());
    let url = format!("postgres://ada:s3cret@localhost:{port}/app?sslmode=require");
    // The server may take a moment to start, and an error of the certificate is not tried again.
    let launched = Durable::builder("tls").system_database(url).launch().await;
    let text = launched.expect_err("the certificate is too old").to_string();
    tls.kill().unwrap();
    tls.wait().unwrap();
    assert!(text.contains("certificate is refused") && text.contains("`tls-native-tls`"), "{text}");
    assert!(text.contains("sslrootcert") && !text.contains("s3cret"), "{text}");
}
