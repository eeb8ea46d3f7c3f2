//! Python packages of PyPI, for the tests alone: each is pinned by its digest.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::{debian_packages, debian_program};
use crate::run::{answer, output};
use crate::workspace;

const REQUIREMENTS: &str = include_str!("huggingface_hub.txt");

/// Installs `huggingface_hub` into target/tools/huggingface_hub, where it is not there as it is wanted. It is found
/// there with PYTHONPATH.
///
/// # Errors
/// Where there is no pip, or a package cannot be downloaded or is another than it was.
pub(crate) fn huggingface_hub() -> Result<()> {
    let place = workspace::tools().join("huggingface_hub");
    // Written last, so that half an installation is none.
    let installed = place.join("requirements.txt");
    if fs::read_to_string(&installed).is_ok_and(|text| text == REQUIREMENTS) {
        return Ok(());
    }
    debian_program("python3", "python3")?;
    if answer("python3", &["-m", "pip", "--version"]).is_none() {
        debian_packages(&["python3-pip"])?;
    }
    println!(
        "installing huggingface_hub from PyPI into {}",
        place.display()
    );
    if place.exists() {
        fs::remove_dir_all(&place)?;
    }
    fs::create_dir_all(&place).with_context(|| format!("cannot make {}", place.display()))?;
    let list = workspace::tools().join("huggingface_hub.txt");
    fs::write(&list, REQUIREMENTS).with_context(|| format!("cannot write {}", list.display()))?;
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--require-hashes",
    ])
    .args([
        "--only-binary=:all:",
        "--disable-pip-version-check",
        "--target",
    ])
    .arg(&place)
    .arg("--requirement")
    .arg(&list);
    output(&mut pip).context("cannot install huggingface_hub with pip")?;
    fs::rename(&list, &installed).with_context(|| format!("cannot write {}", installed.display()))
}
