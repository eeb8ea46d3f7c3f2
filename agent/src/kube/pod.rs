//! A pod as the API and the kubelet tell it, as far as we read it, and what is kept of it. Pure.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource;
use kube::core::NamespaceResourceScope;
use serde::{Deserialize, Deserializer};
use wire::stage::{Owner, Placement, PodMeta, Rules};

/// The annotation that gives a static pod's uid, which the pod's object in the API does not bear.
const STATIC_UID: &str = "kubernetes.io/config.hash";
/// And the one that a mirror of a static pod has besides, with the same value.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// A pod's object.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ApiPod {
    #[serde(deserialize_with = "read_meta")]
    metadata: ObjectMeta,
    #[serde(deserialize_with = "or_default")]
    spec: Spec,
    #[serde(deserialize_with = "or_default")]
    status: Status,
}

/// What is null is as if it were not there: so Go writes what is empty.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Without what nobody here reads: the managed fields of a node's pods alone take some 10 MiB as JSON values.
fn read_meta<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Read {
        name: Option<String>,
        namespace: Option<String>,
        uid: Option<String>,
        resource_version: Option<String>,
        labels: Option<BTreeMap<String, String>>,
        annotations: Option<BTreeMap<String, String>>,
        owner_references: Option<Vec<OwnerReference>>,
    }
    let read: Read = or_default(deserializer)?;
    Ok(ObjectMeta {
        name: read.name,
        namespace: read.namespace,
        uid: read.uid,
        resource_version: read.resource_version,
        labels: read.labels,
        annotations: read.annotations,
        owner_references: read.owner_references,
        ..ObjectMeta::default()
    })
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    #[serde(deserialize_with = "or_default")]
    containers: Vec<ContainerSpec>,
    #[serde(deserialize_with = "or_default")]
    init_containers: Vec<ContainerSpec>,
    #[serde(deserialize_with = "or_default")]
    ephemeral_containers: Vec<ContainerSpec>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ContainerSpec {
    name: String,
    #[serde(deserialize_with = "or_default")]
    resources: Resources,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Resources {
    #[serde(deserialize_with = "or_default")]
    requests: Requests,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Requests {
    cpu: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    #[serde(deserialize_with = "or_default")]
    container_statuses: Vec<ContainerStatus>,
    #[serde(deserialize_with = "or_default")]
    init_container_statuses: Vec<ContainerStatus>,
    #[serde(deserialize_with = "or_default")]
    ephemeral_container_statuses: Vec<ContainerStatus>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ContainerStatus {
    name: String,
    #[serde(rename = "containerID")]
    container_id: Option<String>,
    #[serde(deserialize_with = "or_default")]
    last_state: State,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct State {
    #[serde(deserialize_with = "or_default")]
    terminated: Terminated,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Terminated {
    #[serde(rename = "containerID")]
    container_id: Option<String>,
}

impl Resource for ApiPod {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "Pod".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "pods".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// What is kept of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Its uid.
    pub uid: String,
    /// The uid under which the kubelet runs it, where that is another: of a static pod.
    pub static_uid: Option<String>,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Where it belongs.
    pub placement: Placement,
    /// Its containers that were started.
    pub containers: Vec<Container>,
}

/// A container of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// The runtime's id, without the runtime's name.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it is within its stage.
    pub component: String,
    /// CPU that it asks for, in thousandths.
    pub cpu_request_millis: u32,
}

impl Pod {
    /// By these rules; `None` of an object without a uid.
    #[must_use]
    pub fn new(object: ApiPod, rules: &Rules) -> Option<Self> {
        let ApiPod {
            metadata,
            spec,
            status,
        } = object;
        let uid = metadata.uid.filter(|uid| !uid.is_empty())?;
        let owner = |owner: OwnerReference| Owner {
            kind: owner.kind,
            name: owner.name,
        };
        let meta = PodMeta {
            name: metadata.name.unwrap_or_default(),
            namespace: metadata.namespace.unwrap_or_default(),
            labels: metadata.labels.unwrap_or_default(),
            annotations: metadata.annotations.unwrap_or_default(),
            owner_references: metadata
                .owner_references
                .unwrap_or_default()
                .into_iter()
                .map(owner)
                .collect(),
        };
        let placed = rules.place(&meta);
        let request = |name: &str| {
            let mut specs = spec.containers.iter().chain(&spec.init_containers);
            let spec = specs.find(|spec| spec.name == name)?;
            cpu_millis(spec.resources.requests.cpu.as_deref()?)
        };
        let started = |status: &ContainerStatus| {
            let ids = [
                &status.container_id,
                &status.last_state.terminated.container_id,
            ];
            let name = status.name.clone();
            let containers = ids.into_iter().flatten().filter_map(|id| {
                Some(Container {
                    id: bare_id(id)?.to_owned(),
                    component: placed.component_of(&name).to_owned(),
                    cpu_request_millis: request(&name).unwrap_or(0),
                    name: name.clone(),
                })
            });
            containers.collect::<Vec<_>>()
        };
        let statuses = status
            .container_statuses
            .iter()
            .chain(&status.init_container_statuses)
            .chain(&status.ephemeral_container_statuses);
        Some(Self {
            static_uid: meta
                .annotations
                .get(STATIC_UID)
                .filter(|hash| **hash != uid && meta.annotations.get(MIRROR) == Some(hash))
                .cloned(),
            containers: statuses.flat_map(started).collect(),
            placement: placed.placement.clone(),
            namespace: meta.namespace.clone(),
            name: meta.name.clone(),
            uid,
        })
    }
}

/// `containerd://ID`.
fn bare_id(id: &str) -> Option<&str> {
    let id = id.rsplit_once("//").map_or(id, |(_, id)| id);
    let is_plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (is_plain && !id.is_empty()).then_some(id)
}

/// A quantity of CPUs (`250m`, `2`, `0.5`, `1e3m`) in thousandths, rounded up as Kubernetes does
/// (k8s.io/apimachinery/pkg/api/resource); `None` of what is none, and of more than any node has.
#[must_use]
pub fn cpu_millis(quantity: &str) -> Option<u32> {
    const SUFFIXES: [(&str, f64); 6] = [
        ("n", 1e-6),
        ("u", 1e-3),
        ("m", 1.0),
        ("k", 1e6),
        ("M", 1e9),
        ("", 1e3),
    ];
    let (number, factor) = SUFFIXES
        .iter()
        .find_map(|(suffix, factor)| Some((quantity.strip_suffix(suffix)?, factor)))?;
    let number = number
        .parse::<f64>()
        .ok()
        .filter(|number| number.is_finite())?;
    let millis = number * factor;
    // A product such as 0.001 x 1,000 may stand a hair above the whole number that it is.
    let millis = (millis - 1e-9).ceil().max(0.0);
    (millis <= f64::from(wire::limits::MAX_CPU_REQUEST_MILLIS)).then_some(millis as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_of_cpus() {
        for (quantity, expected) in [
            ("250m", Some(250)),
            ("2", Some(2_000)),
            ("0.5", Some(500)),
            ("0.1", Some(100)),
            ("1e3m", Some(1_000)),
            ("1500u", Some(2)),
            ("1n", Some(1)),
            ("0", Some(0)),
            ("1k", Some(1_000_000)),
            ("-1", Some(0)),
            ("100M", None),
            ("NaN", None),
            ("inf", None),
            ("many", None),
            ("", None),
        ] {
            assert_eq!(cpu_millis(quantity), expected, "{quantity}");
        }
    }

    #[test]
    fn a_pod_is_read_as_the_api_tells_it() {
        let object = serde_json::json!({
            "metadata": {
                "name": "churn-x7k2b-1234567890", "namespace": "ml", "uid": "u1",
                "labels": {"workflows.argoproj.io/workflow": "churn-x7k2b"},
                "annotations": {
                    "workflows.argoproj.io/node-name": "churn-x7k2b.train", STATIC_UID: "h1", MIRROR: "h1"
                },
                "managedFields": [{"manager": "kubelet", "fieldsV1": {"f:status": {}}}]
            },
            "spec": {
                "containers": [{"name": "main", "resources": {"requests": {"cpu": "1500m", "memory": "1Gi"}}}],
                "initContainers": [{"name": "init"}]
            },
            "status": {
                "phase": "Running",
                "containerStatuses": [{
                    "name": "main", "containerID": "containerd://aa", "state": {"running": {}},
                    "lastState": {"terminated": {"containerID": "containerd://bb", "exitCode": 1}}
                }],
                "initContainerStatuses": [{"name": "init", "containerID": "cri-o://cc"}, {"name": "late"}],
                "ephemeralContainerStatuses": [{"name": "debugger", "containerID": "docker://dd"}]
            }
        });
        let object = serde_json::from_value(object).unwrap();
        let pod = Pod::new(object, &Rules::built_in()).unwrap();
        assert_eq!((&*pod.uid, pod.static_uid.as_deref()), ("u1", Some("h1")));
        assert_eq!((&*pod.namespace, &*pod.placement.stage), ("ml", "train"));
        let containers: Vec<(&str, &str, &str, u32)> = pod
            .containers
            .iter()
            .map(|one| {
                (
                    &*one.id,
                    &*one.name,
                    &*one.component,
                    one.cpu_request_millis,
                )
            })
            .collect();
        let expected = [
            ("aa", "main", "", 1_500),
            ("bb", "main", "", 1_500),
            ("cc", "init", "init", 0),
            ("dd", "debugger", "", 0),
        ];
        assert_eq!(containers, expected);
        for empty in [
            "{}",
            r#"{"metadata": null, "spec": null, "status": null}"#,
            r#"{"spec": {"containers": null, "initContainers": [{"name": "a", "resources": null}]},
                "status": {"containerStatuses": [{"name": "a", "lastState": {"terminated": null}}]}}"#,
        ] {
            let nameless = serde_json::from_str(empty).unwrap();
            assert_eq!(Pod::new(nameless, &Rules::built_in()), None);
        }
        let nameless = serde_json::from_str("{}").unwrap();
        assert_eq!(Pod::new(nameless, &Rules::built_in()), None);
    }
}
