//! Queues across crashes and shutdowns.

use std::sync::Arc;

use durable::prelude::*;
use durable_core::store::Store;

use crate::counter::{count, fresh};
use crate::restart::faulty::{Faulty, Hold, Plan};
use crate::stage::{Stage, on_every_stage};
use crate::workflows::{arrived, gate};

on_every_stage! {
    what_is_enqueued_survives_everything,
    a_dead_process_gives_its_slots_back,
    a_shutdown_puts_queued_workflows_back_and_does_not_count_it,
    a_panic_frees_the_slot,
    what_a_claim_took_whose_answer_was_lost_is_run,
    what_could_neither_begin_nor_go_back_is_run_after_the_outage,
    what_nobody_here_knows_is_left_for_others,
    enqueueing_works_until_the_end_of_the_drain,
}

#[queue]
static ONE: Queue = Queue::new("lifetime-one").concurrency(1);

#[step]
async fn holding(key: &str) {
    count(key);
    gate(key).acquire().await.unwrap().forget();
}

#[workflow]
async fn queued(key: String) -> Result<u32> {
    holding(&key).await;
    Ok(1)
}

async fn what_is_enqueued_survives_everything(stage: &Stage) {
    let key = fresh("survives");
    let app = stage.builder("enqueues").listen_to::<&str>([]).launch().await.unwrap();
    app.scope(async { queued(key.clone()).queue(&ONE).id("w").start().await.unwrap() }).await;
    stage.crash(app).await;
    gate(&key).add_permits(1);
    let app = stage.launch().await;
    assert_eq!(app.retrieve_workflow::<u32>("w").await.unwrap().await.unwrap(), 1);
    app.shutdown().await;
}

async fn a_dead_process_gives_its_slots_back(stage: &Stage) {
    let key = fresh("dead");
    let app = stage.launch().await;
    app.scope(async {
        queued(key.clone()).queue(&ONE).id("a").start().await.unwrap();
        queued(key.clone()).queue(&ONE).id("b").start().await.unwrap();
    })
    .await;
    arrived(&key, 1).await;
    stage.crash(app).await;

    gate(&key).add_permits(3);
    let app = stage.launch().await;
    for id in ["a", "b"] {
        assert_eq!(app.retrieve_workflow::<u32>(id).await.unwrap().await.unwrap(), 1);
    }
    let infos = app.list_workflows(Filter::new()).await.unwrap();
    assert_eq!(infos.iter().map(|it| it.recoveries).collect::<Vec<_>>(), [1, 0]);
    app.shutdown().await;
}

async fn a_shutdown_puts_queued_workflows_back_and_does_not_count_it(stage: &Stage) {
    let key = fresh("back");
    let app = stage.launch().await;
    app.scope(async { queued(key.clone()).queue(&ONE).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    app.shutdown_with(ShutdownOptions::immediate()).await;
    let info = stage.poll().await.remove(0);
    assert_eq!((info.status, info.recoveries, info.executor), (Status::Enqueued, 0, None));
    gate(&key).add_permits(2);
    let app = stage.launch().await;
    assert_eq!(app.retrieve_workflow::<u32>("w").await.unwrap().await.unwrap(), 1);
    app.shutdown().await;
}

#[workflow]
async fn panics_in_the_queue() -> Result<u32> {
    panic!("it was meant to")
}

async fn what_a_claim_took_whose_answer_was_lost_is_run(stage: &Stage) {
    let key = fresh("lost-claim");
    let inner = durable_core::store::open(stage.url(), stage.schema()).await.unwrap();
    let faulty = Arc::new(Faulty::over(&inner, Plan::default()));
    let app = stage.builder("deaf").store(Arc::clone(&faulty) as Arc<dyn Store>).launch().await.unwrap();
    app.listening().await;
    faulty.lose_next("claim");
    gate(&key).add_permits(2);
    app.scope(async {
        let handles =
            [queued(key.clone()).enqueue(&ONE).await.unwrap(), queued(key.clone()).enqueue(&ONE).await.unwrap()];
        for handle in handles {
            assert_eq!(handle.await.unwrap(), 1);
        }
    })
    .await;
    assert!(faulty.has_lost());
    app.shutdown().await;
    assert_eq!(crate::counter::counted(&key), 2);
    inner.close().await;
}

async fn what_could_neither_begin_nor_go_back_is_run_after_the_outage(stage: &Stage) {
    let key = fresh("neither");
    let app = stage.launch().await;
    app.scope(async { queued(key.clone()).queue(&ONE).id("w").start().await.unwrap() }).await;
    arrived(&key, 1).await;
    stage.crash(app).await;

    let inner = durable_core::store::open(stage.url(), stage.schema()).await.unwrap();
    let faulty = Arc::new(Faulty::over(&inner, Plan::default()));
    faulty.hold_next("records", Hold::Before);
    let app = stage.builder("suite").store(Arc::clone(&faulty) as Arc<dyn Store>).launch().await.unwrap();
    // It is claimed; now its records cannot be read, and it cannot be given back.
    faulty.has_held(1).await;
    faulty.set_away(true);
    faulty.hold_next("give_back_lost", Hold::Before);
    faulty.let_through();
    let given_back = tokio::time::timeout(Duration::from_secs(20), faulty.has_held(2)).await;
    given_back.expect("the dispatcher remembers that it may hold something");
    faulty.set_away(false);
    faulty.let_through();
    gate(&key).add_permits(1);
    assert_eq!(app.retrieve_workflow::<u32>("w").await.unwrap().await.unwrap(), 1);
    app.shutdown().await;
    inner.close().await;
}

async fn a_panic_frees_the_slot(stage: &Stage) {
    let key = fresh("panic");
    let app = stage.launch().await;
    gate(&key).add_permits(1);
    app.scope(async {
        let panics = panics_in_the_queue().enqueue(&ONE).await.unwrap();
        let after = queued(key.clone()).enqueue(&ONE).await.unwrap();
        assert!(panics.await.is_err());
        assert_eq!(after.await.unwrap(), 1);
    })
    .await;
    app.shutdown().await;
}

async fn what_nobody_here_knows_is_left_for_others(stage: &Stage) {
    let key = fresh("unknown");
    let app = stage.launch().await;
    let mut foreign = durable_core::store::NewWorkflow {
        key: 1.into(),
        id: "foreign".to_owned(),
        name: "of_another_program".to_owned(),
        input: "{}".to_owned(),
        instance: None,
        parent: None,
        version: String::new(),
        fingerprint: 0,
        timeout: None,
        deadline: None,
        placement: None,
    };
    foreign.placement = Some(durable_core::store::QueuePlacement {
        queue: ONE.name().to_owned(),
        ..durable_core::store::QueuePlacement::default()
    });
    let executor = durable_core::store::NewExecutor {
        key: 2.into(),
        name: "other".to_owned(),
        host: "other".to_owned(),
        lock_file: None,
        version: String::new(),
        lease: Duration::from_hours(1),
    };
    let store = app.store();
    let fence = store.register_executor(&executor).await.unwrap();
    let entry = durable_core::store::Entry { start: Some(foreign), ..durable_core::store::Entry::default() };
    store.commit(fence, &[entry], false).await.unwrap();
    gate(&key).add_permits(1);
    app.scope(async { assert_eq!(queued(key.clone()).enqueue(&ONE).await.unwrap().await.unwrap(), 1) }).await;
    let foreign = app.retrieve_workflow::<u32>("foreign").await.unwrap();
    assert_eq!(foreign.status().await.unwrap(), Status::Enqueued);
    app.shutdown().await;
}

#[workflow]
async fn enqueues_late(key: String) -> Result<String> {
    holding(&key).await;
    let handle = queued(key).id("late").enqueue(&ONE).await?;
    Ok(handle.id().to_owned())
}

async fn enqueueing_works_until_the_end_of_the_drain(stage: &Stage) {
    let key = fresh("late");
    let app = stage.launch().await;
    let handle = app.scope(async { enqueues_late(key.clone()).start().await.unwrap() }).await;
    arrived(&key, 1).await;
    app.request_shutdown();
    gate(&key).add_permits(1);
    assert_eq!(handle.await.unwrap(), "late");
    app.shutdown().await;
    let late = stage.poll().await.into_iter().find(|it| it.id == "late").unwrap();
    assert_eq!(late.status, Status::Enqueued, "nobody here takes it any more");
}
