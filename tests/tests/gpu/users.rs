//! Who pays for a GPU.

use e2e::cgroups::{Cgroup, Shell};
use e2e::nvml::gpu;
use serde_json::json;

use crate::site::{Parts, Site, named, parts, pod, used_by};

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
        {"size": 3, "processes": [pids[0]]}, {"size": 1, "processes": [pids[1]]}, {"size": 2, "processes": []},
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
