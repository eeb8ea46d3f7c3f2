//! The table of modules in docs/catalogue.md, made of their files.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::file::Module;
use crate::charts::Faults;
use crate::charts::pods::items;
use crate::charts::readme::{between, text};
use crate::workspace;

const BEGIN: &str = "<!-- modules: made by `cargo xtask charts --write` -->\n";
const END: &str = "<!-- end of modules -->\n";

/// Puts it there.
///
/// # Errors
/// Where the file cannot be read or written, or has no marks.
pub(super) fn write(modules: &[Module]) -> Result<()> {
    fs::write(path(), current(modules)?)
        .with_context(|| format!("cannot write {}", path().display()))
}

/// It is there as it is now.
///
/// # Errors
/// As [`write`].
pub(super) fn check(modules: &[Module], faults: &mut Faults) -> Result<()> {
    let found = text(&path())?;
    faults.of("docs/catalogue.md".into());
    faults.check(found == current(modules)?, || {
        "is not what the modules' files say: run `cargo xtask charts --write`".into()
    });
    Ok(())
}

fn path() -> PathBuf {
    workspace::root().join("docs/catalogue.md")
}

fn current(modules: &[Module]) -> Result<String> {
    between(&text(&path())?, BEGIN, END, &tables(modules))
        .with_context(|| format!("no marks in {}", path().display()))
}

/// What there is, and what is known of it.
fn tables(modules: &[Module]) -> String {
    let mut out = "| module | what | image | ports | needs | offers |\n| --- | --- | --- | --- | --- | --- |\n".to_owned();
    for module in modules {
        let deprecated = if module.deprecated {
            " (deprecated)"
        } else {
            ""
        };
        let needs = module.needs.iter().map(|need| {
            format!(
                "{}{}",
                need.capability,
                if need.optional { " (optional)" } else { "" }
            )
        });
        let offers = module.offers.iter().map(|offer| offer.capability.clone());
        let _ = writeln!(
            out,
            "| `{}/{}` | {}{deprecated} | {} | {} | {} | {} |",
            module.group,
            module.name,
            module.title,
            image(module),
            ports(module),
            joined(needs),
            joined(offers),
        );
    }
    out.push_str(
        "\n| module | checked against the real thing | not checked |\n| --- | --- | --- |\n",
    );
    for module in modules {
        let cell = |texts: &[String]| texts.join("; ").replace('|', "\\|");
        let _ = writeln!(
            out,
            "| `{}` | {} | {} |",
            module.name,
            cell(&module.checked.real),
            cell(&module.checked.not)
        );
    }
    out.push('\n');
    out
}

fn image(module: &Module) -> String {
    if let Some(chart) = &module.chart {
        let part = |key: &str| chart["image"][key].as_str().unwrap_or_default().to_owned();
        return format!("`{}:{}`", part("repository"), part("tag"));
    }
    if module.own.is_some() {
        return format!("chart hxmlops, {}", module.version);
    }
    format!("the project's manifests, {}", module.version)
}

/// The Service's ports.
fn ports(module: &Module) -> String {
    let Some(chart) = &module.chart else {
        return joined(module.offers.iter().map(|offer| offer.port.to_string()));
    };
    let served = items(&chart["ports"]).filter(|port| port["expose"] != false);
    joined(served.map(|port| {
        let number = port.get("servicePort").unwrap_or(&port["port"]);
        format!("{} {number}", port["name"].as_str().unwrap_or_default())
    }))
}

fn joined(texts: impl Iterator<Item = String>) -> String {
    texts.collect::<Vec<_>>().join(", ")
}
