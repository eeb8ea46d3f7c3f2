//! Every query of every dashboard has an answer from a Prometheus that has scraped both programs.

use std::collections::BTreeMap;

use e2e::poll;
use e2e::prometheus::Prometheus;
use serde_json::Value;

use crate::site::{NODE, SITE, chart};

/// A panel whose description ends so has no series where nothing is wrong.
const MAY_BE_EMPTY: &str = "Empty while all is well.";

/// Asks all of them, with these values of variables beside those of every test here.
pub(crate) fn check(prometheus: &Prometheus, variables: &[(&str, &str)]) {
    let mut all: BTreeMap<&str, &str> = variables.iter().copied().collect();
    all.extend([
        ("__rate_interval", "10s"),
        ("__range", "5m"),
        ("cluster", "default"),
        ("node", NODE),
        ("site", SITE),
    ]);
    let mut count = 0;
    for entry in std::fs::read_dir(chart("dashboards")).unwrap() {
        let path = entry.unwrap().path();
        let dashboard: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        for (title, query) in queries(&dashboard) {
            let query = substitute(&query, &all);
            let answer = poll("an answer", || {
                let answer = prometheus.query(&query)?;
                Ok((!answer.is_empty()).then_some(()))
            });
            let name = path.file_name().unwrap().display();
            answer.unwrap_or_else(|error| panic!("{name}, '{title}': {query}: {error}"));
            count += 1;
        }
    }
    println!("{count} queries of dashboards have answers");
    assert!(count > 50, "{count}");
}

/// Titles and queries of panels that have something to show, and queries of variables.
fn queries(dashboard: &Value) -> Vec<(String, String)> {
    let items = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut queries = Vec::new();
    for panel in items(&dashboard["panels"]) {
        if text(&panel["description"]).ends_with(MAY_BE_EMPTY) {
            continue;
        }
        for target in items(&panel["targets"]) {
            queries.push((text(&panel["title"]), text(&target["expr"])));
        }
    }
    for variable in items(&dashboard["templating"]["list"]) {
        let query = text(&variable["query"]["query"]);
        if let Some(inside) = query.strip_prefix("label_values(") {
            let (selector, _) = inside.rsplit_once(',').unwrap();
            queries.push((text(&variable["name"]), selector.to_owned()));
        }
    }
    queries
}

/// The longest names first: `$node` begins others.
fn substitute(query: &str, variables: &BTreeMap<&str, &str>) -> String {
    let mut names: Vec<_> = variables.iter().collect();
    names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    names
        .into_iter()
        .fold(query.to_owned(), |query, (name, value)| {
            query
                .replace(&format!("${{{name}}}"), value)
                .replace(&format!("${name}"), value)
        })
}
