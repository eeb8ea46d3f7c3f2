//! Idle power under load, and who pays for which socket.

use std::thread::available_parallelism;

use e2e::metric_sum;

use crate::site::{PACKAGE, Site, named, pod_joules, pod_seconds, ticks};

/// Longer than a test may take; what it runs in is killed before.
const FOR_EVER: &str = "while :; do :; done";

#[test]
fn fault_09_idle_stays_above_zero_at_full_load() {
    let mut site = Site::with(
        &["zone intel-rapl:0 package-0 30 20"],
        &["--usage", "accounting"],
    );
    let run = named("f9");
    let group = site.group(&run);
    let cpus = available_parallelism().unwrap().get();
    let mut shells: Vec<_> = (0..2 * cpus)
        .map(|_| group.shell(FOR_EVER).unwrap())
        .collect();
    for shell in &mut shells {
        shell.go().unwrap();
    }
    let figures = |text: &str| {
        let idle = metric_sum(text, "hxmlops_node_idle_energy_joules_total", &[]);
        (idle, pod_seconds(text, &run), ticks(text))
    };
    let busy = site.until("the load", |text| pod_seconds(text, &run) > 0.5);
    let (idle, seconds, tick) = figures(&busy);
    let (more_idle, more_seconds, more_ticks) = figures(&site.after_ticks(3));
    assert!(more_seconds > seconds, "the load goes on");
    // A residual would be a few milliwatts at most.
    let per_interval = (more_idle - idle) / (more_ticks - tick);
    assert!(per_interval > 0.1, "{per_interval} J idle in an interval");
}

#[test]
fn fault_11_each_socket_s_energy_is_paid_by_those_who_ran_on_it_ebpf() {
    let cpus = available_parallelism().unwrap().get();
    assert!(cpus >= 2, "two sockets take two CPUs");
    let halves = [0..cpus / 2, cpus / 2..cpus];
    let on_second: Vec<String> = halves[1]
        .clone()
        .map(|cpu| format!("cpu {cpu} 1"))
        .collect();
    let mut lines = vec![
        PACKAGE,
        "zone intel-rapl:0:0 dram 1 50",
        "zone intel-rapl:1 package-1 20 200",
        "zone intel-rapl:1:0 dram 1 50",
    ];
    lines.extend(on_second.iter().map(String::as_str));
    let mut site = Site::with(&lines, &["--usage", "ebpf"]);
    let runs = [named("f11-first"), named("f11-second")];
    let groups = [site.group(&runs[0]), site.group(&runs[1])];
    let mut shells = Vec::new();
    for (group, half) in groups.iter().zip(&halves) {
        let script = "i=0; while [ $i -lt 2000000 ]; do i=$((i+1)); done";
        let cpus = format!("{}-{}", half.start, half.end - 1);
        // Pinned before it goes in: nothing of it runs elsewhere.
        let mut shell = group
            .shell(&format!("exec taskset --cpu-list {cpus} sh -c '{script}'"))
            .unwrap();
        pin(shell.pid(), &cpus);
        shell.go().unwrap();
        shells.push(shell);
    }
    for shell in shells {
        shell.run_out().unwrap();
    }
    let zones = [
        "intel-rapl:0",
        "intel-rapl:0:0",
        "intel-rapl:1",
        "intel-rapl:1:0",
    ];
    let (text, truth) = site.settled(&zones);
    for (own, other, run, group) in [(0, 1, &runs[0], &groups[0]), (1, 0, &runs[1], &groups[1])] {
        for kind in ["package", "dram"] {
            let joules = |socket| pod_joules(&text, run, &format!("{kind}-{socket}"));
            assert!(
                joules(own) > 10.0 * joules(other),
                "{run} on {kind}-{own}: {} J, on the other: {} J",
                joules(own),
                joules(other)
            );
        }
        let used = truth.group(&format!("package-{own}"), group.path());
        let booked = pod_joules(&text, run, &format!("package-{own}"));
        assert!(
            used > 0.0 && booked > used / 2.0 && booked < used * 2.0,
            "{booked} J booked, {used} J used"
        );
    }
}

fn pin(pid: u32, cpus: &str) {
    let status = std::process::Command::new("taskset")
        .args(["--pid", "--cpu-list", cpus, &pid.to_string()])
        .stdout(std::process::Stdio::null())
        .status();
    assert!(status.unwrap().success());
}
