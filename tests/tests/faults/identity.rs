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

#[test]
fn a_slurm_step_is_a_stage_of_its_jobs_run_accounting() {
    check_slurm("accounting", "slurmstepd.scope", 71);
}

#[test]
fn a_slurm_step_is_a_stage_of_its_jobs_run_ebpf() {
    check_slurm("ebpf", "n1_slurmstepd.scope", 72);
}

fn check_slurm(usage: &str, scope: &str, test: u32) {
    let mut site = Site::new(usage);
    let job = format!("{test}{}", std::process::id());
    let step = |step: &str| {
        format!(
            "{}/{scope}/job_{job}/step_{step}/user/task_0",
            top(test as u8)
        )
    };
    let batch = site.cgroup(&step("batch"));
    let first = site.cgroup(&step("0"));
    for cgroup in [&batch, &first] {
        cgroup.shell(SPIN).unwrap().run().unwrap();
    }
    for (stage, cgroup) in [("batch", &batch), ("0", &first)] {
        let labels = [
            "namespace=\"slurm\"",
            "workflow=\"slurm\"",
            &format!("pod=\"{job}\""),
            &format!("stage=\"{stage}\""),
        ];
        let seconds = |text: &str| metric_sum(text, "hxmlops_pod_cpu_seconds_total", &labels);
        site.until(stage, |text| seconds(text) > 0.0);
        let text = site.after_ticks(1);
        let share = seconds(&text) / (cgroup.cpu_ns().unwrap() as f64 / 1e9);
        assert!((0.8..1.2).contains(&share), "step {stage}: {share}");
    }
}

#[test]
fn a_virtual_machine_is_a_workload_by_its_cgroup_and_by_its_command_accounting() {
    check_machines("accounting", 0x81);
}

#[test]
fn a_virtual_machine_is_a_workload_by_its_cgroup_and_by_its_command_ebpf() {
    check_machines("ebpf", 0x82);
}

fn check_machines(usage: &str, test: u8) {
    let mut site = Site::new(usage);
    let own = named("vm-of-libvirt");
    let escaped = own.replace('-', "\\x2d");
    let scope = format!(
        "{}/machine.slice/machine-qemu\\x2d1\\x2d{escaped}.scope/libvirt/vcpu0",
        top(test)
    );
    let cgroup = site.cgroup(&scope);
    cgroup.shell(SPIN).unwrap().run().unwrap();
    // What has no cgroup of its own tells its name in its command line: a shell stands in for QEMU.
    let bare = named("vm-of-nobody");
    let directory = tempfile::tempdir().unwrap();
    let qemu = directory.path().join("qemu-system-x86_64");
    std::fs::copy("/bin/sh", &qemu).unwrap();
    let plain = site.cgroup(&format!("{}/plain", top(test)));
    let name = format!("guest={bare},debug-threads=on");
    let line = format!(
        "exec {} -c '{SPIN}; sleep 1000; :' -name {name}",
        qemu.display()
    );
    let mut shell = plain.shell(&line).unwrap();
    shell.go().unwrap();
    for pod in [&own, &bare] {
        let labels = ["namespace=\"vm\"", &format!("pod=\"{pod}\"")];
        let text = site.until(pod, |text| pod_joules(text, pod, "package-0") > 0.0);
        assert!(
            metric_sum(&text, "hxmlops_pod_energy_joules_total", &labels) > 0.0,
            "{text}"
        );
    }
}
