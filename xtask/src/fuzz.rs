//! The fuzz targets of `fuzz/`: built by cargo-fuzz, run one a core. Seeds are in `fuzz/corpus`; what a run finds is
//! kept below target/fuzz, and the next one begins with it.

mod run;
mod toolchain;

use std::time::Duration;

use anyhow::Result;

use crate::install;
use crate::run::{output, run as run_program};
use crate::test::Outcome;
use crate::workspace;

use self::run::Target;

/// How thoroughly it is fuzzed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// In `cargo xtask test`.
    Short,
    /// With `--long`.
    Long,
}

impl Effort {
    /// How long each target runs.
    const fn each(self) -> Duration {
        match self {
            Self::Short => Duration::from_secs(20),
            Self::Long => Duration::from_secs(600),
        }
    }

    /// What looks over the shoulder of unsafe code. Building everything with one takes much longer than the short runs do.
    const fn sanitizer(self) -> &'static str {
        match self {
            Self::Short => "none",
            Self::Long => "address",
        }
    }
}

const CARGO_FUZZ: &str = "cargo-fuzz";
const VERSION: &str = "0.13.2";

/// Installs what building the targets needs.
///
/// # Errors
/// Where something is missing and cannot be installed.
pub(crate) fn prerequisites() -> Result<()> {
    // libFuzzer is C++.
    install::debian_program("c++", "g++")?;
    if workspace::tool(CARGO_FUZZ).is_some() {
        return Ok(());
    }
    install::from_crates_io(CARGO_FUZZ, VERSION, |cargo| {
        cargo.arg("--debug");
    })
}

/// Builds all targets and runs each; a line for each.
///
/// # Errors
/// Where they do not build. A target that fails is no error here.
pub(crate) fn run(effort: Effort) -> Result<Outcome> {
    let toolchain = toolchain::find();
    println!("building the fuzz targets with {toolchain}");
    run_program(
        toolchain
            .cargo_fuzz("build")
            .args(["--sanitizer", effort.sanitizer(), "--target-dir"])
            .arg(directory()),
    )?;
    let programs = directory().join(toolchain.host()?).join("release");
    let names = output(&mut toolchain.cargo_fuzz("list"))?;
    let targets = names.lines().map(|name| Target::new(name, &programs));
    run::all(targets.collect(), effort.each())
}

fn directory() -> std::path::PathBuf {
    workspace::target().join("fuzz")
}
