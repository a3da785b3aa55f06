//! Races: nothing is lost, and nothing is received or recorded twice.

use durable::prelude::*;

use crate::support::{Random, TestDatabase, arrived, database_tests, fresh, gate};

database_tests! {
    a_recv_that_timed_out_leaves_its_message_to_the_next,
    of_a_concurrent_cancellation_and_end_one_takes_effect,
    no_message_is_received_twice_during_takeovers,
    a_message_to_an_ending_workflow_is_stored_or_refused,
    an_event_set_during_get_event_is_returned,
    hundreds_of_waits_of_every_kind_leave_nothing_behind,
}

const HOUR: Duration = Duration::from_hours(1);

/// Receives so many messages with timeouts that are much too short, and returns them and the number of waits.
#[workflow]
async fn receives_with_timeout(many: usize, micros: u64) -> Result<(Vec<u32>, u32)> {
    let (mut all, mut waits) = (Vec::new(), 0);
    while all.len() < many {
        waits += 1;
        all.extend(durable::recv::<u32>("n", Duration::from_micros(micros)).await?);
    }
    Ok((all, waits))
}

async fn a_recv_that_timed_out_leaves_its_message_to_the_next(database: &TestDatabase) {
    const RECEIVERS: u64 = 20;
    const MANY: u32 = 50;
    let mut random = Random::new("waits that give up");
    let app = database.launch().await;
    let tasks: Vec<_> = (0..RECEIVERS)
        .map(|it| {
            let (id, micros) = (format!("w-{it}"), 500 + random.below(4_000));
            let pauses: Vec<u64> = (0..MANY).map(|_| random.below(6_000)).collect();
            app.spawn_scoped(async move {
                let handle = receives_with_timeout(MANY as usize, micros).id(&id).start().await.unwrap();
                for (n, pause) in (0..MANY).zip(pauses) {
                    tokio::time::sleep(Duration::from_micros(pause)).await; // a random pause, around the timeouts
                    durable::send(&id, "n", &n).await.unwrap();
                }
                handle.await.unwrap()
            })
        })
        .collect();
    let (mut waits, mut messages) = (0, 0);
    for task in tasks {
        let (all, waited) = task.await.unwrap();
        assert_eq!(all, (0..MANY).collect::<Vec<_>>());
        (waits, messages) = (waits + waited, messages + all.len());
    }
    println!("{messages} messages, {waits} waits");
    app.shutdown().await;
}

#[workflow]
async fn ends_when_opened(key: String, value: u32) -> Result<u32> {
    held(&key).await;
    Ok(value)
}

#[step]
async fn held(key: &str) {
    crate::support::count(key);
    gate(key).acquire().await.expect("it is never closed").forget();
}

async fn of_a_concurrent_cancellation_and_end_one_takes_effect(database: &TestDatabase) {
    const MANY: u32 = 200;
    let (key, mut random) = (fresh("ends"), Random::new("cancellations"));
    let app = database.launch().await;
    let (mut handles, mut ended) = (Vec::new(), [0, 0]);
    for n in 0..MANY {
        let call = ends_when_opened(key.clone(), n).id(format!("w-{n}"));
        handles.push(app.scope(async { call.start().await.unwrap() }).await);
    }
    arrived(&key, MANY).await;
    let mut cancels = Vec::new();
    for handle in &handles {
        gate(&key).add_permits(1); // for the workflow that waits longest
        if random.chance(50) {
            tokio::task::yield_now().await;
        }
        cancels.push(app.spawn_scoped(handle.cancel().into_future()));
    }
    gate(&key).add_permits(MANY as usize);
    for cancel in cancels {
        cancel.await.unwrap().unwrap();
    }
    for (n, handle) in (0..).zip(handles) {
        let (text, status) = (handle.result().await, handle.status().await.unwrap());
        match text {
            Ok(value) => assert_eq!((value, status), (n, Status::Success)),
            Err(error) => {
                assert!(error.is_cancelled(), "{error}");
                assert_eq!(status, Status::Cancelled);
            }
        }
        ended[usize::from(status == Status::Success)] += 1;
    }
    println!("{} cancelled, {} ended", ended[0], ended[1]);
    app.shutdown().await;
}

#[workflow]
async fn receives_all(many: u32) -> Result<Vec<u32>> {
    let mut all = Vec::new();
    for _ in 0..many {
        all.extend(durable::recv::<u32>("n", HOUR).await?);
    }
    let more: Option<u32> = durable::recv("n", Duration::ZERO).await?;
    all.extend(more);
    Ok(all)
}

async fn no_message_is_received_twice_during_takeovers(database: &TestDatabase) {
    const MANY: u32 = 200;
    const WORKFLOWS: u32 = 10;
    let sender = database.builder("sender").launch().await.unwrap();
    // Each engine takes over from the one before, which has not noticed it and continues as long as it can.
    let launch = || async { database.builder("receiver").executor_id("the receiver").launch().await.unwrap() };
    let mut receivers = vec![launch().await];
    for w in 0..WORKFLOWS {
        receivers[0].scope(async { receives_all(MANY).id(format!("w-{w}")).start().await.unwrap() }).await;
    }
    let sending: Vec<_> = (0..WORKFLOWS)
        .map(|w| {
            sender.spawn_scoped(async move {
                for n in 0..MANY {
                    durable::send(format!("w-{w}"), "n", &n).await.unwrap();
                }
            })
        })
        .collect();
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(40)).await; // the moment of the takeover
        receivers.push(launch().await);
    }
    for it in sending {
        it.await.unwrap();
    }
    let last = receivers.last().expect("there is one");
    for w in 0..WORKFLOWS {
        let handle = last.retrieve_workflow::<Vec<u32>>(format!("w-{w}")).await.unwrap();
        let received = tokio::time::timeout(Duration::from_secs(20), handle.result()).await;
        assert_eq!(received.expect("it ends").unwrap(), (0..MANY).collect::<Vec<_>>(), "w-{w}");
    }
    for receiver in receivers {
        receiver.shutdown().await;
    }
    sender.shutdown().await;
}

#[workflow]
async fn receives_one_and_ends() -> Result<Option<u32>> {
    durable::recv("n", HOUR).await
}

async fn a_message_to_an_ending_workflow_is_stored_or_refused(database: &TestDatabase) {
    const SENDERS: u32 = 6;
    let app = database.launch().await;
    let (mut stored, mut refused) = (0, 0);
    for round in 0..40 {
        let id = format!("w-{round}");
        let handle = app.scope(async { receives_one_and_ends().id(&id).start().await.unwrap() }).await;
        let sends: Vec<_> = (0..SENDERS)
            .map(|n| {
                let id = id.clone();
                app.spawn_scoped(async move {
                    let mut sent = Vec::new();
                    loop {
                        let letter = n * 1_000 + u32::try_from(sent.len()).expect("it ends soon");
                        match durable::send(&id, "n", &letter).await {
                            Ok(()) => sent.push(letter),
                            Err(error) => return (sent, error),
                        }
                    }
                })
            })
            .collect();
        let mut accepted = Vec::new();
        for send in sends {
            let (sent, error) = send.await.unwrap();
            assert_eq!(error.kind(), durable::ErrorKind::Ended, "{error}");
            accepted.extend(sent);
            refused += 1;
        }
        let taken: u32 = handle.await.unwrap().expect("one was sent");
        assert!(accepted.contains(&taken), "{taken} was received although its sender got an error");
        stored += accepted.len();
    }
    println!("{stored} stored, {refused} refused");
    app.shutdown().await;
}

#[workflow]
async fn sets_event_soon(n: u32) -> Result<()> {
    durable::set_event("n", &n).await
}

async fn an_event_set_during_get_event_is_returned(database: &TestDatabase) {
    let (here, there) = (database.launch().await, database.builder("there").launch().await.unwrap());
    let mut asking = Vec::new();
    for n in 0..100 {
        for app in [&here, &there] {
            asking.push(app.spawn_scoped(async move {
                let seen = durable::get_event::<u32>(format!("w-{n}"), "n", HOUR).await.unwrap();
                assert_eq!(seen, Some(n));
            }));
        }
        asking.push(here.spawn_scoped(async move { sets_event_soon(n).id(format!("w-{n}")).await.unwrap() }));
    }
    for it in asking {
        tokio::time::timeout(Duration::from_secs(20), it).await.expect("it is seen").unwrap();
    }
    here.shutdown().await;
    there.shutdown().await;
}

#[workflow]
async fn waits_a_little(n: u64) -> Result<u64> {
    let limit = Duration::from_millis(n % 50);
    match n % 4 {
        0 => durable::sleep(limit).await,
        1 => drop(durable::recv::<u32>("never", limit).await?),
        2 => drop(durable::get_event::<u32>("nobody", "never", limit).await?),
        _ => {
            let forever = async { drop(durable::recv::<u32>("never", HOUR).await) };
            durable::select! {
                () = forever => unreachable!("no message is sent to it"),
                () = durable::sleep(limit) => {},
            }
        }
    }
    Ok(n)
}

async fn hundreds_of_waits_of_every_kind_leave_nothing_behind(database: &TestDatabase) {
    let app = database.launch().await;
    let calls: Vec<_> = (0..500).map(|n| app.spawn_scoped(async move { waits_a_little(n).await.unwrap() })).collect();
    let outside: Vec<_> = (0..500)
        .map(|_| app.spawn_scoped(async { durable::get_event::<u32>("nobody", "never", HOUR).await.map(drop) }))
        .collect();
    for (n, call) in (0..).zip(calls) {
        assert_eq!(call.await.unwrap(), n);
    }
    for it in &outside {
        it.abort(); // a caller can drop its wait
    }
    let report = app.shutdown().await;
    assert!(report.suspended.is_empty() && report.stuck.is_empty() && report.is_closed(), "{report}");
    assert!(report.unfinished_tasks().is_empty(), "{report}");
}
