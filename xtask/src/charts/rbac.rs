//! Who may do what: exactly what the code asks Kubernetes for, and only where it asks.

use serde_json::{Value, json};

use super::Faults;
use super::helm::NAMESPACE;
use super::objects::{name, of_kind};
use super::pods::{argument, pod_spec};

/// The agent's rules by its `--kube`, and whether a label of its node names its site.
fn expected(mode: &str, has_site_label: bool) -> Option<Value> {
    match mode {
        "api" => {
            let pods =
                json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]});
            let nodes = json!({"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]});
            let rules = if has_site_label {
                json!([pods, nodes])
            } else {
                json!([pods])
            };
            Some(rules)
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
    let has_site_label =
        of_kind(objects, "ConfigMap").any(|map| map["data"].to_string().contains("site-label"));
    let expected = Value::from_iter(mode.and_then(|mode| expected(mode, has_site_label)));
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
        let asks = workload["kind"] == "DaemonSet"
            && mode.and_then(|mode| expected(mode, false)).is_some();
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
