//! A deploy that changes a function under workflows in flight: what is reported, what goes on, and what is parked.

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex};

use durable::prelude::*;
use durable::{ReplayOutcome, VersionPolicy};

use crate::support::{TestDatabase, arrived, count, database_tests, fresh, gate};

database_tests! {
    a_deploy_that_changes_one_of_three_functions_is_reported_and_parks_only_what_does_not_fit,
    a_deploy_that_changes_what_a_function_calls_is_reported_where_it_does_not_fit,
    with_adopt_verified_nothing_runs_that_does_not_fit,
    with_adopt_verified_a_change_below_a_function_parks_what_does_not_fit,
    a_pinned_process_leaves_workflows_of_other_versions_to_their_processes,
}

/// The keys of workflows that run build B.
static BUILD_B: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);

fn deploy_b(key: &str, deployed: bool) {
    let mut keys = BUILD_B.lock().unwrap();
    if deployed {
        keys.insert(key.to_owned())
    } else {
        keys.remove(key)
    };
}

fn is_b(key: &str) -> bool {
    BUILD_B.lock().unwrap().contains(key)
}

#[step]
async fn hold(key: &str) -> u32 {
    count(key);
    gate(key).acquire().await.unwrap().forget();
    1
}

#[step]
async fn pack() -> u32 {
    1
}

#[step]
async fn wrap() -> u32 {
    2
}

/// The function that build B changes: it wraps in place of packing, behind a wait of those that are `early`.
#[workflow]
async fn deployed_shipping(key: String, early: bool) -> Result<u32> {
    pack().await;
    if early {
        hold(&key).await;
    }
    let done = if is_b(&key) { wrap().await } else { pack().await };
    if !early {
        hold(&key).await;
    }
    Ok(done)
}

#[workflow]
async fn deployed_refund(key: String) -> Result<u32> {
    Ok(pack().await + hold(&key).await)
}

#[queue]
static MAIL: Queue = Queue::new("deployed-mail");

#[workflow(queue = MAIL)]
async fn deployed_mail(key: String) -> Result<u32> {
    Ok(pack().await + hold(&key).await)
}

const SHIPPING: u32 = 34;
const OTHERS: u32 = 33;
const ALL: u32 = SHIPPING + 2 * OTHERS;

/// Build A leaves a hundred workflows of three kinds in flight.
async fn run_build_a(database: &TestDatabase, key: &str) {
    let app = database.builder("app").application_version("a").launch().await.unwrap();
    app.scope(async {
        for number in 0..SHIPPING {
            let call = deployed_shipping(key.to_owned(), number % 2 == 0);
            call.id(format!("shipping-{number}")).start().await.unwrap();
        }
        for number in 0..OTHERS {
            deployed_refund(key.to_owned()).id(format!("refund-{number}")).start().await.unwrap();
            deployed_mail(key.to_owned()).id(format!("mail-{number}")).start().await.unwrap();
        }
    })
    .await;
    arrived(key, ALL).await;
    database.crash(app).await;
    deploy_b(key, true);
}

/// The function had other tokens in build A.
async fn change_the_function(database: &TestDatabase) {
    let mut direct = database.direct_connection().await;
    direct.execute("update durable.workflows set fingerprint = fingerprint + 1 where name = 'deployed_shipping'").await;
}

async fn with_status(app: &Durable, status: Status) -> Vec<durable::WorkflowInfo> {
    app.list_workflows(Filter::new().status(status).limit(1_000)).await.unwrap().items
}

async fn a_deploy_that_changes_one_of_three_functions_is_reported_and_parks_only_what_does_not_fit(
    database: &TestDatabase,
) {
    let key = fresh("deployed");
    run_build_a(database, &key).await;
    change_the_function(database).await;
    let app = database.builder("app").application_version("b").launch().await.unwrap();
    let report = app.deploy_report().await;
    assert_eq!((report.version.as_str(), report.complete, report.functions.len()), ("b", true, 1), "{report:?}");
    let shipping = &report.functions[0];
    assert_eq!(shipping.name, "deployed_shipping");
    assert_eq!((shipping.matched, shipping.mismatched, shipping.unknown), (17, 17, 0), "{shipping}");
    assert!(shipping.reports.iter().all(|it| matches!(it.outcome, ReplayOutcome::Mismatch { .. })), "{report:?}");
    serde_json::to_value(&report).unwrap();

    gate(&key).add_permits(2 * ALL as usize);
    for number in 0..SHIPPING {
        let handle = app.retrieve_workflow::<u32>(format!("shipping-{number}")).await.unwrap();
        if number % 2 == 0 {
            assert_eq!(handle.await.unwrap(), 2, "it had not come to the change, and goes on with build B");
        } else {
            let text = handle.await.unwrap_err().to_string();
            assert!(text.contains("the step `pack`") && text.contains("the step `wrap`"), "{text}");
            assert!(text.contains(&format!("`durable resume shipping-{number}`")), "{text}");
        }
    }
    for number in 0..OTHERS {
        for kind in ["refund", "mail"] {
            let handle = app.retrieve_workflow::<u32>(format!("{kind}-{number}")).await.unwrap();
            assert_eq!(handle.await.unwrap(), 2, "{kind}-{number} goes on");
        }
    }
    assert_eq!(with_status(&app, Status::Parked).await.len(), 17);
    app.shutdown().await;
}

async fn a_deploy_that_changes_what_a_function_calls_is_reported_where_it_does_not_fit(database: &TestDatabase) {
    let key = fresh("deployed-below");
    run_build_a(database, &key).await;
    let app = database.builder("app").application_version("b").launch().await.unwrap();
    let report = app.deploy_report().await;
    let names: Vec<_> = report.functions.iter().map(|it| (&*it.name, it.matched, it.mismatched)).collect();
    assert_eq!(names, [("deployed_shipping", 17, 17)], "{report:?}");
    gate(&key).add_permits(2 * ALL as usize);
    app.shutdown().await;
}

async fn with_adopt_verified_nothing_runs_that_does_not_fit(database: &TestDatabase) {
    let key = fresh("verified");
    run_build_a(database, &key).await;
    change_the_function(database).await;
    let builder = database.builder("app").application_version("b").version_policy(VersionPolicy::AdoptVerified);
    let app = builder.launch().await.unwrap();
    gate(&key).add_permits(2 * ALL as usize);
    for number in 0..SHIPPING {
        let handle = app.retrieve_workflow::<u32>(format!("shipping-{number}")).await.unwrap();
        if number % 2 == 0 {
            assert_eq!(handle.await.unwrap(), 2);
        } else {
            let text = handle.await.unwrap_err().to_string();
            assert!(text.contains("`deployed_shipping`, or of what it calls, has changed"), "{text}");
            assert!(text.contains("position 2") && text.contains("`pack`") && text.contains("`wrap`"), "{text}");
            assert!(text.contains(&format!("`durable fork shipping-{number} --from`")), "{text}");
        }
    }
    assert_eq!(with_status(&app, Status::Parked).await.len(), 17);
    app.shutdown().await;

    // What a rollback to build A finds is as build A left it.
    let mut direct = database.direct_connection().await;
    direct
        .execute(
            "update durable.workflows set status = 'PENDING', executor = null, reason = null where status = 'PARKED'",
        )
        .await;
    deploy_b(&key, false);
    let app = database.builder("app").application_version("a").launch().await.unwrap();
    for number in (1..SHIPPING).step_by(2) {
        assert_eq!(app.retrieve_workflow::<u32>(format!("shipping-{number}")).await.unwrap().await.unwrap(), 1);
    }
    app.shutdown().await;
}

async fn with_adopt_verified_a_change_below_a_function_parks_what_does_not_fit(database: &TestDatabase) {
    let key = fresh("verified-below");
    run_build_a(database, &key).await;
    let builder = database.builder("app").application_version("b").version_policy(VersionPolicy::AdoptVerified);
    let app = builder.launch().await.unwrap();
    gate(&key).add_permits(2 * ALL as usize);
    for number in 0..SHIPPING {
        let handle = app.retrieve_workflow::<u32>(format!("shipping-{number}")).await.unwrap();
        match handle.await {
            Ok(packed) => assert_eq!((number % 2, packed), (0, 2)),
            Err(error) => {
                let text = error.to_string();
                assert_eq!(number % 2, 1, "{text}");
                assert!(text.contains("does not match the records of this one"), "it was found before it ran: {text}");
            }
        }
    }
    app.shutdown().await;
}

#[workflow]
async fn pinned_direct(key: String) -> Result<u32> {
    Ok(hold(&key).await)
}

#[queue]
static PINNED: Queue = Queue::new("pinned-queue");

#[workflow(queue = PINNED)]
async fn pinned_queued() -> Result<u32> {
    Ok(pack().await)
}

#[workflow(queue = PINNED, version = "stable")]
async fn pinned_to_itself() -> Result<u32> {
    Ok(pack().await)
}

async fn a_pinned_process_leaves_workflows_of_other_versions_to_their_processes(database: &TestDatabase) {
    let key = fresh("pinned");
    let builder =
        |version: &str| database.builder("app").application_version(version).version_policy(VersionPolicy::Pin);
    let first = builder("1").listen_to([""; 0]).launch().await.unwrap();
    first
        .scope(async {
            pinned_direct(key.clone()).id("direct-1").start().await.unwrap();
            pinned_queued().id("queued-1").start().await.unwrap();
            pinned_to_itself().id("stable-1").start().await.unwrap();
        })
        .await;
    arrived(&key, 1).await;
    database.crash(first).await;

    let second = builder("2").launch().await.unwrap();
    second.scope(async { pinned_queued().id("queued-2").await.unwrap() }).await;
    assert_eq!(second.retrieve_workflow::<u32>("stable-1").await.unwrap().await.unwrap(), 1, "its function is pinned");
    second.run_until_idle().await; // it has nothing more to do
    let second = builder("2").launch().await.unwrap();
    let versions = second.versions().await.unwrap();
    let counts: Vec<_> =
        versions.iter().map(|it| (it.version.as_deref().unwrap(), it.pending, it.enqueued, it.executors)).collect();
    assert_eq!(counts, [("1", 1, 1, 0), ("2", 0, 0, 1)], "{versions:?}");
    assert_eq!(versions[0].in_flight(), 2);
    let untaken = second.list_untaken_work().await.unwrap();
    let queued = untaken.iter().find(|it| it.name == "pinned_queued").expect("it waits for a process of its version");
    assert_eq!((queued.version.as_deref(), queued.workflows), (Some("1"), 1), "{untaken:?}");
    let diagnosis = durable::Client::builder(database.url()).schema(database.schema()).diagnose().await;
    let waiting = diagnosis.checks.iter().find(|it| it.name == "waiting work").expect("it is checked");
    assert!(waiting.finding.contains("started by the version \"1\""), "{waiting:?}");
    second.shutdown().await;

    let first = builder("1").launch().await.unwrap();
    gate(&key).add_permits(1);
    for id in ["direct-1", "queued-1"] {
        assert_eq!(first.retrieve_workflow::<u32>(id).await.unwrap().await.unwrap(), 1, "{id}");
    }
    first.shutdown().await;
}
