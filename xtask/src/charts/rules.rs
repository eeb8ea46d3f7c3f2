//! Recording rules and alerts: `promtool` checks them, their tests cover each of them, and the PrometheusRule has the same.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::objects::of_kind;
use super::pods::items;
use super::{Faults, directory};
use crate::workspace;

/// Checks the file of rules and runs its tests.
///
/// # Errors
/// Where a file cannot be read, or promtool not be run.
pub(super) fn check(faults: &mut Faults) -> Result<()> {
    let file = directory().join("rules/hxmlops.yaml");
    faults.of("rules/hxmlops.yaml".into());
    promtool(
        &["check", "rules", "--lint=all", "--lint-fatal"],
        std::slice::from_ref(&file),
        faults,
    )?;
    let tests = test_files()?;
    faults.of("rules/tests".into());
    promtool(&["test", "rules"], &tests, faults)?;
    check_coverage(&read(&file)?, &tests, faults)
}

/// The rules of a rendering are those of the file, and promtool takes them.
///
/// # Errors
/// As [`check`].
pub(super) fn check_rendered(objects: &[Value], faults: &mut Faults) -> Result<()> {
    let all = read(&directory().join("rules/hxmlops.yaml"))?;
    let has = |kind| of_kind(objects, kind).next().is_some();
    for rule in of_kind(objects, "PrometheusRule") {
        for group in items(&all["groups"]) {
            let name = group["name"].as_str().unwrap_or_default();
            let is_agents = name.starts_with("hxmlops-agent-");
            let wanted = has(if is_agents {
                "DaemonSet"
            } else {
                "StatefulSet"
            });
            let is_there = items(&rule["spec"]["groups"]).any(|other| other["name"] == *name);
            faults.check(wanted == is_there, || {
                format!("group {name} is there: {is_there}")
            });
        }
        for group in items(&rule["spec"]["groups"]) {
            let same = items(&all["groups"]).find(|other| other["name"] == group["name"]);
            let is_same = same.is_none_or(|same| without_labels(same) == without_labels(group));
            faults.check(is_same, || {
                format!("group {} is not as in the file", group["name"])
            });
        }
        let file = workspace::target().join("helm/rendered-rules.json");
        write(&file, &rule["spec"].to_string())?;
        promtool(
            &["check", "rules", "--lint=all", "--lint-fatal"],
            &[file],
            faults,
        )?;
    }
    Ok(())
}

/// Runs promtool on files; what it says of a fault is the fault.
///
/// # Errors
/// Where it cannot be run.
pub(super) fn promtool(arguments: &[&str], files: &[PathBuf], faults: &mut Faults) -> Result<()> {
    let output = Command::new("promtool")
        .args(arguments)
        .args(files)
        .output()
        .context("cannot run promtool")?;
    faults.check(output.status.success(), || {
        let said = [output.stdout, output.stderr].concat();
        format!(
            "promtool {}: {}",
            arguments[..2].join(" "),
            String::from_utf8_lossy(&said).trim()
        )
    });
    Ok(())
}

/// Writes a file, and the directory that it is in.
///
/// # Errors
/// Where that fails.
pub(super) fn write(file: &Path, text: &str) -> Result<()> {
    let written =
        fs::create_dir_all(file.parent().unwrap_or(file)).and_then(|()| fs::write(file, text));
    written.with_context(|| format!("cannot write {}", file.display()))
}

/// A YAML file.
///
/// # Errors
/// Where it cannot be read.
pub(super) fn read(file: &Path) -> Result<Value> {
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    serde_saphyr::from_str(&text).with_context(|| format!("{} is no YAML", file.display()))
}

fn test_files() -> Result<Vec<PathBuf>> {
    let directory = directory().join("rules/tests");
    let entries =
        fs::read_dir(&directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    Ok(files)
}

/// A group with the alerts' labels left out, which values may add to.
fn without_labels(group: &Value) -> Value {
    let mut group = group.clone();
    for rule in group["rules"].as_array_mut().into_iter().flatten() {
        if rule["alert"].is_string() {
            rule["labels"] = Value::Null;
        }
    }
    group
}

/// Each record is expected somewhere, and each alert both fires and does not.
fn check_coverage(rules: &Value, tests: &[PathBuf], faults: &mut Faults) -> Result<()> {
    let mut with_samples = BTreeSet::new();
    let mut without = BTreeSet::new();
    for file in tests {
        let file = read(file)?;
        let expectations = items(&file["tests"]).flat_map(|test| items(&test["promql_expr_test"]));
        for expectation in expectations {
            let expression = expectation["expr"].as_str().unwrap_or_default().to_owned();
            let is_empty = items(&expectation["exp_samples"]).next().is_none();
            let list = if is_empty {
                &mut without
            } else {
                &mut with_samples
            };
            list.insert(expression);
        }
    }
    let has =
        |list: &BTreeSet<String>, name: &str| list.iter().any(|expression| names(expression, name));
    for rule in items(&rules["groups"]).flat_map(|group| items(&group["rules"])) {
        if let Some(record) = rule["record"].as_str() {
            faults.check(has(&with_samples, record), || {
                format!("no test expects {record}")
            });
        }
        if let Some(alert) = rule["alert"].as_str() {
            faults.check(has(&with_samples, alert), || {
                format!("no test has {alert} fire")
            });
            faults.check(
                has(&without, alert) || alert_is_compared(&with_samples, alert),
                || format!("no test has {alert} stay quiet"),
            );
        }
    }
    Ok(())
}

/// Whether a name is in an expression, and not only as a part of a longer one.
fn names(expression: &str, name: &str) -> bool {
    let is_part = |char: char| char.is_ascii_alphanumeric() || char == '_' || char == ':';
    expression.match_indices(name).any(|(start, _)| {
        let before = expression[..start].chars().next_back();
        let after = expression[start + name.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

/// A test that lists whom an alert is for also says for whom it is not.
fn alert_is_compared(expressions: &BTreeSet<String>, alert: &str) -> bool {
    let mut expressions = expressions.iter();
    expressions.any(|expression| {
        expression.starts_with("count by (alertname, node") && names(expression, alert)
    })
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn a_name_is_not_a_part_of_a_longer_one() {
        for (expression, expected) in [
            ("a:b:c", false),
            ("sum(b)", true),
            ("b_total", false),
            ("ALERTS{alertname=\"b\"}", true),
            ("b + bb", true),
        ] {
            assert_eq!(names(expression, "b"), expected, "{expression}");
        }
    }
}
