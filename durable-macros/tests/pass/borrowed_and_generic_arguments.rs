//! A step borrows its arguments and is generic.

#![deny(warnings, elided_lifetimes_in_paths, single_use_lifetimes)]

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{Debug, Display};

use durable::Payload;
use durable::prelude::*;

#[step]
async fn changed(mut log: Vec<String>, line: &str) -> Vec<String> {
    log.push(line.to_owned());
    log
}

#[step]
async fn nested(
    keys: &[&str],
    map: Option<&BTreeMap<String, u32>>,
    note: Cow<'_, str>,
    index: &BTreeMap<u32, &str>,
) -> usize {
    keys.len() + map.map_or(0, BTreeMap::len) + note.len() + index.len()
}

#[step]
async fn named<'a>(left: &'a str, mut right: &'a str) -> String {
    if right.is_empty() {
        right = left;
    }
    format!("{left}{right}")
}

#[step]
async fn generic<T, E, const N: usize>(values: [T; N], error: &E) -> Result<Vec<T>>
where
    T: Payload,
    E: Debug + Sync,
{
    let _ = error;
    Ok(values.into_iter().collect())
}

#[step]
async fn unnamed(
    whole: impl Display + Send,
    part: &(impl Display + Sync),
    many: Vec<impl Into<String> + Send>,
) -> String {
    many.into_iter().map(Into::into).fold(format!("{whole}{part}"), |all, next: String| all + &next)
}

#[step]
async fn called(callback: &(dyn Fn(&str) -> usize + Sync), pointer: fn(&u32) -> u32) -> usize {
    callback("four") + pointer(&1) as usize
}

#[step(retries = 3)]
async fn repeated(text: &str, owned: Vec<String>) -> usize {
    text.len() + owned.len()
}

#[workflow]
async fn all(name: String) -> Result<usize> {
    let mut log = Vec::new();
    let mut sum = 0;
    for line in ["a", "b"] {
        let line = format!("{name}{line}");
        log = changed(log, &line).await;
        sum += log.len();
    }
    // A step is a function of any lifetime, also where one is passed.
    let lengths = log.iter().map(String::as_str).map(length).collect::<Vec<_>>();
    for length in lengths {
        sum += length.await;
    }
    Ok(sum)
}

#[step]
async fn length(line: &str) -> usize {
    line.len()
}

#[tokio::test]
async fn a_step_borrows_and_is_generic() -> Result<()> {
    assert_eq!(changed(vec![String::from("zero")], "one").await, ["zero", "one"]);

    let (index, key) = (BTreeMap::from([(1, "one")]), String::from("k"));
    assert_eq!(nested(&["a", &key], None, "four".into(), &index).await, 7);

    assert_eq!(named(&key, "x").await, "kx");
    assert_eq!(generic([1, 2], &"e").await?, [1, 2]);
    assert_eq!(unnamed(1, &key, vec!["x"]).await, "1kx");
    assert_eq!(called(&|text| text.len(), |it| *it).await, 5);
    assert_eq!(repeated(&key, vec![]).retries(1).await, 1);
    let _ = all("n".into()).id("x");
    Ok(())
}
