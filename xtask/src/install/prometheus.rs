//! Prometheus and its linter, out of Debian's package: unpacked, because installing it would start a service.

use std::fs;

use anyhow::{Context as _, Result};

use super::{Archive, Lists, Tool, debian_program, put};
use crate::workspace;

/// The release of Debian that it is taken from.
const DEBIAN: &str = "bookworm";
const PACKAGE: &str = "prometheus";

const PROMETHEUS: Tool = Tool {
    name: "prometheus",
    ask: &["--version"],
    says: "prometheus, version ",
};
const PROMTOOL: Tool = Tool {
    name: "promtool",
    ask: &["--version"],
    says: "promtool, version ",
};

/// Unpacks the server where none is there.
///
/// # Errors
/// Where it cannot be downloaded.
pub(crate) fn server() -> Result<()> {
    install(&PROMETHEUS)
}

/// Unpacks the linter where none is there.
///
/// # Errors
/// As [`server`].
pub(crate) fn promtool() -> Result<()> {
    install(&PROMTOOL)
}

fn install(wanted: &Tool) -> Result<()> {
    if workspace::tool(wanted.name).is_some() {
        return Ok(());
    }
    if !cfg!(target_arch = "x86_64") {
        return debian_program(wanted.name, PACKAGE);
    }
    println!(
        "unpacking Debian's {PACKAGE} into {}",
        workspace::tools().display()
    );
    let directory = workspace::tools().join("debian-prometheus");
    let archive = Archive::open(DEBIAN, Lists::Binary, &directory)?;
    archive.unpack(PACKAGE, &directory)?;
    for tool in [PROMETHEUS, PROMTOOL] {
        put(&directory.join("usr/bin").join(tool.name), &tool)?;
    }
    fs::remove_dir_all(&directory).with_context(|| format!("cannot remove {}", directory.display()))
}
