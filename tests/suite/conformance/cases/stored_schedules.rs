//! Schedules in the database.

use durable_core::store::{ScheduleChange, ScheduleRow, Store, Timestamp};

use crate::support::store_database::StoreDatabase;

fn hourly(name: &str) -> ScheduleRow {
    ScheduleRow {
        name: name.into(),
        workflow: "report".into(),
        cron: "0 * * * *".into(),
        timezone: "UTC".into(),
        misfire: "once".into(),
        overlap: "skip".into(),
        input: Some(r#"{"of":"sales"}"#.into()),
        queue: Some("mail".into()),
        timeout: Some(60_000_000),
        instance: Some("north".into()),
        in_code: false,
        paused: false,
        last_tick: Timestamp::UNIX_EPOCH,
    }
}

async fn row(store: &dyn Store, name: &str) -> ScheduleRow {
    store.schedules().await.unwrap().into_iter().find(|it| it.name == name).expect("it is there")
}

pub(crate) async fn a_new_schedule_starts_from_now(database: StoreDatabase) {
    let store = &*database.store;
    let before = store.now().await.unwrap();
    store.upsert_schedules(&[hourly("b"), ScheduleRow { input: None, in_code: true, ..hourly("a") }]).await.unwrap();
    let rows = store.schedules().await.unwrap();
    assert_eq!(rows.iter().map(|it| &*it.name).collect::<Vec<_>>(), ["a", "b"], "by name");
    assert!((before..=store.now().await.unwrap()).contains(&rows[1].last_tick));
    assert_eq!(ScheduleRow { last_tick: Timestamp::UNIX_EPOCH, ..rows[1].clone() }, hourly("b"));
    assert_eq!((rows[0].input.as_deref(), rows[0].in_code), (None, true));
}

pub(crate) async fn a_replaced_schedule_keeps_its_pause_and_its_last_tick(database: StoreDatabase) {
    let store = &*database.store;
    store.upsert_schedules(&[hourly("a")]).await.unwrap();
    assert!(store.change_schedule("a", ScheduleChange::Pause).await.unwrap());
    let before = row(store, "a").await;
    assert!(before.paused);
    let new = ScheduleRow {
        workflow: "other".into(),
        misfire: "all".into(),
        overlap: "allow".into(),
        input: None,
        in_code: true,
        ..before
    };
    let count = store
        .upsert_schedules(&[ScheduleRow { paused: false, last_tick: Timestamp::from_micros(7), ..new.clone() }])
        .await
        .unwrap();
    assert_eq!((count, row(store, "a").await), (1, new));
}

pub(crate) async fn a_changed_cron_expression_starts_from_now(database: StoreDatabase) {
    let store = &*database.store;
    store.upsert_schedules(&[hourly("cron"), hourly("zone"), hourly("same")]).await.unwrap();
    let made = row(store, "same").await.last_tick;
    let changed = [
        ScheduleRow { cron: "5 * * * *".into(), ..hourly("cron") },
        ScheduleRow { timezone: "Europe/Warsaw".into(), ..hourly("zone") },
        ScheduleRow { misfire: "all".into(), input: None, ..hourly("same") },
    ];
    let before = store.now().await.unwrap();
    assert!(before > made);
    assert_eq!(store.upsert_schedules(&changed).await.unwrap(), 3);
    assert!(row(store, "cron").await.last_tick >= before && row(store, "zone").await.last_tick >= before);
    assert_eq!(row(store, "same").await, ScheduleRow { last_tick: made, ..changed[2].clone() });
}

pub(crate) async fn a_schedule_in_code_is_not_replaced_by_one_created_at_run_time(database: StoreDatabase) {
    let store = &*database.store;
    let in_code = ScheduleRow { in_code: true, ..hourly("a") };
    assert_eq!(store.upsert_schedules(&[hourly("a")]).await.unwrap(), 1);
    assert_eq!(store.upsert_schedules(std::slice::from_ref(&in_code)).await.unwrap(), 1, "the code takes its name");
    assert_eq!(store.upsert_schedules(&[ScheduleRow { workflow: "other".into(), ..hourly("a") }]).await.unwrap(), 0);
    assert_eq!(row(store, "a").await, ScheduleRow { last_tick: row(store, "a").await.last_tick, ..in_code });
}

pub(crate) async fn the_last_tick_never_goes_back(database: StoreDatabase) {
    let store = &*database.store;
    store.upsert_schedules(&[hourly("a"), hourly("b")]).await.unwrap();
    let other = row(store, "b").await;
    // A tick in the future may go back: the clock has.
    let later = row(store, "a").await.last_tick.saturating_add(2 * Timestamp::RESOLUTION);
    for tick in [later, later.saturating_sub(Timestamp::RESOLUTION)] {
        assert!(store.change_schedule("a", ScheduleChange::Fired(tick)).await.unwrap());
        assert_eq!(row(store, "a").await.last_tick, later);
    }
    assert_eq!(row(store, "b").await, other, "the other one is not touched");
}

pub(crate) async fn ticks_missed_during_a_pause_stay_missed(database: StoreDatabase) {
    let store = &*database.store;
    store.upsert_schedules(&[hourly("a")]).await.unwrap();
    let made = row(store, "a").await.last_tick;
    store.change_schedule("a", ScheduleChange::Resume).await.unwrap();
    assert_eq!(row(store, "a").await.last_tick, made, "it was not paused");
    store.change_schedule("a", ScheduleChange::Pause).await.unwrap();
    let before = store.now().await.unwrap();
    store.change_schedule("a", ScheduleChange::Resume).await.unwrap();
    let resumed = row(store, "a").await;
    assert!(!resumed.paused && resumed.last_tick >= before);
}

pub(crate) async fn changing_a_schedule_reports_whether_it_exists(database: StoreDatabase) {
    let store = &*database.store;
    store.upsert_schedules(&[hourly("a"), hourly("b")]).await.unwrap();
    assert!(store.change_schedule("a", ScheduleChange::Delete).await.unwrap());
    for change in [
        ScheduleChange::Delete,
        ScheduleChange::Pause,
        ScheduleChange::Resume,
        ScheduleChange::Fired(Timestamp::LATEST),
    ] {
        assert!(!store.change_schedule("a", change).await.unwrap());
    }
    assert_eq!(store.schedules().await.unwrap().len(), 1);
}
