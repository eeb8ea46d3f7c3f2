//! The table of values in each chart's README.md, made of values.yaml and its comments.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::Faults;

const BEGIN: &str = "<!-- values: made by `cargo xtask charts --write` -->\n";
const END: &str = "<!-- end of values -->\n";

/// Puts the table into the README.md of a chart.
///
/// # Errors
/// Where a file cannot be read or written, or a value has no comment.
pub(super) fn write(chart: &Path) -> Result<()> {
    let path = chart.join("README.md");
    fs::write(&path, current(chart)?).with_context(|| format!("cannot write {}", path.display()))
}

/// README.md has the table as it is now.
///
/// # Errors
/// As [`write`].
pub(super) fn check(chart: &Path, faults: &mut Faults) -> Result<()> {
    let path = chart.join("README.md");
    let found = fs::read_to_string(&path)?;
    faults.of(format!("{}", path.display()));
    faults.check(found == current(chart)?, || {
        "is not what values.yaml says: run `cargo xtask charts --write`".into()
    });
    Ok(())
}

fn current(chart: &Path) -> Result<String> {
    let readme = text(&chart.join("README.md"))?;
    let values = text(&chart.join("values.yaml"))?;
    between(&readme, BEGIN, END, &tables(&values)?)
        .with_context(|| format!("no marks in {}/README.md", chart.display()))
}

/// A file's text.
///
/// # Errors
/// Where it cannot be read.
pub(super) fn text(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// A text with `new` between two lines that mark its place; none where they are not there.
pub(super) fn between(text: &str, begin: &str, end: &str, new: &str) -> Option<String> {
    let (head, rest) = text.split_once(begin)?;
    let (_, tail) = rest.split_once(end)?;
    Some(format!("{head}{begin}\n{new}{end}{tail}"))
}

/// A table for each `##` line of `text`, after the prose that follows it.
fn tables(text: &str) -> Result<String> {
    let values: Value = serde_saphyr::from_str(text).context("values.yaml is no YAML")?;
    let mut out = String::new();
    let mut rows: Vec<String> = Vec::new();
    let mut comment: Vec<&str> = Vec::new();
    let mut open: Vec<(usize, &str)> = Vec::new();
    for line in text.lines() {
        let content = line.trim_start();
        let indent = line.len() - content.len();
        if let Some(heading) = content.strip_prefix("## ") {
            comment.clear();
            let _ = writeln!(out, "### {heading}\n");
            rows.push(String::new());
        } else if let Some(said) = content.strip_prefix("# ") {
            comment.push(said);
        } else if content.is_empty() {
            // Before the first heading the file speaks of itself.
            if !comment.is_empty() && !out.is_empty() {
                let _ = writeln!(out, "{}\n", comment.join("\n"));
            }
            comment.clear();
        } else if let Some(key) = key(content) {
            open.retain(|(depth, _)| *depth < indent);
            open.push((indent, key));
            if !comment.is_empty() {
                if rows.last().is_some_and(String::is_empty) {
                    out.push_str("| value | default | what it is for |\n| --- | --- | --- |\n");
                }
                let keys: Vec<&str> = open.iter().map(|(_, key)| *key).collect();
                let row = row(&keys, &values, &comment.join(" "))?;
                out.push_str(&row);
                rows.push(row);
                comment.clear();
            }
        }
        if content.is_empty()
            && rows.last().is_some_and(|row| !row.is_empty())
            && !out.ends_with("\n\n")
        {
            out.push('\n');
        }
    }
    let without = undescribed(&values, "", &out);
    if !without.is_empty() {
        bail!(
            "no comment says what these values are for: {}",
            without.join(", ")
        );
    }
    out.truncate(out.trim_end().len());
    Ok(out + "\n\n")
}

/// The key that a line begins with; none of an item of a list.
fn key(content: &str) -> Option<&str> {
    let (key, rest) = content.split_once(':')?;
    let is_key = rest.is_empty() || rest.starts_with(' ');
    (is_key && !key.starts_with('-') && !key.contains(' ')).then_some(key)
}

fn row(keys: &[&str], values: &Value, said: &str) -> Result<String> {
    let path = keys.join(".");
    let value = values
        .pointer(&format!("/{}", keys.join("/")))
        .with_context(|| format!("values.yaml: no value at {path}"))?;
    let shown = match value {
        Value::String(text) if !text.is_empty() => text.clone(),
        value => value.to_string(),
    };
    Ok(format!(
        "| `{path}` | `{shown}` | {} |\n",
        said.replace('|', "\\|")
    ))
}

/// Values that neither have a row nor lie in one.
fn undescribed(value: &Value, path: &str, tables: &str) -> Vec<String> {
    if tables.contains(&format!("| `{path}` |")) {
        return Vec::new();
    }
    let inner = |(key, value): (&String, &Value)| {
        let path = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        undescribed(value, &path, tables)
    };
    match value {
        Value::Object(fields) if !fields.is_empty() => fields.iter().flat_map(inner).collect(),
        _ => vec![path.to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_become_rows_under_their_headings() {
        let text = "# About the file.\n\n## Agent\n\n# What it is.\n\nagent:\n  # How often,\n  # in seconds.\n  interval: 5\n  \
                    # Where | what.\n  tolerations:\n    - operator: Exists\n\n## More\n\n# Name.\nname: \"\"\n";
        let expected = "### Agent\n\nWhat it is.\n\n| value | default | what it is for |\n| --- | --- | --- |\n\
                        | `agent.interval` | `5` | How often, in seconds. |\n\
                        | `agent.tolerations` | `[{\"operator\":\"Exists\"}]` | Where \\| what. |\n\n\
                        ### More\n\n| value | default | what it is for |\n| --- | --- | --- |\n| `name` | `\"\"` | Name. |\n\n";
        assert_eq!(tables(text).unwrap(), expected);
    }

    #[test]
    fn a_value_without_a_comment_is_named() {
        let error = tables("## A\n\na:\n  # Said.\n  b: 1\n  c: {}\n").unwrap_err();
        assert!(error.to_string().ends_with(": a.c"), "{error}");
    }
}
