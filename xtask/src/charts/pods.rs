//! What the chart's pods may do, and how Kubernetes sees that they live.

use serde_json::{Value, json};

use super::Faults;
use super::cases::Case;
use super::objects::{name, of_kind};

/// Capabilities that the agent always has.
const CAPABILITIES: [&str; 2] = ["BPF", "PERFMON"];
/// Capabilities that an example asks for.
const MORE_CAPABILITIES: [(&str, &[&str]); 3] = [
    ("everything-else.yaml", &["SYS_RAWIO"]),
    ("agents-of-another-cluster.yaml", &["SYS_RESOURCE"]),
    ("metrics-only.yaml", &["SYS_PTRACE"]),
];
/// Directories of the host that the agent has: by mount point, and whether it may write there.
const HOST_MOUNTS: [(&str, bool); 2] = [("/host/sys", false), ("/var/lib/hxmlops", true)];

/// The pod's part of a workload.
pub(super) fn pod_spec(workload: &Value) -> &Value {
    &workload["spec"]["template"]["spec"]
}

/// What follows `flag` among the arguments of a workload's first container.
pub(super) fn argument<'a>(workload: &'a Value, flag: &str) -> Option<&'a str> {
    let arguments = pod_spec(workload)["containers"][0]["args"].as_array()?;
    arguments
        .iter()
        .find_map(|argument| argument.as_str()?.strip_prefix(flag))
}

/// All items of a list; none where it is no list.
pub(super) fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Looks at the pods of each workload.
pub(super) fn check(objects: &[Value], case: &Case, faults: &mut Faults) {
    for agent in of_kind(objects, "DaemonSet") {
        let more = MORE_CAPABILITIES.iter().find(|(of, _)| *of == case.name);
        let more = more.map_or(&[][..], |(_, more)| more);
        check_pod(agent, &[&CAPABILITIES, more].concat(), faults);
        check_host(agent, faults);
    }
    for aggregator in of_kind(objects, "StatefulSet") {
        check_pod(aggregator, &[], faults);
        let spec = pod_spec(aggregator);
        let security = &spec["securityContext"];
        faults.check(security["runAsNonRoot"] == true, || {
            "the aggregator may be root".into()
        });
        faults.check(
            spec["hostPID"].is_null() && spec["hostNetwork"].is_null(),
            || "the aggregator is in the host's namespaces".into(),
        );
        let mut volumes = items(&spec["volumes"]);
        faults.check(volumes.all(|volume| volume["hostPath"].is_null()), || {
            "the aggregator has a directory of the host".into()
        });
    }
}

fn check_pod(workload: &Value, capabilities: &[&str], faults: &mut Faults) {
    let own = name(workload);
    let spec = pod_spec(workload);
    let seccomp = &spec["securityContext"]["seccompProfile"]["type"];
    faults.check(
        seccomp == "RuntimeDefault" || seccomp == "Localhost",
        || format!("{own} is without seccomp"),
    );
    faults.check(spec["hostIPC"].is_null(), || {
        format!("{own} is in the host's IPC namespace")
    });
    faults.check(spec["nodeSelector"]["kubernetes.io/os"] == "linux", || {
        format!("{own} would run on other systems than Linux")
    });
    for container in items(&spec["initContainers"]).chain(items(&spec["containers"])) {
        check_security(&own, container, capabilities, faults);
        check_resources(&own, container, faults);
    }
    for container in items(&spec["containers"]) {
        check_probes(&own, container, faults);
    }
}

fn check_security(own: &str, container: &Value, capabilities: &[&str], faults: &mut Faults) {
    let security = &container["securityContext"];
    let container = &container["name"];
    let added = security["capabilities"]["add"].clone();
    let expected = if capabilities.is_empty() {
        Value::Null
    } else {
        json!(capabilities)
    };
    faults.check(added == expected, || {
        format!("{own}, {container} has the capabilities {added}, not {expected}")
    });
    for (what, is_well) in [
        (
            "is privileged",
            security["privileged"].is_null() || security["privileged"] == false,
        ),
        (
            "may raise its rights",
            security["allowPrivilegeEscalation"] == false,
        ),
        (
            "may write its root",
            security["readOnlyRootFilesystem"] == true,
        ),
        (
            "keeps capabilities",
            security["capabilities"]["drop"] == json!(["ALL"]),
        ),
    ] {
        faults.check(is_well, || format!("{own}, {container} {what}"));
    }
}

/// What a container needs is said, and which version of its image it is.
pub(super) fn check_resources(own: &str, container: &Value, faults: &mut Faults) {
    let resources = &container["resources"];
    let pointers = ["/requests/cpu", "/requests/memory", "/limits/memory"];
    for pointer in pointers {
        faults.check(resources.pointer(pointer).is_some(), || {
            format!("{own}, {} has no resources{pointer}", container["name"])
        });
    }
    let image = container["image"].as_str().unwrap_or_default();
    let name = image.rsplit('/').next().unwrap_or_default();
    faults.check(
        name.contains([':', '@']) && !name.ends_with(":latest"),
        || format!("{own} has an image that may be any version: {image}"),
    );
}

fn check_probes(own: &str, container: &Value, faults: &mut Faults) {
    for (probe, path) in [("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")] {
        let get = &container[probe]["httpGet"];
        let mut ports = items(&container["ports"]);
        let is_there = ports.any(|port| port["name"] == get["port"]);
        faults.check(get["path"] == path && is_there, || {
            format!("{own} has no {probe} at {path} of a port that it has")
        });
    }
}

/// The agent sees the host's processes, and has two of its directories.
fn check_host(agent: &Value, faults: &mut Faults) {
    let spec = pod_spec(agent);
    faults.check(spec["hostPID"] == true, || {
        "the agent does not see the host's processes".into()
    });
    let volumes = items(&spec["volumes"]).filter(|volume| volume["hostPath"].is_object());
    let volumes: Vec<&Value> = volumes.map(|volume| &volume["name"]).collect();
    let mounts = items(&spec["containers"][0]["volumeMounts"]);
    let mounts = mounts.filter(|mount| volumes.contains(&&mount["name"]));
    let mut found: Vec<(&str, bool)> = mounts
        .map(|mount| {
            (
                mount["mountPath"].as_str().unwrap_or_default(),
                mount["readOnly"] != true,
            )
        })
        .collect();
    found.sort_unstable();
    faults.check(found == HOST_MOUNTS && volumes.len() == found.len(), || {
        format!("the agent has these directories of the host (true: to write): {found:?}")
    });
}
