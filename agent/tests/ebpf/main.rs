//! The eBPF programs in this machine's kernel, against the kernel's own accounting. Needs root.
#![allow(clippy::unwrap_used)]

mod machine;

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::{env, fs, process};

use agent::usage::ebpf::{Counters, DEFAULT_TASKS, EbpfUsage, Options};
use agent::usage::{CgroupRef, Usage as _, UsageInterval, UsageRow};

use self::machine::{Cgroup, CpuSwitch, V1, stolen_ns, stop};

fn options() -> Options<'static> {
    Options {
        counters: Counters::Off,
        ..Options::new(Path::new("/sys"))
    }
}

fn load_with(options: &Options<'_>) -> EbpfUsage {
    EbpfUsage::load(options).unwrap_or_else(|error| panic!("eBPF does not load here: {error}"))
}

fn load(tasks: u32) -> EbpfUsage {
    load_with(&Options { tasks, ..options() })
}

fn run(mut shell: Child) {
    shell.stdin.take().unwrap().write_all(b"go\n").unwrap();
    assert!(shell.wait().unwrap().success());
}

fn rows_of(interval: &UsageInterval, cgroup: &Cgroup) -> Vec<UsageRow> {
    let mut rows = interval.rows.clone();
    rows.retain(
        |row| matches!(row.cgroup, CgroupRef::Ids { unified, .. } if unified == cgroup.id()),
    );
    rows
}

fn sum_ns(rows: &[UsageRow]) -> u64 {
    rows.iter().map(|row| row.cpu_ns).sum()
}

fn lost_ns(interval: &UsageInterval) -> u64 {
    interval.packages.iter().map(|time| time.lost_ns).sum()
}

/// On each CPU the parts are the time that passed; in all, the rows are the tasks' part.
fn assert_conserved(usage: &EbpfUsage, interval: &UsageInterval) {
    assert!(!usage.cpus().is_empty());
    for cpu in usage.cpus() {
        assert_eq!(cpu.time.missing_ns(), 0, "{cpu:?}");
        assert!(cpu.time.elapsed_ns() > 0, "{cpu:?}");
    }
    let of_tasks: u64 = usage.cpus().iter().map(|cpu| cpu.time.tasks_ns).sum();
    assert_eq!(sum_ns(&interval.rows), of_tasks);
    assert_eq!(interval.unaccounted_ns, 0);
}

#[test]
fn five_hundred_short_processes_are_counted_as_the_kernel_counts_them() {
    let cgroup = Cgroup::new("true");
    let shell = cgroup.shell("i=0; while [ $i -lt 500 ]; do /bin/true; i=$((i+1)); done");
    let mut usage = load(DEFAULT_TASKS);
    usage.read().unwrap();
    let before_ns = cgroup.cpu_ns();
    run(shell);
    let kernel_ns = cgroup.cpu_ns() - before_ns;
    let interval = usage.read().unwrap();
    assert_conserved(&usage, &interval);
    assert_eq!(lost_ns(&interval), 0);

    let rows = rows_of(&interval, &cgroup);
    let trues = rows.iter().filter(|row| row.comm == "true").count();
    assert!((500..=500 * 2).contains(&trues), "{trues} rows of `true`");
    let ours_ns = sum_ns(&rows);
    let off = ours_ns.abs_diff(kernel_ns) as f64 / kernel_ns as f64;
    assert!(off < 0.05, "eBPF {ours_ns} ns, kernel {kernel_ns} ns");
}

#[test]
fn nothing_is_missing_on_any_cpu_over_many_windows() {
    let cgroup = Cgroup::new("windows");
    let mut shell = cgroup.shell("while :; do /bin/true; done");
    let mut usage = load(DEFAULT_TASKS);
    shell.stdin.take().unwrap().write_all(b"go\n").unwrap();
    let mut last_end: Vec<u64> = Vec::new();
    for _ in 0..50 {
        let interval = usage.read().unwrap();
        assert_conserved(&usage, &interval);
        for (cpu, end_ns) in usage.cpus().iter().zip(&last_end) {
            assert_eq!(cpu.time.start_ns, *end_ns, "windows follow each other");
        }
        last_end = usage.cpus().iter().map(|cpu| cpu.time.end_ns).collect();
    }
    shell.kill().unwrap();
    shell.wait().unwrap();
}

#[test]
fn a_process_of_two_milliseconds_is_there_with_its_cgroup() {
    let cgroup = Cgroup::new("short");
    let mut usage = load(DEFAULT_TASKS);
    let shell = cgroup.shell("i=0; while [ $i -lt 4000 ]; do i=$((i+1)); done");
    let pid = shell.id();
    run(shell);
    let interval = usage.read().unwrap();
    let rows = rows_of(&interval, &cgroup);
    assert!(!rows.is_empty());
    for row in &rows {
        assert_eq!((row.tgid, row.comm.as_str()), (pid, "sh"));
    }
    // It is over: the next window knows nothing of it.
    usage.read().unwrap();
    let interval = usage.read().unwrap();
    assert!(rows_of(&interval, &cgroup).is_empty());
}

#[test]
fn a_process_is_named_after_what_it_became() {
    let cgroup = Cgroup::new("exec");
    let shell = cgroup.shell("exec sleep 0.01");
    let mut usage = load(DEFAULT_TASKS);
    run(shell);
    let interval = usage.read().unwrap();
    let rows = rows_of(&interval, &cgroup);
    assert!(!rows.is_empty());
    for row in &rows {
        assert_eq!(row.comm, "sleep");
    }
}

#[test]
fn what_a_full_hash_cannot_take_is_lost_and_said_so() {
    let cgroup = Cgroup::new("full");
    let shell = cgroup.shell("i=0; while [ $i -lt 50 ]; do /bin/true; i=$((i+1)); done");
    let mut usage = load(4);
    run(shell);
    let interval = usage.read().unwrap();
    assert_conserved(&usage, &interval);
    assert!(lost_ns(&interval) > 0);
    assert!(interval.rows.len() <= 4, "{} rows", interval.rows.len());
}

/// In software mode: nanoseconds of the CPU's clock, page faults, migrations.
fn assert_events_follow_time(script: &str, tolerance: f64) {
    let cgroup = Cgroup::new("events");
    let shell = cgroup.shell(script);
    let mut usage = load_with(&Options {
        counters: Counters::Software,
        ..options()
    });
    usage.read().unwrap();
    run(shell);
    let interval = usage.read().unwrap();
    assert_conserved(&usage, &interval);
    assert!(interval.has_events);
    let rows = rows_of(&interval, &cgroup);
    let clock_ns: u64 = rows.iter().map(|row| row.events.cycles).sum();
    let off = clock_ns.abs_diff(sum_ns(&rows)) as f64 / sum_ns(&rows) as f64;
    assert!(
        off < tolerance,
        "{clock_ns} ns by events, {} ns by time",
        sum_ns(&rows)
    );
    let faults: u64 = rows.iter().map(|row| row.events.instructions).sum();
    assert!(faults > 0, "a program that starts touches new pages");
}

#[test]
fn events_go_to_who_caused_them() {
    let spin = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; exec true";
    assert_events_follow_time(spin, 0.01);
}

#[test]
fn of_many_short_runs_some_are_counted_for_all() {
    // The two wake each other all the time.
    let pipe = "dd if=/dev/zero bs=64 count=100000 2>/dev/null | dd of=/dev/null bs=64 2>/dev/null";
    assert_events_follow_time(pipe, 0.1);
}

#[test]
fn without_a_pmu_time_alone_is_counted_and_detail_says_so() {
    let mut usage = load_with(&Options {
        counters: Counters::Hardware,
        ..options()
    });
    let interval = usage.read().unwrap();
    assert_conserved(&usage, &interval);
    let expected = if interval.has_events {
        "cycles, instructions"
    } else {
        "no hardware counters: "
    };
    assert!(usage.detail().contains(expected), "{}", usage.detail());
}

#[test]
fn a_task_s_v1_cgroup_is_found_by_the_kernel_s_own_offsets() {
    let hierarchy = V1::find();
    let cgroup = Cgroup::new("both");
    let v1 = Cgroup::at(hierarchy.root.join(format!("hxmlops-v1-{}", process::id())));
    let procs = v1.path.join("cgroup.procs");
    let shell = cgroup.shell(&format!("echo 0 > {}; exec sleep 0", procs.display()));
    let mut usage = load_with(&Options {
        v1_cgroups: true,
        ..options()
    });
    for note in ["v1", "costs more"] {
        assert!(!usage.detail().contains(note), "{}", usage.detail());
    }
    usage.read().unwrap();
    run(shell);
    let interval = usage.read().unwrap();
    assert_conserved(&usage, &interval);
    let rows = rows_of(&interval, &cgroup);
    let in_v1 =
        |row: &&UsageRow| matches!(row.cgroup, CgroupRef::Ids { v1: id, .. } if id == v1.id());
    assert!(
        rows.iter().any(|row| in_v1(&row) && row.comm == "sleep"),
        "{rows:?}"
    );
    let is_elsewhere =
        |row: &UsageRow| matches!(row.cgroup, CgroupRef::Ids { v1: id, .. } if id > 0);
    assert!(interval.rows.iter().all(is_elsewhere), "each task has one");
}

#[test]
fn a_process_that_is_moved_is_charged_to_where_it_ran_as_the_kernel_counts_them() {
    let (from, to) = (Cgroup::new("from"), Cgroup::new("to"));
    let mut shell = from.shell("while :; do :; done");
    let mut usage = load(DEFAULT_TASKS);
    usage.read().unwrap();
    let (before_ns, stolen_before_ns) = (from.cpu_ns(), stolen_ns());
    shell.stdin.take().unwrap().write_all(b"go\n").unwrap();
    let wait_until_used = |cgroup: &Cgroup, ns: u64| {
        while cgroup.cpu_ns() < ns {
            std::thread::yield_now();
        }
    };
    wait_until_used(&from, before_ns + 200_000_000);
    fs::write(to.path.join("cgroup.procs"), shell.id().to_string()).unwrap();
    assert_eq!(usage.flush().after_move(), None);
    wait_until_used(&to, 100_000_000);
    stop(&shell);
    let interval = usage.read().unwrap();
    assert_conserved(&usage, &interval);
    let kernel_ns = [from.cpu_ns() - before_ns, to.cpu_ns()];
    let allowed_ns = 20_000_000 + (stolen_ns() - stolen_before_ns);
    shell.kill().unwrap();
    shell.wait().unwrap();
    let ours_ns = [&from, &to].map(|cgroup| sum_ns(&rows_of(&interval, cgroup)));
    for (ours_ns, kernel_ns) in ours_ns.into_iter().zip(kernel_ns) {
        // The kernel itself notes the move at its next tick.
        let off = ours_ns.abs_diff(kernel_ns);
        assert!(
            off < allowed_ns,
            "eBPF {ours_ns} ns, kernel {kernel_ns} ns, allowed {allowed_ns} ns"
        );
    }
}

/// With each move a set of cgroups goes, and another may come to lie where it lay.
#[test]
fn a_process_that_is_moved_around_in_a_v1_tree_is_charged_as_the_kernel_counts_it() {
    let hierarchy = V1::find();
    let cgroup = Cgroup::new("around");
    let v1 = ["one", "two", "three"].map(|name| {
        let name = format!("hxmlops-{name}-{}", process::id());
        Cgroup::at(hierarchy.root.join(name))
    });
    let used_ns = |of: &Cgroup| -> u64 {
        let usage = fs::read_to_string(of.path.join("cpuacct.usage")).unwrap();
        usage.trim().parse().unwrap()
    };
    let mut shell = cgroup.shell("while :; do :; done");
    shell.stdin.take().unwrap().write_all(b"go\n").unwrap();
    let mut usage = load_with(&Options {
        v1_cgroups: true,
        ..options()
    });
    let flush = usage.flush();
    let move_to = |to: &Cgroup| {
        fs::write(to.path.join("cgroup.procs"), shell.id().to_string()).unwrap();
        assert_eq!(flush.after_move(), None);
    };
    move_to(&v1[0]);
    usage.read().unwrap();
    let (before_ns, stolen_before_ns) = (v1.each_ref().map(used_ns), stolen_ns());
    const MOVES: usize = 7;
    for step in 0..MOVES {
        let from = &v1[step % v1.len()];
        let end_ns = used_ns(from) + 40_000_000;
        while used_ns(from) < end_ns {
            std::thread::yield_now();
        }
        move_to(&v1[(step + 1) % v1.len()]);
    }
    stop(&shell);
    let interval = usage.read().unwrap();
    let kernel_ns = v1.each_ref().map(used_ns);
    let allowed_ns = 30_000_000 + (stolen_ns() - stolen_before_ns);
    shell.kill().unwrap();
    shell.wait().unwrap();
    assert_conserved(&usage, &interval);
    for (index, v1) in v1.iter().enumerate() {
        let is_in =
            |row: &&UsageRow| matches!(row.cgroup, CgroupRef::Ids { v1: id, .. } if id == v1.id());
        let rows = rows_of(&interval, &cgroup);
        let ours_ns: u64 = rows.iter().filter(is_in).map(|row| row.cpu_ns).sum();
        let kernel_ns = kernel_ns[index] - before_ns[index];
        // The kernel itself notes each move at its next tick.
        let off = ours_ns.abs_diff(kernel_ns);
        assert!(
            off < allowed_ns,
            "eBPF {ours_ns} ns, kernel {kernel_ns} ns: {rows:?}"
        );
    }
}

#[test]
fn a_cpu_that_goes_and_comes_back_is_followed() {
    let switch = CpuSwitch::of_last();
    let mut usage = load_with(&Options {
        counters: Counters::Software,
        ..options()
    });
    let online = |usage: &EbpfUsage| usage.cpus().iter().any(|window| window.cpu == switch.cpu);
    let mut read = || {
        let interval = usage.read().unwrap();
        assert_conserved(&usage, &interval);
        let most = usage
            .cpus()
            .iter()
            .map(|window| window.time.elapsed_ns())
            .max();
        (online(&usage), most.unwrap())
    };
    assert!(read().0);
    switch.turn(false);
    assert!(read().0, "what it did before it went counts");
    for _ in 0..3 {
        assert!(!read().0);
    }
    let begun = std::time::Instant::now();
    switch.turn(true);
    // The window in which it came back, and one that it was in from its start.
    read();
    let (is_back, longest_ns) = read();
    assert!(is_back);
    assert!(
        u128::from(longest_ns) <= begun.elapsed().as_nanos(),
        "the time that it was away is nobody's"
    );
}

#[test]
fn without_capabilities_the_error_names_them() {
    for (capabilities, missing) in [
        ("-all", "CAP_BPF and CAP_PERFMON missing"),
        ("-all,+bpf", "CAP_PERFMON missing"),
        ("-all,+perfmon", "CAP_BPF missing"),
    ] {
        let output = count_as_nobody(capabilities);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{capabilities}");
        assert!(error.contains(missing), "{capabilities}: {error}");
    }
}

#[test]
fn two_capabilities_are_enough() {
    let output = count_as_nobody("-all,+bpf,+perfmon");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(printed.starts_with("counting\nrows "), "{printed}");
    assert!(printed.ends_with(" lost_ns 0\n"), "{printed}");
}

/// Runs the example as uid 65534 with these capabilities, in setpriv's notation.
fn count_as_nobody(capabilities: &str) -> Output {
    let example = env::current_exe().unwrap();
    let example = example.ancestors().nth(2).unwrap();
    let example = example.join("examples/ebpf_usage");
    // The build directory may be closed to other users.
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("ebpf_usage");
    fs::copy(&example, &copy).expect("`cargo build -p agent --examples` makes the example");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg("--no-new-privs")
        .arg(format!("--inh-caps={capabilities}"))
        .arg(format!("--ambient-caps={capabilities}"))
        .arg(copy)
        .stdin(Stdio::null())
        .output()
        .expect("setpriv (util-linux)")
}
