//! The fuzz targets of `fuzz/`, run one a core. A short run has the project's own crates instrumented, a long one everything, with
//! AddressSanitizer, by cargo-fuzz. Seeds are in `fuzz/corpus`; what a run finds is kept below target/fuzz, and the next one begins
//! with it.

mod instrument;
mod run;
mod toolchain;

use std::path::PathBuf;
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context as _, Result};

use crate::install;
use crate::run::{cargo, run as run_program};
use crate::test::Outcome;
use crate::workspace;

pub(crate) use self::instrument::compile;
use self::run::Target;
use self::toolchain::Toolchain;

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
}

const CARGO_FUZZ: &str = "cargo-fuzz";
const VERSION: &str = "0.13.2";

/// Installs what building the targets needs.
///
/// # Errors
/// Where something is missing and cannot be installed.
pub(crate) fn prerequisites(effort: Effort) -> Result<()> {
    // libFuzzer is C++.
    install::debian_program("c++", "g++")?;
    if effort == Effort::Short || workspace::tool(CARGO_FUZZ).is_some() {
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
    let programs = match effort {
        Effort::Short => build_own()?,
        Effort::Long => build_all()?,
    };
    let names = names()?;
    let targets = names.iter().map(|name| Target::new(name, &programs));
    run::all(targets.collect(), effort.each())
}

/// Builds them with the project's own crates instrumented; returns where they are.
fn build_own() -> Result<PathBuf> {
    let host = Toolchain::Own.host()?;
    let place = directory().join("own");
    println!("building the fuzz targets");
    let mut build = cargo();
    build
        .env("RUSTC_WRAPPER", env::current_exe()?)
        .env(instrument::SWITCH, "1")
        .args([
            "build",
            "--release",
            "--bins",
            "--locked",
            "--manifest-path",
        ])
        .arg(sources().join("Cargo.toml"))
        .args(["--target", &host, "--target-dir"])
        .arg(&place);
    run_program(&mut build)?;
    Ok(place.join(host).join("release"))
}

/// Builds them with everything instrumented; returns where they are.
fn build_all() -> Result<PathBuf> {
    let toolchain = toolchain::find();
    println!("building the fuzz targets with {toolchain}");
    let mut build = toolchain.cargo_fuzz("build");
    run_program(build.arg("--target-dir").arg(directory()))?;
    Ok(directory().join(toolchain.host()?).join("release"))
}

/// All targets: a file each.
fn names() -> Result<Vec<String>> {
    let targets = sources().join("targets");
    let files = fs::read_dir(&targets);
    let files = files.with_context(|| format!("cannot read {}", targets.display()))?;
    let paths = files.map(|file| Ok(file?.path()));
    let paths: Vec<PathBuf> = paths.collect::<Result<_>>()?;
    let stem = |path: &PathBuf| Some(path.file_stem()?.to_str()?.to_owned());
    let mut names: Vec<String> = paths.iter().filter_map(stem).collect();
    names.sort();
    Ok(names)
}

fn sources() -> PathBuf {
    workspace::root().join("fuzz")
}

fn directory() -> PathBuf {
    workspace::target().join("fuzz")
}
