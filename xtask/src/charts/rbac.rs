//! Who may do what: exactly what the code asks Kubernetes for, and only where it asks.

use serde_json::{Value, json};

use super::Faults;
use super::helm::NAMESPACE;
use super::objects::{name, of_kind};
use super::pods::{argument, pod_spec};

/// The agent's rules by its `--kube`.
fn expected(mode: &str) -> Option<Value> {
    match mode {
        "api" => {
            Some(json!([{"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]}]))
        }
        "kubelet" => {
            Some(json!([{"apiGroups": [""], "resources": ["nodes/proxy"], "verbs": ["get"]}]))
        }
        _ => None,
    }
}

/// Compares all rules and bindings with what is expected.
pub(super) fn check(objects: &[Value], faults: &mut Faults) {
    for kind in ["Role", "RoleBinding"] {
        faults.check(of_kind(objects, kind).next().is_none(), || {
            format!("a {kind} is there")
        });
    }
    let agent = of_kind(objects, "DaemonSet").next();
    let mode = agent.and_then(|agent| argument(agent, "--kube="));
    let expected = Value::from_iter(mode.and_then(expected));
    let roles: Vec<&Value> = of_kind(objects, "ClusterRole").collect();
    let rules = Value::from_iter(roles.iter().map(|role| role["rules"].clone()));
    faults.check(rules == expected, || {
        format!(
            "the rules of --kube={} are {rules}, not {expected}",
            mode.unwrap_or("none")
        )
    });
    let bindings: Vec<&Value> = of_kind(objects, "ClusterRoleBinding").collect();
    faults.check(bindings.len() == roles.len(), || {
        "bindings and roles do not go together".into()
    });
    if let (Some(agent), Some(role), Some(binding)) = (agent, roles.first(), bindings.first()) {
        let account = &pod_spec(agent)["serviceAccountName"];
        let subjects = json!([{"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}]);
        faults.check(binding["subjects"] == subjects, || {
            format!("{} is not for the agent's account alone", name(binding))
        });
        faults.check(
            binding["roleRef"]["name"] == role["metadata"]["name"],
            || format!("{} is of another role", name(binding)),
        );
    }
    check_tokens(objects, mode, faults);
}

/// Only an agent that asks Kubernetes has a token for it.
fn check_tokens(objects: &[Value], mode: Option<&str>, faults: &mut Faults) {
    for account in of_kind(objects, "ServiceAccount") {
        faults.check(account["automountServiceAccountToken"] == false, || {
            format!("{} gives its token to every pod", name(account))
        });
    }
    for workload in ["DaemonSet", "StatefulSet"]
        .iter()
        .flat_map(|kind| of_kind(objects, kind))
    {
        let asks = workload["kind"] == "DaemonSet" && mode.and_then(expected).is_some();
        faults.check(
            pod_spec(workload)["automountServiceAccountToken"] == asks,
            || {
                format!(
                    "{} has a token and no use for it, or the reverse",
                    name(workload)
                )
            },
        );
    }
}
