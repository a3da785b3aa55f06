//! The dashboard and the alert rules of the example, and the table of the guide: they use metrics that exist.

use std::collections::BTreeSet;

use durable::metrics::{METRICS, Metric, MetricKind};

/// The names of metrics in a text.
fn names_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|it: char| !it.is_ascii_alphanumeric() && it != '_');
    words.filter(|it| it.starts_with("durable_")).map(str::to_owned).collect()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The names as Prometheus has them.
fn known() -> BTreeSet<String> {
    METRICS.iter().flat_map(names_of).collect()
}

fn names_of(metric: &Metric) -> Vec<String> {
    match metric.kind {
        MetricKind::Histogram => ["_bucket", "_sum", "_count"].map(|end| format!("{}{end}", metric.name)).to_vec(),
        _ => vec![metric.name.to_owned()],
    }
}

#[test]
fn the_dashboard_and_the_alert_rules_use_metrics_that_exist() {
    for file in ["examples/observability/dashboard.json", "examples/observability/alerts.yml"] {
        let used = names_in(&read(file));
        let known = known();
        let unknown: Vec<_> = used.difference(&known).collect();
        assert!(unknown.is_empty() && used.len() > 5, "{file} uses metrics that no engine records: {unknown:?}");
    }
}

#[test]
fn the_dashboard_shows_every_metric() {
    let shown = names_in(&read("examples/observability/dashboard.json"));
    let is_shown = |it: &Metric| names_of(it).iter().any(|name| shown.contains(name));
    let missing: Vec<_> = METRICS.iter().filter(|it| !is_shown(it)).map(|it| it.name).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_dashboard_is_json_with_one_query_per_target() {
    let dashboard: serde_json::Value = serde_json::from_str(&read("examples/observability/dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let titles: BTreeSet<_> = panels.iter().map(|it| it["title"].as_str().unwrap()).collect();
    assert_eq!(titles.len(), panels.len(), "each panel has a title of its own");
    for target in panels.iter().filter(|it| it["type"] != "row").flat_map(|it| it["targets"].as_array().unwrap()) {
        assert!(target["expr"].as_str().is_some_and(|it| it.contains("durable_")), "{target}");
    }
}

#[test]
fn every_alert_says_what_to_do() {
    let rules = read("examples/observability/alerts.yml");
    let alerts: Vec<&str> = rules.split("- alert: ").skip(1).collect();
    assert!(alerts.len() >= 6);
    for alert in alerts {
        let name = alert.lines().next().unwrap();
        for part in ["expr:", "for:", "severity:", "summary:", "description:"] {
            assert!(alert.contains(part), "{name} has no {part}");
        }
        assert!(read("docs/observability.md").contains(name), "the guide does not mention {name}");
    }
}

#[test]
fn the_guide_lists_every_metric_with_its_labels_and_meaning() {
    let guide = read("docs/observability.md");
    for metric in METRICS {
        let labels = metric.labels.join(", ");
        let kind = format!("{:?}", metric.kind).to_lowercase();
        let row = format!("| `{}` | {kind} | {labels} | {} |", metric.name, metric.help);
        assert!(guide.lines().any(|it| it == row), "the guide has no line\n{row}");
    }
}
