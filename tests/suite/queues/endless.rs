//! Durations without end: what people give who mean "for ever".

use durable::prelude::*;
use durable::sqlx::{Connection, PgConnection, SqliteConnection};

use crate::stage::{Stage, on_every_stage};

on_every_stage! {
    a_timeout_without_end_holds_up_nobody_in_the_queue,
    a_delay_without_end_is_one_wherever_it_is_given,
}

#[queue]
static ENDLESS: Queue = Queue::new("endless");

#[workflow]
async fn outlasts(number: u32) -> Result<u32> {
    Ok(number)
}

async fn a_timeout_without_end_holds_up_nobody_in_the_queue(stage: &Stage) {
    let app = stage.launch().await;
    app.scope(async {
        let endless = outlasts(1).queue(&ENDLESS).timeout(Duration::MAX).start().await.unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(20), endless.result()).await;
        assert_eq!(ended.expect("it has its turn").unwrap(), 1);
        assert_eq!(outlasts(2).queue(&ENDLESS).await.unwrap(), 2);
    })
    .await;
    let deadline = stage.poll().await[0].deadline.expect("it has one, which is far away");
    assert!(deadline.to_rfc3339().starts_with("9999-12-31"), "{deadline}");
    app.shutdown().await;
}

#[workflow]
async fn delays_for_ever() -> Result<u32> {
    outlasts(1).delay(Duration::MAX).id("child").start().await?;
    outlasts(2).debounce("child", Duration::MAX).start().await?;
    outlasts(3).debounce_up_to(Duration::MAX).debounce("bounded", Duration::MAX).start().await?;
    Ok(3)
}

async fn a_delay_without_end_is_one_wherever_it_is_given(stage: &Stage) {
    let app = stage.launch().await;
    macro_rules! in_a_transaction {
        ($connection:ident) => {{
            let mut connection = $connection::connect(stage.url()).await.unwrap();
            let mut tx = connection.begin().await.unwrap();
            app.scope(async { outlasts(5).delay(Duration::MAX).id("posted").start_in(&mut *tx).await }).await.unwrap();
            tx.commit().await.expect("the transaction is whole");
            connection.close().await.unwrap();
        }};
    }
    app.scope(async {
        assert_eq!(delays_for_ever().await.unwrap(), 3);
        let handle = outlasts(4).queue(&ENDLESS).delay(Duration::MAX).id("outside").start().await.unwrap();
        assert_eq!(handle.status().await.unwrap(), Status::Delayed);
    })
    .await;
    if stage.is_postgres() {
        in_a_transaction!(PgConnection);
    } else {
        in_a_transaction!(SqliteConnection);
    }
    let delayed: Vec<_> = stage.poll().await.into_iter().filter(|it| it.status == Status::Delayed).collect();
    assert_eq!(delayed.len(), 5, "{delayed:?}");
    for it in delayed {
        let due = it.due_at.expect("it is delayed");
        assert!(due.to_rfc3339().starts_with("9999-12-31"), "{}: {due}", it.id);
    }
    app.shutdown().await;
}
