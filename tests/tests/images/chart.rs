//! What the chart makes.

use std::process::Command;

use anyhow::Context;
use e2e::cluster::tool;
use serde_json::Value;

use crate::podman::{TAG, said};

/// The objects of a release.
pub(crate) struct Release(Vec<Value>);

impl Release {
    /// With these values, each as `--set` takes them, and the images of the tests.
    ///
    /// # Errors
    /// Where helm refuses.
    pub(crate) fn new(values: &[&str]) -> anyhow::Result<Self> {
        let mut helm = Command::new(tool("helm-4")?);
        helm.args(["template", "hxmlops", "--namespace", "energy"])
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../helm/hxmlops"));
        let tags = ["agent", "aggregator"].map(|name| format!("{name}.image.tag={TAG}"));
        for value in values
            .iter()
            .copied()
            .chain(tags.iter().map(String::as_str))
        {
            helm.args(["--set", value]);
        }
        let objects = serde_saphyr::from_multiple(&said(&mut helm)?);
        objects.map(Self).context("the chart renders to YAML")
    }

    /// The only object of a kind.
    ///
    /// # Errors
    /// Where there is none.
    pub(crate) fn of_kind(&self, kind: &str) -> anyhow::Result<&Value> {
        let found = self.0.iter().find(|object| object["kind"] == kind);
        found.with_context(|| format!("the chart has no {kind}"))
    }

    /// An object by its kind and name.
    ///
    /// # Errors
    /// Where there is none.
    pub(crate) fn named(&self, kind: &str, name: &str) -> anyhow::Result<&Value> {
        let mut objects = self.0.iter();
        let found = objects.find(|one| one["kind"] == kind && one["metadata"]["name"] == name);
        found.with_context(|| format!("the chart has no {kind} {name}"))
    }
}
