//! The shapes that the OpenAPI file declares, and whether a response has them.

use std::sync::LazyLock;

use serde_json::Value;

static OPENAPI: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../durable/src/axum/dashboard/openapi.json")).expect("it is JSON")
});

/// All paths with their methods.
pub(super) fn routes() -> Vec<(&'static str, &'static str)> {
    let paths = OPENAPI["paths"].as_object().expect("it has paths");
    let of = |(path, methods): (&'static String, &'static Value)| {
        let methods = methods.as_object().expect("it has methods").keys();
        methods.map(|method| (method.as_str(), path.trim_start_matches('/'))).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of).collect()
}

/// Fails unless the response has the shape that is declared for its status.
#[track_caller]
pub(super) fn assert_declared(method: &str, path: &str, status: u16, body: &Value) {
    let responses = &OPENAPI["paths"][format!("/{path}")][method]["responses"];
    let declared = &responses[status.to_string()]["content"]["application/json"]["schema"];
    assert!(!declared.is_null(), "{method} {path} declares no response {status}: {body}");
    if let Err(why) = check(declared, body, "") {
        panic!("{method} {path} {status} is not as it is declared: {why} in {body:#}");
    }
}

/// Fails unless the data of an event has this shape.
#[track_caller]
pub(super) fn assert_shape(name: &str, value: &Value) {
    if let Err(why) = check(&OPENAPI["components"]["schemas"][name], value, "") {
        panic!("{why} in {value:#}");
    }
}

fn resolved(schema: &'static Value) -> &'static Value {
    let Some(reference) = schema["$ref"].as_str() else { return schema };
    let found = OPENAPI.pointer(reference.trim_start_matches('#'));
    found.unwrap_or_else(|| panic!("{reference} is declared"))
}

fn check(schema: &'static Value, value: &Value, place: &str) -> Result<(), String> {
    let schema = resolved(schema);
    let fail = |why: String| Err(format!("{place}: {why}"));
    if let Some(choices) = schema["oneOf"].as_array() {
        return match choices.iter().filter(|it| check(it, value, place).is_ok()).count() {
            1 => Ok(()),
            matches => fail(format!("{matches} of the choices match")),
        };
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        return fail(format!("{value} is none of {words:?}"));
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => return Ok(()),
    };
    let is = |kind: &&str| match *kind {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("an unknown type {other}"),
    };
    if !types.iter().any(is) {
        return fail(format!("{value} is no {types:?}"));
    }
    if let Some(text) = value.as_str().filter(|_| schema["format"] == "date-time") {
        text.parse::<chrono_time::Time>().map_err(|_| format!("{place}: {text:?} is no time"))?;
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        check(&schema["items"], item, &format!("{place}/{index}"))?;
    }
    let Some(fields) = value.as_object() else { return Ok(()) };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !fields.contains_key(name) {
            return fail(format!("`{name}` is missing"));
        }
    }
    for (name, field) in fields {
        let place = format!("{place}/{name}");
        match (&schema["properties"][name], &schema["additionalProperties"]) {
            (Value::Null, Value::Bool(false)) => return Err(format!("{place}: it is not declared")),
            (Value::Null, Value::Object(_)) => check(&schema["additionalProperties"], field, &place)?,
            (Value::Null, _) => {}
            (declared, _) => check(declared, field, &place)?,
        }
    }
    Ok(())
}

/// The time of the crate's own prelude, because the suite has no `chrono`.
mod chrono_time {
    pub(super) type Time = durable::prelude::DateTime<durable::prelude::Utc>;
}

#[test]
fn a_response_that_differs_from_the_declared_shape_is_found() {
    let bulk = |value: Value| check(&OPENAPI["components"]["schemas"]["BulkStarted"], &value, "");
    assert_eq!(bulk(serde_json::json!({ "bulk": "b", "matched": 1, "capped": false })), Ok(()));
    for (wrong, why) in [
        (serde_json::json!({ "bulk": "b", "matched": 1 }), "`capped` is missing"),
        (serde_json::json!({ "bulk": 1, "matched": 1, "capped": false }), "/bulk"),
        (serde_json::json!({ "bulk": "b", "matched": 1, "capped": false, "more": 1 }), "/more"),
    ] {
        let found = bulk(wrong).expect_err("it is wrong");
        assert!(found.contains(why), "{found}");
    }
    assert!(routes().len() > 30);
}
