//! What one object says of another holds: volumes, selectors, ports.

use serde_json::{Map, Value};

use super::Faults;
use super::objects::{name, of_kind};
use super::pods::{items, pod_spec};

/// Looks at all of them, in the chart hxmlops.
pub(super) fn check(objects: &[Value], faults: &mut Faults) {
    check_pods(objects, faults);
    check_monitors(objects, &workloads(objects), faults);
}

/// Whatever makes pods.
pub(super) fn workloads(objects: &[Value]) -> Vec<&Value> {
    ["DaemonSet", "Deployment", "StatefulSet"]
        .iter()
        .flat_map(|kind| of_kind(objects, kind))
        .collect()
}

/// Looks at what names pods, and at what pods name.
pub(super) fn check_pods(objects: &[Value], faults: &mut Faults) {
    let workloads = workloads(objects);
    for workload in &workloads {
        check_volumes(workload, faults);
        let selector = &workload["spec"]["selector"]["matchLabels"];
        let own = pod_labels(workload);
        faults.check(selects(selector, own), || {
            format!("{} does not select its pods", name(workload))
        });
        let service = &workload["spec"]["serviceName"];
        let mut services = of_kind(objects, "Service");
        faults.check(
            service.is_null() || services.any(|object| object["metadata"]["name"] == *service),
            || {
                format!(
                    "{} names the service {service}, which is not there",
                    name(workload)
                )
            },
        );
    }
    check_selectors(objects, &workloads, faults);
    for service in of_kind(objects, "Service") {
        check_ports(service, &workloads, faults);
    }
    check_accounts(objects, &workloads, faults);
}

/// Labels of a workload's pods.
pub(super) fn pod_labels(workload: &Value) -> &Value {
    &workload["spec"]["template"]["metadata"]["labels"]
}

/// Whether these labels are all among those.
fn selects(selector: &Value, labels: &Value) -> bool {
    let Some(selector) = selector.as_object() else {
        return false;
    };
    !selector.is_empty()
        && selector
            .iter()
            .all(|(label, value)| labels[label] == *value)
}

fn check_volumes(workload: &Value, faults: &mut Faults) {
    let own = name(workload);
    let spec = pod_spec(workload);
    let claims = items(&workload["spec"]["volumeClaimTemplates"]);
    let volumes = items(&spec["volumes"]).map(|volume| &volume["name"]);
    let mut there: Vec<&Value> = claims
        .map(|claim| &claim["metadata"]["name"])
        .chain(volumes)
        .collect();
    let containers = items(&spec["initContainers"]).chain(items(&spec["containers"]));
    let mounts = containers.flat_map(|container| items(&container["volumeMounts"]));
    let mut mounted: Vec<&Value> = mounts.map(|mount| &mount["name"]).collect();
    for names in [&mut there, &mut mounted] {
        names.sort_by_key(ToString::to_string);
    }
    let count = there.len();
    there.dedup();
    mounted.dedup();
    faults.check(count == there.len(), || {
        format!("{own} has a volume twice: {there:?}")
    });
    faults.check(there == mounted, || {
        format!("{own} has the volumes {there:?} and mounts {mounted:?}")
    });
}

/// What selects pods beside workloads selects those of exactly one.
fn check_selectors(objects: &[Value], workloads: &[&Value], faults: &mut Faults) {
    let selector = |object: &Value| match object["kind"].as_str() {
        Some("Service") => Some(object["spec"]["selector"].clone()),
        Some("NetworkPolicy") => Some(object["spec"]["podSelector"]["matchLabels"].clone()),
        Some("PodDisruptionBudget" | "PodMonitor") => {
            Some(object["spec"]["selector"]["matchLabels"].clone())
        }
        _ => None,
    };
    for object in objects {
        let Some(selector) = selector(object) else {
            continue;
        };
        let selected = workloads
            .iter()
            .filter(|workload| selects(&selector, pod_labels(workload)));
        let count = selected.count();
        faults.check(count == 1, || {
            format!("{} selects the pods of {count} workloads", name(object))
        });
    }
}

fn check_ports(service: &Value, workloads: &[&Value], faults: &mut Faults) {
    let selector = &service["spec"]["selector"];
    let behind = workloads
        .iter()
        .find(|workload| selects(selector, pod_labels(workload)));
    for port in items(&service["spec"]["ports"]) {
        let target = &port["targetPort"];
        let is_there = behind.is_some_and(|workload| has_port(workload, target));
        faults.check(is_there, || {
            format!(
                "{} leads to the port {target}, which is not there",
                name(service)
            )
        });
    }
}

fn has_port(workload: &Value, port: &Value) -> bool {
    let mut ports =
        items(&pod_spec(workload)["containers"]).flat_map(|container| items(&container["ports"]));
    ports.any(|found| found["name"] == *port)
}

/// Prometheus finds each target once, under the job's name that the rules have.
fn check_monitors(objects: &[Value], workloads: &[&Value], faults: &mut Faults) {
    for monitor in of_kind(objects, "ServiceMonitor") {
        let selector = &monitor["spec"]["selector"]["matchLabels"];
        let services = of_kind(objects, "Service");
        let selected = services.filter(|service| selects(selector, &service["metadata"]["labels"]));
        let selected: Vec<&Value> = selected.collect();
        let port = &monitor["spec"]["endpoints"][0]["port"];
        let has_port =
            |service: &&Value| items(&service["spec"]["ports"]).any(|found| found["name"] == *port);
        faults.check(selected.len() == 1 && selected.iter().all(has_port), || {
            format!(
                "{} selects {} services with the port {port}",
                name(monitor),
                selected.len()
            )
        });
        check_job(monitor, &monitor["spec"]["endpoints"][0], "hxmlops", faults);
    }
    for monitor in of_kind(objects, "PodMonitor") {
        let endpoint = &monitor["spec"]["podMetricsEndpoints"][0];
        let is_there = workloads.iter().any(|workload| {
            workload["kind"] == "DaemonSet" && has_port(workload, &endpoint["port"])
        });
        faults.check(is_there, || {
            format!("{} has a port that is not there", name(monitor))
        });
        check_job(monitor, endpoint, "hxmlops-agent", faults);
    }
}

fn check_job(monitor: &Value, endpoint: &Value, job: &str, faults: &mut Faults) {
    let mut relabelings = items(&endpoint["relabelings"]);
    let names_job =
        relabelings.any(|step| step["targetLabel"] == "job" && step["replacement"] == job);
    faults.check(names_job && endpoint["honorLabels"] == true, || {
        format!(
            "{} is not scraped as the rules expect: job {job}, honorLabels",
            name(monitor)
        )
    });
}

/// A service account that is made is used, and by one workload.
fn check_accounts(objects: &[Value], workloads: &[&Value], faults: &mut Faults) {
    for account in of_kind(objects, "ServiceAccount") {
        let users = workloads.iter().filter(|workload| {
            pod_spec(workload)["serviceAccountName"] == account["metadata"]["name"]
        });
        let count = users.count();
        faults.check(count == 1, || {
            format!("{} has {count} users", name(account))
        });
    }
    let empty = Map::new();
    for config in of_kind(objects, "ConfigMap") {
        let files = config["data"].as_object().unwrap_or(&empty);
        faults.check(!files.is_empty(), || format!("{} is empty", name(config)));
    }
}
