//! Installs what a command needs, and says so first.

mod archive;
pub(crate) mod modules;
pub(crate) mod prometheus;
pub(crate) mod python;
pub(crate) mod wheels;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

pub(crate) use self::archive::{Archive, Lists};

use crate::run::{answer, cargo, run};
use crate::workspace;

/// A program that the project installs for itself alone, in one version.
pub(crate) struct Tool {
    /// Its file in target/tools/bin.
    pub(crate) name: &'static str,
    /// What makes it say its version.
    pub(crate) ask: &'static [&'static str],
    /// How what it says begins.
    pub(crate) says: &'static str,
}

impl Tool {
    /// Whether it is there, in this version.
    pub(crate) fn is_there(&self) -> bool {
        let path = workspace::tools().join("bin").join(self.name);
        let said = answer(path, self.ask);
        said.is_some_and(|text| format!("{text}\n").starts_with(self.says))
    }
}

/// Moves a program's file to its place among the project's own, and asks it for its version.
///
/// # Errors
/// Where it cannot be moved, or it is another.
pub(crate) fn put(file: &Path, tool: &Tool) -> Result<()> {
    let bin = workspace::tools().join("bin");
    let place = bin.join(tool.name);
    let put = fs::create_dir_all(&bin)
        .and_then(|()| fs::set_permissions(file, fs::Permissions::from_mode(0o755)))
        .and_then(|()| fs::rename(file, &place));
    put.with_context(|| format!("cannot move {} to {}", file.display(), place.display()))?;
    ensure!(
        tool.is_there(),
        "{} {} does not say '{}'",
        place.display(),
        tool.ask.join(" "),
        tool.says.trim_end()
    );
    Ok(())
}

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

/// Installs Chromium, and a font for what it shows, where it is not there.
///
/// # Errors
/// As [`debian_packages`].
pub(crate) fn chromium() -> Result<()> {
    match workspace::tool("chromium") {
        Some(_) => Ok(()),
        None => debian_packages(&["chromium", "fonts-dejavu-core"]),
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
