//! The compiler of a short fuzzing: it instruments the project's own crates for libFuzzer, and builds all others as they are built
//! anywhere. That needs no cargo-fuzz, and targets run faster. Most of the build is the dependencies' own, in either way.

use std::env;
use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode};

use crate::workspace;

/// Set where Cargo is to call this program in place of the compiler.
pub(super) const SWITCH: &str = "HXMLOPS_XTASK_INSTRUMENTS";

/// What libFuzzer reads: which edges were taken, what was compared, how deep the stack was.
const FLAGS: [&str; 9] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-sanitizer-coverage-stack-depth",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
    "-Cdebug-assertions",
    "-Coverflow-checks",
];

/// Does the compiler's work where Cargo calls this program for that (`RUSTC_WRAPPER`).
pub(crate) fn compile() -> Option<ExitCode> {
    env::var_os(SWITCH)?;
    let mut args = env::args_os().skip(1);
    let rustc = args.next()?;
    let args: Vec<OsString> = args.collect();
    let mut compiler = Command::new(rustc);
    compiler.args(&args);
    if is_own(&args) {
        compiler.args(FLAGS);
    }
    let status = match compiler.status() {
        Ok(status) => status,
        Err(error) => {
            eprintln!(
                "error: cannot run {}: {error}",
                compiler.get_program().display()
            );
            return Some(ExitCode::FAILURE);
        }
    };
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Some(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Whether this is a crate of the project that becomes a part of a target: build scripts and macros are built for the compiler.
fn is_own(args: &[OsString]) -> bool {
    let package = env::var_os("CARGO_MANIFEST_DIR");
    let is_here = package.is_some_and(|package| Path::new(&package).starts_with(workspace::root()));
    is_here && args.iter().any(|arg| arg == "--target")
}
