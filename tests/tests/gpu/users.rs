//! Who pays for a GPU.

use e2e::cgroups::{Cgroup, Shell};
use e2e::nvml::{FakeNvml, gpu, slice};
use serde_json::json;

use crate::site::{Parts, Site, named, nested, parts, pod, used_by};

/// A process in a group of our exec kind, which does nothing itself.
fn user(run: &str) -> (Cgroup, Shell) {
    let group = Cgroup::exec("gpu", run, "s").unwrap();
    let shell = group.shell("true").unwrap();
    (group, shell)
}

#[test]
fn a_gpu_s_energy_is_its_users_its_idle_s_and_the_system_s_to_the_microjoule_accounting() {
    check_split("accounting");
}

#[test]
fn a_gpu_s_energy_is_its_users_its_idle_s_and_the_system_s_to_the_microjoule_ebpf() {
    check_split("ebpf");
}

fn check_split(usage: &str) {
    let runs = [
        named(&format!("split-a-{usage}")),
        named(&format!("split-b-{usage}")),
    ];
    let [(_first_group, first), (_second_group, second)] = [user(&runs[0]), user(&runs[1])];
    let flags = ["--usage", usage, "--idle-watts", "gpu-0=10,gpu-1=20"];
    let mut site = Site::new(&[gpu("GPU-a"), gpu("GPU-b"), gpu("GPU-c")], &flags);
    // Of the first two thirds are one's; on the second only somebody is who has ended; on the third there is nobody.
    used_by(
        &mut site.driver,
        0,
        &[(first.pid(), 60), (second.pid(), 30)],
    );
    used_by(&mut site.driver, 1, &[(u32::MAX, 10)]);
    site.after_ticks(2);
    for (gpu, millijoules) in [(0, 5_000_001), (1, 3_000_007), (2, 1_000_003)] {
        site.driver.use_energy(gpu, millijoules).unwrap();
    }
    site.at("gpu-1", 3_000_007);
    site.at("gpu-2", 1_000_003);
    let text = site.at("gpu-0", 5_000_001);
    let found = parts(&text, "gpu-0");
    assert!(found.idle > 0 && found.system == 0, "{found:?}");
    let [most, least] = [0, 1].map(|index| pod(&text, &runs[index], "gpu-0"));
    assert_eq!(most + least, found.workloads);
    assert!(most.abs_diff(2 * least) <= 2, "{most} uJ and {least} uJ");
    let lone = parts(&text, "gpu-1");
    assert_eq!((lone.workloads, lone.idle > 0), (0, true), "{lone:?}");
    let nobody = parts(&text, "gpu-2");
    let expected = Parts {
        measured: 1_000_003_000,
        system: 1_000_003_000,
        processes: 1_000_003_000,
        ..Parts::default()
    };
    assert_eq!(nobody, expected);
    assert_eq!(pod(&text, &runs[0], "gpu-1"), 0);
}

#[test]
fn fault_02_a_container_s_gpu_joules_do_not_drop_when_one_of_its_processes_exits() {
    let uid = format!("6a2f3c1e-0b1d-4c52-9a51-{:012x}", std::process::id());
    let id = format!("{:064x}", std::process::id());
    let top = format!("hxmlops-gpu-{}", std::process::id());
    let container = Cgroup::new(&format!("{top}/kubepods/pod{uid}/{id}")).unwrap();
    let [stays, goes] = [(); 2].map(|()| container.shell("true").unwrap());
    let mut site = Site::new(&[gpu("GPU-a")], &["--usage", "accounting"]);
    used_by(&mut site.driver, 0, &[(stays.pid(), 10), (goes.pid(), 70)]);
    site.after_ticks(2);
    site.driver.use_energy(0, 8_000_000).unwrap();
    let text = site.at("gpu-0", 8_000_000);
    assert_eq!(pod(&text, &uid, "gpu-0"), 8_000_000_000);
    // The driver tells of its last work when it has ended already.
    let pid = goes.pid();
    drop(goes);
    used_by(&mut site.driver, 0, &[(stays.pid(), 0)]);
    site.driver
        .tell_gpu(0, "samples", json!([[pid, 70]]))
        .unwrap();
    site.driver.use_energy(0, 2_000_000).unwrap();
    let text = site.at("gpu-0", 10_000_000);
    assert_eq!(pod(&text, &uid, "gpu-0"), 10_000_000_000);
    drop((stays, container));
    used_by(&mut site.driver, 0, &[]);
    let text = site.after_ticks(2);
    assert_eq!(pod(&text, &uid, "gpu-0"), 10_000_000_000);
}

#[test]
fn who_is_there_pays_where_the_driver_does_not_tell_who_works() {
    let runs = [named("there-a"), named("there-b")];
    let [(_first_group, first), (_second_group, second)] = [user(&runs[0]), user(&runs[1])];
    let mut site = Site::new(&[gpu("GPU-a"), gpu("GPU-cut")], &["--usage", "accounting"]);
    let pids = [first.pid(), second.pid()];
    site.driver.tell_gpu(0, "samples", json!(null)).unwrap();
    site.driver.tell_gpu(0, "processes", json!(pids)).unwrap();
    // Cut into slices: three for the one, one for the other.
    let slices = json!([
        slice("MIG-a", 3, Some(&[pids[0]])),
        slice("MIG-b", 1, Some(&[pids[1]])),
        slice("MIG-c", 2, Some(&[])),
    ]);
    for (key, value) in [
        ("samples", json!(null)),
        ("percent", json!(null)),
        ("slices", slices),
    ] {
        site.driver.tell_gpu(1, key, value).unwrap();
    }
    site.after_ticks(2);
    site.driver.use_energy(0, 4_000_000).unwrap();
    site.driver.use_energy(1, 4_000_000).unwrap();
    site.at("gpu-0", 4_000_000);
    let text = site.at("gpu-1", 4_000_000);
    let of = |zone| [0, 1].map(|index| pod(&text, &runs[index], zone));
    assert_eq!(of("gpu-0"), [2_000_000_000, 2_000_000_000]);
    assert_eq!(of("gpu-1"), [3_000_000_000, 1_000_000_000]);
    for zone in ["gpu-0", "gpu-1"] {
        let weighed = format!("zone=\"{zone}\",weights=\"gpu_presence\"");
        assert!(text.contains(&weighed), "{weighed}: {text}");
        parts(&text, zone);
    }
}

#[test]
fn slices_are_zones_inside_their_gpu_and_use_what_it_uses_to_the_microjoule() {
    let runs = [named("cut-a"), named("cut-b")];
    let [(_first_group, first), (_second_group, second)] = [user(&runs[0]), user(&runs[1])];
    let slices = |shares: [Option<&[u32]>; 3]| {
        let [first, second, third] = shares;
        json!([
            slice("MIG-a", 3, first),
            slice("MIG-b", 1, second),
            slice("MIG-c", 3, third)
        ])
    };
    let [first, second] = [[first.pid()], [second.pid()]];
    let mut cut = gpu("GPU-cut");
    cut["samples"] = json!(null);
    cut["percent"] = json!(null);
    cut["slices"] = slices([Some(&first), Some(&second), Some(&[])]);
    let driver = FakeNvml::new(&[cut]).unwrap();
    let flags = ["--power", "nvml", "--usage", "accounting"];
    let mut site = Site::every("3s", driver, &flags);
    let zones = ["gpu-0-mig-0", "gpu-0-mig-1", "gpu-0-mig-2"];
    let used = |text: &str| zones.map(|zone| nested(text, zone));
    site.after_ticks(2);
    site.driver.use_energy(0, 4_000_001).unwrap();
    let text = site.at("gpu-0", 4_000_001);
    assert_eq!(used(&text), [3_000_000_750, 1_000_000_250, 0]);
    for line in [
        "zone=\"gpu-0-mig-1\",parent=\"gpu-0\",basis=\"modelled\"",
        "gpu-0's energy, by size among its slices in use",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    // Of one slice it is not told who is there: it is the system's, and nobody else's.
    site.driver
        .tell_gpu(0, "slices", slices([Some(&first), None, Some(&[])]))
        .unwrap();
    site.after_ticks(2);
    site.driver.use_energy(0, 4_000_000).unwrap();
    let text = site.at("gpu-0", 8_000_001);
    assert_eq!(used(&text).iter().sum::<u64>(), 8_000_001_000);
    let of = |run: &str| pod(&text, run, "gpu-0");
    assert!(of(&runs[0]).abs_diff(6_000_000_750) <= 1, "{text}");
    assert!(
        parts(&text, "gpu-0").system.abs_diff(1_000_000_000) <= 1,
        "{text}"
    );
    // One is taken apart, another is made under its number, and one more besides.
    let left = json!([
        slice("MIG-a", 3, Some(&first)),
        slice("MIG-b", 1, Some(&[]))
    ]);
    site.driver.tell_gpu(0, "slices", left).unwrap();
    site.outcome("gpu-0-mig-2", "absent");
    site.driver.use_energy(0, 1_000_000).unwrap();
    let text = site.at("gpu-0", 9_000_001);
    assert_eq!(used(&text).iter().sum::<u64>(), 9_000_001_000);
    let more = [("MIG-d", 1), ("MIG-e", 1), ("MIG-f", 1), ("MIG-g", 1)];
    let more = more.map(|(uuid, size)| slice(uuid, size, Some(&first)));
    site.driver.tell_gpu(0, "slices", json!(more)).unwrap();
    // Also what is used before the new one was seen is told of.
    site.driver.use_energy(0, 1_000_000).unwrap();
    let text = site.at("gpu-0", 10_000_001);
    assert_eq!(nested(&text, "gpu-0-mig-3"), 250_000_000);
    let sum = used(&text).iter().sum::<u64>() + nested(&text, "gpu-0-mig-3");
    assert_eq!(sum, 10_000_001_000);
}
