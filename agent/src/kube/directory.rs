//! What is known of this node's pods. No I/O: time and pods come in.
//!
//! A pod that was deleted stays known as long as one of its cgroups is there, and for a while after: its last energy
//! comes after its end.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use wire::v1::{Workload, WorkloadKind};

use super::pod::{Container, Pod};

/// A deleted pod is forgotten so long after its last cgroup went, and after it was deleted.
const LINGER_NS: u64 = 600_000_000_000;
/// A container that the pod's status has not told of for so long is the pod's sandbox, which it never tells of.
/// Longer than it takes to find out that a connection is dead: what is not told over one is no sign.
const SANDBOX_AFTER_NS: u64 = 360_000_000_000;
/// Pods that are known at most; a node runs some hundreds. Beyond, those that were deleted first are forgotten.
const MAX_PODS: usize = 10_000;

/// Name and component of a pod's sandbox container.
pub const PAUSE: &str = "pause";

/// The directory, shared.
#[derive(Clone, Debug, Default)]
pub struct Pods(Arc<Mutex<Directory>>);

/// See the module.
#[derive(Debug, Default)]
pub struct Directory {
    pods: HashMap<String, Entry>,
    /// A static pod's uid on its node: the uid in the API.
    static_uids: HashMap<String, String>,
    /// Pod's uid and place in it, by container id.
    containers: HashMap<String, (String, usize)>,
    /// Containers of known pods that no status told of, and since when that is so.
    strangers: HashMap<String, u64>,
    /// Since when what is here is up to date; `None`: it is not.
    live_since_ns: Option<u64>,
    was_listed: bool,
}

#[derive(Debug)]
struct Entry {
    pod: Arc<Pod>,
    /// When it was seen last, by its object or by a cgroup, once it was deleted.
    deleted_ns: Option<u64>,
}

/// Who a container is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// All is known.
    Named(Workload),
    /// The pod is known; which of its containers it is, is not.
    InPod(Workload),
    /// Nothing is known.
    Unknown,
}

impl Pods {
    /// For several questions.
    pub fn lock(&self) -> MutexGuard<'_, Directory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Directory {
    /// All pods of the node, as of `now_ns`: what is not among them has been deleted.
    pub fn replace(&mut self, pods: Vec<Pod>, now_ns: u64) {
        let there: HashSet<&String> = pods.iter().map(|pod| &pod.uid).collect();
        let gone = self.pods.keys().filter(|uid| !there.contains(uid));
        for uid in gone.cloned().collect::<Vec<_>>() {
            self.remove(&uid, now_ns);
        }
        for pod in pods {
            self.apply(pod, now_ns);
        }
        self.was_listed = true;
        self.live_since_ns.get_or_insert(now_ns);
    }

    /// A pod that is new or has changed.
    pub fn apply(&mut self, pod: Pod, now_ns: u64) {
        if let Some(before) = self.pods.get(&pod.uid) {
            // A container's id stays known after the status tells of its successor only.
            let before = before.pod.clone();
            let pod = with_earlier_containers(pod, &before);
            for container in &before.containers {
                self.containers.remove(&container.id);
            }
            return self.insert(pod);
        }
        if self.pods.len() >= MAX_PODS {
            self.make_room(now_ns);
        }
        self.insert(pod);
    }

    fn insert(&mut self, pod: Pod) {
        // The first keeps it: anybody may write an annotation.
        if let Some(hash) = &pod.static_uid {
            let uid = pod.uid.clone();
            self.static_uids.entry(hash.clone()).or_insert(uid);
        }
        for (place, container) in pod.containers.iter().enumerate() {
            self.strangers.remove(&container.id);
            self.containers
                .insert(container.id.clone(), (pod.uid.clone(), place));
        }
        let entry = Entry {
            pod: Arc::new(pod),
            deleted_ns: None,
        };
        self.pods.insert(entry.pod.uid.clone(), entry);
    }

    /// A pod that was deleted.
    pub fn remove(&mut self, uid: &str, now_ns: u64) {
        if let Some(entry) = self.pods.get_mut(uid) {
            entry.deleted_ns.get_or_insert(now_ns);
        }
    }

    /// Nothing comes any more, until the next list or change does.
    pub fn is_cut_off(&mut self) {
        self.live_since_ns = None;
    }

    /// It comes again.
    pub fn is_live(&mut self, now_ns: u64) {
        if self.was_listed {
            self.live_since_ns.get_or_insert(now_ns);
        }
    }

    /// Whether all of the node's pods were told once.
    #[must_use]
    pub fn was_listed(&self) -> bool {
        self.was_listed
    }

    /// Whether changes come as they happen.
    #[must_use]
    pub fn is_up_to_date(&self) -> bool {
        self.live_since_ns.is_some()
    }

    /// Pods that are there.
    #[must_use]
    pub fn count(&self) -> usize {
        let there = self
            .pods
            .values()
            .filter(|entry| entry.deleted_ns.is_none());
        there.count()
    }

    /// Every container that is known, with its id.
    pub fn all(&self) -> impl Iterator<Item = (&str, Workload)> {
        let pods = self.pods.values().map(|entry| &entry.pod);
        pods.flat_map(|pod| {
            let named = |container: &'_ Container| named(pod, container);
            pod.containers
                .iter()
                .map(move |container| (&*pod.uid, named(container)))
        })
    }

    /// Whose this container is, or with an empty id the pod's own cgroup. `pod_uid`: where the cgroup tells it.
    pub fn who(&mut self, pod_uid: Option<&str>, container_id: &str, now_ns: u64) -> Who {
        let of_container = self.containers.get(container_id);
        let uid = pod_uid.map(|uid| match self.static_uids.get(uid) {
            Some(other) if !self.pods.contains_key(uid) => other,
            _ => uid,
        });
        let Some(uid) = uid.or(of_container.map(|(uid, _)| &**uid)) else {
            return Who::Unknown;
        };
        let Some(entry) = self.pods.get(uid) else {
            return Who::Unknown;
        };
        let pod = &entry.pod;
        let container = of_container
            .filter(|(of, _)| of == uid)
            .and_then(|(_, place)| pod.containers.get(*place))
            .filter(|container| container.id == container_id);
        if let Some(container) = container {
            return Who::Named(named(pod, container));
        }
        let of_pod = in_pod(pod);
        if container_id.is_empty() {
            return Who::Named(of_pod);
        }
        let strange_since = *self
            .strangers
            .entry(container_id.to_owned())
            .or_insert(now_ns);
        let told_since = self.live_since_ns.map(|live| live.max(strange_since));
        let is_sandbox = told_since.is_some_and(|since| now_ns >= since + SANDBOX_AFTER_NS);
        let of_pod = Workload {
            container_id: container_id.to_owned(),
            ..of_pod
        };
        if !is_sandbox {
            return Who::InPod(of_pod);
        }
        Who::Named(Workload {
            container: PAUSE.to_owned(),
            component: PAUSE.to_owned(),
            ..of_pod
        })
    }

    /// Forgets deleted pods of which nothing is left; `is_there` says of a uid whether there are cgroups of it.
    pub fn forget(&mut self, now_ns: u64, is_there: impl Fn(&str) -> bool) {
        let mut gone = Vec::new();
        for (uid, entry) in &mut self.pods {
            let Some(deleted_ns) = &mut entry.deleted_ns else {
                continue;
            };
            if is_there(uid) || entry.pod.static_uid.as_deref().is_some_and(&is_there) {
                *deleted_ns = now_ns;
            } else if now_ns >= *deleted_ns + LINGER_NS {
                gone.push(uid.clone());
            }
        }
        for uid in gone {
            self.drop_pod(&uid);
        }
        self.strangers
            .retain(|_, since_ns| now_ns < *since_ns + 10 * LINGER_NS);
    }

    fn make_room(&mut self, now_ns: u64) {
        let oldest = self
            .pods
            .iter()
            .min_by_key(|(_, entry)| entry.deleted_ns.unwrap_or(now_ns));
        if let Some(uid) = oldest.map(|(uid, _)| uid.clone()) {
            self.drop_pod(&uid);
        }
    }

    fn drop_pod(&mut self, uid: &str) {
        let Some(entry) = self.pods.remove(uid) else {
            return;
        };
        if let Some(hash) = &entry.pod.static_uid
            && self.static_uids.get(hash) == Some(&entry.pod.uid)
        {
            self.static_uids.remove(hash);
        }
        for container in &entry.pod.containers {
            self.containers.remove(&container.id);
        }
    }
}

/// Containers that ran before and are not in the newest status any more, of those at most as many again as it has.
fn with_earlier_containers(mut pod: Pod, before: &Pod) -> Pod {
    let is_new = |earlier: &&Container| !pod.containers.iter().any(|one| one.id == earlier.id);
    let earlier: Vec<Container> = before.containers.iter().filter(is_new).cloned().collect();
    let room = pod.containers.len().max(8);
    pod.containers.extend(earlier.into_iter().take(room));
    pod
}

fn in_pod(pod: &Pod) -> Workload {
    Workload {
        kind: WorkloadKind::Container.into(),
        pod_uid: pod.uid.clone(),
        namespace: pod.namespace.clone(),
        pod: pod.name.clone(),
        workflow: pod.placement.workflow.clone(),
        run: pod.placement.run.clone(),
        stage: pod.placement.stage.clone(),
        component: pod.placement.component.clone(),
        ..Workload::default()
    }
}

fn named(pod: &Pod, container: &Container) -> Workload {
    Workload {
        container_id: container.id.clone(),
        container: container.name.clone(),
        component: container.component.clone(),
        cpu_request_millis: container.cpu_request_millis,
        ..in_pod(pod)
    }
}

#[cfg(test)]
mod tests;
