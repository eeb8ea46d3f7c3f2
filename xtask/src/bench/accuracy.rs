//! How near the agent's figures come to a known truth: runs `accuracy` of package e2e and shows what it found.

mod table;

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use self::table::Row;
use super::figure::Figure;
use crate::run::{cargo, run as run_program};
use crate::{ebpf, workspace};

/// Who counts CPU time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Usage {
    /// The eBPF programs.
    Ebpf,
    /// The cgroups' own accounting.
    Accounting,
}

impl Usage {
    /// As `--usage` names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ebpf => "ebpf",
            Self::Accounting => "accounting",
        }
    }
}

/// Measures, prints a table, and leaves it as Markdown in target/bench.
///
/// # Errors
/// Where the programs cannot be built, or one fails.
pub(crate) fn run(usage: Option<Usage>) -> Result<Vec<Figure>> {
    if usage != Some(Usage::Accounting) {
        ebpf::run_installing()?;
    }
    let packages = ["--package", "agent", "--package", "e2e"];
    run_program(
        cargo()
            .args(["build", "--release", "--locked", "--bins"])
            .args(packages),
    )?;
    let usages = usage.map_or(vec![Usage::Ebpf, Usage::Accounting], |usage| vec![usage]);
    let mut rows = Vec::new();
    for usage in usages {
        rows.extend(measure(usage)?);
    }
    let markdown = table::markdown(&rows);
    println!("{markdown}");
    let path = workspace::target().join("bench/accuracy.md");
    fs::create_dir_all(workspace::target().join("bench"))
        .and_then(|()| fs::write(&path, markdown))
        .with_context(|| format!("cannot write {}", path.display()))?;
    println!("the table is in {}", path.display());
    Ok(rows.iter().flat_map(Row::figures).collect())
}

fn measure(usage: Usage) -> Result<Vec<Row>> {
    let program = workspace::target().join("release/accuracy");
    // It removes its cgroups before it ends, whatever ends it: what comes by Ctrl-C comes to it too.
    let output = Command::new(&program)
        .arg(usage.name())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot run {}", program.display()))?;
    if !output.status.success() {
        bail!("{} {} failed", program.display(), usage.name());
    }
    serde_json::from_slice(&output.stdout).context("the bench's rows are JSON")
}
