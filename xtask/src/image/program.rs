//! The programs that there are images of, and how each is built.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::run::{cargo, run as run_program};
use crate::workspace;

/// A program with an image of its own.
#[derive(Debug)]
pub(crate) struct Program {
    /// Of the program and of its image.
    pub(super) name: &'static str,
    /// The package that it is built from.
    pub(super) package: &'static str,
    /// Label of the image.
    pub(super) title: &'static str,
    /// Label of the image.
    pub(super) description: &'static str,
    /// How buildah makes the image of what is laid out.
    pub(super) containerfile: &'static str,
    /// Whether it needs no libraries; the agent alone does.
    pub(super) is_static: bool,
    /// Packages whose code is in it though it does not depend on them, each with the feature that counts.
    pub(super) embedded: &'static [(&'static str, &'static str)],
}

/// All of them.
pub(super) static PROGRAMS: [Program; 2] = [
    Program {
        name: "hxmlops",
        package: "aggregator",
        title: "HX-MLOps",
        description: "The energy and carbon ledger of ML workflows: server and command line",
        containerfile: "xtask/src/image/hxmlops.Containerfile",
        is_static: true,
        embedded: &[],
    },
    Program {
        name: "hxmlops-agent",
        package: "agent",
        title: "HX-MLOps agent",
        description: "Reads a node's energy counters and gives every joule to a workload",
        containerfile: "xtask/src/image/hxmlops-agent.Containerfile",
        is_static: false,
        embedded: &[("agent-ebpf", "kernel")],
    },
];

/// What programs are built with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Profile {
    /// As they are released.
    #[default]
    Release,
    /// As the tests are built.
    Dev,
}

/// The one of that name.
///
/// # Errors
/// Where there is none, for clap.
pub(super) fn named(name: &str) -> Result<&'static Program, String> {
    let found = PROGRAMS.iter().find(|program| program.name == name);
    found.ok_or_else(|| "there are hxmlops and hxmlops-agent".to_owned())
}

impl Program {
    /// Builds it.
    ///
    /// # Errors
    /// Where Cargo fails.
    pub(super) fn build(&self, profile: Profile, with_ebpf: bool) -> Result<()> {
        println!("building {}", self.name);
        let mut cargo = self.cargo(profile);
        if !with_ebpf {
            cargo.env("HXMLOPS_WITHOUT_EBPF", "1");
        }
        run_program(&mut cargo)
    }

    /// Copies what was built into a directory, without its symbols.
    ///
    /// # Errors
    /// Where strip (binutils) fails.
    pub(super) fn strip(&self, profile: Profile, directory: &Path) -> Result<PathBuf> {
        let folder = match profile {
            Profile::Release => "release",
            Profile::Dev => "debug",
        };
        let stripped = directory.join("programs").join(self.name);
        let parent = stripped.parent().expect("it lies in a directory");
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        run_program(
            Command::new("strip")
                .arg("-o")
                .arg(&stripped)
                .arg(self.target().join(folder).join(self.name)),
        )?;
        Ok(stripped)
    }

    /// Where Cargo leaves it: a static program must not lie where the one with libraries does.
    fn target(&self) -> PathBuf {
        if self.is_static {
            workspace::target().join("images/static")
        } else {
            workspace::target()
        }
    }

    /// What builds it.
    fn cargo(&self, profile: Profile) -> Command {
        let mut cargo = cargo();
        cargo.arg(if self.is_static { "rustc" } else { "build" });
        cargo.args(["--locked", "--quiet"]);
        let is_tests_own = profile == Profile::Dev && !self.is_static;
        if is_tests_own {
            // The very command of the tests: with other packages Cargo would choose other features, and build all again.
            cargo.args(["--bins", "--lib"]);
            cargo.args(["--package", "agent", "--package", "aggregator"]);
            cargo.args(["--package", "fake-nvml"]);
        } else {
            cargo.args(["--package", self.package, "--bin", self.name]);
        }
        if profile == Profile::Release {
            cargo.arg("--release");
        }
        if self.is_static {
            // The flag is for the last step alone, the linking: what is built for other programs serves this one too.
            cargo
                .env("CARGO_BUILD_BUILD_DIR", workspace::target())
                .arg("--target-dir")
                .arg(self.target())
                .args(["--", "-C", "target-feature=+crt-static"]);
        }
        cargo
    }
}
