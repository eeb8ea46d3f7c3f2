//! `cargo xtask ebpf`: builds the kernel side where the agent's build looks for it.

mod disassembly;
mod toolchain;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::run::{output, run as run_program};
use crate::workspace;

use self::toolchain::Toolchain;

pub(crate) use self::toolchain::is_new_enough;

/// Where the agent's build script looks.
const OBJECT: &str = "agent-ebpf/object/hxmlops.bpf.o";
/// Where Cargo leaves it, below its target directory.
const BUILT: &str = "bpfel-unknown-none/release/hxmlops-ebpf";

/// Build the eBPF programs; build the agent again afterwards.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Install a toolchain first where there is none (Debian, as root).
    #[arg(long)]
    pub(crate) install: bool,
}

/// Builds the object.
///
/// # Errors
/// Without a toolchain, saying what to install; where a step fails.
pub(crate) fn run(args: &Args) -> Result<()> {
    if args.install && toolchain::find().is_none() {
        toolchain::install()?;
    }
    let Some(toolchain) = toolchain::find() else {
        bail!("no toolchain for eBPF here: {}", toolchain::ADVICE);
    };
    let object = build(&toolchain)?;
    let changed = put(&object, &workspace::root().join(OBJECT))?;
    println!("{OBJECT}: {}", if changed { "built" } else { "unchanged" });
    Ok(())
}

/// Builds with what is there, installing it where that can be done.
///
/// # Errors
/// As [`run`].
pub(crate) fn run_installing() -> Result<()> {
    run(&Args { install: true })
}

fn build(toolchain: &Toolchain) -> Result<Vec<u8>> {
    println!("building the eBPF programs with {toolchain}");
    let target = workspace::root().join("target/ebpf");
    let mut cargo = toolchain.cargo();
    cargo
        .current_dir(workspace::root().join("agent-ebpf"))
        .args(["build", "--release", "--locked", "--quiet"])
        .args(["--features", "kernel", "--bin", "hxmlops-ebpf"])
        .args(["-Z", "build-std=core", "--target", "bpfel-unknown-none"])
        .arg("--target-dir")
        .arg(&target);
    run_program(&mut cargo)?;
    let built = target.join(BUILT);
    check_instructions(&built)?;
    fs::read(&built).with_context(|| format!("cannot read {}", built.display()))
}

/// Refuses an object that only new kernels would run.
fn check_instructions(object: &Path) -> Result<()> {
    let Some(objdump) = toolchain::llvm_objdump() else {
        println!("its instructions are not checked: there is no llvm-objdump");
        return Ok(());
    };
    let text = output(std::process::Command::new(objdump).arg("-d").arg(object))?;
    let refused = disassembly::refused(&text)?;
    if let Some(first) = refused.first() {
        bail!(
            "{} instructions need a kernel newer than 5.10, the first is `{first}`: add with inline assembly as agent-ebpf/src/hash.rs does",
            refused.len()
        );
    }
    Ok(())
}

/// Writes it where it is not there already, in one step: a build that runs meanwhile reads the old or the
/// new one, and an unchanged one builds nothing again.
fn put(object: &[u8], path: &Path) -> Result<bool> {
    if fs::read(path).is_ok_and(|old| old == object) {
        return Ok(false);
    }
    let unfinished = path.with_extension("unfinished");
    fs::write(&unfinished, object)
        .and_then(|()| fs::rename(&unfinished, path))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(true)
}
