//! What only a Postgres has of queues: the functions for other languages, locks of others, and plans.

use std::sync::Mutex;
use std::time::Duration;

use durable_core::Status;
use durable_core::store::{Hint, NewWorkflow, Notification, StoredLimits, open};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};

use super::line::{
    all_enqueued, at_once, claim, declare_queues, enqueued, mail, of_key, partitioned, placed, request, taken,
};
use super::make::{commit, finish, inbox, register_executor, running, status, success};
use super::site::{SideDoor, Site, in_postgres};

macro_rules! on_a_server {
    ($($case:ident),+ $(,)?) => {
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            #[cfg_attr(not(has_postgres), ignore = "no Postgres: set DURABLE_TEST_POSTGRES_URL or install postgresql")]
            async fn $case() {
                super::in_postgres(super::$case).await;
            })+
        }
    };
}

on_a_server! {
    sql_enqueues_as_the_engine_does,
    sql_enqueues_within_its_transaction,
    sql_is_told_what_is_wrong,
    sql_sends_messages,
    sql_tells_the_processes_that_listen,
    sql_takes_intervals_of_every_length,
    sql_takes_values_of_the_type_json,
    a_claim_does_not_wait_for_rows_that_somebody_holds,
    a_key_waits_with_its_row_that_somebody_holds,
    a_claim_reads_no_more_than_it_takes,
    a_turn_of_keys_costs_the_same_in_a_long_line,
}

/// Calls a function of the schema with texts, and gives its text.
async fn call(site: &Site, connection: &mut PgConnection, sql: &str) -> Result<Option<String>, sqlx::Error> {
    let sql = AssertSqlSafe(sql.replace("durable.", &format!("{}.", site.schema)));
    sqlx::query(sql).fetch_one(connection).await?.try_get(0)
}

async fn connect(site: &Site) -> PgConnection {
    PgConnection::connect(&site.url).await.expect("the server is there")
}

async fn sql_enqueues_as_the_engine_does(site: Site) {
    let store = &*site.store;
    let me = register_executor(store, "a").await;
    let mut user = connect(&site).await;
    let id = call(&site, &mut user, "select durable.enqueue('checkout', '{\"order\": 1}', 'mail')").await;
    let id = id.unwrap().expect("it gives the id");
    let all = "select durable.enqueue(workflow => 'checkout', input => jsonb_build_object('order', 2), queue => 'mail',
               id => 'named', priority => -1, partition_key => 'ada', deduplication_id => 'cart',
               timeout => interval '90 seconds')";
    assert_eq!(call(&site, &mut user, all).await.unwrap().as_deref(), Some("named"));
    assert_eq!(call(&site, &mut user, all).await.unwrap().as_deref(), Some("named"), "an id that is there is given");
    let bare = call(&site, &mut user, "select durable.enqueue('checkout')").await.unwrap().expect("it gives the id");
    let late = "select durable.enqueue('checkout', '{}', 'mail', id => 'late', delay => interval '1 hour')";
    call(&site, &mut user, late).await.unwrap();

    let runs = claim(store, me, 9).await.runs;
    assert_eq!(runs.iter().map(|it| &*it.id).collect::<Vec<_>>(), ["named", &id]);
    assert_eq!(
        runs.iter().map(|it| it.input.replace(' ', "")).collect::<Vec<_>>(),
        [r#"{"order":2}"#, r#"{"order":1}"#]
    );
    assert_eq!((runs[0].attempt, runs[0].fingerprint, runs[1].deadline), (1, 0, None));
    let info = store.show("named").await.unwrap().expect("it runs");
    assert_eq!((info.partition_key.as_deref(), info.deduplication_id.as_deref()), (Some("ada"), Some("cart")));
    let started = info.started_at.expect("it runs").timestamp_micros();
    assert_eq!(runs[0].deadline, Some(started + 90_000_000));
    let info = store.show(&bare).await.unwrap().expect("it waits");
    assert_eq!((info.status, info.queue.as_deref(), &*info.input), (Status::Enqueued, Some("durable"), "{}"));
    let info = store.show("late").await.unwrap().expect("it waits");
    let due = info.due_at.expect("it is delayed") - info.created_at;
    assert_eq!((info.status, due.num_seconds()), (Status::Delayed, 3_600));
    // Keys are like those of the engine: increasing with the time, and from this year.
    let mut door = site.side_door().await;
    let between = "select count(*) from durable.workflows
                    where key / 1024 + 1577836800000000 between created_at - 1000000 and created_at + 1000000";
    assert_eq!(door.number(between).await, 4);
}

async fn sql_enqueues_within_its_transaction(site: Site) {
    let mut user = connect(&site).await;
    for (end, expected) in [("rollback", None), ("commit", Some(Status::Enqueued))] {
        sqlx::query("begin").execute(&mut user).await.unwrap();
        call(&site, &mut user, "select durable.enqueue('checkout', id => 'w')").await.unwrap();
        assert_eq!(status(&*site.store, "w").await, None);
        sqlx::query(end).execute(&mut user).await.unwrap();
        assert_eq!(status(&*site.store, "w").await, expected, "{end}");
    }
}

async fn sql_is_told_what_is_wrong(site: Site) {
    let me = register_executor(&*site.store, "a").await;
    let ended = running(&*site.store, me, "ended").await;
    commit(&*site.store, me, finish(success(ended, "1"))).await;
    let of_an_object = NewWorkflow { instance: Some("desk".to_owned()), ..placed("ada", mail()) };
    all_enqueued(&*site.store, me, &[of_an_object]).await;
    let mut user = connect(&site).await;
    call(&site, &mut user, "select durable.enqueue('checkout', id => 'first', deduplication_id => 'k')").await.unwrap();
    for (sql, expected) in [
        ("select durable.enqueue('checkout', deduplication_id => 'k')", "\"first\" has the deduplication id \"k\""),
        ("select durable.enqueue('')", "the workflow name is missing"),
        ("select durable.enqueue('checkout', partition_key => '')", "the partition key is missing"),
        (
            "select durable.enqueue('refund', id => 'first')",
            "\"first\" belongs to a workflow \"checkout\" already, and was now used for \"refund\"",
        ),
        (
            "select durable.enqueue('checkout', id => 'ada')",
            "\"ada\" belongs to \"checkout\" on the instance \"desk\" already",
        ),
        ("select durable.enqueue('checkout', '[1]')", "JSON object"),
        ("select durable.enqueue('checkout', 'no json')", "json"),
        ("select durable.enqueue('checkout', id => repeat('x', 256))", "256 bytes"),
        ("select durable.enqueue('checkout', id => E'a\\nb')", "control character"),
        ("select durable.send('nobody', 'topic', '1')::text", "no workflow \"nobody\""),
        ("select durable.send('ended', 'topic', '1')::text", "has ended (SUCCESS)"),
        ("select durable.send('first', 'topic', 'no json')::text", "json"),
    ] {
        let error = call(&site, &mut user, sql).await.expect_err(sql);
        assert!(error.to_string().contains(expected), "{error}");
    }
}

async fn sql_takes_intervals_of_every_length(site: Site) {
    let me = register_executor(&*site.store, "a").await;
    let mut user = connect(&site).await;
    let the_end = 253_402_300_799_999_999; // of the year 9999
    for (id, of) in [
        ("late", "delay => '100000000 years'"),
        ("long", "timeout => '292250 years'"),
        ("short", "timeout => '-100000000 years'"),
        ("at once", "delay => '-100000000 years'"),
    ] {
        let sql = format!("select durable.enqueue('checkout', '{{}}', 'mail', id => '{id}', {of})");
        call(&site, &mut user, &sql).await.expect(of);
    }
    let late = site.store.show("late").await.unwrap().expect("it waits");
    assert_eq!(late.due_at.map(|at| at.timestamp_micros()), Some(the_end));
    let runs = claim(&*site.store, me, 9).await.runs;
    assert_eq!(runs.iter().map(|it| &*it.id).collect::<Vec<_>>(), ["long", "short", "at once"]);
    let short = site.store.show("short").await.unwrap().expect("it runs").started_at.expect("it runs");
    let deadlines: Vec<_> = runs.iter().map(|it| it.deadline).collect();
    assert_eq!(deadlines, [Some(the_end), Some(short.timestamp_micros()), None]);
}

async fn sql_takes_values_of_the_type_json(site: Site) {
    let me = register_executor(&*site.store, "a").await;
    let mut user = connect(&site).await;
    for input in ["json_build_object('order', 1)", "jsonb_build_object('order', 1)", "'{\"order\": 1}'::text"] {
        let sql = format!("select durable.enqueue('checkout', {input}, queue => 'mail')");
        call(&site, &mut user, &sql).await.expect(input);
    }
    let inputs = claim(&*site.store, me, 9).await.runs.into_iter().map(|it| it.input.replace(' ', ""));
    assert_eq!(inputs.collect::<Vec<_>>(), [r#"{"order":1}"#; 3]);
    let run = running(&*site.store, me, "w").await;
    call(&site, &mut user, "select durable.send('w', '', to_json('hi'::text))::text").await.unwrap();
    assert_eq!(inbox(&*site.store, me, run).await, ["\"hi\""]);
}

async fn sql_sends_messages(site: Site) {
    let me = register_executor(&*site.store, "a").await;
    let run = running(&*site.store, me, "w").await;
    let mut user = connect(&site).await;
    sqlx::query("begin").execute(&mut user).await.unwrap();
    call(&site, &mut user, "select durable.send('w', '', '\"never sent\"')::text").await.unwrap();
    sqlx::query("rollback").execute(&mut user).await.unwrap();
    for sql in [
        "select durable.send('w', '', '1')::text",
        "select durable.send('w', '', to_jsonb(2))::text",
        "select durable.send('w', '', '3', 'key')::text",
        "select durable.send('w', '', '4', 'key')::text",
        "select durable.send('w', '', payload => '\"5\"')::text",
    ] {
        call(&site, &mut user, sql).await.unwrap();
    }
    assert_eq!(inbox(&*site.store, me, run).await, ["1", "2", "3", "\"5\""]);
    commit(&*site.store, me, finish(success(run, "1"))).await;
    call(&site, &mut user, "select durable.send('w', '', '3', 'key')::text").await.unwrap(); // the retry of a success
}

async fn sql_tells_the_processes_that_listen(site: Site) {
    let long = format!("{}_{}", site.schema, "ż'x".repeat(8));
    for schema in [site.schema.clone(), long] {
        let store = open(&site.url, &schema).await.unwrap();
        store.migrate().await.unwrap();
        let me = register_executor(&*store, "a").await;
        running(&*store, me, "zamówienie").await;
        let heard = Mutex::new(Vec::new());
        let noted = |it: Notification| heard.lock().expect("nobody panicked").push(it);
        let said = async {
            let until = async |number: usize| {
                while heard.lock().expect("nobody panicked").len() < number {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            };
            until(1).await;
            let mut user = connect(&site).await;
            let quoted = format!("\"{schema}\"");
            for (number, sql) in [
                (2, "select durable.enqueue('checkout', '{}', 'mail')"),
                (3, "select durable.send('zamówienie', '', '1')::text"),
            ] {
                let sql = AssertSqlSafe(sql.replace("durable.", &format!("{quoted}.")));
                sqlx::query(sql).execute(&mut user).await.unwrap();
                until(number).await;
            }
        };
        tokio::select! {
            ended = store.listen(&noted) => panic!("it listens on: {ended:?}"),
            said = tokio::time::timeout(Duration::from_secs(20), said) => said.expect("it is heard"),
        }
        let hints = |hint: Hint| Notification::Hints(vec![hint]);
        let expected =
            vec![Notification::Listening, hints(Hint::for_queue("mail")), hints(Hint::for_workflow("zamówienie"))];
        assert_eq!(*heard.lock().expect("nobody panicked"), expected);
        if schema != site.schema {
            store.drop_everything().await.unwrap();
        }
        store.close().await;
    }
}

async fn a_claim_does_not_wait_for_rows_that_somebody_holds(site: Site) {
    let me = register_executor(&*site.store, "a").await;
    let mut other = site.side_door().await;
    for (number, limits) in [StoredLimits::default(), at_once(9)].into_iter().enumerate() {
        declare_queues(&*site.store, limits).await;
        let (held, free) = (format!("held-{number}"), format!("free-{number}"));
        enqueued(&*site.store, me, &held, mail()).await;
        enqueued(&*site.store, me, &free, mail()).await;
        other.execute("begin").await;
        other.execute(&format!("select 1 from durable.workflows where id = '{held}' for update")).await;
        let claimed = tokio::time::timeout(Duration::from_secs(5), taken(&*site.store, me, 9)).await;
        assert_eq!(claimed.expect("it does not wait"), [free]);
        other.execute("rollback").await;
        assert_eq!(taken(&*site.store, me, 9).await, [held]);
    }
}

async fn a_key_waits_with_its_row_that_somebody_holds(site: Site) {
    let me = register_executor(&*site.store, "a").await;
    declare_queues(&*site.store, StoredLimits { partition_concurrency: Some(3), ..partitioned() }).await;
    for (id, key) in [("a-0", "a"), ("a-1", "a"), ("a-2", "a"), ("b-0", "b")] {
        enqueued(&*site.store, me, id, of_key(key)).await;
    }
    let mut other = site.side_door().await;
    other.execute("begin").await;
    other.execute("select 1 from durable.workflows where id = 'a-1' for update").await;
    let claimed = tokio::time::timeout(Duration::from_secs(5), taken(&*site.store, me, 9)).await;
    assert_eq!(claimed.expect("it does not wait"), ["a-0", "b-0"], "nobody jumps over the one that is held");
    other.execute("rollback").await;
    assert_eq!(taken(&*site.store, me, 9).await, ["a-1", "a-2"]);
}

/// Fills a queue with so many, by hand.
async fn fill(site: &Site, number: usize, key: &str) {
    let sql = format!(
        "insert into durable.workflows (key, id, name, status, attempt, queue, partition_key, created_at, input)
         select 10000000 + n, 'w-' || n, 'checkout', 'ENQUEUED', 0, 'mail', {key}, 1, '{{}}' from generate_series(1, {number}) n"
    );
    site.side_door().await.execute(&sql).await;
}

/// How many rows, and entries of indexes, were read while this ran.
async fn rows_read<T>(site: &Site, work: impl Future<Output = T>) -> (i64, T) {
    let mut door = site.side_door().await;
    let question = format!(
        "select (select sum(seq_tup_read) from pg_stat_user_tables where schemaname = '{0}')::bigint
              + (select sum(idx_tup_read) from pg_stat_user_indexes where schemaname = '{0}')::bigint",
        site.schema
    );
    let settled = async |door: &mut SideDoor| {
        // What a connection has done is told a second after it, at the latest.
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        door.number(&question).await
    };
    let before = settled(&mut door).await;
    let result = work.await;
    (settled(&mut door).await - before, result)
}

async fn a_claim_reads_no_more_than_it_takes(site: Site) {
    let store = &*site.store;
    let me = register_executor(store, "a").await;
    // The plans are made, and kept, while the table is empty.
    for _ in 0..8 {
        assert!(claim(store, me, 10).await.runs.is_empty());
    }
    let few: Vec<_> = (0..80).map(|it| placed(&format!("first-{it}"), mail())).collect();
    all_enqueued(store, me, &few).await;
    for _ in 0..8 {
        assert_eq!(claim(store, me, 10).await.runs.len(), 10);
    }
    fill(&site, 100_000, "''").await;
    for analyzed in [false, true] {
        if analyzed {
            site.side_door().await.execute("analyze durable.workflows").await;
        }
        let (read, runs) = rows_read(&site, async {
            let mut runs = 0;
            for _ in 0..10 {
                runs += claim(store, me, 10).await.runs.len();
            }
            runs
        })
        .await;
        assert_eq!(runs, 100);
        assert!(read < 5_000, "{read} rows for a hundred workflows (analyzed: {analyzed})");
    }
}

async fn a_turn_of_keys_costs_the_same_in_a_long_line(site: Site) {
    let store = &*site.store;
    let me = register_executor(store, "a").await;
    declare_queues(store, StoredLimits { partition_concurrency: Some(1_000), ..partitioned() }).await;
    for _ in 0..8 {
        claim(store, me, 10).await;
    }
    fill(&site, 100_000, "'k' || n % 10").await;
    let most = request(me, 10).limit;
    let (read, runs) = rows_read(&site, async {
        let mut runs = 0;
        for _ in 0..10 {
            runs += claim(store, me, most).await.runs.len();
        }
        runs
    })
    .await;
    assert_eq!(runs, 100);
    assert!(read < 10_000, "{read} rows for a hundred workflows");
}
