use std::os::unix::fs::MetadataExt;

use super::*;
use crate::cgroup::hierarchy::Hierarchies;
use crate::cgroup::watch::Purpose;
use crate::usage::{Events, PackageTime};

fn ids(unified: u64) -> CgroupRef {
    CgroupRef::Ids { unified, v1: 0 }
}

fn row(tgid: u32, cgroup: CgroupRef, cpu_ns: u64) -> UsageRow {
    UsageRow {
        tgid,
        cgroup,
        package: 0,
        cpu_ns,
        events: Events::default(),
        comm: "x".into(),
    }
}

const ROOT_CGROUP_ID: u64 = 1;

fn watch(unified: &Path, cpuacct: Option<&Path>) -> Arc<CgroupWatch> {
    let hierarchies = Hierarchies {
        unified: Some(unified.into()),
        cpuacct: cpuacct.map(Into::into),
    };
    Arc::new(CgroupWatch::start(hierarchies, Purpose::Names))
}

fn interval(rows: &[UsageRow]) -> UsageInterval {
    UsageInterval {
        rows: rows.to_vec(),
        ..UsageInterval::default()
    }
}

fn inode(path: &Path) -> u64 {
    fs::metadata(path).unwrap().ino()
}

#[test]
fn rows_of_one_owner_are_one_workload_and_the_rest_is_the_systems() {
    let tree = tempfile::tempdir().unwrap();
    let proc_root = tempfile::tempdir().unwrap();
    let mut identities = Identities::new(proc_root.path(), watch(tree.path(), None));
    // As `mkdir -p` does, after the watching began.
    let group = tree.path().join("hxmlops.exec/w:r:train:1");
    fs::create_dir_all(group.join("nested")).unwrap();

    let rows = vec![
        row(1, ids(inode(&group)), 10),
        row(2, ids(inode(&group.join("nested"))), 20),
        row(3, ids(ROOT_CGROUP_ID), 5),
        row(4, ids(u64::MAX), 7),
    ];
    let parties = identities.group(&UsageInterval {
        packages: vec![PackageTime {
            lost_ns: 3,
            ..PackageTime::default()
        }],
        ..interval(&rows)
    });
    assert_eq!(parties.workloads().len(), 1);
    assert_eq!(parties.workloads()[0].stage, "train");
    assert_eq!(parties.cpu_ns(), (vec![30], 15));

    // Once known, a cgroup keeps its name after its directory is gone.
    fs::remove_dir_all(&group).unwrap();
    let parties = identities.group(&interval(&rows));
    assert_eq!(parties.cpu_ns(), (vec![30], 12));
    let expected = Unresolved {
        cgroups: 1,
        cpu_ns: 14,
    };
    assert_eq!(identities.unresolved(), expected, "one cgroup, seen twice");
}

#[test]
fn on_a_hybrid_host_the_v1_path_tells() {
    let proc_root = tempfile::tempdir().unwrap();
    let container = "ab".repeat(32);
    fs::create_dir(proc_root.path().join("9")).unwrap();
    fs::write(
        proc_root.path().join("9/cgroup"),
        format!("3:cpuacct:/docker/{container}\n0::/\n"),
    )
    .unwrap();
    let tree = tempfile::tempdir().unwrap();
    let cgroups = watch(tree.path(), Some(tree.path()));
    let mut identities = Identities::new(proc_root.path(), cgroups);
    let rows = [
        row(9, ids(ROOT_CGROUP_ID), 10),
        row(10, ids(ROOT_CGROUP_ID), 4),
    ];
    let parties = identities.group(&interval(&rows));
    assert_eq!(parties.workloads()[0].container_id, container);
    let expected = Unresolved {
        cgroups: 0,
        cpu_ns: 4,
    };
    assert_eq!(identities.unresolved(), expected, "process 10 is gone");
}

#[test]
fn two_hierarchies_have_ids_of_their_own() {
    let (unified, v1) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let make = |tree: &tempfile::TempDir, path: &str| {
        fs::create_dir_all(tree.path().join(path)).unwrap();
        inode(&tree.path().join(path))
    };
    let (ours, theirs) = ("ab".repeat(32), "cd".repeat(32));
    let in_unified = make(&unified, &format!("docker/{ours}"));
    let in_v1 = make(&v1, &format!("docker/{theirs}"));
    let group = make(&v1, &format!("docker/{theirs}/hxmlops.exec/w:r:train:1"));
    let cgroups = watch(unified.path(), Some(v1.path()));
    let mut identities = Identities::new(unified.path(), cgroups);
    let rows: Vec<UsageRow> = [
        (ROOT_CGROUP_ID, in_v1),
        (in_unified, in_v1),
        (in_unified, group),
        (in_unified, u64::MAX),
        (u64::MAX, in_v1),
        (ROOT_CGROUP_ID, u64::MAX - 1),
    ]
    .map(|(unified, v1)| row(7, CgroupRef::Ids { unified, v1 }, 10))
    .to_vec();
    let parties = identities.group(&interval(&rows));
    let name = |position: Option<usize>| {
        position.map(|position| match &parties.workloads()[position] {
            group if group.stage == "train" => "group",
            container if container.container_id == ours => "unified",
            _ => "v1",
        })
    };
    let names: Vec<_> = parties
        .uses()
        .iter()
        .map(|used| name(used.workload))
        .collect();
    let expected = ["v1", "unified", "group", "unified", "v1"].map(Some);
    assert_eq!(names, [&expected[..], &[None]].concat());
    let expected = Unresolved {
        cgroups: 1,
        cpu_ns: 10,
    };
    assert_eq!(identities.unresolved(), expected);
}
