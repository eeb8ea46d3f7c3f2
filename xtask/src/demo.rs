//! `cargo xtask demo`: builds the programs and has them show themselves.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::run::{cargo, run as run_program};
use crate::{ebpf, workspace};

/// Build everything and run `hxmlops demo`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Leave a part out.
    #[arg(long, value_enum, value_name = "NAME")]
    without: Option<Part>,
    /// Passed on to `hxmlops demo`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// What the demo can do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// The eBPF programs: CPU time comes from the cgroups' own accounting.
    Ebpf,
}

/// Becomes the demo: its exit code is ours.
///
/// # Errors
/// Where the build fails or the demo cannot be started.
pub(crate) fn run(args: &Args) -> Result<()> {
    let with_ebpf = args.without != Some(Part::Ebpf);
    if with_ebpf && let Err(error) = ebpf::run_installing() {
        println!("going on without eBPF: {error:#}");
    }
    println!("building hxmlops and hxmlops-agent");
    let mut build = cargo();
    build.args([
        "build",
        "--release",
        "--locked",
        "--package",
        "agent",
        "--package",
        "aggregator",
    ]);
    if !with_ebpf {
        build.env("HXMLOPS_WITHOUT_EBPF", "1");
    }
    run_program(&mut build)?;
    let program = workspace::target().join("release/hxmlops");
    let error = Command::new(&program)
        .arg("demo")
        .args(&args.arguments)
        .exec();
    Err(error).with_context(|| format!("cannot run {}", program.display()))
}
