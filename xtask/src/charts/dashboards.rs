//! Grafana's dashboards: each query parses, and asks for metrics that the programs have or the rules record.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::pods::items;
use super::{Faults, directory, rules};
use crate::workspace;

/// What stands in for a variable when a query is checked. `$NAME` and `${NAME}` are both replaced.
const VARIABLES: [(&str, &str); 8] = [
    ("__rate_interval", "5m"),
    ("__range", "1h"),
    ("cluster", "default"),
    ("node", "node-1"),
    ("workflow", "churn"),
    ("stage", "train"),
    ("run", "r1"),
    ("site", "paris"),
];
/// A panel whose description ends so has no series where nothing is wrong.
const MAY_BE_EMPTY: &str = "Empty while all is well.";

/// Looks at all of them.
///
/// # Errors
/// Where a file cannot be read, or promtool not be run.
pub(super) fn check(faults: &mut Faults) -> Result<()> {
    let mut uids: BTreeMap<String, String> = BTreeMap::new();
    let mut queries = Vec::new();
    for file in files()? {
        let name = file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let text = fs::read_to_string(&file)?;
        let dashboard: Value =
            serde_json::from_str(&text).with_context(|| format!("dashboards/{name} is no JSON"))?;
        faults.of(format!("dashboards/{name}"));
        let uid = dashboard["uid"].as_str().unwrap_or_default().to_owned();
        if let Some(other) = uids.insert(uid.clone(), name.clone()) {
            faults.add(&format!("has the uid {uid} of {other}"));
        }
        check_one(&dashboard, faults);
        queries.extend(expressions(&dashboard).map(|query| (name.clone(), query)));
    }
    check_queries(&queries, faults)
}

fn files() -> Result<Vec<PathBuf>> {
    let directory = directory().join("dashboards");
    let entries =
        fs::read_dir(&directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    if files.is_empty() {
        bail!("no dashboards in {}", directory.display());
    }
    Ok(files)
}

fn check_one(dashboard: &Value, faults: &mut Faults) {
    for key in ["uid", "title", "description"] {
        faults.check(
            dashboard[key].as_str().is_some_and(|text| !text.is_empty()),
            || format!("has no {key}"),
        );
    }
    faults.check(dashboard["id"].is_null(), || {
        "has an id, which is one Grafana's own".into()
    });
    let mut ids = BTreeSet::new();
    for panel in items(&dashboard["panels"]) {
        let title = panel["title"].as_str().unwrap_or("?");
        faults.check(ids.insert(panel["id"].to_string()), || {
            format!("'{title}' has another's id")
        });
        if panel["type"] == "row" {
            continue;
        }
        for key in ["title", "description"] {
            faults.check(panel[key].is_string(), || format!("'{title}' has no {key}"));
        }
        let unit = &panel["fieldConfig"]["defaults"]["unit"];
        faults.check(unit.is_string(), || format!("'{title}' has no unit"));
        let uses_variable = |value: &Value| value["datasource"]["uid"] == "${datasource}";
        let all_do = uses_variable(panel) && items(&panel["targets"]).all(uses_variable);
        faults.check(all_do, || {
            format!("'{title}' names a data source of its own")
        });
        faults.check(items(&panel["targets"]).next().is_some(), || {
            format!("'{title}' asks nothing")
        });
        let says_so = panel["description"]
            .as_str()
            .is_some_and(|text| text.contains("mpty while"));
        let ends_so = panel["description"]
            .as_str()
            .is_some_and(|text| text.ends_with(MAY_BE_EMPTY));
        faults.check(says_so == ends_so, || {
            format!("'{title}' may be empty: its description ends with '{MAY_BE_EMPTY}'")
        });
    }
}

/// Every query of panels and of variables, with the variables replaced.
fn expressions(dashboard: &Value) -> impl Iterator<Item = String> {
    let of_panels = items(&dashboard["panels"]).flat_map(|panel| items(&panel["targets"]));
    let of_panels = of_panels.filter_map(|target| target["expr"].as_str().map(str::to_owned));
    let of_variables = items(&dashboard["templating"]["list"]);
    let of_variables = of_variables.filter_map(|variable| variable["query"]["query"].as_str());
    let of_variables = of_variables.filter_map(|query| {
        let inside = query.strip_prefix("label_values(")?;
        let (selector, _) = inside.rsplit_once(',')?;
        Some(selector.to_owned())
    });
    of_panels
        .chain(of_variables)
        .map(|query| substituted(&query))
}

fn substituted(query: &str) -> String {
    VARIABLES
        .iter()
        .fold(query.to_owned(), |query, (name, value)| {
            query
                .replace(&format!("${{{name}}}"), value)
                .replace(&format!("${name}"), value)
        })
}

/// promtool parses rules: each query becomes one.
fn check_queries(queries: &[(String, String)], faults: &mut Faults) -> Result<()> {
    let known = known_metrics()?;
    for (dashboard, query) in queries {
        faults.of(format!("dashboards/{dashboard}"));
        faults.check(!query.contains('$'), || {
            format!("a variable is not known in {query}")
        });
        for metric in metrics_in(query) {
            faults.check(known.contains(metric), || format!("nobody has {metric}"));
        }
    }
    let rules = queries.iter().enumerate();
    let rules: Vec<Value> = rules
        .map(|(number, (_, query))| json!({"record": format!("query:{number}"), "expr": query}))
        .collect();
    let file = workspace::target().join("helm/queries.json");
    rules::write(
        &file,
        &json!({"groups": [{"name": "queries", "rules": rules}]}).to_string(),
    )?;
    faults.of("the queries of the dashboards (target/helm/queries.json)".into());
    rules::promtool(&["check", "rules", "--lint=none"], &[file], faults)?;
    println!("{} queries of dashboards were looked at", queries.len());
    Ok(())
}

/// Names that the programs' sources have, those that clients of Prometheus add, and those of recording rules.
fn known_metrics() -> Result<BTreeSet<String>> {
    let mut known = BTreeSet::from(["up".to_owned()]);
    for directory in [
        "agent/src/metrics",
        "aggregator/src/metrics",
        "agent/src/spool",
    ] {
        let directory = workspace::root().join(directory);
        let files = fs::read_dir(&directory)
            .with_context(|| format!("cannot read {}", directory.display()))?;
        let files = files.flatten().map(|entry| entry.path());
        for file in files
            .chain([directory.with_extension("rs")])
            .filter(|file| file.is_file())
        {
            let text = fs::read_to_string(&file)?;
            let words = text
                .split('"')
                .filter(|word| word.starts_with("hxmlops_") || word.starts_with("process_"));
            for word in words {
                known.insert(word.to_owned());
                for end in ["_bucket", "_sum", "_count"] {
                    known.insert(format!("{word}{end}"));
                }
            }
        }
    }
    let rules = rules::read(&directory().join("rules/hxmlops.yaml"))?;
    let rules = items(&rules["groups"]).flat_map(|group| items(&group["rules"]));
    known.extend(rules.filter_map(|rule| rule["record"].as_str().map(str::to_owned)));
    Ok(known)
}

/// Words of a query that are names of metrics by their form.
fn metrics_in(query: &str) -> impl Iterator<Item = &str> {
    let words =
        query.split(|char: char| !(char.is_ascii_alphanumeric() || char == '_' || char == ':'));
    words.filter(|word| {
        word.starts_with("hxmlops_") || word.starts_with("process_") || word.contains(":hxmlops")
    })
}
