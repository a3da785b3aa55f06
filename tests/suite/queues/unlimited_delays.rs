//! Durations such as `Duration::MAX` as delays and timeouts.

use durable::prelude::*;
use durable::sqlx::{Connection, PgConnection, SqliteConnection};

use crate::support::{TestDatabase, database_tests};

database_tests! {
an_unlimited_timeout_does_not_block_the_queue,
an_unlimited_delay_is_accepted_everywhere,
}

#[queue]
static ENDLESS: Queue = Queue::new("endless");

#[workflow]
async fn outlasts(number: u32) -> Result<u32> {
    Ok(number)
}

async fn an_unlimited_timeout_does_not_block_the_queue(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        let endless = outlasts(1).queue(&ENDLESS).timeout(Duration::MAX).start().await.unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(20), endless.result()).await;
        assert_eq!(ended.expect("it has its turn").unwrap(), 1);
        assert_eq!(outlasts(2).queue(&ENDLESS).await.unwrap(), 2);
    })
    .await;
    let deadline = database.workflows().await[0].deadline.expect("it has one, which is far away");
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

async fn an_unlimited_delay_is_accepted_everywhere(database: &TestDatabase) {
    let app = database.launch().await;
    macro_rules! in_a_transaction {
        ($connection:ident) => {{
            let mut connection = $connection::connect(database.url()).await.unwrap();
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
    if database.is_postgres() {
        in_a_transaction!(PgConnection);
    } else {
        in_a_transaction!(SqliteConnection);
    }
    let delayed: Vec<_> = database.workflows().await.into_iter().filter(|it| it.status == Status::Delayed).collect();
    assert_eq!(delayed.len(), 5, "{delayed:?}");
    for it in delayed {
        let due = it.due_at.expect("it is delayed");
        assert!(due.to_rfc3339().starts_with("9999-12-31"), "{}: {due}", it.id);
    }
    app.shutdown().await;
}
