//! The examples for pipelines in docs/ci: they are YAML, and every command in them is one of the program's.

use std::path::Path;

use serde_json::Value;

use crate::program::{Ended, hxmlops};

fn read(file: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs/ci")
        .join(file);
    serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The lines of all scripts in a document, whatever the form: of `run`, or of the list `script`.
fn scripts(document: &Value) -> Vec<String> {
    match document {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(key, value)| match (key.as_str(), value) {
                ("run", Value::String(text)) => text.lines().map(str::to_owned).collect(),
                ("script", Value::Array(lines)) => lines
                    .iter()
                    .map(|line| line.as_str().unwrap().to_owned())
                    .collect(),
                _ => scripts(value),
            })
            .collect(),
        Value::Array(values) => values.iter().flat_map(scripts).collect(),
        _ => Vec::new(),
    }
}

/// The arguments of a line that begins with the program's name, up to where its output goes; variables are words.
fn arguments(line: &str) -> Option<Vec<String>> {
    let command = line.trim().strip_prefix("hxmlops ")?;
    let words = command
        .split_whitespace()
        .take_while(|word| !word.starts_with('>'));
    Some(
        words
            .map(|word| word.trim_matches('"').replace('$', ""))
            .collect(),
    )
}

/// Asks a server that is not there: what is no command of the program's would be told before.
fn check(file: &str, expected: usize) {
    let lines = scripts(&read(file));
    let commands: Vec<Vec<String>> = lines.iter().filter_map(|line| arguments(line)).collect();
    assert_eq!(commands.len(), expected, "{lines:?}");
    for command in commands {
        let ended = hxmlops(&command)
            .env("HXMLOPS_SERVER", "http://127.0.0.1:1")
            .output()
            .unwrap();
        Ended::from(ended).assert_failed("cannot reach the server at http://127.0.0.1:1/");
    }
}

#[test]
fn pipelines_use_commands_that_there_are() {
    check("github-action/action.yml", 2);
    check("gitlab-ci.yml", 4);
}

#[test]
fn an_action_has_what_github_asks_of_one() {
    let action = read("github-action/action.yml");
    assert_eq!(action["runs"]["using"], "composite");
    let steps = action["runs"]["steps"].as_array().unwrap();
    assert!(
        steps
            .iter()
            .all(|step| step["shell"] == "bash" && step["name"].is_string())
    );
    let inputs = action["inputs"].as_object().unwrap();
    let text = action.to_string();
    for name in inputs.keys() {
        assert!(text.contains(&format!("inputs.{name}")), "{name} is used");
    }
    // A value from outside goes through the environment, never into a script's text.
    for line in scripts(&action) {
        assert!(!line.contains("${{"), "{line}");
    }
}
