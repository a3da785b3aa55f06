//! Signals to processes that are stuck: they are heard, and the process ends whatever blocks it.

use std::time::Duration;

use durable::Status;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::{HEARS, noted, signalled, status};
use crate::crash::processes::on_every_database;
use crate::crash::watched::Watched;
use crate::stage::{Database, url_of};

on_every_database! {
    signals_work_with_blocked_workers,
    a_thread_that_blocks_does_not_hold_up_the_exit,
}

async fn signals_work_with_blocked_workers(database: &Database) {
    let mut process = signalled("blocked", 500, 2_000, &[], database);
    let both = async {
        while super::times(database, "blocks") < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), both).await.expect("both workers are blocked");
    process.says(HEARS).await;
    let sent = process.signal("TERM");
    let (heard, _) = process.says("received a first signal").await;
    assert!(heard - sent < Duration::from_secs(2), "heard after {:?}", heard - sent);
    let ended = process.ended().await;
    let lasted = ended.at - sent;
    println!("heard after {:?}, and the watchdog ended it after {lasted:?}", heard - sent);
    assert_eq!(ended.status.code(), Some(70), "{}", ended.told);
    // Its total and 2 s. Without the watchdog it would be the minute for which the workers are blocked.
    assert!((Duration::from_secs(4)..Duration::from_secs(20)).contains(&lasted), "it ended after {lasted:?}");
    let complaint = ended.told.lines().find(|it| it.contains("did not finish within")).expect("it says why");
    assert!(complaint.contains("\"w\"") && complaint.contains("blocks_its_worker"), "{complaint}");
    assert_eq!(status(database, "w").await, Status::Pending);
}

async fn a_thread_that_blocks_does_not_hold_up_the_exit(database: &Database) {
    let mut process = signalled("thread", 300, 2_000, &[], database);
    noted(database, "blocks").await;
    process.says(HEARS).await;
    let sent = process.signal("TERM");
    let ended = process.ended().await;
    assert!(ended.at - sent < Duration::from_secs(3), "its total and 1 s: {:?}", ended.at - sent);
    assert_eq!(ended.status.code(), Some(1), "a step was dropped: {}", ended.told);
    assert_eq!(status(database, "w").await, Status::Pending);
}

/// A server that goes away, or freezes, while a process shuts down: the process still ends.
mod on_a_server {
    use super::{Database, Gone};

    #[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_process_exits_although_the_server_is_gone() {
        super::exits_although(Gone::Cut, &Database::postgres().await).await;
    }

    #[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_process_exits_although_the_server_is_frozen() {
        super::exits_although(Gone::Frozen, &Database::postgres().await).await;
    }
}

/// What becomes of the line to the server.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Gone {
    No,
    /// Every connection breaks, and no new one is made.
    Cut,
    /// Nothing comes through any more, and nobody says so.
    Frozen,
}

/// A line to the server, and the switch for it.
async fn line(server: &url::Url) -> (url::Url, watch::Sender<Gone>) {
    let to = (server.host_str().unwrap_or("127.0.0.1").to_owned(), server.port().unwrap_or(5432));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let mut url = server.clone();
    url.set_port(Some(listener.local_addr().expect("it is bound").port())).expect("it has a port");
    url.set_query(Some("sslmode=disable"));
    let (switch, gone) = watch::channel(Gone::No);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let (to, mut gone) = (to.clone(), gone.clone());
            if *gone.borrow() == Gone::Cut {
                continue; // it is dropped
            }
            tokio::spawn(async move {
                let mut server = TcpStream::connect((to.0.as_str(), to.1)).await?;
                tokio::select! {
                    copied = tokio::io::copy_bidirectional(&mut client, &mut server) => copied.map(drop),
                    gone = async { *gone.wait_for(|it| *it != Gone::No).await.expect("the test lives") } => {
                        if gone == Gone::Frozen {
                            std::future::pending::<()>().await; // both ends stay open
                        }
                        Ok(())
                    }
                }
            });
        }
    });
    (url, switch)
}

async fn exits_although(gone: Gone, database: &Database) {
    let (url, switch) = line(&url_of(database.url())).await;
    let behind = Database::at(url.as_str());
    let mut process: Watched = signalled("steps", 2_000, 4_000, &[1_000, 50], &behind);
    process.says(HEARS).await;
    noted(&behind, "w 3").await;
    process.signal("TERM");
    process.says("received a first signal").await;
    switch.send_replace(gone);
    let cut = std::time::Instant::now();
    let ended = process.ended().await;
    println!("{gone:?}: ended {:?} after it, with {}", ended.at - cut, ended.status);
    assert!(ended.at - cut < Duration::from_secs(5), "its total and 1 s: {:?}", ended.at - cut);
    assert_eq!(ended.status.code(), Some(1), "it could not hand over: {}", ended.told);
    assert_eq!(ended.report()["released"], false);
    assert_eq!(status(database, "w").await, Status::Pending);
}
