use std::fs;
use std::path::Path;

use super::*;
use crate::cgroup::hierarchy::Hierarchies;
use crate::cgroup::watch::{CgroupWatch, Purpose};
use crate::usage::{CgroupRef, Events, UsageInterval, UsageRow};

const TRAIN: &str = "0::/hxmlops.exec/w:r:train:1\n";
/// As on a host with both trees, inside a container.
const BOTH: &str = "3:cpuacct:/docker/0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n\
                    0::/hxmlops.exec/w:r:train:1\n";
const TEST: &str = "0::/hxmlops.exec/w:r:test:2\n";

fn identities(proc_root: &Path) -> Identities {
    let hierarchies = Hierarchies {
        unified: None,
        cpuacct: None,
    };
    let watch = CgroupWatch::start(hierarchies, Purpose::Names);
    Identities::new(proc_root, Arc::new(watch))
}

fn process(proc_root: &Path, pid: u32, start_ticks: u64, cgroup: &str) {
    let directory = proc_root.join(pid.to_string());
    fs::create_dir_all(&directory).unwrap();
    let stat = format!("{pid} (python) S 1 2 3 4 5 6 7 8 9 10 0 0 7 3 20 0 1 0 {start_ticks} 0 0");
    fs::write(directory.join("stat"), stat).unwrap();
    fs::write(directory.join("cgroup"), cgroup).unwrap();
}

fn end(proc_root: &Path, pid: u32) {
    fs::remove_dir_all(proc_root.join(pid.to_string())).unwrap();
}

/// The stage that has the whole weight of an interval in which this process used a GPU; empty: the system.
fn payer(identities: &mut Identities, used: DeviceUse, rows: &[UsageRow]) -> String {
    let usage = UsageInterval {
        rows: rows.to_vec(),
        ..UsageInterval::default()
    };
    let mut parties = identities.group(&usage);
    let activity = Activity {
        uses: vec![used],
        ..Activity::default()
    };
    identities.add_devices([&Activity::default(), &activity].into_iter(), &mut parties);
    let (workloads, system) = parties.by_workload(&parties.device_weights(1));
    assert_eq!(
        parties.by_workload(&parties.device_weights(0)),
        (vec![0; workloads.len()], 0)
    );
    let payer = workloads.iter().position(|weight| *weight > 0);
    assert!(payer.is_some() != (system > 0), "{workloads:?}, {system}");
    payer.map_or_else(String::new, |position| {
        parties.workloads()[position].stage.clone()
    })
}

fn used(there_ns: u64) -> DeviceUse {
    DeviceUse {
        pid: 7,
        busy_ns: 5,
        there_ns,
    }
}

#[test]
fn a_process_s_use_is_its_cgroup_s_also_after_it_has_ended() {
    let proc_root = tempfile::tempdir().unwrap();
    let mut identities = identities(proc_root.path());
    assert_eq!(payer(&mut identities, used(9), &[]), "", "nobody knows it");
    process(proc_root.path(), 7, 100, "0::/system.slice\n");
    assert_eq!(
        payer(&mut identities, used(9), &[]),
        "",
        "it is the system's"
    );
    process(proc_root.path(), 7, 100, TRAIN);
    assert_eq!(
        payer(&mut identities, used(9), &[]),
        "train",
        "it was moved"
    );
    process(proc_root.path(), 7, 100, BOTH);
    assert_eq!(payer(&mut identities, used(9), &[]), "train");
    end(proc_root.path(), 7);
    assert_eq!(payer(&mut identities, used(0), &[]), "train");
}

#[test]
fn fault_05_a_pid_that_is_used_again_inherits_nothing_of_a_device() {
    let proc_root = tempfile::tempdir().unwrap();
    let mut identities = identities(proc_root.path());
    process(proc_root.path(), 7, 100, TRAIN);
    assert_eq!(payer(&mut identities, used(9), &[]), "train");
    // The driver tells of the first one's last work; the second has none.
    process(proc_root.path(), 7, 200, TEST);
    assert_eq!(payer(&mut identities, used(0), &[]), "train");
    // Now it has.
    assert_eq!(payer(&mut identities, used(9), &[]), "test");
    end(proc_root.path(), 7);
    assert_eq!(payer(&mut identities, used(0), &[]), "test");
}

#[test]
fn one_that_lived_between_two_intervals_is_known_by_its_cpu_time() {
    let proc_root = tempfile::tempdir().unwrap();
    let mut identities = identities(proc_root.path());
    let row = UsageRow {
        tgid: 7,
        cgroup: CgroupRef::Path("/hxmlops.exec/w:r:train:1".into()),
        package: 0,
        cpu_ns: 1,
        events: Events::default(),
        comm: "python".into(),
    };
    assert_eq!(payer(&mut identities, used(0), &[row]), "train");
}

#[test]
fn what_no_device_tells_of_any_more_is_forgotten() {
    let proc_root = tempfile::tempdir().unwrap();
    let mut identities = identities(proc_root.path());
    process(proc_root.path(), 7, 100, TRAIN);
    payer(&mut identities, used(9), &[]);
    end(proc_root.path(), 7);
    for _ in 0..REMEMBERED {
        identities.add_devices([].iter(), &mut Parties::default());
    }
    assert_eq!(identities.device_users.0.len(), 0);
    assert_eq!(payer(&mut identities, used(0), &[]), "");
}
