//! Replacing web services one by one while requests arrive.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::rolling_restart_of_workers::long;
use super::web_service::site;
use crate::support::http::get;
use crate::support::{ProcessDatabase, Signal, ledger, process_tests};

process_tests! {
no_request_is_lost_while_web_services_are_replaced,
}

const STEPS: u64 = 3;
/// Twenty requests a second.
const PAUSE: Duration = Duration::from_millis(50);

/// The outcomes of the requests.
#[derive(Debug, Default)]
struct Requests {
    answered: u64,
    /// Tried elsewhere because a listener was closed.
    refused: u64,
    failed: Vec<String>,
}

/// Sends a request to one port after the other, until one is not closed.
async fn one(ports: Vec<u16>, number: u64, requests: Arc<Mutex<Requests>>) {
    let path = match number % 3 {
        0 => format!("/run?id=r-{number}&steps={STEPS}&ms=100"),
        1 => format!("/start?id=r-{number}&steps={STEPS}&ms=100"),
        _ => format!("/enqueue?id=r-{number}&steps={STEPS}&ms=100"),
    };
    let count = ports.len();
    for port in ports.into_iter().cycle().skip(usize::try_from(number).unwrap() % count).take(2 * count) {
        match get(port, &path).await {
            Ok(answer) if answer.status == 200 => return requests.lock().unwrap().answered += 1,
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => requests.lock().unwrap().refused += 1,
            other => return requests.lock().unwrap().failed.push(format!("{path}: {other:?}")),
        }
    }
    requests.lock().unwrap().failed.push(format!("{path}: all listeners are closed"));
}

async fn no_request_is_lost_while_web_services_are_replaced(database: &ProcessDatabase) {
    let launch = || site(database, "300ms", "2s", "8s");
    let mut fleet = vec![launch().await, launch().await, launch().await];
    let ports = Arc::new(Mutex::new(fleet.iter().map(|it| it.1).collect::<Vec<_>>()));
    let requests = Arc::new(Mutex::new(Requests::default()));
    let (begun, sent) = (Instant::now(), Arc::new(Mutex::new(0)));
    let load = tokio::spawn({
        let (ports, requests, sent) = (Arc::clone(&ports), Arc::clone(&requests), Arc::clone(&sent));
        async move {
            let mut running = JoinSet::new();
            let mut ticks = tokio::time::interval(PAUSE);
            while begun.elapsed() < long() {
                ticks.tick().await;
                let number = *sent.lock().unwrap();
                *sent.lock().unwrap() += 1;
                let ports = ports.lock().unwrap().clone();
                running.spawn(one(ports, number, Arc::clone(&requests)));
            }
            while running.join_next().await.is_some() {}
        }
    });
    let mut exits = Vec::new();
    while begun.elapsed() + Duration::from_secs(2) < long() {
        let next = tokio::time::sleep(Duration::from_secs(2)); // the pace of the restarts
        // The old one gets requests as long as it listens, as from a load balancer that has not noticed yet.
        let (mut old, old_port) = fleet.remove(0);
        let gone = old.signal(Signal::TERM);
        let new = launch().await;
        ports.lock().unwrap().push(new.1);
        fleet.push(new);
        let ended = old.wait_for_exit().await;
        exits.push(ended.at - gone);
        assert_eq!(ended.status.code(), Some(0), "{}", ended.output);
        ports.lock().unwrap().retain(|it| *it != old_port);
        next.await;
    }
    load.await.unwrap();
    database.wait_until_all_succeed().await;
    for (mut process, _) in fleet {
        process.signal(Signal::TERM);
        process.wait_for_exit().await;
    }

    let (sent, requests) = (*sent.lock().unwrap(), std::mem::take(&mut *requests.lock().unwrap()));
    println!(
        "{sent} requests in {:?}, {} answered, {} met a closed listener first, {} failed; {} services replaced, from TERM to exit: {exits:.2?}",
        long(),
        requests.answered,
        requests.refused,
        requests.failed.len(),
        exits.len(),
    );
    assert!(requests.failed.is_empty(), "{:#?}", requests.failed);
    assert_eq!(requests.answered, sent);
    let workflows = database.workflows().await;
    assert_eq!(workflows.len() as u64, sent);
    assert!(workflows.iter().all(|it| it.recoveries == 0), "nothing crashed");
    let runs = ledger(database.folder());
    assert_eq!(runs.len() as u64, STEPS * sent);
    let again: Vec<_> = runs.iter().filter(|(_, it)| it.len() > 1).collect();
    assert!(again.is_empty(), "each step ran once: {again:?}");
}
