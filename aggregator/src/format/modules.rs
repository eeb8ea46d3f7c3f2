//! Modules of the catalogue for a terminal; how those that are deployed stand is in [`states()`].

mod states;

use super::grid::{Align, table as grid};
use crate::deploy::catalogue::Module;
use crate::deploy::catalogue::module::{Need, Offer, Settable};

pub use states::{foot, states};

/// Where the output is no terminal, sentences are as long as this.
const WIDTH: usize = 80;
/// Before what is said of a key.
const INDENT: usize = 11;

/// One line per module.
#[must_use]
pub fn list(modules: &[&Module], width: Option<u16>) -> String {
    let columns = [
        ("GROUP", Align::Whole),
        ("NAME", Align::Whole),
        ("VERSION", Align::Left),
        ("TITLE", Align::Left),
    ];
    let row = |module: &&Module| {
        let file = &module.file;
        let note = if file.deprecated { " (deprecated)" } else { "" };
        let title = format!("{}{note}", file.title);
        vec![
            module.group.clone(),
            module.name.clone(),
            file.version.clone(),
            title,
        ]
    };
    grid(&columns, modules.iter().map(row).collect(), width)
}

/// One line per value.
#[must_use]
pub fn values(values: &[Settable], width: Option<u16>) -> String {
    let columns = [
        ("PATH", Align::Left),
        ("DEFAULT", Align::Left),
        ("WHAT FOR", Align::Left),
    ];
    let row = |value: &Settable| {
        let default = match &value.default {
            serde_json::Value::String(text) if !text.is_empty() => text.clone(),
            serde_json::Value::Null => "-".to_owned(),
            other => other.to_string(),
        };
        vec![value.path.clone(), default, value.about.clone()]
    };
    grid(&columns, values.iter().map(row).collect(), width)
}

/// What a module is, and the values that it runs with (as YAML).
#[must_use]
pub fn info(module: &Module, values: &str, width: Option<u16>) -> String {
    let file = &module.file;
    let width = width.map_or(WIDTH, usize::from);
    let mut text = format!("{}: {} {}\n", module.full_name(), file.title, file.version);
    text += &wrapped(&file.about, width, 0);
    let mut key = |name: &str, what: String| {
        text += &format!("{name:<INDENT$}{}", wrapped(&what, width, INDENT));
    };
    let runs = runs(module);
    key("runs", runs);
    file.needs.iter().for_each(|one| key("needs", need(one)));
    file.offers.iter().for_each(|one| key("offers", offer(one)));
    file.checked
        .real
        .iter()
        .for_each(|one| key("checked", one.clone()));
    file.checked
        .not
        .iter()
        .for_each(|one| key("unchecked", one.clone()));
    if !values.is_empty() {
        text += &format!("values\n{values}");
    }
    text
}

fn runs(module: &Module) -> String {
    let file = &module.file;
    if let Some(steps) = &file.steps {
        let steps: Vec<&str> = steps.iter().map(|step| &*step.kustomize).collect();
        return format!("kubectl kustomize, in this order: {}", steps.join(", "));
    }
    let Some(chart) = &file.chart else {
        return "the chart hxmlops".to_owned();
    };
    let text = |path: &str| {
        let mut parts = path.split('.');
        let first = parts.next().and_then(|part| chart.get(part));
        let found = parts.try_fold(first?, |value, part| value.get(part));
        found.and_then(|value| value.as_str())
    };
    let kind = text("kind").unwrap_or("deployment");
    let image = text("image.repository").unwrap_or("its image");
    format!(
        "a {kind} of {image}:{}",
        text("image.tag").unwrap_or("its version")
    )
}

fn need(need: &Need) -> String {
    let optional = if need.optional {
        ", if it is there"
    } else {
        ""
    };
    format!("{} as {}{optional}", need.capability, need.name)
}

fn offer(offer: &Offer) -> String {
    let secret = offer.secret.get("name");
    let secret = secret.map_or(String::new(), |name| {
        format!(", secret {}", name.replace("{{release}}", "RELEASE"))
    });
    format!("{} at port {}{secret}", offer.capability, offer.port)
}

/// Words in lines of a width, all but the first indented.
pub(super) fn wrapped(text: &str, width: usize, indent: usize) -> String {
    let mut wrapped = String::new();
    let mut column = indent;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > indent && column + 1 + length > width {
            wrapped += &format!("\n{:indent$}", "");
            column = indent;
        } else if column > indent {
            wrapped.push(' ');
            column += 1;
        }
        wrapped += word;
        column += length;
    }
    wrapped + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::catalogue::module::Kind;
    use crate::deploy::catalogue::tests::fixture;

    #[test]
    fn words_are_wrapped_within_the_width() {
        let check = |text: &str, width, indent, expected: &str| {
            assert_eq!(wrapped(text, width, indent), expected);
        };
        check("a b c", 3, 0, "a b\nc\n");
        check("aa bb", 6, 2, "aa\n  bb\n");
        check("longer than it", 4, 0, "longer\nthan\nit\n");
        check(" \n ", 4, 0, "\n");
    }

    #[test]
    fn a_module_is_described() {
        let catalogue = fixture();
        let sharing = catalogue.find(Kind::Link, "api", "modelsharing").unwrap();
        let found = info(sharing, "env:\n  A: b\n", None);
        let expected = "\
api/modelsharing: Sharing 1
Shares.
runs       a deployment of its image:its version
needs      postgres as database
needs      s3 as blobs
needs      prometheus as metrics, if it is there
values
env:
  A: b
";
        assert_eq!(found, expected);
        let steps = catalogue.find(Kind::Component, "ml_toolkit", "kubeflowPipeline");
        let found = info(steps.unwrap(), "", None);
        assert!(found.contains("in this order: first, second"), "{found}");
    }
}
