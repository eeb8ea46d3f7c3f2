//! Who plays a node's kubelet and its container runtime: real processes in real cgroups, named as these two name them,
//! and what they tell the API server of it.
//!
//! What is done to the machine and what is told to the API server are two things: a pod can be started, and end, while
//! the API server is away. [`Kubelet::run`] and [`Kubelet::delete`] do both.

mod names;
mod observer;
mod pod;
mod server;
mod status;

use std::path::Path;

use anyhow::Context as _;
use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

use self::names::Names;
pub use self::observer::Moment;
use self::observer::Observer;
use self::pod::Known;
pub use self::pod::Pod;
pub use self::server::KubeletServer;
use super::{Access, Cluster};
use crate::cgroups::{Cgroup, Trees, remove};

/// How a node's top cgroup begins; the id of the test's process, the node's name and a number follow.
const TOP: &str = "hxmlops-cluster-";

/// Who names the cgroups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Driver {
    /// The kubelet: `kubepods/burstable/podUID/ID`.
    Cgroupfs,
    /// systemd: `kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podUID.slice/cri-containerd-ID.scope`.
    Systemd,
}

/// One node. Its cgroups are removed, and what runs in them is killed, when it is dropped.
pub struct Kubelet {
    access: Access,
    node: String,
    names: Names,
    /// What runs here, as it is told of.
    known: Known,
    observer: Observer,
    _top: Cgroup,
}

impl Kubelet {
    /// Makes the node, and the cgroup that all of its others are below: those of the machine's own are not touched.
    ///
    /// # Errors
    /// Where either cannot be made; cgroups take root.
    pub fn start(cluster: &Cluster, node: &str, driver: Driver) -> anyhow::Result<Self> {
        remove_left_behind()?;
        let access = cluster.admin().clone();
        let number = fastrand::u32(..);
        let top = format!("{TOP}{}-{node}-{number:08x}", std::process::id());
        let kubelet = Self {
            _top: Cgroup::new(&top)?,
            names: Names { top, driver },
            known: Known::default(),
            observer: Observer::default(),
            node: node.to_owned(),
            access,
        };
        register(&kubelet.access, node)?;
        Ok(kubelet)
    }

    /// The node's name.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.node
    }

    /// The cgroup that all others of this node are below, from the trees' roots.
    #[must_use]
    pub fn top(&self) -> &str {
        &self.names.top
    }

    /// From now on, whom to tell when a container begins and ends, such as a count that must miss nothing of it.
    pub fn observe(&mut self, tell: impl FnMut(Moment<'_>) -> anyhow::Result<()> + Send + 'static) {
        self.observer = Observer::new(tell);
    }

    /// Makes a pod on this node, in the API alone, and its namespace where that is not there; returns it as it is
    /// there. Containers need no image.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn create(&self, manifest: &Value) -> anyhow::Result<Value> {
        let manifest = self.complete(manifest);
        let namespace = manifest["metadata"]["namespace"].as_str();
        let namespace = namespace.unwrap_or("default");
        self.access.make_namespace(namespace)?;
        let path = format!("/api/v1/namespaces/{namespace}/pods");
        self.access.post(&path, &manifest)
    }

    /// Starts the processes of a pod that the API has, on this machine alone. Init containers are run to their ends,
    /// one after the other. A container's `command` and `args` are what runs, on this machine as it is, with its `env`;
    /// without a command it sleeps.
    ///
    /// # Errors
    /// Where a cgroup cannot be made, or a process cannot be started, or an init container fails.
    pub fn start_processes(&self, object: &Value) -> anyhow::Result<Pod> {
        let mut object = object.clone();
        let annotations = &mut object["metadata"]["annotations"];
        annotations["kubernetes.io/config.seen"] = now().into();
        if annotations["kubernetes.io/config.source"].is_null() {
            annotations["kubernetes.io/config.source"] = "api".into();
        }
        Pod::start(&self.names, &self.observer, &self.known, &object)
    }

    /// Tells the API server how a pod is: phase, conditions, and each container's state and id.
    ///
    /// # Errors
    /// Where it is not told.
    pub fn report(&self, pod: &mut Pod) -> anyhow::Result<()> {
        let status = json!({ "status": pod.look()? });
        let path = format!("{}/status", pod.path());
        self.access.patch(&path, &status).map(drop)
    }

    /// A new pod: created, started, reported.
    ///
    /// # Errors
    /// As [`Kubelet::create`], [`Kubelet::start_processes`] and [`Kubelet::report`].
    pub fn run(&self, manifest: &Value) -> anyhow::Result<Pod> {
        self.run_object(&self.create(manifest)?)
    }

    /// A pod that somebody else made, such as a controller: bound to this node where it is on none, as a scheduler
    /// would do, then started and reported.
    ///
    /// # Errors
    /// Where there is no such pod, and as [`Kubelet::run`].
    pub fn take(&self, namespace: &str, name: &str) -> anyhow::Result<Pod> {
        let path = format!("/api/v1/namespaces/{namespace}/pods/{name}");
        let mut object = self.access.get(&path)?;
        if object["spec"]["nodeName"].is_null() {
            let target = json!({ "apiVersion": "v1", "kind": "Node", "name": self.node });
            let binding = json!({ "metadata": { "name": name }, "target": target });
            self.access.post(&format!("{path}/binding"), &binding)?;
            object = self.access.get(&path)?;
        }
        self.run_object(&object)
    }

    fn run_object(&self, object: &Value) -> anyhow::Result<Pod> {
        let mut pod = self.start_processes(object)?;
        self.report(&mut pod)?;
        Ok(pod)
    }

    /// Starts a static pod, which no API server knows of: its cgroups carry the hash of its manifest instead of a uid.
    ///
    /// # Errors
    /// As [`Kubelet::start_processes`].
    pub fn start_static(&self, manifest: &Value) -> anyhow::Result<Pod> {
        let mut object = self.complete(manifest);
        let hash = format!("{:032x}", fastrand::u128(..));
        let metadata = &mut object["metadata"];
        let name = metadata["name"].as_str().context("a pod has a name")?;
        metadata["name"] = format!("{name}-{}", self.node).into();
        metadata["uid"] = hash.clone().into();
        if metadata["namespace"].is_null() {
            metadata["namespace"] = "default".into();
        }
        for (key, value) in [
            ("hash", hash.as_str()),
            ("mirror", &hash),
            ("source", "file"),
        ] {
            metadata["annotations"][format!("kubernetes.io/config.{key}")] = value.into();
        }
        self.start_processes(&object)
    }

    /// Tells the API server of a static pod, in a mirror of it, and how it is.
    ///
    /// # Errors
    /// As [`Kubelet::create`] and [`Kubelet::report`].
    pub fn mirror(&self, pod: &mut Pod) -> anyhow::Result<()> {
        let mut object = pod.object().clone();
        // The API server gives it one of its own.
        object["metadata"]["uid"] = Value::Null;
        self.create(&object)?;
        self.report(pod)
    }

    /// Starts an ephemeral container in a pod, as `kubectl debug` asks for one, and reports it.
    ///
    /// # Errors
    /// Where it cannot be asked for, or not be started.
    pub fn debug(&self, pod: &mut Pod, container: &Value) -> anyhow::Result<()> {
        let container = with_image(container);
        let path = format!("{}/ephemeralcontainers", pod.path());
        let mut all = self.access.get(&path)?;
        match all["ephemeralContainers"].as_array_mut() {
            Some(list) => list.push(container.clone()),
            None => all["ephemeralContainers"] = json!([container]),
        }
        self.access.put(&path, &all)?;
        pod.start_ephemeral(&self.names, &self.observer, &container)?;
        self.report(pod)
    }

    /// Serves `/pods` as a kubelet does, over TLS, to whom the API server lets `get` this node's `proxy`. Its pods are
    /// those whose processes were started here, whether an API server knows of them or not.
    ///
    /// # Errors
    /// Where there is no port for it.
    pub fn serve(&self) -> anyhow::Result<KubeletServer> {
        KubeletServer::start(&self.access, &self.node, &self.known)
    }

    /// Marks a pod as one that is to end, in the API alone: as `kubectl delete` leaves it until the kubelet has
    /// ended it.
    ///
    /// # Errors
    /// Where there is no such pod.
    pub fn mark(&self, pod: &Pod) -> anyhow::Result<()> {
        self.delete_with_grace(pod, 30)
    }

    /// Removes a pod from the API alone.
    ///
    /// # Errors
    /// Where there is no such pod.
    pub fn forget(&self, pod: &Pod) -> anyhow::Result<()> {
        self.delete_with_grace(pod, 0)
    }

    /// Ends a pod: marked, its processes killed and its cgroups removed, and removed from the API.
    ///
    /// # Errors
    /// Where the API server does not do its part; the processes have ended in any case.
    pub fn delete(&self, pod: Pod) -> anyhow::Result<()> {
        let marked = self.mark(&pod);
        let path = pod.path();
        drop(pod);
        marked?;
        self.access
            .delete(&format!("{path}?gracePeriodSeconds=0"))
            .map(drop)
    }

    fn delete_with_grace(&self, pod: &Pod, seconds: u32) -> anyhow::Result<()> {
        let path = format!("{}?gracePeriodSeconds={seconds}", pod.path());
        let (status, answer) = self.access.ask(Method::DELETE, &path, None)?;
        anyhow::ensure!(
            status < 300,
            "DELETE {path}: {status}: {}",
            answer["message"]
        );
        Ok(())
    }

    /// What is the same in all of these pods is not for each test to write.
    fn complete(&self, manifest: &Value) -> Value {
        let mut object = manifest.clone();
        object["apiVersion"] = "v1".into();
        object["kind"] = "Pod".into();
        object["spec"]["nodeName"] = self.node.clone().into();
        for list in ["initContainers", "containers"] {
            for container in object["spec"][list].as_array_mut().into_iter().flatten() {
                *container = with_image(container);
            }
        }
        object
    }
}

/// Makes a node that is ready, in the API.
pub(super) fn register(access: &Access, node: &str) -> anyhow::Result<()> {
    let labels = json!({ "kubernetes.io/hostname": node, "kubernetes.io/os": "linux" });
    let object = json!({ "metadata": { "name": node, "labels": labels } });
    access.post("/api/v1/nodes", &object)?;
    let path = format!("/api/v1/nodes/{node}");
    let status = json!({ "status": status::of_node(node) });
    access.patch(&format!("{path}/status"), &status)?;
    // It came with the node, until the node is ready.
    let ready = json!({ "spec": { "taints": null } });
    access.patch(&path, &ready).map(drop)
}

/// Nodes of a test that was killed.
fn remove_left_behind() -> anyhow::Result<()> {
    for root in Trees::find()?.all() {
        for entry in std::fs::read_dir(root)?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let pid = name
                .strip_prefix(TOP)
                .and_then(|rest| rest.split('-').next());
            if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
                remove(&entry.path());
            }
        }
    }
    Ok(())
}

fn with_image(container: &Value) -> Value {
    let mut container = container.clone();
    if container["image"].is_null() {
        container["image"] = "registry.example/image:1".into();
    }
    container
}

pub(super) fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
