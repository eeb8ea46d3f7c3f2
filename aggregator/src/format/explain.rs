//! Why a pod is placed where it is, for a terminal.

use std::fmt::Write;

use wire::stage::{Explanation, Field, Key, Rules, Why};

use super::escape;
use super::grid::{Align, table as grid};
use crate::commands::explain::Pod;

const FIELDS: [(Field, &str); 4] = [
    (Field::Workflow, "workflow"),
    (Field::Run, "run"),
    (Field::Stage, "stage"),
    (Field::Component, "component"),
];

/// Where the pod belongs and by what, then what each rule said.
#[must_use]
pub(crate) fn explanation(
    pod: &Pod,
    rules: &Rules,
    explanation: &Explanation,
    width: Option<u16>,
) -> String {
    let mut text = String::new();
    let meta = &pod.metadata;
    let name = match &*meta.namespace {
        "" => meta.name.clone(),
        namespace => format!("{namespace}/{}", meta.name),
    };
    let name = escape::terminal(&name);
    let _ = match decided(explanation) {
        Some(rule) => writeln!(
            text,
            "{name}: placed by the rule {}\n",
            escape::terminal(rule)
        ),
        None if explanation.origins.is_empty() => {
            writeln!(
                text,
                "{name}: no rule fits, so that it is in no run and no stage\n"
            )
        }
        None => writeln!(text, "{name}: placed by its own labels alone\n"),
    };
    let columns = [
        ("FIELD", Align::Whole),
        ("VALUE", Align::Left),
        ("FROM", Align::Left),
        ("RULE", Align::Whole),
    ];
    text += &grid(&columns, fields(pod, rules, explanation), width);
    let columns = [("RULE", Align::Whole), ("VERDICT", Align::Left)];
    let verdicts = explanation.verdicts.iter();
    let verdicts = verdicts.map(|verdict| vec![verdict.rule.clone(), why(&verdict.why)]);
    text.push('\n');
    text += &grid(&columns, verdicts.collect(), width);
    text
}

fn decided(explanation: &Explanation) -> Option<&str> {
    let mut verdicts = explanation.verdicts.iter();
    let decided = verdicts.find(|verdict| verdict.why == Why::Decided)?;
    Some(&decided.rule)
}

fn fields(pod: &Pod, rules: &Rules, explanation: &Explanation) -> Vec<Vec<String>> {
    let row = |(field, title): (Field, &str)| {
        let mut origins = explanation.origins.iter();
        match origins.find(|origin| origin.field == field) {
            Some(origin) => {
                let from = key(&origin.from);
                vec![
                    title.to_owned(),
                    origin.value.clone(),
                    from,
                    origin.rule.clone(),
                ]
            }
            None => vec![
                title.to_owned(),
                "-".to_owned(),
                String::new(),
                String::new(),
            ],
        }
    };
    let mut rows: Vec<Vec<String>> = FIELDS.into_iter().map(row).collect();
    let placed = rules.place(&pod.metadata);
    for container in pod.containers() {
        let component = placed.component_of(container);
        if component != placed.placement.component {
            let from = format!("the name of container {container}");
            let rule = decided(explanation).unwrap_or_default().to_owned();
            rows.push(vec![
                "component".to_owned(),
                component.to_owned(),
                from,
                rule,
            ]);
        }
    }
    rows
}

fn key(key: &Key) -> String {
    match key {
        Key::Label(key) => format!("label {key}"),
        Key::Annotation(key) => format!("annotation {key}"),
        Key::Owner(kind) => format!("owner, a {kind}"),
        Key::Text(_) => "the rule itself".to_owned(),
    }
}

fn why(why: &Why) -> String {
    match why {
        Why::Decided => "fits, and decides".to_owned(),
        Why::Gave => "fits, and gave what it says above; the next ones were asked too".to_owned(),
        Why::GaveNothing => "the pod has none of what it looks for".to_owned(),
        Why::Lacks(Key::Owner(kind)) => format!("no {kind} owns the pod"),
        Why::Lacks(lacking) => format!("no {}", key(lacking)),
        Why::IsOther {
            key: other,
            value,
            wanted,
        } => format!("{} is {value}, not {}", key(other), wanted.join(" or ")),
        Why::NotAsked => "not asked".to_owned(),
    }
}
