//! Who builds the targets: rustup's nightly where there is one, else the compiler that builds everything else, which
//! takes the unstable flags of a sanitizer with `RUSTC_BOOTSTRAP`.

use std::fmt;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::ebpf::is_new_enough;
use crate::run::{answer, cargo, output};
use crate::workspace;

/// A compiler, and the Cargo that goes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Toolchain {
    /// rustup's nightly.
    Nightly,
    /// Our own.
    Own,
}

/// The one to use. A nightly that is older than the workspace asks for is none.
pub(super) fn find() -> Toolchain {
    let version = answer("rustup", &["run", "nightly", "rustc", "--version"]);
    match version {
        Some(version) if is_new_enough(&version) => Toolchain::Nightly,
        _ => Toolchain::Own,
    }
}

impl Toolchain {
    /// `cargo fuzz SUBCOMMAND`.
    pub(super) fn cargo_fuzz(self, subcommand: &str) -> Command {
        let mut command = self.cargo();
        command
            .env("PATH", workspace::path_with_tools())
            .current_dir(workspace::root())
            .args(["fuzz", subcommand]);
        command
    }

    /// The platform that it builds for by itself.
    ///
    /// # Errors
    /// Where it does not say.
    pub(super) fn host(self) -> Result<String> {
        let version = output(self.rustc().arg("-vV"))?;
        let mut lines = version.lines();
        let host = lines.find_map(|line| line.strip_prefix("host: "));
        host.map(str::to_owned)
            .context("rustc does not say what it builds for")
    }

    fn cargo(self) -> Command {
        match self {
            Self::Nightly => self.nightly("cargo"),
            Self::Own => {
                let mut command = cargo();
                command.env("RUSTC_BOOTSTRAP", "1");
                command
            }
        }
    }

    fn rustc(self) -> Command {
        match self {
            Self::Nightly => self.nightly("rustc"),
            Self::Own => Command::new("rustc"),
        }
    }

    fn nightly(self, program: &str) -> Command {
        let mut command = Command::new("rustup");
        command
            .args(["run", "nightly", program])
            // Cargo sets them for what it starts: they name the other toolchain.
            .env_remove("CARGO")
            .env_remove("RUSTC");
        command
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nightly => "rustup's nightly",
            Self::Own => "the stable compiler (RUSTC_BOOTSTRAP=1)",
        })
    }
}
