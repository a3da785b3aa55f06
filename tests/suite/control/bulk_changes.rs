//! `bulk`: changes of all workflows that a filter selects.

use durable::prelude::*;
use durable::{ErrorKind, ForkFrom, GroupBy, queue};

use crate::support::{TestDatabase, count, counted, database_tests, fresh};

database_tests! {
    a_bulk_change_reaches_every_workflow_of_the_filter_and_no_other,
    a_bulk_change_goes_on_after_a_crash,
    a_bulk_fork_makes_one_fork_of_each_workflow,
    a_refused_workflow_is_counted_with_its_reason,
    a_bulk_change_without_a_condition_is_refused,
    a_bulk_change_is_cancelled_and_resumed,
    workflows_that_are_created_later_are_left_alone,
}

#[queue]
static MANY: Queue = Queue::new("bulk_many");

#[step]
async fn works_later(key: String, works: String) -> Result<u32> {
    count(&key);
    if counted(&works) == 0 { Err(Error::msg("not yet")) } else { Ok(1) }
}

#[workflow]
async fn bulk_failing(key: String, works: String) -> Result<u32> {
    works_later(key, works).await
}

#[workflow]
async fn bulk_waiting() -> Result<()> {
    durable::recv::<u32>("go", Duration::from_hours(1)).await?;
    Ok(())
}

async fn failed_ones(many: usize) -> (String, String) {
    let (key, works) = (fresh("bulk"), fresh("works"));
    let calls =
        (0..many).map(|number| bulk_failing(key.clone(), works.clone()).id(format!("w-{number:04}")).into_future());
    for ended in futures_util::future::join_all(calls).await {
        ended.unwrap_err();
    }
    (key, works)
}

async fn with_status(app: &Durable, name: &str, status: Status) -> u64 {
    app.count_workflows(Filter::new().name(name).status(status), GroupBy::Status).await.unwrap().total
}

async fn a_bulk_change_reaches_every_workflow_of_the_filter_and_no_other(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        let (_, works) = failed_ones(450).await;
        let other = bulk_waiting().id("other").start().await.unwrap();
        other.cancel().await.unwrap();
        count(&works);

        let failed = app.bulk(Filter::new().status(Status::Error).name("bulk_failing"));
        assert_eq!(failed.count().await.unwrap(), 450);
        let report = failed.resume().start().await.unwrap().result().await.unwrap();
        assert_eq!((report.matched, report.changed, report.refused), (450, 450, 0));
        crate::support::until("all have ended", async || {
            with_status(&app, "bulk_failing", Status::Success).await == 450
        })
        .await;
        assert_eq!(app.workflow("other").await.unwrap().unwrap().status, Status::Cancelled);

        let report = app.bulk(Filter::new().id_prefix("w-00")).delete().run(|_| {}).await.unwrap();
        assert_eq!(report.changed, 100);
        assert_eq!(app.bulk(Filter::new().name("bulk_failing")).count().await.unwrap(), 350);
    })
    .await;
    app.shutdown().await;
}

async fn a_bulk_change_goes_on_after_a_crash(database: &TestDatabase) {
    let app = database.launch().await;
    let id = app
        .scope(async {
            failed_ones(60).await;
            let labeled = app.bulk(Filter::new().name("bulk_failing")).set_labels([("seen", "yes")]);
            let handle = labeled.per_second(20).id("labels").start().await.unwrap();
            let some = handle.event::<durable::BulkReport>("progress", Duration::from_mins(1)).await.unwrap().unwrap();
            assert!(some.changed < 60, "{some:?}");
            handle.id().to_owned()
        })
        .await;
    database.crash(app).await;

    let app = database.launch().await;
    let handle = app.retrieve_workflow::<durable::BulkReport>(&id).await.unwrap();
    assert_eq!(handle.result().await.unwrap().matched, 60);
    assert_eq!(app.bulk(Filter::new().label("seen", "yes")).count().await.unwrap(), 60);
    app.shutdown().await;
}

async fn a_bulk_fork_makes_one_fork_of_each_workflow(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        let (key, works) = failed_ones(30).await;
        count(&works);
        let failed = app.bulk(Filter::new().status(Status::Error).name("bulk_failing"));
        for _ in 0..2 {
            let handle = failed.fork(ForkFrom::Failure).id("forks").start().await.unwrap();
            assert_eq!(handle.result().await.unwrap().changed, 30);
        }
        crate::support::until("the forks have ended", async || {
            with_status(&app, "bulk_failing", Status::Success).await == 30
        })
        .await;
        assert_eq!((counted(&key), with_status(&app, "bulk_failing", Status::Error).await), (60, 30));
    })
    .await;
    app.shutdown().await;
}

async fn a_refused_workflow_is_counted_with_its_reason(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        bulk_waiting().id("lives").start().await.unwrap();
        failed_ones(3).await;
        let some = app.bulk(Filter::new().name("bulk_waiting").name("bulk_failing"));
        let report = some.delete().run(|_| {}).await.unwrap();
        assert_eq!((report.matched, report.changed, report.refused), (4, 3, 1));
        assert!(report.reasons["lives"].contains("durable cancel lives"), "{report:?}");
    })
    .await;
    app.shutdown().await;
}

async fn a_bulk_change_without_a_condition_is_refused(database: &TestDatabase) {
    let app = database.launch().await;
    let refused = app.bulk(Filter::new().limit(3)).cancel().start().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Misuse, "{refused}");
    app.shutdown().await;
}

async fn a_bulk_change_is_cancelled_and_resumed(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        failed_ones(9).await;
        let call = app.bulk(Filter::new().name("bulk_failing")).set_labels([("seen", "yes")]);
        let handle = call.per_second(3).id("labels").start().await.unwrap();
        handle.event::<durable::BulkReport>("progress", Duration::from_mins(1)).await.unwrap().unwrap();
        handle.cancel().await.unwrap();
        assert_eq!(handle.result().await.unwrap_err().kind(), ErrorKind::Cancelled);
        app.resume_workflow("labels").await.unwrap();
        let again = app.retrieve_workflow::<durable::BulkReport>("labels").await.unwrap();
        assert_eq!(again.result().await.unwrap().matched, 9);
    })
    .await;
    app.shutdown().await;
}

async fn workflows_that_are_created_later_are_left_alone(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        for number in 0..3 {
            bulk_waiting().id(format!("w-{number}")).queue(&MANY).delay(Duration::from_hours(1)).start().await.unwrap();
        }
        // Every restart makes a workflow that the filter selects, too.
        let report = app.bulk(Filter::new().name("bulk_waiting")).restart().run(|_| {}).await.unwrap();
        assert_eq!((report.matched, report.changed), (3, 3));
    })
    .await;
    app.shutdown().await;
}
