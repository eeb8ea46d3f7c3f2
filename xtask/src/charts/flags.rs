//! What the chart tells the programs they take, and what they take can be told: both against their `--help`, as the
//! snapshots of their tests have it.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::objects::{name, of_kind};
use super::pods::{items, pod_spec};
use super::{Faults, directory, rules};
use crate::workspace;

const AGENT_HELP: &str = "agent/tests/snapshots/help__help.snap";
const HELP: &str = "aggregator/tests/cli/snapshots/cli__help__help";

/// Flags of `hxmlops-agent` that are no key of `agent.config`: what the chart sets, or what says nothing in a pod.
const NOT_IN_AGENT_CONFIG: [&str; 22] = [
    "aggregator-url",
    "ca-file",
    "cgroup-root",
    "check",
    "client-cert",
    "client-key",
    "cluster",
    "config",
    "help",
    "kube",
    "kubeconfig",
    "kubelet-ca-file",
    "kubelet-token-file",
    "kubelet-url",
    "listen",
    "node-name",
    "proc-root",
    "redfish-ca-file",
    "redfish-credentials-file",
    "spool-dir",
    "sys-root",
    "token-file",
];
/// Keys of either `config` that are no flags.
const ONLY_IN_FILE: [&str; 3] = ["providers", "sites", "stage-rules"];
/// The same of `hxmlops serve`.
const NOT_IN_AGGREGATOR_CONFIG: [&str; 12] = [
    "client-ca",
    "config",
    "data-dir",
    "help",
    "ingest-token-file",
    "insecure",
    "intensity-key-file",
    "listen",
    "read-token-file",
    "tls-cert",
    "tls-key",
    "token-file",
];

/// The flags of each help text that the chart's containers may use.
pub(super) struct Flags {
    agent: BTreeSet<String>,
    serve: BTreeSet<String>,
    import: BTreeSet<String>,
}

impl Flags {
    /// Reads the snapshots.
    ///
    /// # Errors
    /// Where one is not there.
    pub(super) fn read() -> Result<Self> {
        Ok(Self {
            agent: flags_in(AGENT_HELP)?,
            serve: flags_in(&format!("{HELP}_serve.snap"))?,
            import: flags_in(&format!("{HELP}_import_intensity.snap"))?,
        })
    }

    /// Every flag of a rendering is one that its program has.
    pub(super) fn check(&self, objects: &[Value], faults: &mut Faults) {
        for kind in ["DaemonSet", "StatefulSet"] {
            for workload in of_kind(objects, kind) {
                let spec = pod_spec(workload);
                let containers = items(&spec["initContainers"]).chain(items(&spec["containers"]));
                for container in containers {
                    self.check_container(&name(workload), &container["args"], faults);
                }
            }
        }
    }

    fn check_container(&self, own: &str, arguments: &Value, faults: &mut Faults) {
        let arguments: Vec<&str> = items(arguments).filter_map(Value::as_str).collect();
        let known = match arguments.first() {
            Some(&"serve") => &self.serve,
            Some(&"import") => &self.import,
            _ => &self.agent,
        };
        for argument in arguments {
            let Some(flag) = argument.strip_prefix("--") else {
                continue;
            };
            let flag = flag.split('=').next().unwrap_or_default();
            faults.check(known.contains(flag), || {
                format!("{own} has --{flag}, which its program does not")
            });
        }
    }

    /// The schema lets every flag be set that the chart does not set, and none that does not exist.
    ///
    /// # Errors
    /// Where the schema cannot be read.
    pub(super) fn check_schema(&self, faults: &mut Faults) -> Result<()> {
        let schema = rules::read(&directory().join("values.schema.json"))?;
        faults.of("values.schema.json".into());
        for (component, flags, not_in_config) in [
            ("agent", &self.agent, &NOT_IN_AGENT_CONFIG[..]),
            ("aggregator", &self.serve, &NOT_IN_AGGREGATOR_CONFIG[..]),
        ] {
            let config = &schema["properties"][component]["properties"]["config"]["properties"];
            let keys = config.as_object().into_iter().flat_map(|keys| keys.keys());
            let keys = keys.filter(|key| !ONLY_IN_FILE.contains(&key.as_str()));
            // The aggregator's file has underscores.
            let keys: BTreeSet<String> = keys.map(|key| key.replace('_', "-")).collect();
            let mut wanted = flags.clone();
            wanted.retain(|flag| !not_in_config.contains(&flag.as_str()) && flag != "version");
            faults.check(keys == wanted, || {
                let different: Vec<&String> = keys.symmetric_difference(&wanted).collect();
                format!("{component}.config and the flags of its program differ in {different:?}")
            });
        }
        Ok(())
    }
}

fn flags_in(snapshot: &str) -> Result<BTreeSet<String>> {
    let path = workspace::root().join(snapshot);
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let words = text.lines().filter_map(|line| {
        let line = line.trim_start();
        let line = line.strip_prefix("-h, ").unwrap_or(line);
        let line = line.strip_prefix("-V, ").unwrap_or(line);
        line.strip_prefix("--")
    });
    let is_part = |char: char| char.is_ascii_lowercase() || char == '-';
    Ok(words
        .map(|word| word.split(|char| !is_part(char)).next().unwrap_or_default())
        .filter(|word| word.starts_with(|char: char| char.is_ascii_lowercase()))
        .map(str::to_owned)
        .collect())
}
