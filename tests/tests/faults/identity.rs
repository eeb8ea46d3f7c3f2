//! Who it is: pods by the paths of both cgroup drivers, and labels that are names only.

use e2e::metric_sum;

use crate::processes::{container, top};
use crate::site::{SPIN, Site, named, pod_joules, pod_seconds};

#[test]
fn fault_23_no_command_line_is_in_any_label_and_none_is_long() {
    let mut site = Site::new("accounting");
    let run = named("f23");
    let group = site.group(&run);
    let secret = "password-in-the-arguments";
    let padding = "x".repeat(4_000);
    let mut shell = group
        .shell(&format!(
            "exec sh -c '{SPIN}; sleep 1000; :' {secret}-{padding}"
        ))
        .unwrap();
    shell.go().unwrap();
    let pid = format!("pid=\"{}\"", shell.pid());
    let text = site.until("the process itself", |text| {
        metric_sum(text, "hxmlops_process_energy_joules_total", &[&pid]) > 0.0
    });
    assert!(!text.contains(secret), "a command line is in a label");
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        for value in line.split('"').skip(1).step_by(2) {
            assert!(value.len() <= 253, "{} characters: {value}", value.len());
        }
        if let Some((_, comm)) = line.split_once("comm=\"") {
            let comm = comm.split('"').next().unwrap();
            assert!(comm.chars().count() <= 15, "{comm}");
        }
    }
}

#[test]
fn fault_24_pods_of_the_cgroupfs_driver_are_recognised_accounting() {
    check_drivers("accounting", 0x24);
}

#[test]
fn fault_24_pods_of_the_cgroupfs_driver_are_recognised_ebpf() {
    check_drivers("ebpf", 0x25);
}

fn check_drivers(usage: &str, test: u8) {
    let mut site = Site::new(usage);
    let (cgroupfs, pod, id) = container(test);
    let (_, other_pod, other_id) = container(test + 0x10);
    let escaped = other_pod.replace('-', "_");
    let systemd = format!(
        "{}/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{escaped}.slice/cri-containerd-{other_id}.scope",
        top(test + 0x10)
    );
    for (path, pod, id) in [(cgroupfs, pod, id), (systemd, other_pod, other_id)] {
        let cgroup = site.cgroup(&path);
        cgroup.shell(SPIN).unwrap().run().unwrap();
        let text = site.until(&path, |text| pod_joules(text, &pod, "package-0") > 0.0);
        let container = metric_sum(&text, "hxmlops_container_energy_joules_total", &[&id]);
        assert!(container > 0.0, "{path}: {text}");
        let text = site.after_ticks(1);
        let share = pod_seconds(&text, &pod) / (cgroup.cpu_ns().unwrap() as f64 / 1e9);
        assert!((0.8..1.2).contains(&share), "{path}: {share}");
    }
}
