//! Which kinds the charts make, and which of them a Kubernetes 1.20 does not have: the end-to-end tests install the charts
//! there, so that those are looked at here alone, against the fields that their definitions have.

use serde_json::Value;

use super::Faults;

/// The oldest, which the tests have for real, and a recent one.
pub(super) const KUBE_VERSIONS: [&str; 2] = [OLDEST, "1.34.0"];
const OLDEST: &str = "1.20.2";

/// Kinds that Kubernetes 1.20 has.
const OLD: [(&str, &str); 15] = [
    ("v1", "ConfigMap"),
    ("v1", "Secret"),
    ("v1", "Service"),
    ("v1", "ServiceAccount"),
    ("apps/v1", "DaemonSet"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("networking.k8s.io/v1", "Ingress"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("policy/v1beta1", "PodDisruptionBudget"),
    ("rbac.authorization.k8s.io/v1", "Role"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole"),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
    ("v1", "PersistentVolumeClaim"),
];

/// Kinds that it does not have: of Kubernetes since, or of somebody else.
const NEWER: [Newer; 6] = [
    Newer {
        version: "policy/v1",
        kind: "PodDisruptionBudget",
        since: "Kubernetes 1.21",
        fields: &["maxUnavailable", "selector.matchLabels.*"],
    },
    Newer {
        version: "cert-manager.io/v1",
        kind: "Certificate",
        since: "cert-manager",
        fields: &[
            "secretName",
            "duration",
            "renewBefore",
            "dnsNames",
            "ipAddresses",
            "usages",
            "privateKey.algorithm",
            "privateKey.size",
            "privateKey.rotationPolicy",
            "issuerRef.name",
            "issuerRef.kind",
            "issuerRef.group",
        ],
    },
    Newer {
        version: "gateway.networking.k8s.io/v1",
        kind: "HTTPRoute",
        since: "the Gateway API",
        fields: &[
            "parentRefs.name",
            "parentRefs.namespace",
            "parentRefs.sectionName",
            "hostnames",
            "rules.backendRefs.name",
            "rules.backendRefs.port",
        ],
    },
    Newer {
        version: "monitoring.coreos.com/v1",
        kind: "PodMonitor",
        since: "the Prometheus operator",
        fields: &[
            "selector.matchLabels.*",
            "podMetricsEndpoints.port",
            "podMetricsEndpoints.path",
            "podMetricsEndpoints.interval",
            "podMetricsEndpoints.honorLabels",
            "podMetricsEndpoints.relabelings.sourceLabels",
            "podMetricsEndpoints.relabelings.targetLabel",
            "podMetricsEndpoints.relabelings.replacement",
        ],
    },
    Newer {
        version: "monitoring.coreos.com/v1",
        kind: "ServiceMonitor",
        since: "the Prometheus operator",
        fields: &[
            "selector.matchLabels.*",
            "endpoints.port",
            "endpoints.path",
            "endpoints.interval",
            "endpoints.scheme",
            "endpoints.honorLabels",
            "endpoints.authorization.type",
            "endpoints.authorization.credentials.name",
            "endpoints.authorization.credentials.key",
            "endpoints.tlsConfig.serverName",
            "endpoints.tlsConfig.ca.secret.name",
            "endpoints.tlsConfig.ca.secret.key",
            "endpoints.relabelings.targetLabel",
            "endpoints.relabelings.replacement",
        ],
    },
    Newer {
        version: "monitoring.coreos.com/v1",
        kind: "PrometheusRule",
        since: "the Prometheus operator",
        fields: &[
            "groups.name",
            "groups.rules.record",
            "groups.rules.alert",
            "groups.rules.expr",
            "groups.rules.for",
            "groups.rules.labels.*",
            "groups.rules.annotations.*",
        ],
    },
];

struct Newer {
    version: &'static str,
    kind: &'static str,
    since: &'static str,
    /// Those of its definition's `spec` that the chart may use; lists are looked through.
    fields: &'static [&'static str],
}

/// Every kind is known; what is of Kubernetes itself is there in this version.
pub(super) fn check(objects: &[Value], kube_version: &str, faults: &mut Faults) {
    for object in objects {
        let version = object["apiVersion"].as_str().unwrap_or_default();
        let kind = object["kind"].as_str().unwrap_or_default();
        let newer = NEWER
            .iter()
            .find(|newer| (newer.version, newer.kind) == (version, kind));
        let Some(newer) = newer else {
            let is_gone = version.ends_with("beta1") && kube_version != OLDEST;
            faults.check(OLD.contains(&(version, kind)) && !is_gone, || {
                format!("{kind} of {version} is no kind of the lists in xtask/src/charts/kinds.rs")
            });
            continue;
        };
        let is_there = kube_version != OLDEST || !newer.since.starts_with("Kubernetes");
        faults.check(is_there, || {
            format!("{kind} of {version} came with {}", newer.since)
        });
        check_fields(&object["spec"], "", newer, faults);
    }
}

fn check_fields(value: &Value, path: &str, newer: &Newer, faults: &mut Faults) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let inner = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                let any = format!("{path}.*");
                if !newer.fields.contains(&&*any) {
                    check_fields(value, &inner, newer, faults);
                }
            }
        }
        Value::Array(items) => {
            for item in items {
                check_fields(item, path, newer, faults);
            }
        }
        _ => faults.check(newer.fields.contains(&path), || {
            format!(
                "{} has no spec.{path} in xtask/src/charts/kinds.rs",
                newer.kind
            )
        }),
    }
}

/// Says what no Kubernetes 1.20 can be asked about.
pub(super) fn print_newer() {
    for newer in &NEWER {
        println!(
            "newer than Kubernetes 1.20: {} of {} ({})",
            newer.kind, newer.version, newer.since
        );
    }
}
