//! A queue whose claims fail: whatever is wrong with it, the others go on.

use std::sync::Arc;

use durable::prelude::*;
use durable_core::store::Store;

use crate::restart::faulty::Faulty;
use crate::shutdown::{Log, on_a_runtime_that_is_dropped};
use crate::stage::{Stage, on_every_stage};

on_every_stage! {
    a_queue_that_cannot_be_claimed_from_holds_up_no_other,
    a_queue_that_cannot_be_claimed_from_is_in_the_log,
}

#[queue]
static BAD: Queue = Queue::new("failing-bad");
#[queue]
static GOOD: Queue = Queue::new("failing-good");
#[queue]
static AS_GOOD: Queue = Queue::new("failing-as-good").concurrency(2);

#[workflow]
async fn echoes_at_last(number: u32) -> Result<u32> {
    Ok(number)
}

/// A store that refuses every claim from the bad queue.
async fn refusing(stage: &Stage) -> Arc<Faulty> {
    let inner = durable_core::store::open(stage.url(), stage.schema()).await.unwrap();
    let faulty = Arc::new(Faulty::owning(&inner));
    faulty.refuse_claims(Some("failing-bad"));
    faulty
}

async fn a_queue_that_cannot_be_claimed_from_holds_up_no_other(stage: &Stage) {
    let faulty = refusing(stage).await;
    let app = stage.builder("a").store(Arc::clone(&faulty) as Arc<dyn Store>).launch().await.unwrap();
    app.scope(async {
        let bad = echoes_at_last(1).enqueue(&BAD).await.unwrap();
        // By now whatever the failure holds up is held up for seconds.
        faulty.has_refused(6).await;
        let others = async {
            assert_eq!(echoes_at_last(2).queue(&GOOD).await.unwrap(), 2);
            assert_eq!(echoes_at_last(3).queue(&AS_GOOD).await.unwrap(), 3);
            assert_eq!(echoes_at_last(4).delay(Duration::from_millis(1)).await.unwrap(), 4);
        };
        tokio::time::timeout(Duration::from_secs(2), others).await.expect("the others go on");
        assert_eq!(bad.status().await.unwrap(), Status::Enqueued);
        faulty.refuse_claims(None);
        assert_eq!(bad.await.unwrap(), 1, "it is tried again");
    })
    .await;
    app.shutdown().await;
}

async fn a_queue_that_cannot_be_claimed_from_is_in_the_log(stage: &Stage) {
    let (faulty, builder) = (refusing(stage).await, stage.builder("a"));
    let log = Log::default();
    let hearing = log.clone();
    on_a_runtime_that_is_dropped(move |runtime| {
        // All of this engine is on this thread, and so is all that it says.
        let _said = hearing.hears();
        runtime.block_on(async move {
            let app = builder.store(Arc::clone(&faulty) as Arc<dyn Store>).launch().await.unwrap();
            app.scope(async {
                let bad = echoes_at_last(1).enqueue(&BAD).await.unwrap();
                faulty.has_refused(4).await;
                faulty.refuse_claims(None);
                bad.await.unwrap();
            })
            .await;
            app.shutdown().await;
        });
    })
    .await;
    let said = log.text();
    let of_queue: Vec<_> = said.lines().filter(|it| it.contains("queue=failing-bad")).collect();
    let loud: Vec<_> = of_queue.iter().filter(|it| it.contains("WARN")).collect();
    assert!(loud.len() == 1 && loud[0].contains("claiming from a queue failed"), "once, and not with every try: {said}");
    assert!(of_queue.iter().any(|it| it.contains("INFO") && it.contains("again")), "{said}");
}
