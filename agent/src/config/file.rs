//! The file of `--config`: the flags' names as keys, scalars or lists as values; and stage rules, which no flag has.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context, bail};
use clap::CommandFactory;
use serde::Deserialize;
use wire::stage::{Rule, Rules};

use super::Args;

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Value {
    Flag(bool),
    Integer(i64),
    Text(String),
    List(Vec<String>),
}

/// What the file makes of the arguments, and its stage rules.
#[derive(Clone, Debug)]
pub struct Merged {
    /// With the file's keys as flags.
    pub arguments: Vec<OsString>,
    /// The built-in rules, with the file's.
    pub stage_rules: Rules,
}

#[derive(Debug, Deserialize)]
struct Content {
    #[serde(default, rename = "stage-rules", alias = "stage_rules")]
    stage_rules: Vec<Rule>,
    #[serde(flatten)]
    keys: BTreeMap<String, Value>,
}

/// Adds the file's keys to `arguments` as flags, but for those that a flag or the environment sets.
///
/// # Errors
/// Names the file, and the key where one is unknown.
pub(super) fn read(arguments: &[OsString], path: &Path) -> anyhow::Result<Merged> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read --config {}", path.display()))?;
    merge_text(arguments, &text)
        .map_err(|error| anyhow::anyhow!("--config {}: {error:#}", path.display()))
}

/// The same of the file's text.
///
/// # Errors
/// Where it is no YAML of keys and values, or has rules that are none; names the key where one is unknown.
pub fn merge_text(arguments: &[OsString], text: &str) -> anyhow::Result<Merged> {
    let content: Content =
        serde_saphyr::from_str(text).map_err(|error| anyhow::anyhow!(in_one_line(&error)))?;
    let stage_rules = Rules::with(content.stage_rules).context("stage-rules")?;
    let mut merged = arguments.to_vec();
    for (key, value) in content.keys {
        let known = Args::command()
            .get_arguments()
            .any(|arg| arg.get_long() == Some(&key));
        if !known || key == "config" {
            bail!("unknown key '{}'", key.escape_debug());
        }
        if !is_set(arguments, &key) {
            merged.extend(flag(&key, value).map(OsString::from));
        }
    }
    Ok(Merged {
        arguments: merged,
        stage_rules,
    })
}

/// The parser goes on with an excerpt of the file.
fn in_one_line(error: &serde_saphyr::Error) -> String {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    first.to_owned()
}

fn is_set(arguments: &[OsString], key: &str) -> bool {
    let flag = format!("--{key}");
    let is_flag = |argument: &OsString| {
        argument
            .to_str()
            .and_then(|argument| argument.strip_prefix(&flag))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    };
    let variable = format!("HXMLOPS_AGENT_{}", key.to_uppercase().replace('-', "_"));
    arguments.iter().any(is_flag) || std::env::var_os(variable).is_some()
}

fn flag(key: &str, value: Value) -> Option<String> {
    match value {
        Value::Flag(true) => Some(format!("--{key}")),
        Value::Flag(false) => None,
        Value::Integer(number) => Some(format!("--{key}={number}")),
        Value::Text(text) => Some(format!("--{key}={text}")),
        Value::List(parts) => Some(format!("--{key}={}", parts.join(","))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(yaml: &str, flags: &[&str]) -> anyhow::Result<Vec<String>> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("agent.yaml");
        std::fs::write(&path, yaml).unwrap();
        let flags: Vec<OsString> = flags.iter().map(OsString::from).collect();
        let merged = read(&flags, &path)?;
        Ok(merged
            .arguments
            .into_iter()
            .map(|argument| argument.into_string().unwrap())
            .collect())
    }

    #[test]
    fn flags_win_over_the_file() {
        let yaml = "interval: 2s\ncluster: edge\nmetrics: [node, process]\nmetrics-max-series: 7\n";
        let expected = [
            "--interval=9s",
            "--cluster=edge",
            "--metrics=node,process",
            "--metrics-max-series=7",
        ];
        assert_eq!(merged(yaml, &["--interval=9s"]).unwrap(), expected);
    }

    #[test]
    fn stage_rules_are_no_flag() {
        let yaml = "interval: 2s
stage-rules:
- name: ours
  when: [{label: team}]
  run: [{label: build}]
";
        let merged = merge_text(&[], yaml).unwrap();
        assert_eq!(merged.arguments, ["--interval=2s"]);
        assert_eq!(merged.stage_rules.rules()[1].name, "ours");
        let none = merge_text(&[], "interval: 2s\n").unwrap();
        assert_eq!(none.stage_rules, Rules::built_in());
        for (yaml, expected) in [
            ("stage-rules: [{name: a, run: [{label: b}]}]", "rule 'a'"),
            ("stage-rules: [{name: a, stages: []}]", "stages"),
            ("stage-rules: 7", "expected sequence"),
        ] {
            let error = format!("{:#}", merge_text(&[], yaml).unwrap_err());
            assert!(error.contains(expected), "{yaml}: {error}");
        }
    }

    #[test]
    fn an_unknown_key_and_bad_yaml_are_named() {
        assert!(
            merged("intervall: 2s\n", &[])
                .unwrap_err()
                .to_string()
                .contains("unknown key 'intervall'")
        );
        for text in ["interval: [", "a: b: c", "\"a\\nb\": 1"] {
            let error = merged(text, &[]).unwrap_err().to_string();
            assert!(
                error.contains("agent.yaml") && !error.contains('\n'),
                "{error}"
            );
        }
    }
}
