//! How far a module's workloads have come, and what their pods wait for. Pure: objects in, figures and words out.

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use serde::Serialize;

/// A workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Workload {
    /// Its kind.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// Pods that there are to be.
    pub wanted: i32,
    /// Pods of the newest state that are ready.
    pub ready: i32,
    /// The newest state has been seen to.
    #[serde(skip)]
    pub is_seen: bool,
}

impl Workload {
    fn is_ready(&self) -> bool {
        self.is_seen && self.ready >= self.wanted
    }
}

/// A pod that is not ready, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// The pod.
    pub pod: String,
    /// A word or two, such as `ImagePullBackOff`.
    pub why: String,
    /// What else is told; may be empty.
    pub detail: String,
}

/// A module's state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rollout {
    /// Its workloads, by kind and name.
    pub workloads: Vec<Workload>,
    /// Pods that are not ready, by name.
    pub waiting: Vec<Waiting>,
}

impl Rollout {
    /// All of it is there and ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.workloads.is_empty() && self.workloads.iter().all(Workload::is_ready)
    }

    /// `1 of 2 ready`.
    #[must_use]
    pub fn figures(&self) -> String {
        let sum = |of: fn(&Workload) -> i32| self.workloads.iter().map(of).sum::<i32>();
        let ready = sum(|workload| workload.ready.min(workload.wanted));
        format!("{ready} of {} ready", sum(|workload| workload.wanted))
    }

    /// One line: figures, and what the first pod waits for.
    #[must_use]
    pub fn line(&self) -> String {
        let first = self.waiting.first().filter(|_| !self.is_ready());
        let first = first.map(|waiting| format!(" ({}: {})", waiting.pod, waiting.why));
        self.figures() + &first.unwrap_or_default()
    }
}

/// Of a deployment.
#[must_use]
pub fn of_deployment(object: &Deployment) -> Workload {
    let status = object.status.clone().unwrap_or_default();
    let wanted = object.spec.as_ref().and_then(|spec| spec.replicas);
    let updated = status.updated_replicas.unwrap_or(0);
    // Those of the state before, which may be available while none of the newest is.
    let old = (status.replicas.unwrap_or(0) - updated).max(0);
    let available = status.available_replicas.unwrap_or(0) - old;
    Workload {
        kind: "Deployment",
        name: object.metadata.name.clone().unwrap_or_default(),
        wanted: wanted.unwrap_or(1),
        ready: available.clamp(0, updated),
        is_seen: status.observed_generation >= object.metadata.generation,
    }
}

/// Of a stateful set.
#[must_use]
pub fn of_stateful_set(object: &StatefulSet) -> Workload {
    let status = object.status.clone().unwrap_or_default();
    let wanted = object.spec.as_ref().and_then(|spec| spec.replicas);
    let is_updated = status.update_revision == status.current_revision;
    let ready = status.ready_replicas.unwrap_or(0);
    Workload {
        kind: "StatefulSet",
        name: object.metadata.name.clone().unwrap_or_default(),
        wanted: wanted.unwrap_or(1),
        ready: if is_updated {
            ready
        } else {
            ready.min(status.updated_replicas.unwrap_or(0))
        },
        is_seen: status.observed_generation >= object.metadata.generation,
    }
}

/// Of a daemon set. Where no node fits, there is nothing to wait for.
#[must_use]
pub fn of_daemon_set(object: &DaemonSet) -> Workload {
    let status = object.status.clone().unwrap_or_default();
    let updated = status.updated_number_scheduled.unwrap_or(0);
    Workload {
        kind: "DaemonSet",
        name: object.metadata.name.clone().unwrap_or_default(),
        wanted: status.desired_number_scheduled,
        ready: status.number_ready.min(updated),
        is_seen: status.observed_generation >= object.metadata.generation,
    }
}

/// What a pod waits for; `None` where it is ready, has done its work, or goes.
#[must_use]
pub fn waiting(pod: &Pod) -> Option<Waiting> {
    let status = pod.status.clone().unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    let has = |type_: &str, value: &str| {
        let mut conditions = conditions.iter();
        conditions.find(|condition| condition.type_ == type_ && condition.status == value)
    };
    let phase = status.phase.unwrap_or_default();
    let is_over = phase == "Succeeded" || pod.metadata.deletion_timestamp.is_some();
    if is_over || has("Ready", "True").is_some() {
        return None;
    }
    let init = status.init_container_statuses.unwrap_or_default();
    let containers = status.container_statuses.unwrap_or_default();
    let told = init.iter().chain(&containers).find_map(of_container);
    let unscheduled = has("PodScheduled", "False");
    let unscheduled = unscheduled.map(|condition| {
        let message = condition.message.clone().unwrap_or_default();
        ("not scheduled".to_owned(), message)
    });
    let (why, detail) = unscheduled.or(told).unwrap_or_else(|| {
        let why = match &*phase {
            "Running" => "not ready yet",
            "Pending" | "" => "pending",
            _ => "failed",
        };
        let message = status.message.clone().unwrap_or_default();
        (why.to_owned(), message)
    });
    Some(Waiting {
        pod: pod.metadata.name.clone().unwrap_or_default(),
        why,
        detail: detail.split_whitespace().collect::<Vec<_>>().join(" "),
    })
}

/// (why, detail) of a container that waits or has failed.
fn of_container(container: &ContainerStatus) -> Option<(String, String)> {
    let state = container.state.as_ref()?;
    let last = container.last_state.as_ref();
    let exit = |state: Option<&k8s_openapi::api::core::v1::ContainerState>| {
        let ended = state?.terminated.as_ref()?;
        (ended.exit_code != 0).then(|| {
            let name = &container.name;
            format!("container {name} ended with exit code {}", ended.exit_code)
        })
    };
    if let Some(waiting) = &state.waiting {
        let why = waiting
            .reason
            .clone()
            .unwrap_or_else(|| "waiting".to_owned());
        let detail = exit(last).or_else(|| waiting.message.clone());
        return Some((why, detail.unwrap_or_default()));
    }
    let detail = exit(Some(state))?;
    Some(("failed".to_owned(), detail))
}

/// The volume claims that a pod mounts.
pub fn claims(pod: &Pod) -> impl Iterator<Item = &str> {
    let spec = pod.spec.iter();
    let volumes = spec.flat_map(|spec| spec.volumes.iter().flatten());
    volumes.filter_map(|volume| Some(&*volume.persistent_volume_claim.as_ref()?.claim_name))
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::*;

    fn from<T: DeserializeOwned>(value: Value) -> T {
        serde_json::from_value(value).unwrap()
    }

    fn pod(status: &Value) -> Pod {
        from(json!({ "metadata": { "name": "p" }, "status": status }))
    }

    #[test]
    fn a_deployment_is_ready_when_its_newest_state_is() {
        let check = |generation: i64, status: Value, expected: bool| {
            let object = json!({ "metadata": { "name": "d", "generation": generation }, "spec": { "replicas": 2, "selector": {}, "template": {} }, "status": status });
            let rollout = Rollout {
                workloads: vec![of_deployment(&from(object))],
                waiting: Vec::new(),
            };
            assert_eq!(rollout.is_ready(), expected, "{rollout:?}");
        };
        let done = json!({ "observedGeneration": 2, "updatedReplicas": 2, "availableReplicas": 2 });
        check(2, done.clone(), true);
        check(3, done, false);
        check(
            2,
            json!({ "observedGeneration": 2, "updatedReplicas": 1, "availableReplicas": 2 }),
            false,
        );
        check(2, json!({}), false);
        // An old pod is there, and a new one that is not well.
        let half = json!({ "observedGeneration": 2, "replicas": 3, "updatedReplicas": 2, "availableReplicas": 2 });
        check(2, half, false);
        assert!(!Rollout::default().is_ready());
    }

    #[test]
    fn stateful_and_daemon_sets_too() {
        let set = json!({ "metadata": { "name": "s", "generation": 1 }, "spec": { "replicas": 1, "selector": {}, "template": {}, "serviceName": "s" },
            "status": { "observedGeneration": 1, "replicas": 1, "readyReplicas": 1, "currentRevision": "a", "updateRevision": "b" } });
        assert_eq!(of_stateful_set(&from(set.clone())).ready, 0);
        let mut updated = set;
        updated["status"]["currentRevision"] = "b".into();
        assert!(of_stateful_set(&from(updated)).is_ready());
        let set = json!({ "metadata": { "name": "d", "generation": 1 }, "spec": { "selector": {}, "template": {} },
            "status": { "observedGeneration": 1, "currentNumberScheduled": 0, "desiredNumberScheduled": 0, "numberMisscheduled": 0, "numberReady": 0 } });
        assert!(of_daemon_set(&from(set)).is_ready(), "no node fits");
    }

    #[test]
    fn what_a_pod_waits_for() {
        let check = |status: Value, expected: Option<(&str, &str)>| {
            let found = waiting(&pod(&status));
            let found = found.as_ref().map(|one| (&*one.why, &*one.detail));
            assert_eq!(found, expected, "{status}");
        };
        let container = |state: Value| {
            json!({ "phase": "Pending", "containerStatuses": [{ "name": "main", "image": "i", "imageID": "", "ready": false, "restartCount": 1,
                "state": state, "lastState": { "terminated": { "exitCode": 3 } } }] })
        };
        check(
            json!({ "conditions": [{ "type": "Ready", "status": "True" }] }),
            None,
        );
        check(json!({ "phase": "Succeeded" }), None);
        check(json!({ "phase": "Running" }), Some(("not ready yet", "")));
        check(json!({}), Some(("pending", "")));
        let unscheduled = json!({ "conditions": [{ "type": "PodScheduled", "status": "False", "message": "0/1 nodes\nfit" }] });
        check(unscheduled, Some(("not scheduled", "0/1 nodes fit")));
        let crashing =
            json!({ "waiting": { "reason": "CrashLoopBackOff", "message": "back-off" } });
        check(
            container(crashing),
            Some(("CrashLoopBackOff", "container main ended with exit code 3")),
        );
        let ended = json!({ "terminated": { "exitCode": 2 } });
        check(
            container(ended),
            Some(("failed", "container main ended with exit code 2")),
        );
    }

    #[test]
    fn a_line_says_how_far_it_is() {
        let workload = |ready| Workload {
            kind: "Deployment",
            name: "d".to_owned(),
            wanted: 2,
            ready,
            is_seen: true,
        };
        let mut rollout = Rollout {
            workloads: vec![workload(1)],
            waiting: vec![waiting(&pod(&json!({}))).unwrap()],
        };
        assert_eq!(rollout.line(), "1 of 2 ready (p: pending)");
        rollout.workloads = vec![workload(3)];
        assert_eq!(rollout.line(), "2 of 2 ready");
    }

    #[test]
    fn claims_are_those_of_its_volumes() {
        let pod: Pod = from(json!({ "spec": { "containers": [], "volumes": [
            { "name": "a", "persistentVolumeClaim": { "claimName": "data" } }, { "name": "b", "emptyDir": {} }] } }));
        assert_eq!(claims(&pod).collect::<Vec<_>>(), ["data"]);
    }
}
