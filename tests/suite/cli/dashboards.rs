//! `durable dashboard` serves the dashboard of a database as a process of its own.

use super::process::{command, durable};
use crate::support::http::Answer;
use crate::support::{ProcessDatabase, Signal, WatchedProcess, process_tests};

process_tests! {
    it_serves_a_database_to_this_machine_until_it_is_interrupted,
    an_address_that_other_machines_reach_needs_a_token,
    a_token_is_asked_for,
}

/// A dashboard, and its port.
async fn serve(database: &ProcessDatabase, arguments: &[&str], token: Option<&str>) -> (WatchedProcess, u16) {
    let arguments = [&["dashboard", "--port", "0"], arguments].concat();
    let mut command = command(database, &arguments);
    if let Some(token) = token {
        command.env("DURABLE_DASHBOARD_TOKEN", token);
    }
    let process = WatchedProcess::run(command, database);
    let (_, line) = process.wait_for_line("the dashboard is at http://").await;
    let address = line.split("http://").nth(1).unwrap().split('/').next().unwrap();
    let port = address.rsplit(':').next().unwrap().parse().unwrap();
    (process, port)
}

async fn request(port: u16, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    use tokio::io::AsyncWriteExt;
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = format!("{method} {path} HTTP/1.1\r\n{headers}content-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).await.unwrap();
    crate::support::http::answer(&mut stream).await.unwrap()
}

const CANCEL: &str = "/api/v1/workflows/cancel";
const BODY: &str = r#"{"ids":["missing"]}"#;

async fn it_serves_a_database_to_this_machine_until_it_is_interrupted(database: &ProcessDatabase) {
    durable(database, &["migrate"]).await.good();
    durable(database, &["start", "shown", "--id", "shown-1"]).await.good();
    let (mut process, port) = serve(database, &[], None).await;
    let own = format!("host: 127.0.0.1:{port}\r\n");
    assert_eq!(request(port, "GET", "/", &own, "").await.status, 200);
    let shown = request(port, "GET", "/api/v1/workflow?id=shown-1", &own, "").await;
    assert!(shown.status == 200 && shown.body.contains("shown-1"), "{shown:?}");
    let proof = format!("{own}x-durable-csrf: 1\r\ncontent-type: application/json\r\n");
    assert_eq!(request(port, "POST", CANCEL, &proof, BODY).await.status, 403, "viewers may only look");
    for host in ["evil.example", "127.0.0.1.evil.example", "192.168.1.7:80", ""] {
        let other = request(port, "GET", "/api/v1/workflows", &format!("host: {host}\r\n"), "").await;
        assert_eq!(other.status, 403, "a name {host:?} of another site that leads here");
    }
    for host in ["localhost", "LOCALHOST:8700", "[::1]:8700"] {
        assert_eq!(
            request(port, "GET", "/api/v1/queues", &format!("host: {host}\r\n"), "").await.status,
            200,
            "{host}"
        );
    }
    process.signal(Signal::INT);
    assert_eq!(process.wait_for_exit().await.status.code(), Some(0));

    let (mut process, port) = serve(database, &["--allow-actions"], None).await;
    let proof = format!("host: localhost:{port}\r\nx-durable-csrf: 1\r\ncontent-type: application/json\r\n");
    assert_eq!(request(port, "POST", CANCEL, &proof, BODY).await.status, 200);
    process.signal(Signal::TERM);
    assert_eq!(process.wait_for_exit().await.status.code(), Some(0));
}

async fn an_address_that_other_machines_reach_needs_a_token(database: &ProcessDatabase) {
    durable(database, &["migrate"]).await.good();
    for address in ["0.0.0.0", "::", "192.168.1.7"] {
        let refused = durable(database, &["dashboard", "--port", "0", "--address", address]).await.fails_with(4);
        assert!(refused.contains("there is no token") && refused.contains("DURABLE_DASHBOARD_TOKEN"), "{refused}");
    }
    let short = durable(database, &["dashboard", "--port", "0", "--token", "short"]).await.fails_with(2);
    assert!(short.contains("at least 16") && !short.contains("short"), "{short}");
}

async fn a_token_is_asked_for(database: &ProcessDatabase) {
    const TOKEN: &str = "0123456789abcdef-token";
    durable(database, &["migrate"]).await.good();
    let (mut process, port) = serve(database, &["--address", "0.0.0.0"], Some(TOKEN)).await;
    let host = "host: shop.example\r\n";
    for path in ["/", "/api/v1/workflows", "/assets/0/app.js", "/?token=0123456789abcdef-tokem", "/?token="] {
        assert_eq!(request(port, "GET", path, host, "").await.status, 401, "{path}");
    }
    let wrong = format!("{host}authorization: Bearer {TOKEN}x\r\n");
    assert_eq!(request(port, "GET", "/", &wrong, "").await.status, 401);
    let bearer = format!("{host}authorization: Bearer {TOKEN}\r\n");
    assert_eq!(request(port, "GET", "/api/v1/workflows", &bearer, "").await.status, 200);
    let first = request(port, "GET", &format!("/?a=b&token={TOKEN}"), host, "").await;
    assert_eq!(first.status, 303);
    for part in ["location: /?a=b\r\n", "httponly", "samesite=strict"] {
        assert!(first.head.contains(part), "{part}: {}", first.head);
    }
    let elsewhere = request(port, "GET", &format!("//evil.example?token={TOKEN}"), host, "").await;
    assert_eq!(elsewhere.status, 303);
    assert!(elsewhere.head.contains("location: /evil.example"), "{}", elsewhere.head);
    let cookie = format!("{host}cookie: other=1; durable_token={TOKEN}\r\n");
    assert_eq!(request(port, "GET", "/", &cookie, "").await.status, 200);
    assert!(!process.output().contains(TOKEN), "the token is in no output");
    process.signal(Signal::INT);
    assert_eq!(process.wait_for_exit().await.status.code(), Some(0));
}
