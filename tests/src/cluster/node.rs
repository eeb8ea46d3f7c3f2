//! A node that runs nothing, and tells of its pods what a kubelet would tell whose containers are all well; beside it, what a
//! scheduler and a provisioner of volumes would do. For tests of what waits for pods: images are not to be had here.
//!
//! What does not go well is told by the pod itself: an image of [`NO_REGISTRY`] is never there, a command `/bin/false` ends at
//! once, and a pod whose claims are not bound is not scheduled. Only claims of the class [`CLASS`] get a volume.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};

use super::kubelet::register;
use super::{Access, Cluster};

/// How images begin that nobody can pull.
pub const NO_REGISTRY: &str = "registry.invalid/";
/// The default storage class.
pub const CLASS: &str = "standard";
/// Between two looks at the pods.
const PAUSE: Duration = Duration::from_millis(250);

/// Gone, and its pods left as they are, when it is dropped.
pub struct Node {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Node {
    /// Makes the node and the storage class.
    ///
    /// # Errors
    /// Where the API server does not take them.
    pub fn start(cluster: &Cluster, name: &str) -> anyhow::Result<Self> {
        let access = cluster.admin().clone();
        register(&access, name)?;
        let class = json!({
            "metadata": { "name": CLASS, "annotations": { "storageclass.kubernetes.io/is-default-class": "true" } },
            "provisioner": "hxmlops.io/test",
        });
        access.post("/apis/storage.k8s.io/v1/storageclasses", &class)?;
        let is_over = Arc::new(AtomicBool::new(false));
        let (over, name) = (is_over.clone(), name.to_owned());
        let thread = thread::spawn(move || {
            while !over.load(SeqCst) {
                // What has changed or gone meanwhile is seen the next time.
                let _ = look(&access, &name);
                thread::sleep(PAUSE);
            }
        });
        Ok(Self {
            is_over,
            thread: Some(thread),
        })
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.is_over.store(true, SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn look(access: &Access, node: &str) -> anyhow::Result<()> {
    let claims = access.get("/api/v1/persistentvolumeclaims?resourceVersion=0")?;
    let mut unbound = BTreeSet::new();
    for claim in items(&claims["items"]) {
        if claim["status"]["phase"] != "Bound" {
            unbound.insert(key(claim, &claim["metadata"]["name"]));
            if claim["spec"]["storageClassName"] == CLASS {
                let _ = provision(access, claim);
            }
        }
    }
    let pods = access.get("/api/v1/pods?resourceVersion=0")?;
    for pod in items(&pods["items"]) {
        let _ = tend(access, node, pod, &unbound);
    }
    Ok(())
}

/// Makes a volume for one claim.
fn provision(access: &Access, claim: &Value) -> anyhow::Result<()> {
    let (metadata, spec) = (&claim["metadata"], &claim["spec"]);
    let uid = metadata["uid"].as_str().unwrap_or_default();
    let volume = json!({
        "metadata": { "name": format!("pv-{uid}") },
        "spec": {
            "capacity": spec["resources"]["requests"],
            "accessModes": spec["accessModes"],
            "storageClassName": CLASS,
            "claimRef": { "namespace": metadata["namespace"], "name": metadata["name"], "uid": uid },
            "hostPath": { "path": "/nonexistent" },
        },
    });
    let path = "/api/v1/persistentvolumes";
    access
        .ask(reqwest::Method::POST, path, Some(&volume))
        .map(drop)
}

/// Does with a pod what is to be done next.
fn tend(
    access: &Access,
    node: &str,
    pod: &Value,
    unbound: &BTreeSet<String>,
) -> anyhow::Result<()> {
    let metadata = &pod["metadata"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (namespace, name) = (text(&metadata["namespace"]), text(&metadata["name"]));
    let path = format!("/api/v1/namespaces/{namespace}/pods/{name}");
    if metadata["deletionTimestamp"].is_string() {
        return access
            .delete(&format!("{path}?gracePeriodSeconds=0"))
            .map(drop);
    }
    let status = match Fate::of(pod, unbound) {
        Fate::Unscheduled => unscheduled(),
        _ if pod["spec"]["nodeName"].is_null() => {
            let target = json!({ "apiVersion": "v1", "kind": "Node", "name": node });
            let binding = json!({ "metadata": { "name": name }, "target": target });
            return access.post(&format!("{path}/binding"), &binding).map(drop);
        }
        Fate::Well => of_containers(
            pod,
            "Running",
            true,
            &|_| json!({ "running": { "startedAt": super::kubelet::now() } }),
        ),
        Fate::NoImage => of_containers(pod, "Pending", false, &|container| {
            let message = format!("Back-off pulling image {}", container["image"]);
            json!({ "waiting": { "reason": "ImagePullBackOff", "message": message } })
        }),
        Fate::Crashes => crashing(pod),
    };
    if pod["status"]["conditions"][0] == status["conditions"][0] {
        return Ok(());
    }
    if Fate::of(pod, unbound) == Fate::NoImage {
        let image = &pod["spec"]["containers"][0]["image"];
        warn(
            access,
            pod,
            "Failed",
            &format!("Failed to pull image {image}: no such host"),
        )?;
    }
    let status = json!({ "status": status });
    access.patch(&format!("{path}/status"), &status).map(drop)
}

/// How it goes with a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Well,
    NoImage,
    Crashes,
    Unscheduled,
}

impl Fate {
    fn of(pod: &Value, unbound: &BTreeSet<String>) -> Self {
        let spec = &pod["spec"];
        let mut volumes = items(&spec["volumes"]);
        let claim = |volume: &Value| volume["persistentVolumeClaim"]["claimName"].clone();
        if volumes.any(|volume| unbound.contains(&key(pod, &claim(volume)))) {
            return Self::Unscheduled;
        }
        let mut containers = items(&spec["containers"]);
        let is_missing = |container: &Value| {
            let image = container["image"].as_str();
            image.is_some_and(|image| image.starts_with(NO_REGISTRY))
        };
        if containers.clone().any(is_missing) {
            return Self::NoImage;
        }
        if containers.any(|container| container["command"] == json!(["/bin/false"])) {
            return Self::Crashes;
        }
        Self::Well
    }
}

fn unscheduled() -> Value {
    json!({
        "phase": "Pending",
        "conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "pod has unbound immediate PersistentVolumeClaims",
        }],
    })
}

fn crashing(pod: &Value) -> Value {
    let mut status = of_containers(
        pod,
        "Running",
        false,
        &|_| json!({ "waiting": { "reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container" } }),
    );
    for container in status["containerStatuses"]
        .as_array_mut()
        .into_iter()
        .flatten()
    {
        container["lastState"] = json!({ "terminated": { "exitCode": 1, "reason": "Error" } });
    }
    status
}

/// The first condition tells one status from another.
fn of_containers(
    pod: &Value,
    phase: &str,
    is_ready: bool,
    state: &dyn Fn(&Value) -> Value,
) -> Value {
    let status = if is_ready { "True" } else { "False" };
    let condition = |kind: &str, status: &str| json!({ "type": kind, "status": status });
    let containers = items(&pod["spec"]["containers"]).map(|container| {
        json!({
            "name": container["name"], "image": container["image"], "imageID": "", "ready": is_ready, "restartCount": 0,
            "state": state(container),
        })
    });
    json!({
        "phase": phase,
        "conditions": [
            condition("Ready", status), condition("ContainersReady", status), condition("Initialized", "True"),
            condition("PodScheduled", "True"),
        ],
        "containerStatuses": containers.collect::<Value>(),
    })
}

/// Tells of a pod what a kubelet warns of.
fn warn(access: &Access, pod: &Value, reason: &str, message: &str) -> anyhow::Result<()> {
    let metadata = &pod["metadata"];
    let namespace = metadata["namespace"].as_str().unwrap_or_default();
    let now = super::kubelet::now();
    let event = json!({
        "metadata": { "generateName": "node-", "namespace": namespace },
        "involvedObject": {
            "kind": "Pod", "namespace": namespace, "name": metadata["name"], "uid": metadata["uid"],
        },
        "type": "Warning", "reason": reason, "message": message, "firstTimestamp": now, "lastTimestamp": now,
    });
    let path = format!("/api/v1/namespaces/{namespace}/events");
    access.post(&path, &event).map(drop)
}

fn items(list: &Value) -> std::slice::Iter<'_, Value> {
    list.as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
        .iter()
}

/// Something of this name in the namespace of an object.
fn key(object: &Value, name: &Value) -> String {
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
    format!("{namespace}/{}", name.as_str().unwrap_or_default())
}
