//! Postgres only: the SQL functions for other languages, and rows locked by others.

use std::time::Duration;

use durable_core::Status;
use durable_core::store::{Entry, Hint, NewWorkflow, Notification, ParentRun, StoredLimits, Timestamp, open};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use tokio::sync::watch;

use crate::support::postgres_store_tests;
use crate::support::store_database::StoreDatabase;
use crate::support::store_queues::{
    claim, claim_ids, declare_queues, enqueue, enqueue_together, on_queue, partitioned, queued_workflow,
    with_concurrency, with_partition,
};
use crate::support::store_rows::{commit, finish, inbox, register_executor, start_running, status, success, workflow};

postgres_store_tests! {
the_sql_function_enqueues_like_the_engine,
the_sql_function_enqueues_within_its_transaction,
the_sql_functions_explain_what_is_wrong,
the_sql_function_sends_messages,
the_sql_functions_cancel_and_show_results,
the_sql_functions_notify_listening_processes,
the_sql_functions_accept_intervals_of_every_length,
the_sql_functions_accept_json_values,
a_role_that_can_read_nothing_calls_the_sql_functions_it_was_granted,
a_claim_does_not_wait_for_locked_rows,
a_locked_row_blocks_its_partition_key,
the_sql_function_gives_the_backlog_of_a_queue,
}

/// Executes a query of one text, and returns it.
async fn call(
    database: &StoreDatabase,
    connection: &mut PgConnection,
    sql: &str,
) -> Result<Option<String>, sqlx::Error> {
    let sql = AssertSqlSafe(sql.replace("durable.", &format!("{}.", database.schema)));
    sqlx::query(sql).fetch_one(connection).await?.try_get(0)
}

async fn connect(database: &StoreDatabase) -> PgConnection {
    PgConnection::connect(&database.url).await.expect("the server is there")
}

async fn the_sql_function_enqueues_like_the_engine(database: StoreDatabase) {
    let store = &*database.store;
    let me = register_executor(store, "a").await;
    let mut user = connect(&database).await;
    let id = call(&database, &mut user, "select durable.enqueue('checkout', '{\"order\": 1}', 'mail')").await;
    let id = id.unwrap().expect("it gives the id");
    let all = "select durable.enqueue(workflow => 'checkout', input => jsonb_build_object('order', 2), queue => 'mail',
id => 'named', priority => -1, partition_key => 'ada', deduplication_id => 'cart',
timeout => interval '90 seconds')";
    assert_eq!(call(&database, &mut user, all).await.unwrap().as_deref(), Some("named"));
    assert_eq!(
        call(&database, &mut user, all).await.unwrap().as_deref(),
        Some("named"),
        "an id that is there is given"
    );
    let bare =
        call(&database, &mut user, "select durable.enqueue('checkout')").await.unwrap().expect("it gives the id");
    let late = "select durable.enqueue('checkout', '{}', 'mail', id => 'late', delay => interval '1 hour')";
    call(&database, &mut user, late).await.unwrap();

    let runs = claim(store, me, 9).await.runs;
    assert_eq!(runs.iter().map(|it| &*it.id).collect::<Vec<_>>(), ["named", &id]);
    assert_eq!(
        runs.iter().map(|it| it.input.replace(' ', "")).collect::<Vec<_>>(),
        [r#"{"order":2}"#, r#"{"order":1}"#]
    );
    assert_eq!((runs[0].attempt, runs[0].fingerprint.get(), runs[1].deadline), (1, 0, None));
    let info = store.show("named").await.unwrap().expect("it runs");
    assert_eq!((info.partition_key.as_deref(), info.deduplication_id.as_deref()), (Some("ada"), Some("cart")));
    let started = Timestamp::from_date(info.started_at.expect("it runs"));
    assert_eq!(runs[0].deadline, Some(started.saturating_add(Duration::from_secs(90))));
    let info = store.show(&bare).await.unwrap().expect("it waits");
    assert_eq!(
        (info.status, info.queue.as_deref(), info.input.as_deref()),
        (Status::Enqueued, Some("durable"), Some("{}"))
    );
    let info = store.show("late").await.unwrap().expect("it waits");
    let due = info.due_at.expect("it is delayed") - info.created_at;
    assert_eq!((info.status, due.num_seconds()), (Status::Delayed, 3_600));
    // Keys are like those of the engine: increasing with the time, and from this year.
    let mut direct = database.direct_connection().await;
    let between = "select count(*) from durable.workflows
where key / 1024 + 1577836800000000 between created_at - 1000000 and created_at + 1000000";
    assert_eq!(direct.number(between).await, 4);
}

async fn the_sql_function_enqueues_within_its_transaction(database: StoreDatabase) {
    let mut user = connect(&database).await;
    for (end, expected) in [("rollback", None), ("commit", Some(Status::Enqueued))] {
        sqlx::query("begin").execute(&mut user).await.unwrap();
        call(&database, &mut user, "select durable.enqueue('checkout', id => 'w')").await.unwrap();
        assert_eq!(status(&*database.store, "w").await, None);
        sqlx::query(end).execute(&mut user).await.unwrap();
        assert_eq!(status(&*database.store, "w").await, expected, "{end}");
    }
}

async fn the_sql_functions_explain_what_is_wrong(database: StoreDatabase) {
    let me = register_executor(&*database.store, "a").await;
    let ended = start_running(&*database.store, me, "ended").await;
    commit(&*database.store, me, finish(success(ended, "1"))).await;
    let of_an_object = NewWorkflow { instance: Some("desk".to_owned()), ..queued_workflow("ada", on_queue()) };
    enqueue_together(&*database.store, me, &[of_an_object]).await;
    declare_queues(&*database.store, partitioned()).await;
    let mut user = connect(&database).await;
    call(&database, &mut user, "select durable.enqueue('checkout', id => 'first', deduplication_id => 'k')")
        .await
        .unwrap();
    for (sql, expected) in [
        ("select durable.enqueue('checkout', deduplication_id => 'k')", "\"first\" has the deduplication id \"k\""),
        ("select durable.enqueue('')", "the workflow name is missing"),
        ("select durable.enqueue('checkout', partition_key => '')", "the partition key is missing"),
        (
            "select durable.enqueue('checkout', queue => 'mail', id => 'ben')",
            "the queue \"mail\" is partitioned, and the workflow \"ben\" has no partition key",
        ),
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
        let error = call(&database, &mut user, sql).await.expect_err(sql);
        assert!(error.to_string().contains(expected), "{error}");
    }
}

async fn the_sql_functions_accept_intervals_of_every_length(database: StoreDatabase) {
    let me = register_executor(&*database.store, "a").await;
    let mut user = connect(&database).await;
    let the_end = 253_402_300_799_999_999; // of the year 9999
    for (id, of) in [
        ("late", "delay => '100000000 years'"),
        ("long", "timeout => '292250 years'"),
        ("short", "timeout => '-100000000 years'"),
        ("at once", "delay => '-100000000 years'"),
    ] {
        let sql = format!("select durable.enqueue('checkout', '{{}}', 'mail', id => '{id}', {of})");
        call(&database, &mut user, &sql).await.expect(of);
    }
    let due_at = "select due_at from durable.workflows where id = 'late'";
    assert_eq!(database.direct_connection().await.number(due_at).await, the_end);
    let runs = claim(&*database.store, me, 9).await.runs;
    assert_eq!(runs.iter().map(|it| &*it.id).collect::<Vec<_>>(), ["long", "short", "at once"]);
    let short = database.store.show("short").await.unwrap().expect("it runs").started_at.expect("it runs");
    let deadlines: Vec<_> = runs.iter().map(|it| it.deadline).collect();
    assert_eq!(deadlines, [Some(the_end.into()), Some(Timestamp::from_date(short)), None]);
}

async fn the_sql_functions_accept_json_values(database: StoreDatabase) {
    let me = register_executor(&*database.store, "a").await;
    let mut user = connect(&database).await;
    for input in ["json_build_object('order', 1)", "jsonb_build_object('order', 1)", "'{\"order\": 1}'::text"] {
        let sql = format!("select durable.enqueue('checkout', {input}, queue => 'mail')");
        call(&database, &mut user, &sql).await.expect(input);
    }
    let inputs = claim(&*database.store, me, 9).await.runs.into_iter().map(|it| it.input.replace(' ', ""));
    assert_eq!(inputs.collect::<Vec<_>>(), [r#"{"order":1}"#; 3]);
    let run = start_running(&*database.store, me, "w").await;
    call(&database, &mut user, "select durable.send('w', '', to_json('hi'::text))::text").await.unwrap();
    assert_eq!(inbox(&*database.store, me, run).await, ["\"hi\""]);
}

async fn the_sql_functions_cancel_and_show_results(database: StoreDatabase) {
    let store = &*database.store;
    let me = register_executor(store, "a").await;
    let mut user = connect(&database).await;
    assert_eq!(call(&database, &mut user, "select durable.status('w')").await.unwrap(), None);
    let run = start_running(store, me, "w").await;
    assert_eq!(call(&database, &mut user, "select durable.status('w')").await.unwrap().as_deref(), Some("PENDING"));
    commit(store, me, finish(success(run, "{\"paid\":1}"))).await;
    let done = "select status || ' ' || (output ->> 'paid') from durable.result('w')";
    assert_eq!(call(&database, &mut user, done).await.unwrap().as_deref(), Some("SUCCESS 1"));
    let none = "select count(*)::text from durable.result('missing')";
    assert_eq!(call(&database, &mut user, none).await.unwrap().as_deref(), Some("0"));

    let again = "select durable.cancel('w')::text";
    assert_eq!(call(&database, &mut user, again).await.unwrap().as_deref(), Some("false"), "it has ended");
    let parent = start_running(store, me, "parent").await;
    let child = NewWorkflow { parent: Some(ParentRun { key: parent, attempt: 1 }), ..workflow("child") };
    commit(store, me, Entry { start: Some(child.into()), ..Entry::default() }).await;
    sqlx::query("begin").execute(&mut user).await.unwrap();
    call(&database, &mut user, "select durable.cancel('parent', true)::text").await.unwrap();
    sqlx::query("rollback").execute(&mut user).await.unwrap();
    assert_eq!(status(store, "child").await, Some(Status::Pending));
    let family = "select durable.cancel('parent', children => true)::text";
    assert_eq!(call(&database, &mut user, family).await.unwrap().as_deref(), Some("true"));
    for id in ["parent", "child"] {
        let info = store.show(id).await.unwrap().expect("it was started");
        assert_eq!((info.status, info.reason.as_deref()), (Status::Cancelled, Some("cancelled by request")), "{id}");
    }
    let missing = call(&database, &mut user, "select durable.cancel('missing')::text").await.unwrap_err();
    assert!(missing.to_string().contains("no workflow \"missing\" to cancel"), "{missing}");
}

async fn the_sql_function_sends_messages(database: StoreDatabase) {
    let me = register_executor(&*database.store, "a").await;
    let run = start_running(&*database.store, me, "w").await;
    let mut user = connect(&database).await;
    sqlx::query("begin").execute(&mut user).await.unwrap();
    call(&database, &mut user, "select durable.send('w', '', '\"never sent\"')::text").await.unwrap();
    sqlx::query("rollback").execute(&mut user).await.unwrap();
    for sql in [
        "select durable.send('w', '', '1')::text",
        "select durable.send('w', '', to_jsonb(2))::text",
        "select durable.send('w', '', '3', 'key')::text",
        "select durable.send('w', '', '4', 'key')::text",
        "select durable.send('w', '', payload => '\"5\"')::text",
    ] {
        call(&database, &mut user, sql).await.unwrap();
    }
    assert_eq!(inbox(&*database.store, me, run).await, ["1", "2", "3", "\"5\""]);
    commit(&*database.store, me, finish(success(run, "1"))).await;
    call(&database, &mut user, "select durable.send('w', '', '3', 'key')::text").await.unwrap(); // the retry of a success
}

async fn the_sql_functions_notify_listening_processes(database: StoreDatabase) {
    let long = format!("{}_{}", database.schema, "ż'x".repeat(8));
    for schema in [database.schema.clone(), long] {
        let store = open(&database.url, &schema).await.unwrap();
        store.migrate().await.unwrap();
        let me = register_executor(&*store, "a").await;
        start_running(&*store, me, "zamówienie").await;
        let notifications = watch::Sender::new(Vec::new());
        let noted = |it: Notification| notifications.send_modify(|all| all.push(it));
        let sending = async {
            let received = async |number: usize| {
                notifications.subscribe().wait_for(|it| it.len() >= number).await.expect("the sender is here");
            };
            received(1).await;
            let mut user = connect(&database).await;
            let quoted = format!("\"{schema}\"");
            for (number, sql) in [
                (2, "select durable.enqueue('checkout', '{}', 'mail')"),
                (3, "select durable.send('zamówienie', '', '1')::text"),
            ] {
                let sql = AssertSqlSafe(sql.replace("durable.", &format!("{quoted}.")));
                sqlx::query(sql).execute(&mut user).await.unwrap();
                received(number).await;
            }
        };
        tokio::select! {
        ended = store.listen(&noted) => panic!("it listens on: {ended:?}"),
        sending = tokio::time::timeout(Duration::from_secs(20), sending) => sending.expect("the notifications arrive"),
        }
        let hints = |hint: Hint| Notification::Hints(vec![hint]);
        let expected =
            vec![Notification::Listening, hints(Hint::for_queue("mail")), hints(Hint::for_workflow("zamówienie"))];
        assert_eq!(*notifications.borrow(), expected);
        if schema != database.schema {
            store.drop_everything().await.unwrap();
        }
        store.close().await;
    }
}

async fn a_claim_does_not_wait_for_locked_rows(database: StoreDatabase) {
    let me = register_executor(&*database.store, "a").await;
    let mut other = database.direct_connection().await;
    for (number, limits) in [StoredLimits::default(), with_concurrency(9)].into_iter().enumerate() {
        declare_queues(&*database.store, limits).await;
        let (held, free) = (format!("held-{number}"), format!("free-{number}"));
        enqueue(&*database.store, me, &held, on_queue()).await;
        enqueue(&*database.store, me, &free, on_queue()).await;
        other.execute("begin").await;
        other.execute(&format!("select 1 from durable.workflows where id = '{held}' for update")).await;
        let claimed = tokio::time::timeout(Duration::from_secs(5), claim_ids(&*database.store, me, 9)).await;
        assert_eq!(claimed.expect("it does not wait"), [free]);
        other.execute("rollback").await;
        assert_eq!(claim_ids(&*database.store, me, 9).await, [held]);
    }
}

async fn a_locked_row_blocks_its_partition_key(database: StoreDatabase) {
    let me = register_executor(&*database.store, "a").await;
    declare_queues(&*database.store, StoredLimits { partition_concurrency: Some(3), ..partitioned() }).await;
    for (id, key) in [("a-0", "a"), ("a-1", "a"), ("a-2", "a"), ("b-0", "b")] {
        enqueue(&*database.store, me, id, with_partition(key)).await;
    }
    let mut other = database.direct_connection().await;
    other.execute("begin").await;
    other.execute("select 1 from durable.workflows where id = 'a-1' for update").await;
    let claimed = tokio::time::timeout(Duration::from_secs(5), claim_ids(&*database.store, me, 9)).await;
    assert_eq!(claimed.expect("it does not wait"), ["a-0", "b-0"], "the locked one is not overtaken");
    other.execute("rollback").await;
    assert_eq!(claim_ids(&*database.store, me, 9).await, ["a-1", "a-2"]);
}

async fn the_sql_function_gives_the_backlog_of_a_queue(database: StoreDatabase) {
    let store = &*database.store;
    let me = register_executor(store, "a").await;
    declare_queues(store, StoredLimits::default()).await;
    let some: Vec<_> = (0..5).map(|it| queued_workflow(&format!("w-{it}"), on_queue())).collect();
    enqueue_together(store, me, &some).await;
    assert_eq!(claim(store, me, 2).await.runs.len(), 2);
    let hour = "update durable.workflows set created_at = created_at - 3600000000";
    database.direct_connection().await.execute(hour).await;
    let mut user = connect(&database).await;
    let all = "select concat_ws(' ', waiting, running, capped, round(oldest_seconds / 3600), paused)
                 from durable.queue_backlog('mail')";
    assert_eq!(call(&database, &mut user, all).await.unwrap().as_deref(), Some("3 2 f 1 f"));
    let capped = "select concat_ws(' ', waiting, running, capped) from durable.queue_backlog('mail', 2)";
    assert_eq!(call(&database, &mut user, capped).await.unwrap().as_deref(), Some("2 2 t"));
    let none =
        "select concat_ws(' ', waiting, running, capped, oldest_seconds, paused) from durable.queue_backlog('x')";
    assert_eq!(call(&database, &mut user, none).await.unwrap().as_deref(), Some("0 0 f 0 f"));
}

async fn a_role_that_can_read_nothing_calls_the_sql_functions_it_was_granted(database: StoreDatabase) {
    let store = &*database.store;
    let me = register_executor(store, "a").await;
    start_running(store, me, "receiver").await;
    let mut user = connect(&database).await;
    let role = format!("{}_web", database.schema);
    let ran = async |user: &mut PgConnection, sql: &str| {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(user).await.map(drop)
    };
    ran(&mut user, &format!("create role {role}; set role {role}")).await.unwrap();
    let calls = [
        "select durable.enqueue('checkout', '{\"order\": 1}', 'mail')",
        "select durable.enqueue('checkout', '{\"order\": 1}'::jsonb, 'mail')",
        "select durable.send('receiver', 'mood', '1')::text",
        "select durable.send('receiver', 'mood', '2'::json)::text",
        "select waiting::text from durable.queue_backlog('mail')",
    ];
    let is_denied = |error: sqlx::Error| {
        error.as_database_error().and_then(|it| it.code().map(std::borrow::Cow::into_owned)).as_deref() == Some("42501")
    };
    for sql in calls {
        assert!(call(&database, &mut user, sql).await.is_err_and(is_denied), "{sql} is not granted yet");
    }
    let schema = &database.schema;
    // As the guide says it.
    let grant = format!("reset role; grant usage on schema {schema} to {role}; set role {role}");
    ran(&mut user, &grant).await.unwrap();
    for sql in calls {
        assert!(call(&database, &mut user, sql).await.is_err_and(is_denied), "{sql} is not granted to every role");
    }
    let grant = format!("reset role; grant execute on all functions in schema {schema} to {role}; set role {role}");
    ran(&mut user, &grant).await.unwrap();
    for sql in calls {
        call(&database, &mut user, sql).await.unwrap();
    }
    let read = "select id from durable.workflows limit 1";
    assert!(call(&database, &mut user, read).await.is_err_and(is_denied));
    // A table of the caller's own is not taken for one of the engine's.
    ran(&mut user, "create temporary table workflows (id text)").await.unwrap();
    call(&database, &mut user, calls[2]).await.unwrap();
    let mut direct = database.direct_connection().await;
    assert_eq!(direct.number("select count(*) from durable.messages").await, 3);
    ran(&mut user, &format!("drop table pg_temp.workflows; reset role; drop owned by {role}; drop role {role}"))
        .await
        .unwrap();
}
