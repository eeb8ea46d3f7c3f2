//! How big the programs are that people install.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::figure::Figure;
use crate::run::{cargo, run as run_program};
use crate::workspace;

const PROGRAMS: &[&str] = &["hxmlops-agent", "hxmlops"];

/// Builds for release, strips copies, and weighs them.
///
/// # Errors
/// Where the build or `strip` (binutils) fails.
pub(crate) fn run() -> Result<Vec<Figure>> {
    let packages = ["--package", "agent", "--package", "aggregator"];
    run_program(
        cargo()
            .args(["build", "--release", "--locked"])
            .args(packages),
    )?;
    PROGRAMS
        .iter()
        .map(|program| {
            Ok(Figure::new(
                *program,
                "bytes",
                vec![stripped_bytes(program)? as f64],
            ))
        })
        .collect()
}

fn stripped_bytes(program: &str) -> Result<u64> {
    let release = workspace::target().join("release");
    let stripped = release.join(format!("{program}.stripped"));
    run_program(
        Command::new("strip")
            .arg("-o")
            .arg(&stripped)
            .arg(release.join(program)),
    )?;
    let metadata = fs::metadata(&stripped);
    let bytes = metadata
        .with_context(|| format!("cannot read {}", stripped.display()))?
        .len();
    let _ = fs::remove_file(&stripped);
    Ok(bytes)
}
