use std::sync::Arc;

use super::*;
use crate::kube::pod::{Container, Pod};

const DAY_NS: u64 = 24 * 3_600_000_000_000;

fn container_id(digit: &str) -> String {
    digit.repeat(64)
}

fn pod(labelled: &str) -> Pod {
    Pod {
        uid: "u1".to_owned(),
        namespace: "ml".to_owned(),
        name: "trainer-0".to_owned(),
        placement: wire::stage::Placement {
            run: labelled.to_owned(),
            ..Default::default()
        },
        containers: vec![Container {
            id: container_id("a"),
            name: "main".to_owned(),
            component: String::new(),
            cpu_request_millis: 7,
        }],
        ..Pod::default()
    }
}

fn unnamed(digit: &str) -> Workload {
    Workload {
        kind: WorkloadKind::Container.into(),
        pod_uid: "u1".to_owned(),
        container_id: container_id(digit),
        ..Workload::default()
    }
}

fn parties(workloads: &[Workload]) -> Parties {
    let mut parties = Parties::new(false);
    for workload in workloads {
        parties.add_present(Arc::new(workload.clone()));
    }
    parties
}

/// Pod, container and run of each name.
fn shown(names: &[Named]) -> Vec<[&str; 3]> {
    names
        .iter()
        .map(|named| [&*named.is.pod, &*named.is.container, &*named.is.run])
        .collect()
}

/// As it would be in a batch, which has to be taken.
fn assert_valid(names: &[Named]) {
    for Named { was, is } in names {
        let batch = wire::v1::Batch {
            version: wire::VERSION,
            cluster: "c".into(),
            node: "n".into(),
            stream_id: vec![7; 16],
            sequence: 1,
            workloads: vec![was.clone(), is.clone()],
            renames: vec![wire::v1::Rename { was: 0, is: 1 }],
            ..Default::default()
        };
        assert_eq!(wire::validate(&batch), Ok(()));
    }
}

#[test]
fn who_was_told_by_its_uid_is_told_by_name_once() {
    let mut naming = Naming::default();
    let mut pods = Directory::default();
    naming.note(&parties(&[unnamed("a"), unnamed("")]), 1);
    assert!(naming.waits() && naming.take(&mut pods, 1).is_empty());
    pods.apply(pod("r1"), 2);
    let names = naming.take(&mut pods, 2);
    assert_valid(&names);
    let mut found = shown(&names);
    found.sort_unstable();
    assert_eq!(
        found,
        [["trainer-0", "", "r1"], ["trainer-0", "main", "r1"]]
    );
    assert_eq!(names[0].was.pod_uid, "u1");
    assert!(!naming.waits() && naming.take(&mut pods, 3).is_empty());
}

#[test]
fn a_stage_that_was_told_stays_though_the_labels_change() {
    let mut naming = Naming::default();
    let mut pods = Directory::default();
    pods.apply(
        Pod {
            containers: Vec::new(),
            ..pod("r1")
        },
        1,
    );
    let Who::InPod(in_pod) = pods.who(Some("u1"), &container_id("a"), 1) else {
        panic!("no status has told of it");
    };
    naming.note(&parties(&[in_pod]), 1);
    pods.apply(pod("r2"), 2);
    let names = naming.take(&mut pods, 2);
    assert_valid(&names);
    assert_eq!(shown(&names), [["trainer-0", "main", "r1"]]);
}

#[test]
fn the_first_list_names_what_an_earlier_agent_may_have_told() {
    let mut naming = Naming::default();
    let mut pods = Directory::default();
    pods.replace(vec![pod("r1")], 1);
    let names = naming.take(&mut pods, 1);
    assert_valid(&names);
    assert_eq!(shown(&names), [["trainer-0", "main", "r1"]]);
    assert_eq!(names[0].was.container_id, "a".repeat(12));
    pods.replace(vec![pod("r1")], 2);
    assert!(naming.take(&mut pods, 2).is_empty());
}

#[test]
fn who_never_gets_a_name_is_given_up() {
    let mut naming = Naming::default();
    let mut pods = Directory::default();
    naming.note(&parties(&[unnamed("a")]), 1);
    naming.take(&mut pods, DAY_NS);
    assert!(naming.waits());
    naming.take(&mut pods, DAY_NS + 1);
    assert!(!naming.waits());
}
