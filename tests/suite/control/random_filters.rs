//! Random filters select what a model of them selects, page by page, in both orders, and are counted so.

use std::collections::{BTreeMap, BTreeSet};

use durable::prelude::*;
use durable::{Client, GroupBy};

use crate::support::{Random, TestDatabase, database_tests};

database_tests! {
    random_filters_select_what_a_model_selects,
}

const ROWS: usize = 300;
const FILTERS: usize = 250;
/// When the first workflow was created, in seconds. Each other one was a few seconds later.
const BEGIN: i64 = 1_700_000_000;
const NAMES: [&str; 4] = ["checkout", "refund", "Refund", "re%fund"];
const QUEUES: [&str; 3] = ["mail", "orders", "or_ders"];
const TEXTS: [&str; 4] = ["eu", "us", "a'b", "\u{17c}"];
const ERRORS: [&str; 4] = ["the card was Declined", "50% of a_b", r#"no "courier" in C:\temp"#, "timeout"];
const EXECUTORS: [&str; 2] = ["pod-1", "pod-2"];
/// What is asked for and nothing has.
const MISSING: &str = "missing";

#[derive(Debug, Clone)]
struct Row {
    id: String,
    name: &'static str,
    status: Status,
    queue: Option<&'static str>,
    partition: Option<&'static str>,
    version: Option<&'static str>,
    user: Option<&'static str>,
    forked_from: Option<String>,
    parent: Option<usize>,
    executor: Option<usize>,
    labels: BTreeMap<&'static str, &'static str>,
    created: i64,
    started: Option<i64>,
    completed: Option<i64>,
    error: Option<&'static str>,
    reason: Option<&'static str>,
}

fn maybe<T: Copy>(random: &mut Random, from: &[T]) -> Option<T> {
    random.chance(50).then(|| random.pick(from))
}

fn rows(random: &mut Random) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for number in 0..ROWS {
        let status = random.pick(&Status::ALL);
        let created = BEGIN + 5 * i64::try_from(number).unwrap();
        let ended = matches!(status, Status::Success | Status::Error | Status::Cancelled);
        let earlier = |random: &mut Random| (number > 0 && random.chance(30)).then(|| random.index(number));
        let forked_from = earlier(random).map(|it| rows[it].id.clone());
        rows.push(Row {
            id: format!("{}{number}", random.pick(&["order-", "order_", "\u{17c}-", "O", ""])),
            name: random.pick(&NAMES),
            status,
            queue: maybe(random, &QUEUES),
            partition: maybe(random, &TEXTS),
            version: maybe(random, &TEXTS),
            user: maybe(random, &TEXTS),
            forked_from,
            parent: earlier(random),
            executor: random.chance(50).then(|| random.index(EXECUTORS.len())),
            labels: ["tenant", "region"].into_iter().filter_map(|name| Some((name, maybe(random, &TEXTS)?))).collect(),
            created,
            started: random.chance(70).then(|| created + i64::try_from(random.below(100)).unwrap()),
            // Some share their time.
            completed: ended.then(|| created + 60 * i64::try_from(random.below(20)).unwrap()),
            error: (status == Status::Error).then(|| random.pick(&ERRORS)),
            reason: matches!(status, Status::Parked | Status::Cancelled).then(|| random.pick(&ERRORS)),
        });
    }
    rows
}

fn quoted(text: Option<&str>) -> String {
    text.map_or_else(|| "null".to_owned(), |text| format!("'{}'", text.replace('\'', "''")))
}

fn number(number: Option<i64>) -> String {
    number.map_or_else(|| "null".to_owned(), |number| number.to_string())
}

/// Keys are made of the time.
fn key(row: &Row) -> i64 {
    (row.created * 1_000_000 - 1_577_836_800_000_000) * 1024
}

async fn insert(database: &TestDatabase, rows: &[Row]) {
    let mut connection = database.direct_connection().await;
    for (key, name) in (1..).zip(EXECUTORS) {
        connection
            .execute(&format!(
                "insert into durable.executors (key, name, epoch, state, lease_until, started_at, host) values ({key}, '{name}', 1, 'DEAD', 0, 0, 'h')"
            ))
            .await;
    }
    let micros = |seconds: Option<i64>| number(seconds.map(|it| it * 1_000_000));
    for row in rows {
        let error = row.error.map(|it| serde_json::json!({ "message": it }).to_string());
        let labels = (!row.labels.is_empty()).then(|| serde_json::json!(row.labels).to_string());
        let values = [
            key(row).to_string(),
            quoted(Some(&row.id)),
            quoted(Some(row.name)),
            quoted(Some(row.status.as_str())),
            quoted(row.queue),
            quoted(Some(row.partition.unwrap_or_default())),
            quoted(row.version),
            quoted(row.user),
            quoted(row.forked_from.as_deref()),
            number(row.parent.map(|it| key(&rows[it]))),
            number(row.executor.map(|it| i64::try_from(it).unwrap() + 1)),
            quoted(labels.as_deref()),
            micros(Some(row.created)),
            micros(row.started),
            micros(row.completed),
            quoted(error.as_deref()),
            quoted(row.reason),
            "'{}'".to_owned(),
        ];
        connection
            .execute(&format!(
                "insert into durable.workflows (key, id, name, status, queue, partition_key, version, started_by, forked_from, parent, executor, labels, created_at, started_at, completed_at, error, reason, input) values ({})",
                values.join(", ")
            ))
            .await;
    }
}

/// A condition of the model.
type Condition = Box<dyn Fn(&Row) -> bool>;

/// A filter, its conditions in the model, and whether its listing is in the order of the ends.
struct RandomFilter {
    filter: Filter,
    conditions: Vec<Condition>,
    by_completion: bool,
}

/// One or two of these texts, or one that nothing has.
fn texts(random: &mut Random, from: &[&'static str]) -> Vec<&'static str> {
    (0..=random.below(2)).map(|_| if random.chance(5) { MISSING } else { random.pick(from) }).collect()
}

fn time(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(second, 0).expect("it is a time")
}

fn filter(random: &mut Random, rows: &[Row]) -> RandomFilter {
    let mut made = RandomFilter { filter: Filter::new(), conditions: Vec::new(), by_completion: false };
    let percent = random.pick(&[5, 10, 20]);
    macro_rules! by_text {
        ($from:expr, $method:ident, $value:expr) => {
            if random.chance(percent) {
                let wanted = texts(random, $from);
                made.filter = wanted.iter().fold(made.filter, |filter, it| filter.$method(*it));
                let value: fn(&Row) -> Option<&str> = $value;
                made.conditions.push(Box::new(move |row| value(row).is_some_and(|it| wanted.contains(&it))));
            }
        };
    }
    by_text!(&NAMES, name, |row| Some(row.name));
    by_text!(&QUEUES, queue, |row| row.queue);
    by_text!(&TEXTS, partition_key, |row| row.partition);
    by_text!(&TEXTS, version, |row| row.version);
    by_text!(&TEXTS, started_by, |row| row.user);
    by_text!(&EXECUTORS, executor, |row| row.executor.map(|it| EXECUTORS[it]));
    if random.chance(percent * 2) {
        let wanted: Vec<Status> = (0..=random.below(3)).map(|_| random.pick(&Status::ALL)).collect();
        made.filter = wanted.iter().fold(made.filter, |filter, it| filter.status(*it));
        made.conditions.push(Box::new(move |row| wanted.contains(&row.status)));
    }
    for name in ["tenant", "region"] {
        if random.chance(percent) {
            let value = texts(random, &TEXTS)[0];
            made.filter = made.filter.label(name, value);
            made.conditions.push(Box::new(move |row| row.labels.get(name) == Some(&value)));
        }
    }
    if random.chance(percent) {
        let wanted: BTreeSet<String> = (0..random.below(40)).map(|_| rows[random.index(ROWS)].id.clone()).collect();
        made.filter = made.filter.ids(&wanted);
        made.conditions.push(Box::new(move |row| wanted.contains(&row.id)));
    }
    if random.chance(percent) {
        let prefix = random.pick(&["order-", "order", "o", "O", "\u{17c}", "order-1", MISSING, ""]);
        made.filter = made.filter.id_prefix(prefix);
        made.conditions.push(Box::new(move |row| row.id.starts_with(prefix)));
    }
    // Such as have children, or forks.
    let ids = |random: &mut Random, of: &dyn Fn(&Row) -> Option<String>| -> Vec<String> {
        let all: Vec<String> = rows.iter().filter_map(of).collect();
        (0..=random.below(3)).map(|_| all[random.index(all.len())].clone()).collect()
    };
    if random.chance(percent) {
        let wanted = ids(random, &|row| Some(rows[row.parent?].id.clone()));
        made.filter = wanted.iter().fold(made.filter, Filter::parent);
        let all: Vec<String> = rows.iter().map(|it| it.id.clone()).collect();
        made.conditions.push(Box::new(move |row| row.parent.is_some_and(|it| wanted.contains(&all[it]))));
    }
    if random.chance(percent) {
        let wanted = ids(random, &|row| row.forked_from.clone());
        made.filter = wanted.iter().fold(made.filter, Filter::forked_from);
        made.conditions.push(Box::new(move |row| row.forked_from.as_ref().is_some_and(|it| wanted.contains(it))));
    }
    if random.chance(percent) {
        let part = random.pick(&["card", "DECLINED", "50%", "a_b", r"C:\", "\"cour", "t", "50_", "aXb"]);
        made.filter = made.filter.error_contains(part);
        made.conditions.push(Box::new(move |row| {
            let has = |text: Option<&str>| text.is_some_and(|it| it.to_lowercase().contains(&part.to_lowercase()));
            has(row.error) || has(row.reason)
        }));
    }
    for column in 0..3 {
        let value = move |row: &Row| [Some(row.created), row.started, row.completed][column];
        for is_after in [true, false] {
            if !random.chance(percent) {
                continue;
            }
            let second = BEGIN + i64::try_from(random.below(5 * ROWS as u64)).unwrap();
            made.filter = match (column, is_after) {
                (0, true) => made.filter.created_after(time(second)),
                (0, false) => made.filter.created_before(time(second)),
                (1, true) => made.filter.started_after(time(second)),
                (1, false) => made.filter.started_before(time(second)),
                (_, true) => made.filter.completed_after(time(second)),
                (_, false) => made.filter.completed_before(time(second)),
            };
            made.by_completion |= column == 2;
            made.conditions.push(Box::new(move |row| value(row).is_some_and(|it| (it >= second) == is_after)));
        }
    }
    made
}

async fn random_filters_select_what_a_model_selects(database: &TestDatabase) {
    let mut random = Random::new("filters");
    let rows = rows(&mut random);
    Client::builder(database.url()).schema(database.schema()).migrate().await.unwrap();
    insert(database, &rows).await;
    let client = Client::builder(database.url()).schema(database.schema()).connect().await.unwrap();
    let mut selected = 0;
    for _ in 0..FILTERS {
        let RandomFilter { filter, conditions, by_completion } = filter(&mut random, &rows);
        let mut expected: Vec<&Row> = rows.iter().filter(|row| conditions.iter().all(|it| it(row))).collect();
        if by_completion {
            expected.sort_by_key(|row| (row.completed, row.created));
        }
        selected += expected.len();
        for newest_first in [false, true] {
            if newest_first {
                expected.reverse();
            }
            let mut filter = filter.clone().limit(u32::try_from(1 + random.below(80)).unwrap());
            if newest_first {
                filter = filter.newest_first();
            }
            if random.chance(20) {
                filter = filter.with_payloads();
            }
            let mut found = Vec::new();
            let mut next = filter.clone();
            loop {
                let page = client.list_workflows(next).await.unwrap();
                found.extend(page.iter().map(|it| it.id.clone()));
                let Some(cursor) = page.next else { break };
                next = filter.clone().after(cursor);
            }
            let ids: Vec<String> = expected.iter().map(|it| it.id.clone()).collect();
            assert_eq!(found, ids, "{filter:?}");
        }
        for (group, value) in groups() {
            let counts = client.count_workflows(filter.clone(), group).await.unwrap();
            let mut numbers: BTreeMap<Option<String>, u64> = BTreeMap::new();
            for row in &expected {
                *numbers.entry(value(row).map(str::to_owned)).or_default() += 1;
            }
            let found: BTreeMap<_, _> = counts.groups.into_iter().map(|it| (it.value, it.count)).collect();
            assert_eq!((found, counts.total), (numbers, expected.len() as u64), "{group:?}: {filter:?}");
        }
    }
    assert!(selected > FILTERS, "most filters select something: {selected}");
    client.close().await;
}

/// The groups of counts, and their values.
type GroupOf = fn(&Row) -> Option<&str>;

fn groups() -> [(GroupBy, GroupOf); 5] {
    [
        (GroupBy::Status, |row| Some(row.status.as_str())),
        (GroupBy::Name, |row| Some(row.name)),
        (GroupBy::Queue, |row| row.queue),
        (GroupBy::Version, |row| row.version),
        (GroupBy::Executor, |row| row.executor.map(|it| EXECUTORS[it])),
    ]
}
