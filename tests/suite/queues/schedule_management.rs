//! Managing schedules: backfill, trigger, pause, delete.

use durable::prelude::*;
use durable::{ErrorKind, Misfire, Overlap, ScheduleInfo};

use crate::support::{TestDatabase, arrived, count, counted, database_tests, fresh, gate, until};

database_tests! {
a_backfill_of_the_future_does_not_change_the_next_tick,
a_backfill_returns_the_number_of_started_workflows,
a_scheduled_method_runs_on_its_instance,
a_tick_that_cannot_be_started_is_skipped,
a_schedule_that_is_far_behind_does_not_block_others_and_can_be_paused,
a_refused_trigger_names_the_running_workflow,
schedules_can_be_managed_in_steps_and_not_in_workflow_bodies,
the_name_of_a_schedule_in_code_cannot_be_taken,
next_tick_is_never_in_the_past,
}

#[workflow]
async fn counts_stock(of: String) -> Result<String> {
    Ok(of)
}

#[workflow]
async fn takes_stock(key: String) -> Result<()> {
    takes_its_time(&key).await;
    Ok(())
}

#[step]
async fn takes_its_time(key: &str) {
    count(key);
    gate(key).acquire().await.unwrap().forget();
}

struct Warehouse(String);

impl Instance for Warehouse {
    fn instance_name(&self) -> &str {
        &self.0
    }
}

#[durable::instance]
impl Warehouse {
    #[workflow]
    async fn name_and(&self, what: String) -> Result<String> {
        Ok(format!("{} {what}", self.0))
    }
}

/// Tests start it by hand.
#[scheduled("0 0 29 2 *")]
#[workflow]
async fn leap_stock(_scheduled: DateTime<Utc>, _actual: DateTime<Utc>) -> Result<()> {
    Ok(())
}

#[step]
async fn triggers_one(name: &str) -> Result<String> {
    durable::trigger_schedule(name).await
}

#[workflow]
async fn triggers(name: String) -> Result<String> {
    let refused = durable::trigger_schedule(&name).await.expect_err("it is not recorded");
    assert_eq!(refused.kind(), ErrorKind::Misuse);
    assert!(refused.to_string().contains("trigger_schedule") && refused.to_string().contains("#[step]"), "{refused}");
    let made = counts_stock(String::new()).schedule("never-made", "0 0 * * *").await;
    assert_eq!(made.expect_err("it is not recorded").kind(), ErrorKind::Misuse);
    triggers_one(&name).await
}

const HOUR: Duration = Duration::from_hours(1);
const DAILY: &str = "0 0 * * *";

fn moment(text: &str) -> DateTime<Utc> {
    text.parse().expect("it is a date")
}

async fn info(name: &str) -> ScheduleInfo {
    let all = durable::list_schedules().await.unwrap();
    all.into_iter().find(|it| it.name == name).expect("it is there")
}

/// The ids of the workflows that a schedule has started, in the order of their ticks.
async fn started(database: &TestDatabase, name: &str) -> Vec<String> {
    let prefix = format!("{name}@");
    let mut ids: Vec<_> =
        database.workflows().await.into_iter().map(|it| it.id).filter(|it| it.starts_with(&prefix)).collect();
    ids.sort_unstable();
    ids
}

async fn a_backfill_of_the_future_does_not_change_the_next_tick(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        counts_stock("new".into()).schedule("new", DAILY).await.unwrap();
        let before = info("new").await;
        let (from, to) = (moment("2090-01-01T00:00:00Z"), moment("2090-01-03T00:00:00Z"));
        assert_eq!(durable::backfill_schedule("new", from, to).await.unwrap(), 2);
        let after = info("new").await;
        assert_eq!((after.last_tick, after.next_tick), (before.last_tick, before.next_tick));
    })
    .await;
    app.shutdown().await;
}

async fn a_backfill_returns_the_number_of_started_workflows(database: &TestDatabase) {
    let key = fresh("stock");
    let app = database.launch().await;
    app.scope(async {
        takes_stock(key.clone()).schedule("alone", DAILY).overlap(Overlap::Skip).await.unwrap();
        let (from, to) = (moment("2026-01-01T00:00:00Z"), moment("2026-01-04T00:00:00Z"));
        assert_eq!(durable::backfill_schedule("alone", from, to).await.unwrap(), 1, "the others would overlap with it");
        gate(&key).add_permits(1);
        let first = durable::retrieve_workflow::<()>("alone@2026-01-01T00:00:00Z").await.unwrap();
        first.await.unwrap();
        assert_eq!(durable::backfill_schedule("alone", from, to).await.unwrap(), 2, "one that is there, and the next");
        assert_eq!(started(database, "alone").await, ["alone@2026-01-01T00:00:00Z", "alone@2026-01-02T00:00:00Z"]);
        gate(&key).add_permits(1);
    })
    .await;
    app.shutdown().await;
}

async fn a_scheduled_method_runs_on_its_instance(database: &TestDatabase) {
    let mut builder = database.builder("warehouse");
    let north = builder.instance(Warehouse("north".into()));
    let _south = builder.instance(Warehouse("south".into()));
    let app = builder.launch().await.unwrap();
    app.scope(async {
        north.name_and("apples".into()).schedule("apples", DAILY).await.unwrap();
        assert_eq!(info("apples").await.instance.as_deref(), Some("north"));
        let id = durable::trigger_schedule("apples").await.unwrap();
        let handle = durable::retrieve_workflow::<String>(&id).await.unwrap();
        assert_eq!(handle.await.unwrap(), "north apples");
    })
    .await;
    app.shutdown().await;
}

/// Each hour, half an hour from now at first: no tick falls into the time that a test takes.
fn hourly() -> String {
    format!("{} * * * *", (Utc::now().timestamp() / 60 + 30) % 60)
}

async fn a_tick_that_cannot_be_started_is_skipped(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        counts_stock("x".into()).schedule("taken", hourly()).misfire(Misfire::All).await.unwrap();
        let first = info("taken").await.next_tick.expect("it is due each hour");
        let ids: Vec<_> = (0..3).map(|hours| format!("taken@{}", (first + hours * HOUR).format("%FT%TZ"))).collect();
        triggers("nothing".into()).id(&ids[1]).delay(100 * HOUR).start().await.unwrap(); // an id of another workflow
        app.skip_time(3 * HOUR);
        until("the third tick is done", async || info("taken").await.last_tick >= first + 2 * HOUR).await;
        let mut found: Vec<_> = database.workflows().await.into_iter().filter(|it| it.name == "counts_stock").collect();
        found.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        assert_eq!(found.iter().map(|it| &it.id).collect::<Vec<_>>(), [&ids[0], &ids[2]]);
    })
    .await;
    app.shutdown().await;
}

async fn a_schedule_that_is_far_behind_does_not_block_others_and_can_be_paused(database: &TestDatabase) {
    let app = database.launch().await;
    app.skip_time(5 * HOUR); // later than the database, which notes when schedules are made
    app.scope(async {
        counts_stock("a".into()).schedule("far-behind", "* * * * * *").misfire(Misfire::All).await.unwrap();
        counts_stock("b".into()).schedule("hourly", hourly()).misfire(Misfire::All).await.unwrap();
        until("the other schedule has fired", async || started(database, "hourly").await.len() >= 5).await;
        durable::pause_schedule("far-behind").await.unwrap();
        app.listening().await; // it has been notified of the pause
        let left = 5 * 3_600 - started(database, "far-behind").await.len();
        assert!(left > 3_600, "the others have waited, or it goes on although it is paused: {left} are left");
    })
    .await;
    app.shutdown().await;
}

async fn a_refused_trigger_names_the_running_workflow(database: &TestDatabase) {
    let key = fresh("stock");
    let app = database.launch().await;
    app.scope(async {
        takes_stock(key.clone()).schedule("alone", DAILY).overlap(Overlap::Skip).await.unwrap();
        let id = durable::trigger_schedule("alone").await.unwrap();
        arrived(&key, 1).await;
        let refused = durable::trigger_schedule("alone").await.expect_err("one runs");
        assert_eq!((refused.kind(), refused.workflow_id()), (ErrorKind::Duplicate, Some(id.as_str())));
        let text = refused.to_string();
        assert!(text.contains("the schedule \"alone\"") && text.contains("overlap") && text.contains(&id), "{text}");
        gate(&key).add_permits(1);
        durable::retrieve_workflow::<()>(&id).await.unwrap().await.unwrap();
    })
    .await;
    app.shutdown().await;
    assert_eq!(counted(&key), 1);
}

async fn schedules_can_be_managed_in_steps_and_not_in_workflow_bodies(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        counts_stock("x".into()).schedule("by-hand", DAILY).await.unwrap();
        let id = triggers("by-hand".into()).await.unwrap();
        assert_eq!(started(database, "by-hand").await, [id]);
        let all = durable::list_schedules().await.unwrap();
        assert!(all.iter().all(|it| it.name != "never-made"));
    })
    .await;
    app.shutdown().await;
}

async fn the_name_of_a_schedule_in_code_cannot_be_taken(database: &TestDatabase) {
    let app = database.launch().await;
    app.scope(async {
        let refused =
            counts_stock("x".into()).schedule("leap_stock", DAILY).await.expect_err("it is taken").to_string();
        assert!(refused.contains("\"leap_stock\" is one in the code") && refused.contains("another name"), "{refused}");
        assert_eq!(info("leap_stock").await.workflow, "leap_stock");

        let mut row = app.store().schedules().await.unwrap().into_iter().find(|it| it.name == "leap_stock").unwrap();
        (row.name, row.workflow) = ("counts_stock".into(), "counts_stock".into()); // as an earlier version had it
        app.store().upsert_schedules(&[row]).await.unwrap();
        let refused = durable::trigger_schedule("counts_stock").await.expect_err("with which arguments?").to_string();
        assert!(refused.contains("has no #[scheduled] in this program"), "{refused}");
        durable::delete_schedule("counts_stock").await.unwrap();
    })
    .await;
    app.shutdown().await;
}

async fn next_tick_is_never_in_the_past(database: &TestDatabase) {
    let app = database.launch().await;
    app.skip_time(5 * HOUR);
    app.scope(async {
        counts_stock("x".into()).schedule("skips", hourly()).await.unwrap();
        let skips = info("skips").await;
        assert!(skips.last_tick < Utc::now() + HOUR, "the database has made it five hours ago");
        assert!(skips.next_tick.unwrap() > Utc::now() + 5 * HOUR, "{skips:?}");
    })
    .await;
    app.shutdown().await;
}
