//! Messages between processes that are killed: each is received once, in the order of its sender.

use std::collections::HashMap;
use std::time::Instant;

use serde::Deserialize;

use crate::support::{ProcessDatabase, Random, finished, kill_9, ledger, process_tests, start, until};

process_tests! {
ten_thousand_messages_are_received_once_and_in_order_while_processes_are_killed,
}

const MESSAGES: usize = 10_000;
const RECEIVERS: usize = 100;
const TOPICS: [&str; 3] = ["orders", "prices", "news"];
/// How often the receivers are killed, and each of the two processes of senders.
const KILLS: usize = 10;
const KILLS_OF_SENDERS: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
struct Letter {
    sender: u32,
    number: u32,
}

async fn ten_thousand_messages_are_received_once_and_in_order_while_processes_are_killed(database: &ProcessDatabase) {
    let (mut random, begun) = (Random::new("mail"), Instant::now());
    let folder = database.folder().display().to_string();
    let send = |first: &str| start("message_worker", &["send", &folder, first], database);
    let receive = || start("message_worker", &["receive", &folder], database);

    let mut receiving = receive();
    until("the receivers are started", async || !database_is_empty(database).await).await;
    let mut sending = [send("0"), send("4")];
    let mut killed_senders = 0;
    for kill in 0..KILLS {
        // In each tenth of the messages, somewhere.
        let part = MESSAGES / (KILLS + 1);
        let enough = kill * part + usize::try_from(random.below(part as u64)).expect("it is small");
        until("enough messages are received", async || ledger(database.folder()).len() >= enough).await;
        kill_9(receiving).await;
        if kill % 4 == 1 && killed_senders < 2 * KILLS_OF_SENDERS {
            for (sender, first) in sending.iter_mut().zip(["0", "4"]) {
                kill_9(std::mem::replace(sender, send(first))).await;
                killed_senders += 1;
            }
        }
        receiving = receive();
    }
    let [a, b] = sending;
    for printed in [finished(a).await, finished(b).await] {
        assert!(printed.contains("send DONE"), "{printed}");
    }
    let printed = finished(receiving).await;
    assert!(printed.contains("receive DONE"), "{printed}");

    let results = std::fs::read(database.folder().join("results.json")).expect("it is written at the end");
    let results: Vec<Vec<Vec<Letter>>> = serde_json::from_slice(&results).expect("it was written as this");
    assert_eq!(results.len(), RECEIVERS);
    check_order(&results);
    let again = check_ledger(database, &results);
    println!(
        "{MESSAGES} messages, {KILLS} kills of the receivers and {killed_senders} of senders, {again} notes a second time, in {:?}",
        begun.elapsed()
    );
    let workflows = database.workflows().await;
    assert!(workflows.iter().all(|it| it.status == durable::Status::Success), "{workflows:?}");
}

async fn database_is_empty(database: &ProcessDatabase) -> bool {
    match durable_core::store::open(database.url(), "durable").await {
        Ok(store) => {
            let found = store.list(&durable::Filter::new().name("receives").limit(1_000)).await;
            store.close().await;
            found.map_or(0, |it| it.len()) < RECEIVERS
        }
        Err(_) => true,
    }
}

/// Every message was received once, and those of one sender on one topic in order.
fn check_order(results: &[Vec<Vec<Letter>>]) {
    let mut all = 0;
    for (receiver, topics) in results.iter().enumerate() {
        for (topic, letters) in topics.iter().enumerate() {
            for sender in 0..8 {
                let numbers: Vec<u32> = letters.iter().filter(|it| it.sender == sender).map(|it| it.number).collect();
                let sent: Vec<u32> = (0..1_250)
                    .filter(|it| *it as usize % RECEIVERS == receiver && (it / 100) as usize % TOPICS.len() == topic)
                    .collect();
                assert_eq!(numbers, sent, "receiver {receiver}, {}, sender {sender}", TOPICS[topic]);
                all += numbers.len();
            }
        }
    }
    assert_eq!(all, MESSAGES);
}

/// The messages that the receivers noted are those of their results. Each note was made once, or again
/// after a kill that came before its record.
fn check_ledger(database: &ProcessDatabase, results: &[Vec<Vec<Letter>>]) -> usize {
    let notes = ledger(database.folder());
    let mut again: HashMap<&String, usize> = HashMap::new();
    for (receiver, topics) in results.iter().enumerate() {
        for (letters, topic) in topics.iter().zip(TOPICS) {
            for letter in letters {
                let line = format!("{receiver} {topic} {} {}", letter.sender, letter.number);
                let processes = notes.get(&line).unwrap_or_else(|| panic!("{line} was never noted"));
                for process in &processes[1..] {
                    *again.entry(process).or_default() += 1;
                }
            }
        }
    }
    assert_eq!(notes.len(), MESSAGES, "nothing else was noted");
    // At each kill every branch had at most one note that was not recorded. Of the two processes that
    // made a note either one may be counted here, so there are two kills for each.
    let most = RECEIVERS * TOPICS.len();
    assert!(again.values().all(|it| *it <= 2 * most), "{again:?}");
    let sum = again.values().sum();
    assert!(sum <= KILLS * most, "{again:?}");
    sum
}
