//! What tells whose a process is: paths of cgroups, `/proc/PID/cgroup`, `/proc/PID/cmdline`, mountinfo. Users name
//! their processes and cgroups as they like.

#![no_main]

use std::path::Path;

use agent::cgroup::hierarchy::Hierarchies;
use agent::cgroup::vm::name_in_command;
use agent::cgroup::{Owner, owner, owner_of_topmost};
use agent::exec_tree::group_in;
use agent::usage::accounting::processes::path_in;
use aggregator::commands::exec::mounts::hierarchies;
use libfuzzer_sys::fuzz_target;
use procfs_core::FromBufRead as _;
use procfs_core::process::MountInfos;
use wire::exec_group::ExecGroup;

fuzz_target!(|data: &[u8]| fuzz::one_of_text(
    data,
    &[
        check_path,
        check_file,
        check_command,
        check_mounts,
        check_own
    ]
));

fn check_path(path: &str) {
    let owner = owner(path);
    let topmost = owner_of_topmost(path);
    assert!(topmost.is_none() || topmost == owner);
    match owner {
        Some(Owner::Container {
            pod_uid,
            container_id,
        }) => {
            assert!(container_id.len() == 64 && path.contains(&container_id));
            assert!(pod_uid.is_none_or(|uid| is_pod_uid(&uid)));
        }
        Some(Owner::Pod { pod_uid }) => assert!(is_pod_uid(&pod_uid), "{pod_uid}"),
        Some(Owner::Exec(group)) => check_group(&group),
        Some(Owner::Vm { name }) => assert!(!name.is_empty() && wire::is_name(&name), "{name:?}"),
        Some(Owner::Slurm(step)) => {
            assert!(path.contains(&format!("job_{}", step.job)), "{step:?}");
            assert!(wire::is_name(&step.step));
        }
        None => {}
    }
}

fn is_pod_uid(uid: &str) -> bool {
    let is_hex = |char: char| char.is_ascii_hexdigit() || char == '-';
    matches!(uid.len(), 32 | 36) && uid.chars().all(is_hex)
}

/// Its name leads back to it, and nowhere else.
fn check_group(group: &ExecGroup) {
    assert_eq!(group.to_string().parse().as_ref(), Ok(group));
    let path = group.relative_path();
    assert_eq!(ExecGroup::from_path(&path).as_ref(), Some(group));
    assert_eq!(path.matches('/').count(), 1, "{path}");
    assert!(wire::is_name(group.run()) && !group.run().is_empty());
}

fn check_file(text: &str) {
    if let Some(path) = path_in(text) {
        assert!(text.contains(path) && !path.contains('\n'));
        check_path(path);
    }
}

fn check_command(text: &str) {
    if let Some(group) = group_in(text.as_bytes()) {
        check_group(&group);
    }
    if let Some(name) = name_in_command(text.as_bytes()) {
        assert!(text.contains(&name) && wire::is_name(&name));
    }
}

fn check_mounts(text: &str) {
    if let Ok(mounts) = MountInfos::from_buf_read(text.as_bytes()) {
        let found = Hierarchies::from_mounts(&mounts, Path::new("/sys"));
        assert!(
            found
                .unified
                .is_none_or(|root| text.contains(&*root.to_string_lossy()))
        );
    }
}

/// No cgroup of ours lies outside of its tree.
fn check_own(text: &str) {
    let (mounts, cgroup) = text
        .split_once('\0')
        .unwrap_or((text, "0::/a/b\n1:cpuacct:/c\n"));
    for hierarchy in hierarchies(mounts, cgroup) {
        let below = hierarchy.own.strip_prefix(&hierarchy.root);
        let below = below
            .expect("it lies in its tree")
            .to_string_lossy()
            .into_owned();
        assert!(!below.split('/').any(|part| part == ".."), "{below}");
    }
}
