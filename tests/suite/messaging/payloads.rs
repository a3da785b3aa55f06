//! Unusual payloads are read as written wherever they are stored, or refused by name.

use durable::prelude::*;
use serde::{Deserialize, Serialize};

use crate::support::{TestDatabase, database_tests};

database_tests! {
    unusual_payloads_are_read_as_written_everywhere,
    payloads_that_cannot_be_stored_are_refused_by_name_everywhere,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Odd {
    text: String,
    number: f64,
    deep: Deep,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Deep(Vec<Deep>);

fn nested(depth: u32) -> Deep {
    (0..depth).fold(Deep(Vec::new()), |inner, _| Deep(vec![inner]))
}

fn odd(text: impl Into<String>, number: f64, depth: u32) -> Odd {
    Odd { text: text.into(), number, deep: nested(depth) }
}

#[step]
async fn echo(odd: &Odd) -> Odd {
    odd.clone()
}

/// Passes the value through everything that stores values.
#[workflow]
async fn echoes_value(id: String, odd: Odd) -> Result<Odd> {
    let odd = echo(&odd).await;
    durable::set_event("odd", &odd).await?;
    let odd: Odd = durable::get_event(&id, "odd", Duration::MAX).await?.expect("it is set");
    durable::send(&id, "odd", &odd).await?;
    let odd: Odd = durable::recv("odd", Duration::MAX).await?.expect("it was sent");
    durable::write_stream("odd", &odd).await?;
    Ok(odd)
}

async fn unusual_payloads_are_read_as_written_everywhere(database: &TestDatabase) {
    let cases = [
        ("nul", odd("a\0b\0", 0.1, 1)),
        ("emoji", odd("👩‍👩‍👧 ż \u{10FFFF} \u{202E}\"\\ \u{7f}\u{1}", f64::MIN_POSITIVE, 1)),
        ("large", odd("5 MiB ".repeat(5 << 20 >> 3) + &"\0".repeat(100), -0.0, 1)),
        ("deep", odd("", f64::MAX, 100)),
    ];
    let app = database.launch().await;
    for (name, value) in cases {
        app.scope(async {
            let given = echoes_value(name.into(), value.clone()).id(name).await.unwrap();
            assert!(given == value, "{name}: the result");
            assert!(value.number.to_bits() == given.number.to_bits(), "{name}: the number");
            let seen: Option<Odd> = durable::get_event(name, "odd", Duration::MAX).await.unwrap();
            assert!(seen.as_ref() == Some(&value), "{name}: the event");
            let item = durable::read_stream::<Odd>(name, "odd").next().await.expect("there is one").unwrap();
            assert!(item == value, "{name}: the item");
        })
        .await;
    }
    app.shutdown().await;
    // And after a restart: what was read from the database.
    let app = database.launch().await;
    let kept = app.retrieve_workflow::<Odd>("nul").await.unwrap().await.unwrap();
    assert_eq!(kept.text, "a\0b\0");
    app.shutdown().await;
}

fn bad(what: &str) -> Odd {
    match what {
        "NaN" => odd("", f64::NAN, 1),
        "inf" => odd("", f64::NEG_INFINITY, 1),
        "nested" => odd("", 0.0, 200),
        _ => odd("x".repeat(9 << 20), 0.0, 1),
    }
}

#[step]
async fn returns_bad(what: &str) -> Odd {
    bad(what)
}

/// Uses a bad value at the given position.
#[workflow]
async fn uses_bad(what: String, position: String, id: String) -> Result<Option<Odd>> {
    match position.as_str() {
        "step" => drop(returns_bad(&what).await),
        "result" => return Ok(Some(bad(&what))),
        "message" => durable::send(&id, "odd", &bad(&what)).await?,
        "event" => durable::set_event("odd", &bad(&what)).await?,
        "item" => durable::write_stream("odd", &bad(&what)).await?,
        _ => drop(echoes_value("never".into(), bad(&what)).await?),
    }
    Ok(None)
}

async fn payloads_that_cannot_be_stored_are_refused_by_name_everywhere(database: &TestDatabase) {
    let app = database.launch().await;
    for (what, word) in [("NaN", "no number NaN"), ("inf", "no number -inf"), ("nested", "nested"), ("large", "bytes")]
    {
        for position in ["step", "result", "message", "event", "item", "argument"] {
            let id = format!("{what}-{position}");
            let made = app.scope(async { uses_bad(what.into(), position.into(), id.clone()).id(&id).await });
            let error = made.await.expect_err("it cannot be kept").to_string();
            let named = match position {
                "step" => "returns_bad",
                "result" => "the result of the workflow `uses_bad`",
                "argument" => "echoes_value",
                _ => "odd",
            };
            assert!(error.contains(word) && error.contains(named), "{what} as {position}: {error}");
            assert!(error.len() < 1_000, "the value is not in the error");
            let info = app.list_workflows(Filter::new().id_prefix(&id)).await.unwrap().remove(0);
            assert_eq!(info.status, Status::Error, "{what} as {position}");
        }
        let outside = app.scope(async { echoes_value("never".into(), bad(what)).await }).await;
        assert!(outside.expect_err("it cannot be kept").to_string().contains(word));
    }
    app.shutdown().await;
}
