//! The filter of the conditions of `--where`.

use super::exit::{Exit, Failure, Result};
use super::suggest::nearest;
use super::values::moment;
use crate::conditions::{KEYS, TIMES, with_condition};
use crate::{Client, Filter};

/// How many workflows are read at once.
const PAGE: u32 = 200;

/// The filter of conditions such as `status=error` and `label.tenant=acme`.
pub(super) fn filter_of(conditions: &[String]) -> Result<Filter> {
    let usage = |message: String| Failure::new(Exit::Usage, message);
    let mut filter = Filter::new();
    for condition in conditions {
        let Some((key, value)) = condition.split_once('=') else {
            return Err(usage(format!("{condition:?} is no KEY=VALUE")).hint(format!("the keys are {KEYS}")));
        };
        let is_time = TIMES.contains(&key);
        let value = if is_time { moment(value).map_err(usage)?.to_rfc3339() } else { value.to_owned() };
        filter = with_condition(filter, key, &value).map_err(usage)?.ok_or_else(|| unknown_key(key, &value))?;
    }
    Ok(filter)
}

fn unknown_key(key: &str, value: &str) -> Failure {
    let failure = Failure::new(Exit::Usage, format!("there is no condition {key:?}"));
    match nearest(key, KEYS.split(", ")) {
        Some(meant) => failure.hint(format!("did you mean {meant:?}? The keys are {KEYS}")),
        None => failure.hint(format!("a label is written label.{key}={value}; the other keys are {KEYS}")),
    }
}

/// The ids of all that match.
pub(super) async fn ids_of(client: &Client, filter: Filter) -> Result<Vec<String>> {
    let (mut filter, mut ids) = (filter.limit(PAGE), Vec::new());
    loop {
        let page = client.list_workflows(filter.clone()).await?;
        let next = page.next;
        ids.extend(page.into_iter().map(|it| it.id));
        let Some(next) = next else { return Ok(ids) };
        filter = filter.after(next);
    }
}
