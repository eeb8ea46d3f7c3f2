//! What a kubelet tells of its node and its pods.

use serde_json::{Value, json};

use super::now;
use super::pod::{Container, Kind, Pod};

/// A node that is ready, and has room for more than any test starts.
pub(super) fn of_node(node: &str) -> Value {
    let room = json!({ "cpu": "64", "memory": "256Gi", "pods": "1000" });
    json!({
        "addresses": [
            { "type": "InternalIP", "address": "127.0.0.1" },
            { "type": "Hostname", "address": node },
        ],
        "capacity": room,
        "allocatable": room,
        "conditions": [condition("Ready", true)],
    })
}

pub(super) fn of_pod(pod: &Pod) -> Value {
    let of_kind = |kind| {
        let containers = pod.containers.iter().filter(move |one| one.kind == kind);
        containers.map(of_container).collect::<Value>()
    };
    let main = pod.containers.iter().filter(|one| one.kind == Kind::Main);
    let codes: Vec<Option<i32>> = main
        .map(|container| container.ended.as_ref().map(|(_, code)| *code))
        .collect();
    let phase = match &codes[..] {
        codes if codes.contains(&None) => "Running",
        codes if codes.iter().all(|&code| code == Some(0)) => "Succeeded",
        _ => "Failed",
    };
    let is_ready = codes.iter().all(Option::is_none);
    json!({
        "phase": phase,
        "conditions": [
            condition("Initialized", true),
            condition("Ready", is_ready),
            condition("ContainersReady", is_ready),
            condition("PodScheduled", true),
        ],
        "hostIP": "127.0.0.1",
        "podIP": "127.0.0.1",
        "podIPs": [{ "ip": "127.0.0.1" }],
        "startTime": pod.started,
        "initContainerStatuses": of_kind(Kind::Init),
        "containerStatuses": of_kind(Kind::Main),
        "ephemeralContainerStatuses": of_kind(Kind::Ephemeral),
    })
}

fn of_container(container: &Container) -> Value {
    let id = format!("containerd://{}", container.id);
    let state = match &container.ended {
        None => json!({ "running": { "startedAt": container.started } }),
        Some((ended, code)) => json!({
            "terminated": {
                "exitCode": code,
                "reason": if *code == 0 { "Completed" } else { "Error" },
                "startedAt": container.started,
                "finishedAt": ended,
                "containerID": id,
            },
        }),
    };
    let is_running = container.ended.is_none();
    json!({
        "name": container.name,
        "image": "registry.example/image:1",
        "imageID": "registry.example/image@sha256:0",
        "ready": is_running || container.kind == Kind::Init,
        "started": is_running,
        "restartCount": 0,
        "containerID": id,
        "state": state,
    })
}

fn condition(kind: &str, is_true: bool) -> Value {
    json!({
        "type": kind,
        "status": if is_true { "True" } else { "False" },
        "lastTransitionTime": now(),
    })
}
