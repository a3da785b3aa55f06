//! What a call has left in the database, and how two runs of it compare.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use durable_core::store::{Store, StoreError, TableRows, read_application_tables};
use durable_core::{Filter, History, Status, WorkflowInfo};
use serde_json::Value;

/// Stands for the id of the workflow that was called, which differs from run to run.
const OWN_ID: &str = "<id>";
/// The longest value in a message.
const MAX_SHOWN: usize = 200;
/// From this length on a value that differs from run to run is taken for a generated id, which stays the same wherever
/// it is used in one run.
const MIN_ID_LENGTH: usize = 16;

/// What one run of a call has left in the database.
#[derive(Debug)]
pub(super) struct Observation {
    /// The workflows that it started, the called one first.
    workflows: Vec<History>,
    tables: Vec<TableRows>,
}

impl Observation {
    /// Reads what the workflow `id` has left, apart from the workflows that were there earlier.
    pub(super) async fn read(
        store: &dyn Store,
        schema: &str,
        id: &str,
        earlier: &HashSet<String>,
    ) -> Result<Self, StoreError> {
        let mut workflows = Vec::new();
        let listed = all_workflows(store).await?;
        let family = family(&listed, id);
        for listed in &listed {
            if family.contains(listed.id.as_str()) && !earlier.contains(&listed.id) {
                workflows.extend(store.export(&listed.id).await?);
            }
        }
        workflows.sort_by_key(|it| (it.workflow.id != id, it.workflow.created_at, it.workflow.id.clone()));
        let mut tables = read_application_tables(store, schema).await?;
        for value in tables.iter_mut().flat_map(|it| &mut it.rows).flatten() {
            *value = value.replace(id, OWN_ID);
        }
        for history in &mut workflows {
            replace_id(history, id);
        }
        Ok(Self { workflows, tables })
    }

    /// Why the called workflow is parked, if it is.
    pub(super) fn reason_of_parking(&self) -> Option<&str> {
        let workflow = &self.workflows.first()?.workflow;
        (workflow.status == Status::Parked).then(|| workflow.reason.as_deref().unwrap_or("no reason is recorded"))
    }

    fn workflow_ids(&self) -> HashSet<&str> {
        self.workflows.iter().map(|it| it.workflow.id.as_str()).collect()
    }

    /// Everything as pairs of what it is and its value, in an order for people.
    fn facts(&self, known_ids: &HashSet<String>, varying: &VaryingColumns) -> Vec<(String, String)> {
        let mut facts = Facts::default();
        let mut numbers: BTreeMap<&str, u32> = BTreeMap::new();
        for (index, history) in self.workflows.iter().enumerate() {
            let (name, id) = (history.workflow.name.as_str(), history.workflow.id.as_str());
            let label = if index == 0 {
                format!("`{name}`")
            } else if known_ids.contains(id) {
                format!("`{name}` with the id {id:?}")
            } else {
                let number = numbers.entry(name).or_default();
                *number += 1;
                format!("`{name}`, number {number}")
            };
            facts.add_workflow(&label, history);
        }
        for table in &self.tables {
            facts.add_table(table, varying);
        }
        facts.0
    }
}

/// The ids of a workflow and of everything that it started, directly or not. Schedules of the program start others.
pub(super) fn family<'a>(listed: &'a [WorkflowInfo], root: &'a str) -> HashSet<&'a str> {
    let mut family = HashSet::from([root]);
    loop {
        let before = family.len();
        let children = listed.iter().filter(|it| it.parent.as_deref().is_some_and(|parent| family.contains(parent)));
        let children: Vec<_> = children.map(|it| it.id.as_str()).collect();
        family.extend(children);
        if family.len() == before {
            return family;
        }
    }
}

/// All workflows that there are.
pub(super) async fn all_workflows(store: &dyn Store) -> Result<Vec<WorkflowInfo>, StoreError> {
    let (mut filter, mut all) = (Filter::new().limit(1_000), Vec::new());
    loop {
        let page = store.list(&filter).await?;
        all.extend(page.items);
        let Some(next) = page.next else { return Ok(all) };
        filter = filter.after(next);
    }
}

fn replace_id(history: &mut History, id: &str) {
    let replace = |text: &mut String| *text = text.replace(id, OWN_ID);
    let workflow = &mut history.workflow;
    let texts = [Some(&mut workflow.id), Some(&mut workflow.input), workflow.reason.as_mut()];
    texts.into_iter().chain([workflow.output.as_mut(), workflow.error.as_mut()]).flatten().for_each(replace);
    for step in &mut history.steps {
        let texts = [Some(&mut step.name), step.child.as_mut(), step.output.as_mut(), step.error.as_mut()];
        texts.into_iter().flatten().for_each(replace);
    }
    history.events.iter_mut().map(|it| &mut it.value).for_each(replace);
    history.stream_items.iter_mut().filter_map(|it| it.value.as_mut()).for_each(replace);
    history.messages.iter_mut().map(|it| &mut it.payload).for_each(replace);
}

/// The columns with values that differ from run to run, by table and name.
type VaryingColumns = HashSet<(String, String)>;

#[derive(Default)]
struct Facts(Vec<(String, String)>);

impl Facts {
    fn add(&mut self, what: String, value: &dyn ToString) {
        self.0.push((what, value.to_string()));
    }

    /// Adds the values in a text of JSON, each by itself.
    fn add_json(&mut self, what: &str, text: &str) {
        match serde_json::from_str(text) {
            Ok(value) => self.add_value(what, &value),
            Err(_) => self.add(what.to_owned(), &text),
        }
    }

    fn add_value(&mut self, what: &str, value: &Value) {
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                fields.iter().for_each(|(name, it)| self.add_value(&format!("{what}.{name}"), it));
            }
            Value::Array(items) if !items.is_empty() => {
                items.iter().enumerate().for_each(|(index, it)| self.add_value(&format!("{what}[{index}]"), it));
            }
            plain => self.add(what.to_owned(), &plain),
        }
    }

    fn add_workflow(&mut self, label: &str, history: &History) {
        let workflow = &history.workflow;
        self.add(format!("the status of {label}"), &workflow.status);
        if let Some(reason) = &workflow.reason {
            self.add(format!("the reason of the status of {label}"), &reason);
        }
        self.add_json(&format!("the arguments of {label}"), &workflow.input);
        let losers = LosingArms::of(history);
        let mut steps = HashSet::new();
        for step in &history.steps {
            let at = if step.branch.is_empty() {
                step.position.to_string()
            } else {
                format!("{}/{}", step.branch, step.position)
            };
            if losers.contain(&at) || step.kind == "deadline" {
                continue;
            }
            self.add(format!("position {at} of {label}"), &format_args!("{} `{}`", step.kind, step.name));
            // The names of other operations may be ids, which differ from run to run.
            let name = match step.kind.as_str() {
                kind @ ("step" | "transaction") => format!("{kind} `{}`", step.name),
                kind => kind.to_owned(),
            };
            if let Some(output) = &step.output {
                self.add_json(&format!("the output of {name} at position {at} of {label}"), output);
            }
            if let Some(error) = &step.error {
                self.add_json(&format!("the error of {name} at position {at} of {label}"), error);
            }
            if let Some(child) = &step.child {
                self.add(format!("the workflow of {name} at position {at} of {label}"), &child);
            }
            if step.kind == "step" {
                steps.insert((step.branch.as_str(), step.position));
            }
        }
        let in_step = |branch: &str, position: i32| steps.contains(&(branch, position)).then_some(position);
        let events =
            history.events.iter().map(|it| (it.name.as_str(), in_step(&it.branch, it.position), it.value.as_str()));
        self.add_published("value", "event", label, &events.collect::<Vec<_>>());
        let item = |it: &Option<String>| it.clone().unwrap_or_else(|| "the end".to_owned());
        let items: Vec<_> = history.stream_items.iter().map(|it| (it, item(&it.value))).collect();
        let items =
            items.iter().map(|(it, value)| (it.name.as_str(), in_step(&it.branch, it.position), value.as_str()));
        self.add_published("item", "stream", label, &items.collect::<Vec<_>>());
        let mut numbers: HashMap<&str, u32> = HashMap::new();
        for message in &history.messages {
            let number = numbers.entry(&message.topic).or_default();
            *number += 1;
            let what = format!("message {number} to {label} on topic `{}`", message.topic);
            let received = if message.received_at.is_some() { "received" } else { "not received" };
            self.add(format!("whether {what} was received"), &received);
            self.add_json(&what, &message.payload);
        }
        if let Some(output) = &workflow.output {
            self.add_json(&format!("the result of {label}"), output);
        }
        if let Some(error) = &workflow.error {
            self.add_json(&format!("the error of {label}"), error);
        }
    }

    /// Adds events or stream items: their names, the step that they come from, and their values. A step may publish
    /// something again when it runs again, so what one step publishes counts once.
    fn add_published(&mut self, one: &str, of: &str, label: &str, published: &[(&str, Option<i32>, &str)]) {
        let mut numbers: HashMap<&str, u32> = HashMap::new();
        for (index, item) in published.iter().enumerate() {
            if item.1.is_some() && published[index + 1..].contains(item) {
                continue;
            }
            let number = numbers.entry(item.0).or_default();
            *number += 1;
            self.add_json(&format!("{one} {number} of {of} `{}` of {label}", item.0), item.2);
        }
    }

    fn add_table(&mut self, table: &TableRows, varying: &VaryingColumns) {
        let TableRows { name, columns, rows } = table;
        self.add(format!("the number of rows of table `{name}`"), &rows.len());
        let varies: Vec<bool> = columns.iter().map(|it| varying.contains(&(name.clone(), it.clone()))).collect();
        let fixed = |row: &Vec<String>| {
            let values = row.iter().zip(&varies);
            values.filter(|(_, varies)| !**varies).map(|(value, _)| value.clone()).collect::<Vec<_>>()
        };
        let mut rows: Vec<_> = rows.iter().collect();
        rows.sort_by_key(|row| fixed(row)); // rows that are equal so far keep their order
        for (number, row) in rows.into_iter().enumerate() {
            for (column, value) in columns.iter().zip(row) {
                let what = format!("`{column}` in row {} of table `{name}`", number + 1);
                // The fields of a JSON document are compared one by one, so that one that varies hides no other.
                let text = value.strip_prefix('\'').and_then(|it| it.strip_suffix('\'')).unwrap_or(value);
                if text.starts_with(['{', '[']) { self.add_json(&what, text) } else { self.add(what, &value) }
            }
        }
    }
}

/// The branches of `durable::select!` that lost: how far they came is a matter of time.
struct LosingArms<'a>(Vec<(String, &'a str)>);

impl<'a> LosingArms<'a> {
    fn of(history: &'a History) -> Self {
        let selects = history.steps.iter().filter(|it| it.kind == "select");
        let winner = |it: &'a durable_core::HistoryStep| {
            let branch = if it.branch.is_empty() { String::new() } else { format!("{}/", it.branch) };
            Some((format!("{branch}{}/", it.position), it.output.as_deref()?))
        };
        Self(selects.filter_map(winner).collect())
    }

    fn contain(&self, position: &str) -> bool {
        self.0.iter().any(|(select, winner)| {
            position.strip_prefix(select.as_str()).is_some_and(|below| below.split('/').next() != Some(winner))
        })
    }
}

/// What every run is to leave in the database: what the runs without a crash have in common.
#[derive(Debug)]
pub(super) struct Expectation {
    known_ids: HashSet<String>,
    varying_columns: VaryingColumns,
    expected: Vec<(String, String)>,
    /// What differed between these runs, or was not in all of them.
    varying: HashSet<String>,
    /// Generated ids that are used in several places: these hold one value in each run.
    same: Vec<Vec<String>>,
}

impl Expectation {
    /// # Panics
    /// There are fewer than two runs.
    pub(super) fn of(runs: &[Observation]) -> Self {
        let (first, others) = runs.split_first().expect("there are two runs at least");
        let in_all = |id: &&str| others.iter().all(|it| it.workflow_ids().contains(*id));
        let known_ids = first.workflow_ids().into_iter().filter(in_all).map(str::to_owned).collect();
        let varying_columns = others.iter().flat_map(|it| varying_columns(&first.tables, &it.tables)).collect();
        let expected = first.facts(&known_ids, &varying_columns);
        let in_first: HashMap<_, _> = expected.iter().cloned().collect();
        let (mut varying, mut same) = (HashSet::new(), Vec::new());
        for (number, other) in others.iter().enumerate() {
            let in_other: HashMap<_, _> = other.facts(&known_ids, &varying_columns).into_iter().collect();
            let everything: BTreeSet<&String> = in_first.keys().chain(in_other.keys()).collect();
            let mut places = BTreeMap::<_, Vec<String>>::new();
            for what in everything {
                let values = (in_first.get(what), in_other.get(what));
                if values.0 == values.1 {
                    continue;
                }
                varying.insert(what.clone());
                if let (Some(one), Some(other)) = values
                    && is_generated_id(one)
                    && is_generated_id(other)
                {
                    places.entry((one.as_str(), other.as_str())).or_default().push(what.clone());
                }
            }
            if number == 0 {
                same = places.into_values().filter(|it| it.len() > 1).collect();
            }
        }
        Self { known_ids, varying_columns, expected, varying, same }
    }

    /// What is different after a run, one line each; empty if nothing is.
    pub(super) fn differences(&self, observation: &Observation) -> Vec<String> {
        let found = observation.facts(&self.known_ids, &self.varying_columns);
        let by_name: HashMap<_, _> = found.iter().cloned().collect();
        let mut differences = Vec::new();
        for (what, expected) in self.expected.iter().filter(|(what, _)| !self.varying.contains(what)) {
            match by_name.get(what) {
                Some(value) if value == expected => {}
                Some(value) => differences.push(format!("{what} is {}, and was {}", shown(value), shown(expected))),
                None => differences.push(format!("{what} is missing, and was {}", shown(expected))),
            }
        }
        let expected: HashSet<_> = self.expected.iter().map(|(what, _)| what).collect();
        for (what, value) in found.iter().filter(|(what, _)| !expected.contains(what) && !self.varying.contains(what)) {
            differences.push(format!("{what} is {}, and was not there", shown(value)));
        }
        for places in &self.same {
            let values: Vec<_> = places.iter().filter_map(|it| by_name.get(it)).collect();
            if values.windows(2).any(|pair| pair[0] != pair[1]) {
                differences.push(format!("these differ, and were the same: {}", places.join("; ")));
            }
        }
        differences
    }
}

/// Compares the values of each column, in whatever order the rows are.
fn varying_columns(first: &[TableRows], second: &[TableRows]) -> VaryingColumns {
    let mut varying = HashSet::new();
    for table in first {
        let Some(other) = second.iter().find(|it| it.name == table.name) else { continue };
        for (index, column) in table.columns.iter().enumerate() {
            let values = |table: &TableRows| {
                let mut values: Vec<_> = table.rows.iter().filter_map(|row| row.get(index).cloned()).collect();
                values.sort_unstable();
                values
            };
            if values(table) != values(other) {
                varying.insert((table.name.clone(), column.clone()));
            }
        }
    }
    varying
}

/// Whether a value that varies is an id, and no time: two times may be equal by chance.
fn is_generated_id(value: &str) -> bool {
    let text = value.trim_matches(['"', '\'']);
    let is_time = text.as_bytes().get(4) == Some(&b'-') && text.as_bytes().get(7) == Some(&b'-');
    text.len() >= MIN_ID_LENGTH && !is_time && text.contains(char::is_alphabetic)
}

fn shown(value: &str) -> String {
    match value.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}
