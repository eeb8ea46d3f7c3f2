//! Installs what a command needs, and says so first.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::run::{answer, cargo, run};
use crate::workspace;

/// Whether this process is root.
pub(crate) fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    effective.and_then(|uids| uids.split_whitespace().nth(1)) == Some("0")
}

/// Installs those of these Debian packages that are not there.
///
/// # Errors
/// Where some are missing and this is not root or not a Debian, and where apt-get fails; the error names
/// the packages.
pub(crate) fn debian_packages(packages: &[&str]) -> Result<()> {
    let mut missing = packages.to_vec();
    missing.retain(|package| !is_installed(package));
    if missing.is_empty() {
        return Ok(());
    }
    let names = missing.join(" ");
    if !has_apt() {
        bail!("missing: what Debian has in {names}; install it");
    }
    if !is_root() {
        bail!("missing: run `apt-get install {names}` as root");
    }
    println!("installing the Debian packages {names}");
    run(apt_get().arg("update"))?;
    run(apt_get()
        .args(["install", "--yes", "--no-install-recommends"])
        .args(&missing))
    .with_context(|| format!("cannot install {names}"))
}

/// Installs a Debian package where the program that it brings is not there.
///
/// # Errors
/// As [`debian_packages`].
pub(crate) fn debian_program(program: &str, package: &str) -> Result<()> {
    match workspace::tool(program) {
        Some(_) => Ok(()),
        None => debian_packages(&[package]),
    }
}

/// Installs a program from crates.io for the project alone.
///
/// # Errors
/// Where Cargo fails.
pub(crate) fn from_crates_io(
    name: &str,
    version: &str,
    configure: impl FnOnce(&mut Command),
) -> Result<()> {
    let tools = workspace::tools();
    println!(
        "installing {name} {version} from crates.io into {}",
        tools.display()
    );
    let mut install = cargo();
    install
        .args([
            "install",
            name,
            "--version",
            version,
            "--locked",
            "--quiet",
            "--force",
            "--root",
        ])
        .arg(tools);
    configure(&mut install);
    run(&mut install)
}

fn has_apt() -> bool {
    workspace::tool("apt-get").is_some()
}

fn is_installed(package: &str) -> bool {
    let status = answer(
        "dpkg-query",
        &["--show", "--showformat=${db:Status-Status}", package],
    );
    status.as_deref() == Some("installed")
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command
        .arg("--quiet=2")
        .env("DEBIAN_FRONTEND", "noninteractive");
    command
}
