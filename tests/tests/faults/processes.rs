//! Processes that end: soon, one of several, thousands of them, or with a pid that is used again.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use e2e::cgroups::Cgroup;
use e2e::metric_sum;

use crate::site::{PACKAGE, SPIN, Site, assert_only_up, named, pod_joules, pod_seconds};

const UID: &str = "6a2f3c1e-0b1d-4c52-9a51-2f8f0d3b7a";

/// A directory around the pods, as in a node that is a container itself: what else uses the node's own is not touched.
pub(crate) fn top(test: u8) -> String {
    format!("hxmlops-faults-{}-{test}", std::process::id())
}

/// A container's cgroup, as the cgroupfs driver names it, of a pod that this test has alone.
pub(crate) fn container(test: u8) -> (String, String, String) {
    let uid = format!("{UID}{test:02x}");
    let pid = std::process::id();
    let id = format!("{:064x}", u128::from(pid) << 8 | u128::from(test));
    (
        format!("{}/kubepods/burstable/pod{uid}/{id}", top(test)),
        uid,
        id,
    )
}

#[test]
fn fault_02_a_container_s_counter_does_not_drop_when_one_of_its_processes_exits() {
    let mut site = Site::new("accounting");
    let (path, pod, id) = container(2);
    let cgroup = site.cgroup(&path);
    let shells = [cgroup.shell(SPIN).unwrap(), cgroup.shell(SPIN).unwrap()];
    let [mut first, second] = shells;
    // The second has used its time and sleeps on.
    let mut sleeper = cgroup.shell(&format!("{SPIN}; sleep 1000; :")).unwrap();
    sleeper.go().unwrap();
    first.go().unwrap();
    second.run().unwrap();
    first.run_out().unwrap();
    let parts = [pod.as_str(), id.as_str()];
    let both = site.until("the container's energy", |text| {
        pod_joules(text, &pod, "package-0") > 0.0
            && metric_sum(text, "hxmlops_container_energy_joules_total", &[&id]) > 0.0
    });
    drop(sleeper);
    let after_one = site.after_ticks(2);
    drop(cgroup);
    let after_all = site.after_ticks(2);
    for part in parts {
        for family in ["pod_energy", "container_energy", "pod_cpu"] {
            let of = |text: &str| lines(text, part, family);
            assert_only_up(&of(&both), &of(&after_one), part);
            assert_only_up(&of(&after_one), &of(&after_all), part);
        }
    }
}

fn lines(text: &str, part: &str, family: &str) -> String {
    let wanted = text
        .lines()
        .filter(|line| line.contains(part) && line.contains(family));
    wanted.collect::<Vec<_>>().join("\n")
}

#[test]
fn fault_05_a_reused_pid_inherits_nothing_accounting() {
    check_reused_pid("accounting");
}

#[test]
fn fault_05_a_reused_pid_inherits_nothing_ebpf() {
    check_reused_pid("ebpf");
}

fn check_reused_pid(usage: &str) {
    let mut site = Site::new(usage);
    let runs = [
        named(&format!("f5-old-{usage}")),
        named(&format!("f5-new-{usage}")),
    ];
    let (old, new) = (site.group(&runs[0]), site.group(&runs[1]));
    // Uses much, and is seen to.
    let heavy = "i=0; while [ $i -lt 1500000 ]; do i=$((i+1)); done";
    let mut shell = old.shell(&format!("{heavy}; sleep 1000; :")).unwrap();
    let pid = shell.pid();
    shell.go().unwrap();
    let seen = site.until("the first process", |text| {
        process(text, pid, &runs[0]) > 0.0
    });
    drop(shell);
    let light = "i=0; while [ $i -lt 150000 ]; do i=$((i+1)); done; sleep 1000; :";
    let reused = (0..2000).find_map(|_| run_as(pid, &new, light));
    let mut reused = reused.unwrap_or_else(|| panic!("no process got pid {pid} again"));
    site.until("the second's own energy", |text| {
        process(text, pid, &runs[1]) > 0.0
    });
    let (text, _) = site.settled(&["intel-rapl:0"]);
    assert_only_up(
        &lines(&seen, &runs[0], "energy"),
        &lines(&text, &runs[0], "energy"),
        &runs[0],
    );
    // Each has what its own cgroup used: what the second inherited would be too much.
    for (run, group) in [(&runs[0], &old), (&runs[1], &new)] {
        let used = group.cpu_ns().unwrap() as f64 / 1e9;
        let share = pod_seconds(&text, run) / used;
        assert!((0.8..1.2).contains(&share), "{run}: {share} of {used} s");
    }
    let booked = pod_joules(&text, &runs[1], "package-0");
    let own = process(&text, pid, &runs[1]);
    assert!(own <= booked * 1.000_001, "{own} J of {booked} J");
    // Its shell ends with it.
    drop(new);
    reused.wait().unwrap();
}

fn process(text: &str, pid: u32, pod: &str) -> f64 {
    let labels = [format!("pid=\"{pid}\""), format!("pod=\"{pod}\"")];
    let labels = labels.each_ref().map(String::as_str);
    metric_sum(text, "hxmlops_process_energy_joules_total", &labels)
}

/// Has the kernel give out this pid next, and runs a script in the cgroup if it is the one that gets it; returns the
/// shell that waits for it then.
fn run_as(pid: u32, cgroup: &Cgroup, script: &str) -> Option<Child> {
    let ask = format!("echo {} > /proc/sys/kernel/ns_last_pid", pid - 1);
    let outer = format!(
        "{ask}; ( [ \"$(sh -c 'echo $PPID')\" = {pid} ] || exit 9; {}; echo mine; {script} ) & wait $!",
        join(cgroup)
    );
    let mut shell = Command::new("sh")
        .args(["-c", &outer])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(shell.stdout.take().unwrap());
    let mut lines = output.lines().map_while(Result::ok);
    if lines.any(|line| line == "mine") {
        return Some(shell);
    }
    shell.wait().unwrap();
    None
}

fn join(cgroup: &Cgroup) -> String {
    let directories = cgroup.directories().iter();
    let moves = directories.map(|directory| {
        let procs = directory.join("cgroup.procs");
        assert!(fs::exists(&procs).unwrap());
        // Of a sub-shell this is its own pid, not $$.
        format!("echo 0 > {}", procs.display())
    });
    moves.collect::<Vec<_>>().join("; ")
}

#[test]
fn fault_08_a_process_shorter_than_an_interval_gets_its_energy_accounting() {
    check_short_process("accounting");
}

#[test]
fn fault_08_a_process_shorter_than_an_interval_gets_its_energy_ebpf() {
    check_short_process("ebpf");
}

fn check_short_process(usage: &str) {
    let mut site = Site::new(usage);
    let runs = [
        named(&format!("f8-short-{usage}")),
        named(&format!("f8-long-{usage}")),
    ];
    let (short, long) = (site.group(&runs[0]), site.group(&runs[1]));
    let mut survivor = long.shell("while :; do :; done").unwrap();
    survivor.go().unwrap();
    // Each lives for some tens of milliseconds.
    let script = "i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done";
    for _ in 0..10 {
        short.shell(script).unwrap().run().unwrap();
    }
    drop(survivor);
    let (text, _) = site.settled(&["intel-rapl:0"]);
    let booked = [&runs[0], &runs[1]].map(|run| pod_joules(&text, run, "package-0"));
    let used = [&short, &long].map(|group| group.cpu_ns().unwrap() as f64);
    let shares = [booked, used].map(|[short, long]| short / (short + long));
    assert!(
        booked[0] > 0.0 && (shares[0] - shares[1]).abs() < 0.1,
        "{booked:?} J for {used:?} ns"
    );
}

#[test]
fn fault_21_thousands_of_forks_are_counted_and_so_is_what_comes_after_accounting() {
    check_forks("accounting");
}

#[test]
fn fault_21_thousands_of_forks_are_counted_and_so_is_what_comes_after_ebpf() {
    check_forks("ebpf");
}

/// Forks as fast as the machine can for a minute (`HXMLOPS_FORK_SECONDS`): all of their CPU time is counted, and
/// none is lost.
#[test]
fn fault_21_a_minute_of_forks_loses_nothing_ebpf() {
    let seconds =
        std::env::var("HXMLOPS_FORK_SECONDS").map_or(60_u64, |text| text.parse().unwrap());
    let mut site = Site::with(&[PACKAGE], &["--usage", "ebpf"]);
    let run = named("f21-minute");
    let storm = site.group(&run);
    let script = "/bin/true; ".repeat(100);
    let script = format!("n=0; while [ -d /proc/$PPID ]; do {script} n=$((n+100)); done");
    let begun = std::time::Instant::now();
    let mut shells: Vec<_> = (0..2).map(|_| storm.shell(&script).unwrap()).collect();
    for shell in &mut shells {
        shell.go().unwrap();
    }
    let forks = forks();
    for _ in 0..seconds / 10 {
        site.after_ticks(10);
    }
    let forks = self::forks() - forks;
    let rate = forks as f64 / begun.elapsed().as_secs_f64();
    drop(shells);
    let text = site.after_ticks(3);
    let share = pod_seconds(&text, &run) / (storm.cpu_ns().unwrap() as f64 / 1e9);
    println!("{forks} forks, {rate:.0} a second: {share:.4} of their CPU time");
    assert!(
        (0.97..1.03).contains(&share),
        "{share} of the forks' CPU time"
    );
    for mode in ["lost", "unaccounted"] {
        let label = format!("mode=\"{mode}\"");
        let seconds = metric_sum(&text, "hxmlops_agent_cpu_seconds_total", &[&label]);
        assert_eq!(seconds, 0.0, "{mode}");
    }
}

/// Processes and threads that this machine has started.
fn forks() -> u64 {
    let stat = fs::read_to_string("/proc/stat").unwrap();
    let forks = stat
        .lines()
        .find_map(|line| line.strip_prefix("processes "));
    forks.unwrap().trim().parse().unwrap()
}

fn check_forks(usage: &str) {
    let mut site = Site::with(&[PACKAGE], &["--usage", usage]);
    let runs = [
        named(&format!("f21-storm-{usage}")),
        named(&format!("f21-after-{usage}")),
    ];
    let storm = site.group(&runs[0]);
    // As fast as the machine forks.
    let script = "i=0; while [ $i -lt 1500 ]; do /bin/true; i=$((i+1)); done";
    let mut shells: Vec<_> = (0..4).map(|_| storm.shell(script).unwrap()).collect();
    for shell in &mut shells {
        shell.go().unwrap();
    }
    for shell in shells {
        shell.run_out().unwrap();
    }
    let counted = |text: &str, run: &str, group: &Cgroup| {
        pod_seconds(text, run) / (group.cpu_ns().unwrap() as f64 / 1e9)
    };
    let text = site.after_ticks(2);
    let share = counted(&text, &runs[0], &storm);
    assert!(
        (0.9..1.1).contains(&share),
        "{share} of the forks' CPU time"
    );
    let after = site.group(&runs[1]);
    after.shell(SPIN).unwrap().run().unwrap();
    let text = site.after_ticks(2);
    let share = counted(&text, &runs[1], &after);
    assert!((0.8..1.2).contains(&share), "{share} of what came after");
}
