//! The aggregator under load, and the questions to a large ledger: runs `load` of package e2e and shows what it found.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::figure::Figure;
use crate::run::{cargo, run as run_program};
use crate::workspace;

/// Units that `load` knows; a figure keeps its own for the life of the program.
const UNITS: [&str; 6] = ["1/s", "us/sample", "ms", "s", "MiB", "bytes/sample"];

/// Measures.
///
/// # Errors
/// Where the programs cannot be built, or one fails.
pub(crate) fn run(bench: &str) -> Result<Vec<Figure>> {
    let packages = ["--package", "aggregator", "--package", "e2e"];
    run_program(
        cargo()
            .args(["build", "--release", "--locked", "--bins"])
            .args(packages),
    )?;
    let program = workspace::target().join("release/load");
    let output = Command::new(&program)
        .arg(bench)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot run {}", program.display()))?;
    if !output.status.success() {
        bail!("{} {bench} failed", program.display());
    }
    let figures: Vec<Value> =
        serde_json::from_slice(&output.stdout).context("the bench's figures are JSON")?;
    figures.iter().map(figure).collect()
}

fn figure(json: &Value) -> Result<Figure> {
    let text = |key: &str| {
        json[key]
            .as_str()
            .with_context(|| format!("a figure has a {key}"))
    };
    let unit = text("unit")?;
    let unit = UNITS.into_iter().find(|known| *known == unit);
    let runs = json["runs"].as_array().context("a figure has runs")?;
    let runs: Vec<f64> = runs.iter().filter_map(Value::as_f64).collect();
    if runs.is_empty() {
        bail!("a figure without a run: {json}");
    }
    Ok(Figure::new(
        text("name")?,
        unit.context("a known unit")?,
        runs,
    ))
}
