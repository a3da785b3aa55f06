//! Schedules, as the database keeps them.

use durable_core::store::{ScheduleChange, ScheduleRow, Store};

use super::super::site::Site;

fn hourly(name: &str) -> ScheduleRow {
    ScheduleRow {
        name: name.into(),
        workflow: "report".into(),
        cron: "0 * * * *".into(),
        timezone: "UTC".into(),
        misfire: "once".into(),
        overlap: "skip".into(),
        input: Some(r#"{"of":"sales"}"#.into()),
        in_code: false,
        paused: false,
        last_tick: 0,
    }
}

async fn row(store: &dyn Store, name: &str) -> ScheduleRow {
    store.schedules().await.unwrap().into_iter().find(|it| it.name == name).expect("it is there")
}

pub(crate) async fn a_schedule_is_stored_as_it_is_and_begins_now(site: Site) {
    let store = &*site.store;
    let before = store.now().await.unwrap();
    store.put_schedules(&[hourly("b"), ScheduleRow { input: None, in_code: true, ..hourly("a") }]).await.unwrap();
    let rows = store.schedules().await.unwrap();
    assert_eq!(rows.iter().map(|it| &*it.name).collect::<Vec<_>>(), ["a", "b"], "by name");
    assert!((before..=store.now().await.unwrap()).contains(&rows[1].last_tick));
    assert_eq!(ScheduleRow { last_tick: 0, ..rows[1].clone() }, hourly("b"));
    assert_eq!((rows[0].input.as_deref(), rows[0].in_code), (None, true));
}

pub(crate) async fn another_of_its_name_keeps_its_pause_and_its_last_tick(site: Site) {
    let store = &*site.store;
    store.put_schedules(&[hourly("a")]).await.unwrap();
    assert!(store.change_schedule("a", ScheduleChange::Pause).await.unwrap());
    let before = row(store, "a").await;
    assert!(before.paused);
    let new = ScheduleRow {
        workflow: "other".into(),
        cron: "5 * * * *".into(),
        timezone: "Europe/Warsaw".into(),
        misfire: "all".into(),
        overlap: "allow".into(),
        input: None,
        in_code: true,
        ..before
    };
    store.put_schedules(&[ScheduleRow { paused: false, last_tick: 7, ..new.clone() }]).await.unwrap();
    assert_eq!(row(store, "a").await, new);
}

pub(crate) async fn the_last_tick_never_goes_back(site: Site) {
    let store = &*site.store;
    store.put_schedules(&[hourly("a"), hourly("b")]).await.unwrap();
    let later = row(store, "a").await.last_tick + 3_600_000_000;
    for tick in [later, later - 1] {
        assert!(store.change_schedule("a", ScheduleChange::Fired(tick)).await.unwrap());
        assert_eq!(row(store, "a").await.last_tick, later);
    }
    assert!(row(store, "b").await.last_tick < later, "the other one is not touched");
}

pub(crate) async fn what_a_pause_missed_stays_missed(site: Site) {
    let store = &*site.store;
    store.put_schedules(&[hourly("a")]).await.unwrap();
    let made = row(store, "a").await.last_tick;
    store.change_schedule("a", ScheduleChange::Resume).await.unwrap();
    assert_eq!(row(store, "a").await.last_tick, made, "it was not paused");
    store.change_schedule("a", ScheduleChange::Pause).await.unwrap();
    let before = store.now().await.unwrap();
    store.change_schedule("a", ScheduleChange::Resume).await.unwrap();
    let resumed = row(store, "a").await;
    assert!(!resumed.paused && resumed.last_tick >= before);
}

pub(crate) async fn a_change_says_whether_there_is_such_a_schedule(site: Site) {
    let store = &*site.store;
    store.put_schedules(&[hourly("a"), hourly("b")]).await.unwrap();
    assert!(store.change_schedule("a", ScheduleChange::Delete).await.unwrap());
    for change in
        [ScheduleChange::Delete, ScheduleChange::Pause, ScheduleChange::Resume, ScheduleChange::Fired(i64::MAX)]
    {
        assert!(!store.change_schedule("a", change).await.unwrap());
    }
    assert_eq!(store.schedules().await.unwrap().len(), 1);
}
