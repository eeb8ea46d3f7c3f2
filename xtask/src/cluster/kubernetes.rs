//! The API server and the controller manager, built from Debian's source package: nobody distributes them ready-made
//! where this project takes its programs from.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::install::{self, Archive, Lists, Tool};
use crate::run::run;
use crate::workspace;

/// The release of Debian with the source, and with the compiler of its time.
const DEBIAN: &str = "bookworm";
/// What the source unpacks to: the version is pinned by it, and Debian's own changes to it are taken as they come.
const TREE: &str = "kubernetes-1.20.5+really1.20.2";
const VERSION: &str = "v1.20.2";
const COMPILER: [&str; 2] = ["golang-1.19-go", "golang-1.19-src"];
const GO: &str = "usr/lib/go-1.19";

const PROGRAMS: [Tool; 2] = [
    Tool {
        name: "kube-apiserver",
        ask: &["--version"],
        says: "Kubernetes v1.20.2",
    },
    Tool {
        name: "kube-controller-manager",
        ask: &["--version"],
        says: "Kubernetes v1.20.2",
    },
];

/// Builds both where they are not there.
///
/// # Errors
/// Where a download or the build fails.
pub(super) fn install() -> Result<()> {
    if PROGRAMS.iter().all(Tool::is_there) {
        return Ok(());
    }
    if !cfg!(target_arch = "x86_64") {
        bail!("the cluster's other programs are there for x86-64 alone: run it on x86-64");
    }
    for (program, package) in [
        ("dpkg-source", "dpkg-dev"),
        ("dpkg-deb", "dpkg"),
        ("make", "make"),
        // Its build copies with it.
        ("rsync", "rsync"),
    ] {
        install::debian_program(program, package)?;
    }
    let directory = workspace::tools().join("kubernetes");
    println!(
        "building Kubernetes {VERSION} from Debian's source, for {}: some minutes, once, and 3 GB of {} until it is done",
        workspace::tools().join("bin").display(),
        directory.display()
    );
    if directory.exists() {
        fs::remove_dir_all(&directory)?;
    }
    let tree = download(&directory)?;
    build(&tree, &directory)?;
    fs::remove_dir_all(&directory).with_context(|| format!("cannot remove {}", directory.display()))
}

fn download(directory: &Path) -> Result<PathBuf> {
    let archive = Archive::open(DEBIAN, Lists::BinaryAndSource, &directory.join("apt"))?;
    for package in COMPILER {
        archive.unpack(package, directory)?;
    }
    archive.unpack_source("kubernetes", directory)?;
    let tree = directory.join(TREE);
    if !tree.is_dir() {
        bail!("Debian's {DEBIAN} has another kubernetes now than {TREE}");
    }
    Ok(tree)
}

fn build(tree: &Path, directory: &Path) -> Result<()> {
    let go = directory.join(GO);
    let what = PROGRAMS.map(|program| format!("cmd/{}", program.name));
    let mut make = Command::new("make");
    make.current_dir(tree)
        .args(["--silent", "--no-print-directory"])
        .arg(format!("WHAT={}", what.join(" ")))
        .env("PATH", workspace::path_with(&go.join("bin")))
        .env("GOROOT", &go)
        .env("GOENV", "off")
        // Everything is in the source package.
        .env("GOPROXY", "off")
        // The clouds' own parts take half of the time.
        .env("GOFLAGS", "-tags=providerless,dockerless")
        .env("CGO_ENABLED", "0")
        .env("FORCE_HOST_GO", "y")
        // The repository that this lies in is not its own.
        .env("GIT_DIR", "/dev/null");
    // Those of whoever started this one.
    for name in ["MAKEFLAGS", "MFLAGS", "GOPATH", "GOBIN", "GOOS", "GOARCH"] {
        make.env_remove(name);
    }
    run(&mut make).context("cannot build Kubernetes")?;
    for program in &PROGRAMS {
        install::put(&tree.join("_output/bin").join(program.name), program)?;
    }
    Ok(())
}
