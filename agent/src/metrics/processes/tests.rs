use std::fs;
use std::sync::Arc;

use proptest::prelude::*;
use wire::v1::{Outcome, WorkloadKind};

use super::*;
use crate::attribution::attribute;
use crate::parties::Parties;
use crate::run::ZoneRecord;
use crate::sample::Sample;
use crate::usage::{CgroupRef, Events, UsageRow};

fn pod(number: usize) -> Arc<Workload> {
    Arc::new(Workload {
        kind: WorkloadKind::Container.into(),
        namespace: "ns".into(),
        pod: format!("pod-{number}"),
        pod_uid: format!("uid-{number}"),
        ..Workload::default()
    })
}

/// Rows as (pid, pod, CPU time), zones as (active energy, whether anybody ran there).
fn record(rows: &[(u32, Option<usize>, u64)], zones: &[(u64, bool)]) -> Record {
    let mut parties = Parties::new(false);
    for &(tgid, owner, cpu_ns) in rows {
        let row = UsageRow {
            tgid,
            cgroup: CgroupRef::Path("/".into()),
            package: 0,
            cpu_ns,
            events: Events::default(),
            comm: "x".into(),
        };
        parties.add(&row, owner.map(pod));
    }
    let zone = |&(active, has_run): &(u64, bool)| {
        let mut weights = parties.cpu_weights(None);
        if !has_run {
            weights.fill(0);
        }
        let (workloads, system) = parties.by_workload(&weights);
        let energy = Energy::from_microjoules(active);
        ZoneRecord {
            sample: Sample {
                outcome: Outcome::Sampled,
                energy,
                elapsed_ns: 1_000_000_000,
            },
            shares: Some(attribute(energy, Energy::ZERO, &workloads, system)),
            weights,
            weighed_by: "",
            idle_seeded: false,
        }
    };
    Record {
        names: Vec::new(),
        start_unix_ms: 0,
        duration_ns: 1_000_000_000,
        zones: zones.iter().map(zone).collect(),
        parties,
    }
}

/// Microjoules by series.
fn series(processes: &Processes) -> HashMap<(String, String), Vec<u64>> {
    let mut series = HashMap::new();
    for (key, entry) in processes.iter() {
        let values = entry.zones.iter().map(|energy| energy.microjoules());
        series.insert((key.pid.clone(), key.pod.clone()), values.collect());
    }
    series
}

fn start(proc_root: &Path, pid: u32, start_ticks: u64) {
    let directory = proc_root.join(pid.to_string());
    fs::create_dir_all(&directory).unwrap();
    let stat = format!("{pid} (x) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 {start_ticks} 0 0");
    fs::write(directory.join("stat"), stat).unwrap();
}

#[test]
fn those_that_use_most_are_shown_and_the_others_are_together_by_pod() {
    let proc_root = tempfile::tempdir().unwrap();
    for pid in 1..=5 {
        start(proc_root.path(), pid, 1);
    }
    let mut processes = Processes::new(3, proc_root.path().into());
    let rows = [
        (1, Some(0), 45),
        (2, Some(0), 15),
        (3, Some(1), 20),
        (4, None, 3),
        (5, Some(0), 2),
        // Gone already, and the rest of a cgroup.
        (9, Some(1), 10),
        (0, Some(1), 5),
    ];
    processes.book(&record(&rows, &[(1000, true), (100, true)]), 1);
    let key = |pid: &str, pod: &str| (pid.to_owned(), pod.to_owned());
    let expected = HashMap::from([
        (key("1", "pod-0"), vec![450, 45]),
        (key("2", "pod-0"), vec![150, 15]),
        (key("3", "pod-1"), vec![200, 20]),
        (key("", "pod-0"), vec![20, 2]),
        (key("", "pod-1"), vec![150, 15]),
        (key("", ""), vec![30, 3]),
    ]);
    assert_eq!(series(&processes), expected);
}

#[test]
fn the_energy_of_a_time_in_which_nobody_ran_is_in_other() {
    let mut processes = Processes::new(2, "/nowhere".into());
    processes.book(&record(&[], &[(7, true)]), 1);
    let expected = HashMap::from([((String::new(), String::new()), vec![7])]);
    assert_eq!(series(&processes), expected);
}

#[test]
fn a_pid_that_is_used_again_goes_on_under_the_same_labels() {
    let proc_root = tempfile::tempdir().unwrap();
    let mut processes = Processes::new(2, proc_root.path().into());
    for (life, now_ns) in [(1, 10), (2, 20), (3, 30)] {
        start(proc_root.path(), 7, life);
        processes.book(&record(&[(7, None, 1)], &[(100, true)]), now_ns);
        processes.expire(now_ns + 1, now_ns + 1, &|_, _| false);
        let expected = HashMap::from([(("7".to_owned(), String::new()), vec![100 * life])]);
        assert_eq!(series(&processes), expected);
    }
}

type Rows = Vec<(u32, Option<usize>, u64)>;

fn interval() -> impl Strategy<Value = (Rows, Vec<(u64, bool)>)> {
    let row = (0..9_u32, prop::option::of(0..3_usize), 0..1000_u64);
    let zone = (0..1_000_000_u64, prop::bool::weighted(0.8));
    (
        prop::collection::vec(row, 0..8),
        prop::collection::vec(zone, 2),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]
    #[test]
    fn processes_grow_by_what_their_parents_were_given(intervals in prop::collection::vec(interval(), 1..6)) {
        // Pids 1 to 4 live; nobody's proc is read for the others.
        let proc_root = PROC_ROOT.with(|root| root.path().to_path_buf());
        let mut processes = Processes::new(2, proc_root);
        let mut before: HashMap<(String, String), Vec<u64>> = HashMap::new();
        for (now_ns, (rows, zones)) in intervals.iter().enumerate() {
            processes.book(&record(rows, zones), now_ns as u64);
            let mut grown = vec![0; zones.len()];
            for (key, now) in series(&processes) {
                let old = before.remove(&key).unwrap_or_default();
                for (zone, value) in now.iter().enumerate() {
                    let old = old.get(zone).copied().unwrap_or(0);
                    prop_assert!(*value >= old);
                    grown[zone] += value - old;
                }
                before.insert(key, now);
            }
            let given: Vec<u64> = zones.iter().map(|(active, _)| *active).collect();
            prop_assert_eq!(grown, given);
        }
    }
}

thread_local! {
    static PROC_ROOT: tempfile::TempDir = {
        let root = tempfile::tempdir().unwrap();
        for pid in 1..=4 {
            start(root.path(), pid, 1);
        }
        root
    };
}
