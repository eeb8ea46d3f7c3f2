//! What a module may do: what stands here, and nothing else. Its file says why beside each.

use serde_json::{Value, json};

use super::file::Module;
use crate::charts::Faults;
use crate::charts::objects::{name, of_kind};
use crate::charts::pods::{items, pod_spec};
use crate::charts::references::workloads;

/// What a module has beyond the least.
struct More {
    module: &'static str,
    is_root: bool,
    is_privileged: bool,
    writes_root: bool,
    capabilities: &'static [&'static str],
    /// Directories of the host; none of them to write.
    host: &'static [&'static str],
    sees_processes: bool,
    /// Resources that it may ask the whole cluster about.
    asks: &'static [&'static str],
}

const LEAST: More = More {
    module: "",
    is_root: false,
    is_privileged: false,
    writes_root: false,
    capabilities: &[],
    host: &[],
    sees_processes: false,
    asks: &[],
};

const MORE: [More; 9] = [
    More {
        module: "timescale",
        writes_root: true,
        ..LEAST
    },
    More {
        module: "pgadmin",
        writes_root: true,
        capabilities: &["NET_BIND_SERVICE"],
        ..LEAST
    },
    More {
        module: "torchserve",
        writes_root: true,
        ..LEAST
    },
    More {
        module: "triton",
        writes_root: true,
        ..LEAST
    },
    More {
        module: "vllm",
        writes_root: true,
        ..LEAST
    },
    More {
        module: "scaphandre",
        is_root: true,
        is_privileged: true,
        host: &["/sys/class/powercap"],
        sees_processes: true,
        asks: &["pods", "nodes"],
        ..LEAST
    },
    More {
        module: "kepler",
        is_root: true,
        capabilities: &["DAC_READ_SEARCH", "SYS_PTRACE"],
        host: &["/proc", "/sys"],
        sees_processes: true,
        asks: &["pods", "nodes"],
        ..LEAST
    },
    More {
        module: "prometheus",
        asks: &["pods", "services"],
        ..LEAST
    },
    More {
        module: "dcgm",
        is_root: true,
        writes_root: true,
        host: &["/var/lib/kubelet/pod-resources"],
        ..LEAST
    },
];

/// Compares.
pub(super) fn check(objects: &[Value], module: &Module, faults: &mut Faults) {
    let more = MORE
        .iter()
        .find(|more| more.module == module.name)
        .unwrap_or(&LEAST);
    for workload in workloads(objects) {
        check_pod(workload, more, faults);
        let spec = pod_spec(workload);
        for container in items(&spec["initContainers"]).chain(items(&spec["containers"])) {
            check_container(&name(workload), container, more, faults);
        }
    }
    check_kube(objects, more, faults);
}

fn check_pod(workload: &Value, more: &More, faults: &mut Faults) {
    let own = name(workload);
    let spec = pod_spec(workload);
    let security = &spec["securityContext"];
    for (what, found, expected) in [
        (
            "runAsNonRoot",
            &security["runAsNonRoot"],
            json!(!more.is_root),
        ),
        (
            "seccompProfile",
            &security["seccompProfile"]["type"],
            json!("RuntimeDefault"),
        ),
        (
            "hostPID",
            &spec["hostPID"],
            if more.sees_processes {
                json!(true)
            } else {
                Value::Null
            },
        ),
        ("hostNetwork", &spec["hostNetwork"], Value::Null),
        ("hostIPC", &spec["hostIPC"], Value::Null),
        (
            "enableServiceLinks",
            &spec["enableServiceLinks"],
            json!(false),
        ),
        (
            "os",
            &spec["nodeSelector"]["kubernetes.io/os"],
            json!("linux"),
        ),
    ] {
        faults.check(*found == expected, || {
            format!("{own} has {what}={found}, not {expected}")
        });
    }
    let is_user = |user: &Value| {
        user.as_u64()
            .is_some_and(|user| (user == 0) == more.is_root)
    };
    faults.check(is_user(&security["runAsUser"]), || {
        format!("{own} is of no user, or of root")
    });
    let volumes = items(&spec["volumes"]).filter(|volume| volume["hostPath"].is_object());
    let mut found: Vec<&str> = volumes
        .filter_map(|volume| volume["hostPath"]["path"].as_str())
        .collect();
    found.sort_unstable();
    faults.check(found == more.host, || {
        format!("{own} has these directories of the host: {found:?}")
    });
}

fn check_container(own: &str, container: &Value, more: &More, faults: &mut Faults) {
    let security = &container["securityContext"];
    let (raises, privileged, drop) = if more.is_privileged {
        (Value::Null, json!(true), Value::Null)
    } else {
        (json!(false), Value::Null, json!(["ALL"]))
    };
    let add = if more.capabilities.is_empty() {
        Value::Null
    } else {
        json!(more.capabilities)
    };
    for (what, found, expected) in [
        (
            "allowPrivilegeEscalation",
            &security["allowPrivilegeEscalation"],
            raises,
        ),
        ("privileged", &security["privileged"], privileged),
        (
            "readOnlyRootFilesystem",
            &security["readOnlyRootFilesystem"],
            json!(!more.writes_root),
        ),
        (
            "capabilities to drop",
            &security["capabilities"]["drop"],
            drop,
        ),
        ("capabilities", &security["capabilities"]["add"], add),
    ] {
        let container = &container["name"];
        faults.check(*found == expected, || {
            format!("{own}, {container} has {what}={found}, not {expected}")
        });
    }
    let mut mounts = items(&container["volumeMounts"]);
    let is_host = |mount: &Value| {
        mount["name"]
            .as_str()
            .is_some_and(|name| name.starts_with("host-"))
    };
    faults.check(
        mounts.all(|mount| !is_host(mount) || mount["readOnly"] == true),
        || format!("{own} may write a directory of the host"),
    );
}

/// Who asks Kubernetes has a token, and nobody else; and only looks.
fn check_kube(objects: &[Value], more: &More, faults: &mut Faults) {
    let roles = of_kind(objects, "ClusterRole").chain(of_kind(objects, "Role"));
    let rules: Vec<&Value> = roles.flat_map(|role| items(&role["rules"])).collect();
    let asked = rules.iter().flat_map(|rule| items(&rule["resources"]));
    let asked: Vec<&str> = asked.filter_map(Value::as_str).collect();
    faults.check(asked == more.asks, || {
        format!("it may ask about {asked:?}, not {:?}", more.asks)
    });
    let mut verbs = rules.iter().flat_map(|rule| items(&rule["verbs"]));
    faults.check(
        verbs.all(|verb| ["get", "list", "watch"].iter().any(|look| verb == look)),
        || "it may do more than look".into(),
    );
    for workload in workloads(objects) {
        let token = &pod_spec(workload)["automountServiceAccountToken"];
        faults.check(*token == !more.asks.is_empty(), || {
            format!(
                "{} has a token and no use for it, or the reverse",
                name(workload)
            )
        });
    }
}
