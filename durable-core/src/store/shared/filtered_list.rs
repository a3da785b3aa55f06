//! Listing and counting workflows. The statement has only the conditions of its filter, so that the
//! planner can choose an index by them.

use sqlx::Row;

use super::SqlStore;
use super::dialect::{INPUT_OF_W, JOIN_INPUTS, Query, is_in, list, planned_each_time};
use crate::store::StoreError;
use crate::store::columns::{WorkflowRow, select};
use crate::store::decode::decode;
use crate::store::sql::sql_statements;
use crate::types::filter::{DEFAULT_LIMIT, Filter, TimeRange};
use crate::types::id::key_of_time;
use crate::types::listing::WorkflowInfo;
use crate::types::page::{Cursor, GroupBy, GroupCount, Page, WorkflowCounts};
use crate::types::status::Status;
use crate::types::time::Timestamp;

sql_statements! {
    /// $1 id.
    show = format!("{} where w.id = $1", listing(true, "durable.workflows w"));
}

/// The workflows of a listing, from these tables.
fn listing(payloads: bool, tables: &str) -> String {
    const NONE: &str = "cast(null as text)";
    // A fork is stored as if it had been run, because it has records to read.
    const ATTEMPT: &str = "w.attempt - case when w.forked_from is null then 0 else 1 end";
    let (input, inputs) = if payloads { (INPUT_OF_W, JOIN_INPUTS) } else { (NONE, "") };
    let mut computed = vec![("input", input), ("parent", "p.id"), ("executor", "e.name"), ("attempt", ATTEMPT)];
    if !payloads {
        computed.push(("output", NONE));
    }
    format!(
        "select {}, w.key as cursor_key, w.completed_at as cursor_time
           from {tables}
           {inputs}
           left join durable.workflows p on p.key = w.parent
           left join durable.executors e on e.key = w.executor",
        select("w", WorkflowRow::COLUMNS, &computed)
    )
}

/// The value of a parameter.
pub(super) enum Parameter {
    Text(String),
    BigInt(i64),
    Texts(Vec<String>),
}

/// The tables and the conditions of a filter, with their parameters.
struct Selection {
    /// A filter by a label begins with the index of labels, whose order is that of the listing.
    tables: &'static str,
    /// The column by which the listing is ordered, with the order of those that share its value.
    order: &'static [&'static str],
    conditions: Vec<String>,
    parameters: Vec<Parameter>,
}

impl Selection {
    fn of(filter: &Filter) -> Self {
        let labels = filter.labels.split_first();
        let mut selection = Self {
            tables: match labels {
                Some(_) => "durable.labels l cross join durable.workflows w",
                None => "durable.workflows w",
            },
            order: match labels {
                _ if filter.completed.is_bounded() => &["w.completed_at", "w.key"],
                Some(_) => &["l.workflow"],
                None if goes_by_status(filter) => &["w.status", "w.key"],
                None => &["w.key"],
            },
            conditions: Vec::new(),
            parameters: Vec::new(),
        };
        if let Some(((name, value), others)) = labels {
            let (name, value) = (selection.text(name), selection.text(value));
            selection.add(format!("l.name = {name} and l.value = {value} and w.key = l.workflow"));
            for (name, value) in others {
                let (name, value) = (selection.text(name), selection.text(value));
                selection.add(format!(
                    "exists (select 1 from durable.labels o
                              where o.workflow = w.key and o.name = {name} and o.value = {value})"
                ));
            }
        }
        selection.add_statuses(filter);
        selection.add_texts("w.name", &filter.names);
        if let Some(ids) = &filter.ids {
            selection.add_list("w.id", ids);
        }
        if let Some(prefix) = filter.id_prefix.as_deref().filter(|it| !it.is_empty()) {
            selection.add_prefix(prefix);
        }
        selection.add_texts("w.queue", &filter.queues);
        selection.add_texts("w.partition_key", &filter.partition_keys);
        selection.add_texts("w.version", &filter.versions);
        selection.add_texts("w.started_by", &filter.started_by);
        selection.add_texts("w.forked_from", &filter.forked_from);
        selection.add_keys("w.parent", "durable.workflows", "id", &filter.parents);
        selection.add_keys("w.executor", "durable.executors", "name", &filter.executors);
        selection.add_created(filter.created);
        selection.add_times("w.started_at", filter.started);
        if filter.completed.is_bounded() {
            selection.add("w.completed_at is not null".to_owned());
            selection.add_times("w.completed_at", filter.completed);
        }
        if let Some(text) = &filter.error_contains {
            // The database makes both sides lower case, because SQLite knows that of ASCII only.
            let in_reason = selection.text(&format!("%{}%", escaped(text)));
            let in_error = selection.text(&format!("%{}%", escaped(&in_json(text))));
            selection.add(format!(
                r"(lower(w.error) like lower({in_error}) escape '\' or lower(w.reason) like lower({in_reason}) escape '\')"
            ));
        }
        selection
    }

    fn add(&mut self, condition: String) {
        self.conditions.push(condition);
    }

    fn parameter(&mut self, value: Parameter) -> String {
        self.parameters.push(value);
        format!("${}", self.parameters.len())
    }

    fn text(&mut self, value: &str) -> String {
        self.parameter(Parameter::Text(value.to_owned()))
    }

    fn big_int(&mut self, value: i64) -> String {
        self.parameter(Parameter::BigInt(value))
    }

    /// Statuses are written as words, and whether it can be SUCCESS in addition: both databases use a
    /// partial index only if they see its condition.
    fn add_statuses(&mut self, filter: &Filter) {
        let words: Vec<_> = filter.statuses.iter().map(|it| format!("'{}'", it.as_str())).collect();
        match &*words {
            [] => {}
            // As a range, so that the order by status and key is not taken for one by the key alone: the planner would
            // read the whole table in that order, in the hope to find a few workflows of the status soon.
            [one] if self.order == ["w.status", "w.key"] => self.add(format!("w.status between {one} and {one}")),
            [one] => self.add(format!("w.status = {one}")),
            several => self.add(format!("w.status in ({})", several.join(", "))),
        }
        let has_error = filter.error_contains.is_some();
        if has_error || !words.is_empty() && !filter.statuses.contains(&Status::Success) {
            self.add("w.status <> 'SUCCESS'".to_owned());
        }
    }

    fn add_texts(&mut self, column: &str, values: &[String]) {
        match values {
            [] => {}
            [one] => {
                let value = self.text(one);
                self.add(format!("{column} = {value}"));
            }
            several => self.add_list(column, several),
        }
    }

    fn add_list(&mut self, column: &str, values: &[String]) {
        self.parameter(Parameter::Texts(values.to_vec()));
        self.add(is_in(column, self.parameters.len()));
    }

    /// The ids from the prefix on, before the first text that does not begin with it.
    fn add_prefix(&mut self, prefix: &str) {
        let from = self.text(prefix);
        self.add(format!("w.id >= {from}"));
        if let Some(end) = end_of_prefix(prefix) {
            let until = self.text(&end);
            self.add(format!("w.id < {until}"));
        }
    }

    /// Keys of another table, by a text in it.
    fn add_keys(&mut self, column: &str, table: &str, by: &str, values: &[String]) {
        match values {
            [] => {}
            [one] if table == "durable.workflows" => {
                let value = self.text(one);
                self.add(format!("{column} = (select o.key from {table} o where o.{by} = {value})"));
            }
            several => {
                self.parameter(Parameter::Texts(several.to_vec()));
                let condition = is_in(&format!("o.{by}"), self.parameters.len());
                self.add(format!("{column} in (select o.key from {table} o where {condition})"));
            }
        }
    }

    /// Keys are made of the time, so a range of times is also a range of keys, which need no further index.
    fn add_created(&mut self, range: TimeRange) {
        self.add_times("w.created_at", range);
        let TimeRange { from, until } = range;
        if let Some(from) = from {
            let key = self.big_int(key_of_time(Timestamp::from_date(from), false));
            self.add(format!("w.key >= {key}"));
        }
        if let Some(until) = until {
            let key = self.big_int(key_of_time(Timestamp::from_date(until), true));
            self.add(format!("w.key < {key}"));
        }
    }

    fn add_times(&mut self, column: &str, TimeRange { from, until }: TimeRange) {
        for (comparison, time) in [(">=", from), ("<", until)] {
            if let Some(time) = time {
                let time = self.big_int(Timestamp::from_date(time).as_micros());
                self.add(format!("{column} {comparison} {time}"));
            }
        }
    }

    /// Behind the cursor, in the order of the listing.
    fn add_cursor(&mut self, filter: &Filter) {
        let Some(cursor) = filter.after else { return };
        let comparison = if filter.newest_first { "<" } else { ">" };
        let key = self.big_int(cursor.key);
        if let [one] | ["w.status", one] = self.order {
            self.add(format!("{one} {comparison} {key}"));
        } else {
            let time = self.big_int(cursor.completed_at.unwrap_or_default());
            self.add(format!("(w.completed_at, w.key) {comparison} ({time}, {key})"));
        }
    }

    fn where_clause(&self) -> String {
        if self.conditions.is_empty() { String::new() } else { format!("where {}", self.conditions.join("\n and ")) }
    }

    fn order_clause(&self, newest_first: bool) -> String {
        let direction = if newest_first { " desc" } else { "" };
        let columns = self.order.iter().map(|it| format!("{it}{direction}")).collect::<Vec<_>>();
        format!("order by {}", columns.join(", "))
    }
}

/// Whether a listing goes by the index of statuses: of a status that few workflows have.
fn goes_by_status(filter: &Filter) -> bool {
    matches!(filter.statuses[..], [one] if one != Status::Success)
}

/// The statement of a listing, and its parameters.
pub(super) fn list_statement(filter: &Filter) -> (String, Vec<Parameter>) {
    let mut selection = Selection::of(filter);
    selection.add_cursor(filter);
    let limit = selection.big_int(i64::from(limit_of(filter)) + 1);
    let text = format!(
        "{} {} {} limit {limit}",
        listing(filter.payloads, selection.tables),
        selection.where_clause(),
        selection.order_clause(filter.newest_first)
    );
    (text, selection.parameters)
}

/// The statement that counts at most so many workflows, by group.
fn count_statement(filter: &Filter, group: GroupBy, most: u32) -> (String, Vec<Parameter>) {
    let mut selection = Selection::of(filter);
    let limit = selection.big_int(i64::from(most) + 1);
    let (column, name) = match group {
        GroupBy::Status => ("status", "counted.value"),
        GroupBy::Name => ("name", "counted.value"),
        GroupBy::Queue => ("queue", "counted.value"),
        GroupBy::Version => ("version", "counted.value"),
        GroupBy::Executor => ("executor", "(select e.name from durable.executors e where e.key = counted.value)"),
    };
    let text = format!(
        "select {name} as value, counted.number as number
           from (select chosen.value, count(*) as number
                   from (select w.{column} as value from {} {} limit {limit}) chosen
                  group by chosen.value) counted",
        selection.tables,
        selection.where_clause()
    );
    (text, selection.parameters)
}

fn limit_of(filter: &Filter) -> u32 {
    filter.limit.unwrap_or(DEFAULT_LIMIT)
}

/// The first text behind all texts that begin with this one, in the order of their bytes; `None` if
/// there is none.
fn end_of_prefix(prefix: &str) -> Option<String> {
    let mut end: Vec<char> = prefix.chars().collect();
    while let Some(last) = end.pop() {
        // The next character; those between U+D7FF and U+E000 are none.
        if let Some(next) = (u32::from(last) + 1..=u32::from(last) + 0x801).find_map(char::from_u32) {
            end.push(next);
            return Some(end.into_iter().collect());
        }
    }
    None
}

/// The text as it is within a text of JSON, as errors are stored.
fn in_json(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    json[1..json.len() - 1].to_owned()
}

/// The text in a pattern of `like`, with the escape character `\`.
fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_")
}

impl SqlStore {
    pub(super) fn selecting(&self, (text, parameters): (String, Vec<Parameter>)) -> Query {
        let query = parameters.into_iter().fold(self.query(&self.render(&text)), |query, it| match it {
            Parameter::Text(value) => query.bind(value),
            Parameter::BigInt(value) => query.bind(value),
            Parameter::Texts(values) => query.bind(list(&values)),
        });
        planned_each_time(query)
    }

    pub(super) async fn list_page(&self, filter: &Filter) -> Result<Page<WorkflowInfo>, StoreError> {
        let query = self.selecting(list_statement(filter));
        let rows = query.fetch_all(&mut *self.reading().await?).await?;
        let by_completion = filter.completed.is_bounded();
        let item = |row| {
            let completed_at = Some(row).filter(|_| by_completion).map(|row| Row::try_get(row, "cursor_time"));
            let cursor = Cursor { completed_at: completed_at.transpose()?, key: Row::try_get(row, "cursor_key")? };
            Ok((cursor, decode::<_, WorkflowRow, _>(row)?))
        };
        let items = rows.iter().map(item).collect::<Result<Vec<_>, StoreError>>()?;
        Ok(Page::of(items, limit_of(filter) as usize))
    }

    pub(super) async fn count_groups(
        &self,
        filter: &Filter,
        group: GroupBy,
        most: u32,
    ) -> Result<WorkflowCounts, StoreError> {
        let query = self.selecting(count_statement(filter, group, most));
        let rows = query.fetch_all(&mut *self.reading().await?).await?;
        let count = |row| {
            let count = u64::try_from(Row::try_get::<i64, _>(row, "number")?).unwrap_or_default();
            Ok(GroupCount { value: Row::try_get(row, "value")?, count })
        };
        let mut groups = rows.iter().map(count).collect::<Result<Vec<_>, StoreError>>()?;
        groups.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.value.cmp(&b.value)));
        let total = groups.iter().map(|it| it.count).sum::<u64>();
        // The row above the limit only shows that there are more.
        Ok(WorkflowCounts { groups, total: total.min(u64::from(most)), capped: total > u64::from(most) })
    }

    pub(super) async fn show_workflow(&self, id: &str) -> Result<Option<WorkflowInfo>, StoreError> {
        let row = self.query(&self.sql.filtered_list.show).bind(id).fetch_optional(&mut *self.reading().await?).await?;
        row.as_ref().map(decode::<_, WorkflowRow, _>).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_behind_all_texts_with_it() {
        for prefix in ["order-", "a\u{d7ff}", "\u{10ffff}a", "ż"] {
            let end = end_of_prefix(prefix).expect("there is one");
            assert!(*end > *format!("{prefix}\u{10ffff}\u{10ffff}"), "{prefix:?}");
            assert!(!end.starts_with(prefix), "{prefix:?}");
        }
        assert_eq!(end_of_prefix("ab\u{10ffff}").as_deref(), Some("ac"));
        assert_eq!(end_of_prefix("\u{10ffff}"), None);
    }
}
