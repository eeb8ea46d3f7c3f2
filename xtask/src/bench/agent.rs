//! What the agent costs: runs `agent-cost` of package e2e and shows what it found.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::figure::Figure;
use crate::run::{cargo, run as run_program};
use crate::{ebpf, workspace};

/// One figure, as the program prints it.
#[derive(Deserialize)]
struct Row {
    figure: String,
    unit: String,
    values: Vec<f64>,
}

/// Measures.
///
/// # Errors
/// Where the programs cannot be built, or one fails.
pub(crate) fn run() -> Result<Vec<Figure>> {
    ebpf::run_installing()?;
    let packages = [
        "--package",
        "agent",
        "--package",
        "aggregator",
        "--package",
        "e2e",
        "--package",
        "fake-nvml",
    ];
    run_program(
        cargo()
            .args(["build", "--release", "--locked", "--bins", "--lib"])
            .args(packages),
    )?;
    let program = workspace::target().join("release/agent-cost");
    let output = Command::new(&program)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot run {}", program.display()))?;
    if !output.status.success() {
        bail!("{} failed", program.display());
    }
    let rows: Vec<Row> =
        serde_json::from_slice(&output.stdout).context("the bench's rows are JSON")?;
    Ok(rows
        .into_iter()
        .map(|row| Figure::new(row.figure, row.unit, row.values))
        .collect())
}
