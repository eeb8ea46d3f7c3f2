use super::*;

const SECOND: u64 = 1_000_000_000;

fn pod(uid: &str, containers: &[&str]) -> Pod {
    let container = |id: &&str| Container {
        id: (*id).to_owned(),
        name: format!("name-of-{id}"),
        component: String::new(),
        cpu_request_millis: 100,
    };
    Pod {
        uid: uid.to_owned(),
        namespace: "ml".to_owned(),
        name: format!("pod-{uid}"),
        containers: containers.iter().map(container).collect(),
        ..Pod::default()
    }
}

/// The container's name, `in POD`, or nothing.
fn who(directory: &mut Directory, uid: Option<&str>, id: &str, seconds: u64) -> String {
    match directory.who(uid, id, seconds * SECOND) {
        Who::Named(workload) if workload.container.is_empty() => workload.pod,
        Who::Named(workload) => workload.container,
        Who::InPod(workload) => format!("in {}", workload.pod),
        Who::Unknown => String::new(),
    }
}

#[test]
fn a_container_is_known_by_its_pod_s_status_with_or_without_the_pod_s_uid() {
    let mut directory = Directory::default();
    assert_eq!(who(&mut directory, Some("u1"), "a", 1), "");
    directory.replace(vec![pod("u1", &["a"])], SECOND);
    assert_eq!(who(&mut directory, Some("u1"), "a", 1), "name-of-a");
    assert_eq!(who(&mut directory, None, "a", 1), "name-of-a");
    assert_eq!(who(&mut directory, Some("u1"), "", 1), "pod-u1");
    assert_eq!(who(&mut directory, Some("u2"), "a", 1), "");
    assert_eq!(who(&mut directory, None, "b", 1), "");
    let Who::Named(workload) = directory.who(Some("u1"), "a", 1) else {
        panic!("it is known");
    };
    assert_eq!(
        (workload.cpu_request_millis, &*workload.namespace),
        (100, "ml")
    );
}

#[test]
fn a_restarted_container_is_known_under_both_ids() {
    let mut directory = Directory::default();
    directory.replace(vec![pod("u1", &["a"])], SECOND);
    assert_eq!(who(&mut directory, Some("u1"), "b", 1), "in pod-u1");
    directory.apply(pod("u1", &["b"]), 2 * SECOND);
    assert_eq!(who(&mut directory, Some("u1"), "b", 2), "name-of-b");
    assert_eq!(who(&mut directory, Some("u1"), "a", 2), "name-of-a");
}

#[test]
fn a_static_pod_is_known_by_the_uid_that_its_node_gave_it() {
    let mut directory = Directory::default();
    let mirror = Pod {
        static_uid: Some("hash".to_owned()),
        ..pod("u1", &["a"])
    };
    directory.replace(vec![mirror], SECOND);
    assert_eq!(who(&mut directory, Some("hash"), "a", 1), "name-of-a");
    assert_eq!(who(&mut directory, Some("hash"), "", 1), "pod-u1");
}

#[test]
fn nobody_takes_another_s_name_by_an_annotation() {
    let mut directory = Directory::default();
    let thief = |uid: &str, of: &str| Pod {
        static_uid: Some(of.to_owned()),
        ..pod(uid, &[])
    };
    directory.replace(
        vec![pod("u1", &["a"]), thief("u2", "u1"), thief("u3", "hash")],
        SECOND,
    );
    assert_eq!(who(&mut directory, Some("u1"), "a", 1), "name-of-a");
    directory.apply(thief("u4", "hash"), SECOND);
    assert_eq!(who(&mut directory, Some("hash"), "", 1), "pod-u3");
}

#[test]
fn ids_of_containers_that_were_restarted_often_are_forgotten() {
    let mut directory = Directory::default();
    for turn in 0..100 {
        directory.apply(pod("u1", &[&format!("id-{turn}")]), SECOND);
    }
    assert!(
        directory.containers.len() < 20,
        "{}",
        directory.containers.len()
    );
    assert_eq!(who(&mut directory, Some("u1"), "id-99", 1), "name-of-id-99");
    assert_eq!(who(&mut directory, Some("u1"), "id-0", 1), "in pod-u1");
}

#[test]
fn who_no_status_tells_of_for_minutes_is_the_sandbox() {
    let mut directory = Directory::default();
    directory.replace(vec![pod("u1", &["a"])], SECOND);
    assert_eq!(who(&mut directory, Some("u1"), "z", 10), "in pod-u1");
    assert_eq!(who(&mut directory, Some("u1"), "z", 369), "in pod-u1");
    // What is not told of while nothing comes is no sign.
    directory.is_cut_off();
    assert_eq!(who(&mut directory, Some("u1"), "z", 500), "in pod-u1");
    directory.is_live(600 * SECOND);
    assert_eq!(who(&mut directory, Some("u1"), "z", 959), "in pod-u1");
    let Who::Named(workload) = directory.who(Some("u1"), "z", 960 * SECOND) else {
        panic!("it was silent for long enough");
    };
    assert_eq!([&*workload.container, &*workload.component], [PAUSE, PAUSE]);
}

#[test]
fn a_deleted_pod_is_known_until_nothing_is_left_of_it() {
    let mut directory = Directory::default();
    directory.replace(vec![pod("u1", &["a"]), pod("u2", &["b"])], SECOND);
    directory.replace(vec![pod("u2", &["b"])], 2 * SECOND);
    directory.remove("u2", 3 * SECOND);
    assert_eq!(directory.count(), 0);
    directory.forget(500 * SECOND, |uid| uid == "u1");
    directory.forget(1_000 * SECOND, |uid| uid == "u1");
    assert_eq!(who(&mut directory, Some("u1"), "a", 1_000), "name-of-a");
    assert_eq!(
        who(&mut directory, Some("u2"), "b", 1_000),
        "",
        "ten minutes are over"
    );
    assert_eq!(who(&mut directory, None, "b", 1_000), "");
    directory.forget(1_599 * SECOND, |_| false);
    assert_eq!(who(&mut directory, None, "a", 1_599), "name-of-a");
    directory.forget(1_600 * SECOND, |_| false);
    assert_eq!(who(&mut directory, None, "a", 1_600), "");
}

#[test]
fn who_was_deleted_first_makes_room() {
    let mut directory = Directory::default();
    for number in 0..MAX_PODS {
        directory.apply(pod(&format!("u{number}"), &[]), SECOND);
    }
    directory.remove("u7", 2 * SECOND);
    directory.remove("u8", 3 * SECOND);
    directory.apply(pod("new", &[]), 4 * SECOND);
    assert_eq!(who(&mut directory, Some("u7"), "", 4), "");
    assert_eq!(who(&mut directory, Some("u8"), "", 4), "pod-u8");
    assert_eq!(directory.pods.len(), MAX_PODS);
}
