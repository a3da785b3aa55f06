//! `mut` arguments of workflows and steps, and patterns in the arguments of a step.

#![deny(warnings)]

use durable::prelude::*;

struct Line {
    item: String,
    count: u32,
}

#[workflow]
async fn total(mut lines: Vec<u32>, _unused: bool) -> Result<u32> {
    lines.push(1);
    Ok(lines.into_iter().sum())
}

#[step]
async fn add(
    (left, mut right): (u32, u32),
    Line { item, count }: Line,
    [first, ..]: &[u32; 3],
    _: bool,
    mut rest: Vec<u32>,
) -> String {
    right += 1;
    rest.push(left + right + count + first);
    format!("{item}: {rest:?}")
}

#[tokio::test]
async fn a_step_takes_patterns_and_a_workflow_takes_mut_arguments() {
    let line = Line { item: "tea".into(), count: 3 };
    assert_eq!(add((1, 2), line, &[4, 5, 6], true, vec![0]).await, "tea: [0, 11]");
    let _ = total(vec![], true).id("x");
}
