use std::collections::BTreeMap;

use prometheus::proto::{LabelPair, MetricFamily, MetricType};
use wire::v1::{Outcome, WorkloadKind};

use super::*;
use crate::attribution::attribute;
use crate::metrics::books::ZoneSums;
use crate::parties::Parties;
use crate::run::ZoneRecord;
use crate::sample::Sample;
use crate::usage::{CgroupRef, Events, UsageRow};

const SECOND: u64 = 1_000_000_000;

fn container() -> Arc<Workload> {
    Arc::new(Workload {
        kind: WorkloadKind::Container.into(),
        namespace: "ns".into(),
        pod: "web-0".into(),
        pod_uid: "uid".into(),
        container: "main".into(),
        container_id: "c0ffee".into(),
        ..Workload::default()
    })
}

fn machine() -> Arc<Workload> {
    Arc::new(Workload {
        kind: WorkloadKind::Vm.into(),
        pod: "vm1".into(),
        ..Workload::default()
    })
}

fn zones() -> Vec<ZoneSums> {
    let zone = |name: &str, parent: &str| ZoneSums {
        measured: Energy::from_microjoules(100_000_000),
        idle: Energy::from_microjoules(40_000_000),
        ..ZoneSums::new(name, parent, &format!("/{name}"))
    };
    let gpu = ZoneSums {
        source: "GPU-1 (Fake 9000), driver 999.1".to_owned(),
        ..zone("gpu-0", "")
    };
    vec![
        zone("package-0", ""),
        zone("package-1", ""),
        zone("dram-0", ""),
        zone("core-0", "package-0"),
        gpu,
        zone("other", ""),
    ]
}

/// Every additive zone 100 J, 40 idle; the container used twice what the machine did, and the system as much as it.
fn record() -> Record {
    let mut parties = Parties::new(false);
    for (tgid, workload, cpu_ns) in [
        (1, Some(container()), 2),
        (2, Some(machine()), 1),
        (3, None, 1),
    ] {
        let row = UsageRow {
            tgid,
            cgroup: CgroupRef::Path("/".into()),
            package: 0,
            cpu_ns: cpu_ns * SECOND,
            events: Events::default(),
            comm: "x".into(),
        };
        parties.add(&row, workload);
    }
    let zone = |zone: &ZoneSums| {
        let weights = parties.cpu_weights(None);
        let (workloads, system) = parties.by_workload(&weights);
        let shares = attribute(zone.measured, zone.idle, &workloads, system);
        ZoneRecord {
            sample: Sample {
                outcome: Outcome::Sampled,
                energy: zone.measured,
                elapsed_ns: 10 * SECOND,
            },
            shares: zone.parent.is_empty().then_some(shares),
            weights,
            weighed_by: "",
            idle_seeded: false,
        }
    };
    Record {
        names: Vec::new(),
        start_unix_ms: 0,
        duration_ns: 10 * SECOND,
        zones: zones().iter().map(zone).collect(),
        parties,
    }
}

fn families(kepler: &Kepler, processes: &Processes) -> Vec<MetricFamily> {
    let mut families = kepler.families(&zones());
    families.extend(kepler.process_families(&zones(), processes));
    families.retain(|family| !family.get_metric().is_empty());
    families
}

/// After one interval in which this process, which is alive, was the container's.
fn booked(alive: &HashSet<Arc<Workload>>) -> (Kepler, Processes) {
    let proc_root = tempfile::tempdir().unwrap();
    for pid in 1..4 {
        let directory = proc_root.path().join(pid.to_string());
        std::fs::create_dir(&directory).unwrap();
        let stat = format!("{pid} (x) R 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 {pid} 0 0");
        std::fs::write(directory.join("stat"), stat).unwrap();
        std::os::unix::fs::symlink("/usr/bin/x", directory.join("exe")).unwrap();
    }
    let mut processes = Processes::new(9, proc_root.path().to_path_buf());
    let mut kepler = Kepler::new(9, proc_root.path());
    let cpu = CpuSums {
        tasks_ns: 4 * SECOND,
        idle_ns: 12 * SECOND,
        ..CpuSums::default()
    };
    processes.book(&record(), 7);
    kepler.book(&record(), &processes, alive, cpu, 7);
    (kepler, processes)
}

/// Names and labels as Kepler's documentation lists them (without the constant `node_name`).
const KEPLERS: &[(&str, &str)] = &[
    ("node_cpu_joules_total", "path zone"),
    ("node_cpu_watts", "path zone"),
    ("node_cpu_active_joules_total", "path zone"),
    ("node_cpu_active_watts", "path zone"),
    ("node_cpu_idle_joules_total", "path zone"),
    ("node_cpu_idle_watts", "path zone"),
    ("node_cpu_usage_ratio", ""),
    ("node_gpu_joules_total", "gpu gpu_name gpu_uuid vendor"),
    ("node_gpu_watts", "gpu gpu_name gpu_uuid vendor"),
    (
        "node_gpu_active_joules_total",
        "gpu gpu_name gpu_uuid vendor",
    ),
    ("node_gpu_active_watts", "gpu gpu_name gpu_uuid vendor"),
    ("node_gpu_idle_joules_total", "gpu gpu_name gpu_uuid vendor"),
    ("node_gpu_idle_watts", "gpu gpu_name gpu_uuid vendor"),
    (
        "process_cpu_joules_total",
        "comm container_id exe pid state type vm_id zone",
    ),
    (
        "process_cpu_watts",
        "comm container_id exe pid state type vm_id zone",
    ),
    (
        "process_cpu_seconds_total",
        "comm container_id exe pid type vm_id",
    ),
    (
        "process_gpu_joules_total",
        "comm container_id exe pid state type vm_id",
    ),
    (
        "process_gpu_watts",
        "comm container_id exe pid state type vm_id",
    ),
    (
        "container_cpu_joules_total",
        "container_id container_name pod_id runtime state zone",
    ),
    (
        "container_cpu_watts",
        "container_id container_name pod_id runtime state zone",
    ),
    (
        "container_gpu_joules_total",
        "container_id container_name pod_id runtime state",
    ),
    (
        "container_gpu_watts",
        "container_id container_name pod_id runtime state",
    ),
    ("vm_cpu_joules_total", "hypervisor state vm_id vm_name zone"),
    ("vm_cpu_watts", "hypervisor state vm_id vm_name zone"),
    (
        "pod_cpu_joules_total",
        "pod_id pod_name pod_namespace state zone",
    ),
    ("pod_cpu_watts", "pod_id pod_name pod_namespace state zone"),
    (
        "pod_gpu_joules_total",
        "pod_id pod_name pod_namespace state",
    ),
    ("pod_gpu_watts", "pod_id pod_name pod_namespace state"),
];

#[test]
fn names_types_and_labels_are_keplers() {
    let (kepler, processes) = booked(&HashSet::from([container(), machine()]));
    let mut found = BTreeMap::new();
    for family in families(&kepler, &processes) {
        let is_counter = family.name().ends_with("_total");
        let kind = if is_counter {
            MetricType::COUNTER
        } else {
            MetricType::GAUGE
        };
        assert_eq!(family.get_field_type(), kind, "{}", family.name());
        for metric in family.get_metric() {
            let mut labels: Vec<&str> = metric.get_label().iter().map(LabelPair::name).collect();
            labels.sort_unstable();
            let known = found.insert(family.name().to_owned(), labels.join(" "));
            assert!(
                known.is_none_or(|known| known == labels.join(" ")),
                "{}",
                family.name()
            );
        }
    }
    let expected: BTreeMap<String, String> = KEPLERS
        .iter()
        .map(|(name, labels)| (format!("kepler_{name}"), (*labels).to_owned()))
        .collect();
    assert_eq!(found, expected);
}

/// Values of one family by some labels.
fn values(families: &[MetricFamily], name: &str, by: &[&str]) -> BTreeMap<String, f64> {
    let family = families
        .iter()
        .find(|family| family.name() == name)
        .unwrap();
    let is_counter = family.get_field_type() == MetricType::COUNTER;
    let key = |metric: &prometheus::proto::Metric| {
        let labels = by.iter().map(|name| {
            let mut labels = metric.get_label().iter();
            labels
                .find(|label| label.name() == *name)
                .unwrap()
                .value()
                .to_owned()
        });
        labels.collect::<Vec<_>>().join(" ")
    };
    let value = |metric: &prometheus::proto::Metric| {
        if is_counter {
            metric.get_counter().get_value()
        } else {
            metric.get_gauge().get_value()
        }
    };
    family
        .get_metric()
        .iter()
        .map(|metric| (key(metric), value(metric)))
        .collect()
}

#[test]
fn figures_are_the_agents() {
    let (kepler, processes) = booked(&HashSet::from([container()]));
    let families = families(&kepler, &processes);
    let check = |name: &str, by: &[&str], expected: &[(&str, f64)]| {
        let expected = expected
            .iter()
            .map(|(key, value)| ((*key).to_owned(), *value));
        assert_eq!(values(&families, name, by), expected.collect(), "{name}");
    };
    check("kepler_node_cpu_usage_ratio", &[], &[("", 0.25)]);
    let whole = |value| {
        [
            ("package /package-0", value),
            ("package /package-1", value),
            ("dram /dram-0", value),
        ]
    };
    let all = [&whole(100.0)[..], &[("core /core-0", 100.0)]].concat();
    check("kepler_node_cpu_joules_total", &["zone", "path"], &all);
    check(
        "kepler_node_cpu_active_watts",
        &["zone", "path"],
        &whole(6.0),
    );
    check(
        "kepler_node_cpu_idle_joules_total",
        &["zone", "path"],
        &whole(40.0),
    );
    check("kepler_node_gpu_idle_watts", &["gpu"], &[("0", 4.0)]);
    check(
        "kepler_node_gpu_joules_total",
        &["gpu_uuid", "gpu_name"],
        &[("GPU-1 Fake 9000", 100.0)],
    );
    // Half of 2 x 60 J, and of 60 J.
    let pod = [
        ("web-0 running package", 60.0),
        ("web-0 running dram", 30.0),
    ];
    check(
        "kepler_pod_cpu_joules_total",
        &["pod_name", "state", "zone"],
        &pod,
    );
    check(
        "kepler_container_gpu_watts",
        &["container_id"],
        &[("c0ffee", 3.0)],
    );
    let vm = [
        ("vm1 terminated package", 30.0),
        ("vm1 terminated dram", 15.0),
    ];
    check(
        "kepler_vm_cpu_joules_total",
        &["vm_id", "state", "zone"],
        &vm,
    );
    let seconds = [
        ("1 container c0ffee /usr/bin/x", 2.0),
        ("2 vm  /usr/bin/x", 1.0),
        ("3 regular  /usr/bin/x", 1.0),
    ];
    check(
        "kepler_process_cpu_seconds_total",
        &["pid", "type", "container_id", "exe"],
        &seconds,
    );
    check(
        "kepler_process_gpu_joules_total",
        &["pid"],
        &[("1", 30.0), ("2", 15.0), ("3", 15.0)],
    );
}

#[test]
fn what_stood_still_has_no_watts_and_what_ended_is_given_up() {
    let (mut kepler, mut processes) = booked(&HashSet::from([container()]));
    let nobody = Record {
        parties: Parties::new(false),
        zones: Vec::new(),
        ..record()
    };
    processes.book(&nobody, 8);
    kepler.book(
        &nobody,
        &processes,
        &HashSet::from([container()]),
        CpuSums::default(),
        8,
    );
    let watts = |kepler: &Kepler| {
        values(
            &families(kepler, &processes),
            "kepler_pod_cpu_watts",
            &["zone"],
        )
    };
    assert!(watts(&kepler).values().all(|watts| *watts == 0.0));
    assert!(kepler.has_expired(8));
    kepler.expire(8, 8);
    let now = families(&kepler, &processes);
    assert!(
        now.iter()
            .any(|family| family.name() == "kepler_pod_cpu_joules_total")
    );
    assert!(
        now.iter()
            .all(|family| family.name() != "kepler_vm_cpu_joules_total")
    );
}
