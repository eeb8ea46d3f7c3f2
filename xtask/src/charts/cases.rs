//! What the chart is rendered with: its defaults, every example, and what no example needs.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use super::directory;

/// One set of values.
pub(super) struct Case {
    /// What it is called in messages.
    pub(super) name: String,
    /// Its file; none for the defaults.
    pub(super) file: Option<PathBuf>,
    /// Values beside it, as `--set` takes them.
    pub(super) set: &'static [&'static str],
}

/// Values that no example has.
const MORE: [(&str, &[&str]); 7] = [
    ("the defaults", &[]),
    ("names by nobody", &["agent.kube.mode=off"]),
    (
        "sites by a label of the nodes",
        &["agent.config.site-label=topology.kubernetes.io/region"],
    ),
    (
        "the kubelet by the cluster's authority",
        &["agent.kube.mode=kubelet"],
    ),
    (
        "no agents",
        &["agent.enabled=false", "monitoring.enabled=true"],
    ),
    (
        "nobody scrapes",
        &["networkPolicy.scrapers=null", "networkPolicy.clients=null"],
    ),
    (
        "another name",
        &[
            "nameOverride=energy",
            "clusterName=a b: c",
            "monitoring.enabled=true",
        ],
    ),
];

/// All of them.
///
/// # Errors
/// Where there are no examples.
pub(super) fn all() -> Result<Vec<Case>> {
    let more = MORE.map(|(name, set)| Case {
        name: name.to_owned(),
        file: None,
        set,
    });
    let examples = directory().join("examples");
    let entries =
        fs::read_dir(&examples).with_context(|| format!("cannot read {}", examples.display()))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| {
        file.extension()
            .is_some_and(|extension| extension == "yaml")
    });
    files.sort();
    if files.is_empty() {
        bail!("no examples in {}", examples.display());
    }
    let of_file = |file: PathBuf| Case {
        name: file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned(),
        file: Some(file),
        set: &[],
    };
    Ok(more
        .into_iter()
        .chain(files.into_iter().map(of_file))
        .collect())
}
