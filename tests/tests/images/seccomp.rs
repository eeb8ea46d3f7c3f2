//! What a runtime lets containers call by default.

use std::fs;

use anyhow::Context;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

/// podman's own list.
const PODMAN: &str = "/usr/share/containers/seccomp.json";
/// What containerd since 1.7 and Docker since 23 let through by a capability of its own, and Debian's podman by
/// CAP_SYS_ADMIN alone (containerd: contrib/seccomp/seccomp_default.go; Docker: profiles/seccomp/default.json).
const BY_CAPABILITY: [(&str, &str); 2] = [("bpf", "CAP_BPF"), ("perf_event_open", "CAP_PERFMON")];

/// podman's list with those two rules, which makes of it what `RuntimeDefault` is with containerd.
///
/// # Errors
/// Where podman's list is not there, or is no such list.
pub(crate) fn of_containerd() -> anyhow::Result<NamedTempFile> {
    let text = fs::read_to_string(PODMAN).with_context(|| format!("cannot read {PODMAN}"))?;
    let mut profile: Value = serde_json::from_str(&text)?;
    let rules = profile["syscalls"].as_array_mut();
    let rules = rules.context("a seccomp profile has syscalls")?;
    for (call, capability) in BY_CAPABILITY {
        // A rule that refuses it to all without CAP_SYS_ADMIN.
        for rule in rules
            .iter_mut()
            .filter(|rule| rule["action"] != "SCMP_ACT_ALLOW")
        {
            if let Some(names) = rule["names"].as_array_mut() {
                names.retain(|name| name != call);
            }
        }
        rules.push(json!({
            "names": [call],
            "action": "SCMP_ACT_ALLOW",
            "includes": { "caps": [capability] },
        }));
    }
    let file = NamedTempFile::new()?;
    fs::write(file.path(), profile.to_string())?;
    Ok(file)
}
