//! The configuration that Prometheus is given, by promtool: with the rules, and with files of targets in place of Kubernetes, which
//! Debian's promtool cannot ask; so it is seen which pods it would scrape, where, and under which labels.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::charts::objects::of_kind;
use crate::charts::{Faults, rules};
use crate::workspace;

/// Where the pod has it.
const DIRECTORY: &str = "/etc/module";
/// As the chart writes directories of a file into a key.
const SLASH: &str = "__";
/// How long promtool looks for targets, all of which are there at once.
const TIMEOUT: &str = "--timeout=1s";

/// Writes the files and has them looked at.
///
/// # Errors
/// Where a file cannot be written, or promtool not be run.
pub(super) fn check(objects: &[Value], faults: &mut Faults) -> Result<()> {
    let here = here();
    let path = here.to_string_lossy().into_owned();
    let mut has_rules = false;
    for config in of_kind(objects, "ConfigMap") {
        for (key, text) in config["data"].as_object().into_iter().flatten() {
            let text = text.as_str().unwrap_or_default().replace(DIRECTORY, &path);
            rules::write(&here.join(key.replace(SLASH, "/")), &text)?;
            has_rules |= key == "rules__hxmlops.yaml";
        }
    }
    faults.check(has_rules, || "has not our rules".into());
    let mut config = rules::read(&here.join("prometheus.yml"))?;
    without_kubernetes(&mut config, &here.join("targets.json"), faults);
    rules::write(&here.join("offline.json"), &config.to_string())?;
    // The tokens and the authority are files of a cluster: whether they are there is not asked.
    let offline = here.join("offline.json");
    rules::promtool(&["check", "config", "--syntax-only"], &[offline], faults)?;
    let rule_file = here.join("rules/hxmlops.yaml");
    rules::promtool(&["check", "rules", "--lint=all"], &[rule_file], faults)
}

/// Puts a file of targets where Kubernetes is asked.
fn without_kubernetes(config: &mut Value, targets: &Path, faults: &mut Faults) {
    for job in config["scrape_configs"]
        .as_array_mut()
        .into_iter()
        .flatten()
    {
        let Some(asked) = job
            .as_object_mut()
            .and_then(|job| job.remove("kubernetes_sd_configs"))
        else {
            faults.add(&format!("{} does not ask Kubernetes", job["job_name"]));
            continue;
        };
        let is_known = asked == json!([{"role": "pod"}]) || asked == json!([{"role": "service"}]);
        faults.check(is_known, || format!("asks Kubernetes for {asked}"));
        job["file_sd_configs"] = json!([{"files": [targets]}]);
    }
}

/// What is there to be found, with the labels that Kubernetes' discovery gives.
fn targets() -> Value {
    let pod = |address: &str, port: &str, more: Value| {
        let mut labels = json!({
            "__meta_kubernetes_namespace": "mlops",
            "__meta_kubernetes_pod_name": "pod-1",
            "__meta_kubernetes_pod_node_name": "node-1",
            "__meta_kubernetes_pod_ip": address,
            "__meta_kubernetes_pod_container_port_name": port,
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            labels[name] = value.clone();
        }
        let brackets = if address.contains(':') {
            format!("[{address}]")
        } else {
            address.to_owned()
        };
        json!({"targets": [format!("{brackets}:8643")], "labels": labels})
    };
    let ours = |component: &str| {
        json!({
            "__meta_kubernetes_pod_label_app_kubernetes_io_part_of": "hxmlops",
            "__meta_kubernetes_pod_label_app_kubernetes_io_component": component,
        })
    };
    let module = json!({
        "__meta_kubernetes_pod_annotation_prometheus_io_scrape": "true",
        "__meta_kubernetes_pod_annotation_prometheus_io_port": "9327",
        "__meta_kubernetes_pod_annotation_prometheus_io_path": "/m",
        "__meta_kubernetes_pod_label_hxmlops_io_component": "seaweedfs",
    });
    json!([
        pod("10.0.0.1", "metrics", ours("agent")),
        pod("10.0.0.2", "api", ours("aggregator")),
        pod("10.0.0.3", "s3", module.clone()),
        pod("fd00::3", "s3", module),
        pod("10.0.0.4", "http", json!({})),
        {
            "targets": ["hxmlops-aggregator.mlops.svc:8642"],
            "labels": {
                "__meta_kubernetes_service_label_app_kubernetes_io_part_of": "hxmlops",
                "__meta_kubernetes_service_label_app_kubernetes_io_component": "aggregator",
            },
        },
    ])
}

/// Whom each job scrapes: address, path, and the labels beside `instance` and `job`.
fn expected() -> [(&'static str, Vec<Value>); 3] {
    let module = |address: &str| json!([address, "/m", {"component": "seaweedfs", "namespace": "mlops", "node": "node-1", "pod": "pod-1"}]);
    [
        (
            "hxmlops-agent",
            vec![json!(["10.0.0.1:8643", "/metrics", {"node": "node-1"}])],
        ),
        (
            "hxmlops",
            vec![json!(["hxmlops-aggregator.mlops.svc:8642", "/metrics", {}])],
        ),
        (
            "modules",
            vec![module("10.0.0.3:9327"), module("[fd00::3]:9327")],
        ),
    ]
}

/// Asks promtool whom the configuration that [`check`] has written would scrape.
///
/// # Errors
/// As [`check`].
pub(super) fn check_targets(faults: &mut Faults) -> Result<()> {
    let here = here();
    rules::write(&here.join("targets.json"), &targets().to_string())?;
    for (job, expected) in expected() {
        faults.of(format!(
            "the job {job} of energy_measurement_asset/prometheus"
        ));
        let output = Command::new("promtool")
            .args(["check", "service-discovery", TIMEOUT])
            .args([here.join("offline.json").as_os_str(), job.as_ref()])
            .output()
            .context("cannot run promtool")?;
        let found: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let mut found: Vec<Value> = found
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(scraped)
            .collect();
        found.sort_by_key(Value::to_string);
        faults.check(found == expected, || {
            format!("scrapes {}, not {}", json!(found), json!(expected))
        });
    }
    Ok(())
}

/// Of a target that is kept.
fn scraped(target: &Value) -> Option<Value> {
    let mut labels = target["labels"].as_object()?.clone();
    let address = labels.remove("__address__")?;
    let path = labels.remove("__metrics_path__")?;
    labels.retain(|name, _| !name.starts_with("__") && name != "job" && name != "instance");
    Some(json!([address, path, labels]))
}

fn here() -> PathBuf {
    workspace::target().join("helm/catalogue/prometheus")
}
