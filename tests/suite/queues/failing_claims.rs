//! A queue with failing claims does not affect the others.

use std::sync::Arc;

use durable::prelude::*;
use durable_core::store::Store;

use crate::support::{FaultPlan, FaultyStore, LogCapture, TestDatabase, database_tests, on_dropped_runtime};

database_tests! {
    a_queue_whose_claims_fail_does_not_block_the_others,
    a_queue_whose_claims_fail_is_logged_once,
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
async fn refusing(database: &TestDatabase) -> Arc<FaultyStore> {
    let inner = durable_core::store::open(database.url(), database.schema()).await.unwrap();
    let faulty = Arc::new(FaultyStore::owning(&inner, FaultPlan::default()));
    faulty.refuse_claims(Some("failing-bad"));
    faulty
}

async fn a_queue_whose_claims_fail_does_not_block_the_others(database: &TestDatabase) {
    let faulty = refusing(database).await;
    let app = database.builder("a").store(Arc::clone(&faulty) as Arc<dyn Store>).launch().await.unwrap();
    app.scope(async {
        let bad = echoes_at_last(1).enqueue(&BAD).await.unwrap();
        // By now the back-off after the failures lasts for seconds.
        faulty.wait_for_refusals(6).await;
        let others = async {
            assert_eq!(echoes_at_last(2).queue(&GOOD).await.unwrap(), 2);
            assert_eq!(echoes_at_last(3).queue(&AS_GOOD).await.unwrap(), 3);
            assert_eq!(echoes_at_last(4).delay(Duration::from_millis(1)).await.unwrap(), 4);
        };
        tokio::time::timeout(Duration::from_secs(4), others).await.expect("the others go on");
        assert_eq!(bad.status().await.unwrap(), Status::Enqueued);
        faulty.refuse_claims(None);
        assert_eq!(bad.await.unwrap(), 1, "it is tried again");
    })
    .await;
    app.shutdown().await;
}

async fn a_queue_whose_claims_fail_is_logged_once(database: &TestDatabase) {
    let (faulty, builder) = (refusing(database).await, database.builder("a"));
    let log = LogCapture::default();
    let captured = log.clone();
    on_dropped_runtime(move |runtime| {
        // All of this engine runs on this thread, so all of its log is recorded.
        let _recording = captured.record();
        runtime.block_on(async move {
            let app = builder.store(Arc::clone(&faulty) as Arc<dyn Store>).launch().await.unwrap();
            app.scope(async {
                let bad = echoes_at_last(1).enqueue(&BAD).await.unwrap();
                faulty.wait_for_refusals(4).await;
                faulty.refuse_claims(None);
                bad.await.unwrap();
            })
            .await;
            app.shutdown().await;
        });
    })
    .await;
    let text = log.text();
    let of_queue: Vec<_> = text.lines().filter(|it| it.contains("queue=failing-bad")).collect();
    let loud: Vec<_> = of_queue.iter().filter(|it| it.contains("WARN")).collect();
    assert!(
        loud.len() == 1 && loud[0].contains("claiming from a queue failed"),
        "once, and not with every attempt: {text}"
    );
    assert!(of_queue.iter().any(|it| it.contains("INFO") && it.contains("again")), "{text}");
}
