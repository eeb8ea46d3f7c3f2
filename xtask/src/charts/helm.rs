//! The two helms.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::cases::Case;
use super::{Faults, directory};
use crate::run::output;
use crate::workspace;

/// Name and namespace of every release that is rendered.
pub(super) const RELEASE: &str = "hxmlops";
pub(super) const NAMESPACE: &str = "energy";

/// A helm of one major version.
pub(super) struct Helm {
    /// What it is called.
    pub(super) name: &'static str,
    program: PathBuf,
}

impl Helm {
    /// Both.
    pub(super) fn both() -> [Self; 2] {
        ["helm-3", "helm-4"].map(|name| Self {
            name,
            program: workspace::tools().join("bin").join(name),
        })
    }

    /// `helm lint --strict` of a chart with each case.
    ///
    /// # Errors
    /// Where it cannot be run.
    pub(super) fn lint(&self, chart: &Path, cases: &[Case], faults: &mut Faults) -> Result<()> {
        for case in cases {
            faults.of(format!("{} lint, {}", self.name, case.name));
            let mut lint = self.command("lint");
            lint.args(["--strict", "--quiet"]).arg(chart);
            let output = with(&mut lint, case).output()?;
            let said = String::from_utf8_lossy(&output.stdout);
            faults.check(output.status.success(), || said.trim().to_owned());
        }
        Ok(())
    }

    /// What a release of the chart hxmlops would consist of, in a cluster of this version.
    ///
    /// # Errors
    /// Where helm refuses, or prints what is no YAML.
    pub(super) fn template(&self, case: &Case, kube_version: &str) -> Result<Vec<Value>> {
        self.template_of(RELEASE, &directory(), case, kube_version)
    }

    /// What a release of this name of any chart would consist of.
    ///
    /// # Errors
    /// As [`Helm::template`].
    pub(super) fn template_of(
        &self,
        release: &str,
        chart: &Path,
        case: &Case,
        kube_version: &str,
    ) -> Result<Vec<Value>> {
        let mut template = self.template_command(release, chart);
        template.args(["--kube-version", kube_version]);
        let text = output(with(&mut template, case))?;
        serde_saphyr::from_multiple(&text).map_err(|error| {
            let error = error.to_string();
            let line = error.lines().next().unwrap_or_default();
            anyhow::anyhow!(
                "{} renders {} to what is no YAML: {line}",
                self.name,
                case.name
            )
        })
    }

    /// `helm template` of a chart.
    pub(super) fn template_command(&self, release: &str, chart: &Path) -> Command {
        let mut command = self.command("template");
        command.arg(release).arg(chart);
        command
    }

    fn command(&self, subcommand: &str) -> Command {
        let mut command = Command::new(&self.program);
        // Nobody's own settings or cluster.
        let home = workspace::target().join("helm");
        command
            .env_clear()
            .env("HOME", &home)
            .env("KUBECONFIG", home.join("none"))
            .args([subcommand, "--namespace", NAMESPACE]);
        command
    }
}

fn with<'a>(command: &'a mut Command, case: &Case) -> &'a mut Command {
    if let Some(file) = &case.file {
        command.arg("--values").arg(file);
    }
    for value in case.set {
        command.args(["--set", value]);
    }
    command
}

/// The chart's appVersion is the workspace's.
///
/// # Errors
/// Where Chart.yaml cannot be read.
pub(super) fn check_version(faults: &mut Faults) -> Result<()> {
    let path = directory().join("Chart.yaml");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let chart: Value = serde_saphyr::from_str(&text).context("Chart.yaml is no YAML")?;
    faults.of("Chart.yaml".into());
    let (found, wanted) = (&chart["appVersion"], env!("CARGO_PKG_VERSION"));
    faults.check(found == wanted, || {
        format!("appVersion is {found}, and the workspace's version {wanted}")
    });
    Ok(())
}
