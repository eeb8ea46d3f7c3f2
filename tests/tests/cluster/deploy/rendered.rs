//! Every object that a module's chart can make, with all that can be switched on, passes the API server's own dry run; but for
//! the kinds that this one does not serve. Those are in a list here, and `cargo xtask charts` checks them field by field
//! (`xtask/src/charts/kinds.rs`).

use std::collections::{BTreeMap, BTreeSet};

use e2e::cluster::{Cluster, Helm};
use e2e::text;
use serde_json::{Value, json};

use super::catalogue::{self, Module};
use super::user::User;
use crate::site::chart;

/// What Kubernetes 1.20 has not: (version, kind).
const NOT_SERVED: [(&str, &str); 6] = [
    ("cert-manager.io/v1", "Certificate"),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    ("monitoring.coreos.com/v1", "PodMonitor"),
    ("monitoring.coreos.com/v1", "PrometheusRule"),
    ("monitoring.coreos.com/v1", "ServiceMonitor"),
    ("policy/v1", "PodDisruptionBudget"),
];
/// What the charts take their cluster for: the one that is here, and a recent one, of which the kinds alone count: its objects
/// may have fields that this one does not know.
const KUBE_VERSIONS: [&str; 2] = [HERE, "1.34.0"];
const HERE: &str = "1.20.2";

#[test]
fn every_object_of_every_module_passes_the_server_s_dry_run() {
    let cluster = Cluster::start().unwrap();
    cluster.make_namespace("dry").unwrap();
    let user = User::admin(&cluster, Helm::Four);
    let modules = catalogue::all(&user);
    let mut served: BTreeMap<String, Value> = BTreeMap::new();
    let mut not_served = BTreeSet::new();
    let has = |version: &str, kind: &str| serves(&cluster, version, kind);
    let mut known: BTreeMap<(String, String), bool> = BTreeMap::new();
    for module in modules.iter().filter(|module| !module.has_steps()) {
        let values = user.write(&format!("{}.json", module.name), &module.values.to_string());
        for version in KUBE_VERSIONS {
            let objects = rendered(&cluster, module, text(&values), version);
            assert!(objects.len() > 3, "{}: {objects:?}", module.name);
            for object in objects {
                // Ingress-nginx, which ran what its annotations said, is retired.
                let text = object.to_string();
                assert!(!text.contains("nginx.ingress.kubernetes.io"), "{text}");
                let of = |key: &str| object[key].as_str().unwrap().to_owned();
                let kind = (of("apiVersion"), of("kind"));
                let is_served = *known
                    .entry(kind.clone())
                    .or_insert_with(|| has(&kind.0, &kind.1));
                if is_served && version != HERE {
                    continue;
                }
                if is_served {
                    let name = object["metadata"]["name"].as_str().unwrap();
                    served.insert(format!("{} {} {name}", kind.0, kind.1), object);
                } else {
                    not_served.insert(kind);
                }
            }
        }
    }
    let kinds = served.values().filter_map(|object| object["kind"].as_str());
    let kinds: BTreeSet<&str> = kinds.collect();
    println!("{} objects of {} kinds", served.len(), kinds.len());
    assert!(kinds.len() > 12, "{kinds:?}");
    let items: Vec<&Value> = served.values().collect();
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
    let said = cluster.dry_run(&list).unwrap();
    assert_eq!(
        said.matches("(server dry run)").count(),
        served.len(),
        "{said}"
    );
    let not_served: Vec<(&str, &str)> = not_served
        .iter()
        .map(|(version, kind)| (&**version, &**kind))
        .collect();
    assert_eq!(not_served, NOT_SERVED);
}

/// What helm makes of a module in the namespace `dry`, with everything switched on that it has.
fn rendered(cluster: &Cluster, module: &Module, values: &str, version: &str) -> Vec<Value> {
    let release = module.release();
    let name = if module.is_own() { "" } else { "../module" };
    let chart = chart(name);
    let mut args = vec![
        "template",
        &release,
        text(&chart),
        "--namespace",
        "dry",
        "--values",
        values,
        "--kube-version",
        version,
    ];
    let switches = switches(module);
    for switch in &switches {
        args.extend(["--set", switch]);
    }
    let printed = cluster.helm(Helm::Four, &args).unwrap();
    let options = serde_saphyr::options! { budget: None, strict_booleans: true };
    let objects = serde_saphyr::from_multiple_with_options::<Value>(&printed, options).unwrap();
    objects.into_iter().filter(Value::is_object).collect()
}

fn switches(module: &Module) -> Vec<&'static str> {
    if module.is_own() {
        return vec![
            "monitoring.enabled=true",
            "tls.mode=certManager,tls.certManager.issuerRef.name=issuer",
        ];
    }
    let mut switches = Vec::new();
    let ports = module.values["ports"].as_array().into_iter().flatten();
    if ports.into_iter().any(|port| port["expose"] != false) {
        switches.push("ingress.enabled=true,ingress.host=module.example");
        switches.push("gateway.enabled=true,gateway.parentRefs[0].name=gateway");
    }
    if module.values["metrics"]["port"].is_string() {
        switches.push("serviceMonitor.enabled=true");
    }
    switches
}

/// Whether the API server has a kind.
fn serves(cluster: &Cluster, version: &str, kind: &str) -> bool {
    let root = if version == "v1" { "api" } else { "apis" };
    let (status, text) = cluster.admin().text(&format!("/{root}/{version}")).unwrap();
    // What is not there is told in words.
    let list: Value = serde_json::from_str(&text).unwrap_or_default();
    let mut resources = list["resources"].as_array().into_iter().flatten();
    status == 200 && resources.any(|resource| resource["kind"] == kind)
}
