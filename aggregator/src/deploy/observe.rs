//! A module's workloads and pods in the cluster: how far they are, what keeps them, and what is deployed at all.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{Event, PersistentVolumeClaim, Pod, Secret};
use kube::api::{DeleteParams, ListParams, PartialObjectMeta};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use super::catalogue::Module;
use super::cluster::{Cluster, is_absent, is_forbidden, may_pass, reason};
use super::needs::Deployed;
use super::rollout::{Rollout, claims, of_daemon_set, of_deployment, of_stateful_set, waiting};
use super::state::Record;
use super::values::MODULE_LABEL;

/// Names a chart's release on all of its objects.
const INSTANCE_LABEL: &str = "app.kubernetes.io/instance";
/// On secrets and claims of the chart `module`, which outlive their release.
const KEPT_LABEL: &str = "hxmlops.io/kept";
/// Names the energy of pods.
pub const COMPONENT_LABEL: &str = "hxmlops.io/component";
/// Lines that say why something is not ready.
const MAX_TROUBLES: usize = 6;

/// Where a release's objects are, and how they are told from others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    namespaces: Vec<String>,
    workloads: String,
    pods: String,
}

impl Scope {
    /// Of a module's release; a module of steps has namespaces of its own.
    #[must_use]
    pub fn new(module: &Module, release: &str, namespace: &str) -> Self {
        let Some(steps) = &module.file.steps else {
            let instance = format!("{INSTANCE_LABEL}={release}");
            return Self {
                namespaces: vec![namespace.to_owned()],
                workloads: instance.clone(),
                pods: instance,
            };
        };
        let named: BTreeSet<&str> = steps
            .iter()
            .filter_map(|step| step.namespace.as_deref())
            .collect();
        let mut namespaces: Vec<String> = named.into_iter().map(str::to_owned).collect();
        if namespaces.is_empty() {
            namespaces.push(namespace.to_owned());
        }
        Self {
            namespaces,
            workloads: format!("{MODULE_LABEL}={}", module.label()),
            pods: format!("{COMPONENT_LABEL}={release}"),
        }
    }

    /// The namespaces, of which a module of steps may have several.
    #[must_use]
    pub fn namespaces(&self) -> &[String] {
        &self.namespaces
    }
}

/// What cannot be read, and from where, in one line.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {what} from {server}: {why}")]
struct Unread {
    what: String,
    server: String,
    why: String,
    may_pass: bool,
}

fn failed(cluster: &Cluster, what: &str, error: &kube::Error) -> anyhow::Error {
    let unread = Unread {
        what: what.to_owned(),
        server: cluster.server.clone(),
        why: reason(error),
        may_pass: may_pass(error),
    };
    unread.into()
}

/// Whether what could not be read may be read later by the same question: the server was away or busy, and refused nothing.
#[must_use]
pub fn is_outage(error: &anyhow::Error) -> bool {
    let unread = error.downcast_ref::<Unread>();
    unread.is_some_and(|unread| unread.may_pass)
}

async fn list<K>(cluster: &Cluster, namespace: &str, selector: &str) -> anyhow::Result<Vec<K>>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + DeserializeOwned
        + Debug,
{
    let api: Api<K> = Api::namespaced(cluster.client.clone(), namespace);
    let found = api.list(&ListParams::default().labels(selector)).await;
    let found = found.map_err(|error| failed(cluster, &K::plural(&()), &error))?;
    Ok(found.items)
}

/// How far a release is.
///
/// # Errors
/// Where the API server does not answer or refuses.
pub async fn rollout(cluster: &Cluster, scope: &Scope) -> anyhow::Result<Rollout> {
    let mut rollout = Rollout::default();
    for namespace in &scope.namespaces {
        let selector = &scope.workloads;
        let (deployments, stateful, daemons, pods) = tokio::try_join!(
            list::<Deployment>(cluster, namespace, selector),
            list::<StatefulSet>(cluster, namespace, selector),
            list::<DaemonSet>(cluster, namespace, selector),
            list::<Pod>(cluster, namespace, &scope.pods),
        )?;
        let workloads = &mut rollout.workloads;
        workloads.extend(deployments.iter().map(of_deployment));
        workloads.extend(stateful.iter().map(of_stateful_set));
        workloads.extend(daemons.iter().map(of_daemon_set));
        rollout.waiting.extend(pods.iter().filter_map(waiting));
    }
    Ok(rollout)
}

/// Pods of a release that are still there.
///
/// # Errors
/// As [`rollout`].
pub async fn pods_left(cluster: &Cluster, scope: &Scope) -> anyhow::Result<usize> {
    let mut left = 0;
    for namespace in &scope.namespaces {
        left += list::<Pod>(cluster, namespace, &scope.pods).await?.len();
    }
    Ok(left)
}

/// Why a release is not ready: its waiting pods, their pending volumes, and what the cluster warned of last. A few lines.
pub async fn troubles(cluster: &Cluster, scope: &Scope, rollout: &Rollout) -> Vec<String> {
    let mut lines: Vec<String> = rollout
        .waiting
        .iter()
        .map(|one| match &*one.detail {
            "" => format!("pod {}: {}", one.pod, one.why),
            detail => format!("pod {}: {}: {detail}", one.pod, one.why),
        })
        .collect();
    for namespace in &scope.namespaces {
        // Who may not read them has the pods' own words.
        lines.extend(
            pending_claims(cluster, namespace, scope)
                .await
                .unwrap_or_default(),
        );
        lines.extend(
            warnings(cluster, namespace, scope, rollout)
                .await
                .unwrap_or_default(),
        );
    }
    lines.truncate(MAX_TROUBLES);
    lines
}

async fn pending_claims(
    cluster: &Cluster,
    namespace: &str,
    scope: &Scope,
) -> anyhow::Result<Vec<String>> {
    let pods: Vec<Pod> = list(cluster, namespace, &scope.pods).await?;
    let all: Vec<PersistentVolumeClaim> = list(cluster, namespace, "").await?;
    let mounted: BTreeSet<&str> = pods.iter().flat_map(claims).collect();
    let is_pending = |claim: &&PersistentVolumeClaim| {
        let phase = claim
            .status
            .as_ref()
            .and_then(|status| status.phase.as_deref());
        phase == Some("Pending") && mounted.contains(&*claim.name_any())
    };
    let line = |claim: &PersistentVolumeClaim| {
        let class = claim
            .spec
            .as_ref()
            .and_then(|spec| spec.storage_class_name.as_deref());
        let class = class.map_or("no storage class".to_owned(), |name| {
            format!("class {name}")
        });
        format!("volume claim {} is pending ({class})", claim.name_any())
    };
    Ok(all.iter().filter(is_pending).map(line).collect())
}

/// The last warning of each object of the release.
async fn warnings(
    cluster: &Cluster,
    namespace: &str,
    scope: &Scope,
    rollout: &Rollout,
) -> anyhow::Result<Vec<String>> {
    let pods: Vec<Pod> = list(cluster, namespace, &scope.pods).await?;
    let mut names: BTreeSet<String> = pods.iter().map(ResourceExt::name_any).collect();
    names.extend(pods.iter().flat_map(claims).map(str::to_owned));
    names.extend(
        rollout
            .workloads
            .iter()
            .map(|workload| workload.name.clone()),
    );
    let events: Api<Event> = Api::namespaced(cluster.client.clone(), namespace);
    let params = ListParams::default().fields("type=Warning");
    let events = events
        .list(&params)
        .await
        .map_err(|error| failed(cluster, "events", &error))?;
    let mut last: BTreeMap<String, Event> = BTreeMap::new();
    for event in events {
        let object = &event.involved_object;
        let name = object.name.clone().unwrap_or_default();
        let is_later = |other: &Event| other.last_timestamp <= event.last_timestamp;
        if names.contains(&name) && last.get(&name).is_none_or(is_later) {
            last.insert(name, event);
        }
    }
    let line = |(name, event): (String, Event)| {
        let kind = event.involved_object.kind.unwrap_or_default();
        let (reason, message) = (
            event.reason.unwrap_or_default(),
            event.message.unwrap_or_default(),
        );
        let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
        format!("{} {name}: {reason}: {message}", kind.to_lowercase())
    };
    Ok(last.into_iter().map(line).collect())
}

/// The modules that are in the namespace, by release.
///
/// # Errors
/// As [`rollout`].
pub async fn deployed(cluster: &Cluster) -> anyhow::Result<Vec<Deployed>> {
    let namespace = &cluster.namespace;
    let (deployments, stateful, daemons) = tokio::try_join!(
        list::<Deployment>(cluster, namespace, MODULE_LABEL),
        list::<StatefulSet>(cluster, namespace, MODULE_LABEL),
        list::<DaemonSet>(cluster, namespace, MODULE_LABEL),
    )?;
    let labels = deployments.iter().map(ResourceExt::labels);
    let labels = labels.chain(stateful.iter().map(ResourceExt::labels));
    let labels = labels.chain(daemons.iter().map(ResourceExt::labels));
    let mut found: Vec<Deployed> = labels
        .filter_map(|labels| {
            Some(Deployed {
                label: labels.get(MODULE_LABEL)?.clone(),
                release: labels.get(INSTANCE_LABEL)?.clone(),
            })
        })
        .collect();
    found.sort_by(|a, b| a.release.cmp(&b.release));
    found.dedup();
    Ok(found)
}

/// helm's records of the releases in the namespace, the last of each.
///
/// # Errors
/// As [`rollout`].
pub async fn records(cluster: &Cluster) -> anyhow::Result<BTreeMap<String, Record>> {
    let api: Api<Secret> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    // Labels say enough; the records themselves hold whole charts.
    let params = ListParams::default().labels("owner=helm");
    let found = api.list_metadata(&params).await;
    let found = found.map_err(|error| failed(cluster, "helm's records (secrets)", &error))?;
    let mut records: BTreeMap<String, Record> = BTreeMap::new();
    for secret in found.items {
        let label = |name: &str| secret.labels().get(name).cloned();
        let (Some(release), Some(status)) = (label("name"), label("status")) else {
            continue;
        };
        let revision = label("version").and_then(|version| version.parse().ok());
        let revision = revision.unwrap_or(0);
        let deployed = (status == "deployed").then_some(revision);
        let record = records.entry(release).or_default();
        record.deployed = record.deployed.max(deployed);
        if record.revision <= revision {
            record.revision = revision;
            record.status = status;
        }
    }
    Ok(records)
}

/// The modules ([`Module::label`]) whose secrets or volume claims a release has left behind.
///
/// # Errors
/// As [`rollout`].
pub async fn left(cluster: &Cluster, release: &str) -> anyhow::Result<BTreeSet<String>> {
    let secrets = left_of::<Secret>(cluster, release).await?;
    let claims = left_of::<PersistentVolumeClaim>(cluster, release).await?;
    Ok(secrets.into_iter().chain(claims).collect())
}

async fn left_of<K>(cluster: &Cluster, release: &str) -> anyhow::Result<Vec<String>>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + DeserializeOwned
        + Debug,
{
    let api: Api<K> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    let params = ListParams::default().labels(&format!("{INSTANCE_LABEL}={release}"));
    let found = match api.list_metadata(&params).await {
        Ok(found) => found.items,
        // Who may not see them may not take them either.
        Err(error) if is_forbidden(&error) => Vec::new(),
        Err(error) => return Err(failed(cluster, &K::plural(&()), &error)),
    };
    let stays = |object: &&PartialObjectMeta<K>| object.metadata.deletion_timestamp.is_none();
    let label = |object: &PartialObjectMeta<K>| object.labels().get(MODULE_LABEL).cloned();
    Ok(found.iter().filter(stays).filter_map(label).collect())
}

/// Deletes what a release leaves behind: its secrets and volume claims. Returns their names.
///
/// # Errors
/// As [`rollout`].
pub async fn purge(
    cluster: &Cluster,
    module: &Module,
    release: &str,
) -> anyhow::Result<Vec<String>> {
    let namespace = &cluster.namespace;
    let instance = format!("{INSTANCE_LABEL}={release}");
    // Our own chart has no such label; all that is left of its release is what it keeps.
    let selector = match module.file.own {
        Some(_) => instance,
        None => format!("{instance},{KEPT_LABEL}"),
    };
    let mut purged = Vec::new();
    for claim in list::<PersistentVolumeClaim>(cluster, namespace, &selector).await? {
        delete::<PersistentVolumeClaim>(cluster, &claim.name_any()).await?;
        purged.push(format!("volume claim {}", claim.name_any()));
    }
    for secret in list::<Secret>(cluster, namespace, &selector).await? {
        delete::<Secret>(cluster, &secret.name_any()).await?;
        purged.push(format!("secret {}", secret.name_any()));
    }
    Ok(purged)
}

async fn delete<K>(cluster: &Cluster, name: &str) -> anyhow::Result<()>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + DeserializeOwned
        + Debug,
{
    let api: Api<K> = Api::namespaced(cluster.client.clone(), &cluster.namespace);
    match api.delete(name, &DeleteParams::default()).await {
        Err(error) if !is_absent(&error) => {
            let what = K::kind(&()).to_lowercase();
            anyhow::bail!("cannot delete {what} {name}: {}", reason(&error))
        }
        _ => Ok(()),
    }
}
