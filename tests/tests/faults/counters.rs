//! Counters that fall, freeze, are eaten by whoever scrapes first, or never end.

use e2e::cgroups::Cgroup;
use e2e::get;

use crate::processes::top;
use crate::site::{
    PACKAGE, SPIN, Site, assert_only_up, counters, measured, named, outcomes, pod_joules, ticks,
    truth,
};

#[test]
fn fault_01_a_counter_does_not_fall_when_a_zone_had_no_active_energy() {
    let mut site = Site::new("accounting");
    let run = named("f1");
    let group = site.group(&run);
    group.shell(SPIN).unwrap().run().unwrap();
    let before = site.until("the group's energy", |text| {
        pod_joules(text, &run, "package-0") > 0.0
    });
    // Intervals without any energy, then such with it.
    let (still, _) = site.settled(&["intel-rapl:0"]);
    assert_only_up(&before, &still, "energy_joules");
    let samples = outcomes(&still, "sampled");
    let quiet = site.after_ticks(2);
    assert!(outcomes(&quiet, "sampled") > samples);
    assert_eq!(
        measured(&quiet, "package-0"),
        measured(&still, "package-0"),
        "the zone used nothing"
    );
    assert_only_up(&still, &quiet, &run);
    site.truth.tell("continue intel-rapl:0").unwrap();
    let after = site.until("energy again", |text| {
        measured(text, "package-0") > measured(&quiet, "package-0")
    });
    assert_only_up(&quiet, &after, &run);
}

#[test]
fn fault_03_energy_of_what_has_ended_is_shown_to_every_scraper_and_stays() {
    let mut site = Site::new("accounting");
    let run = named("f3");
    let group = site.group(&run);
    group.shell(SPIN).unwrap().run().unwrap();
    let joules = |text: &str| pod_joules(text, &run, "package-0");
    site.until("the group's energy", |text| joules(text) > 0.0);
    drop(group);
    let (first, _) = site.settled(&["intel-rapl:0"]);
    let second = site.metrics();
    for probe in ["healthz", "readyz", "metrics"] {
        get(&format!("{}/{probe}", site.agent.url())).unwrap();
    }
    let later = site.after_ticks(2);
    let shown = [&first, &second, &later].map(|text| joules(text));
    assert!(shown[0] > 0.0, "{first}");
    assert_eq!(shown, [shown[0]; 3]);
}

#[test]
fn fault_07_the_exported_counter_does_not_wrap() {
    let mut truth = truth(&[PACKAGE]);
    truth.tell("stop intel-rapl:0").unwrap();
    truth.tell("jump intel-rapl:0 262143300000").unwrap();
    let mut site = Site::of(truth, &["--usage", "accounting"]);
    let mut before = site.metrics();
    site.truth.tell("continue intel-rapl:0").unwrap();
    for _ in 0..4 {
        let after = site.after_ticks(1);
        assert_only_up(&before, &after, "node_energy_joules");
        before = after;
    }
    assert_eq!(outcomes(&before, "wrapped"), 1.0, "{before}");
    assert!(measured(&before, "package-0") > 0.0);
}

#[test]
fn fault_18_scrapes_however_many_neither_freeze_nor_eat_energy() {
    let mut truth = truth(&[PACKAGE]);
    truth.tell("stop intel-rapl:0").unwrap();
    let start = truth.sync().unwrap().total("package-0");
    // What the counter shows once it stands still again is what was used since `begin`.
    truth.tell("jump intel-rapl:0").unwrap();
    let mut site = Site::of(truth, &["--usage", "accounting"]);
    let first = site.metrics();
    site.truth.tell("continue intel-rapl:0").unwrap();
    // Scraped without a pause: every interval's energy shows when the interval ends.
    let mut seen = vec![measured(&first, "package-0")];
    let end = ticks(&first) + 4.0;
    let mut text = first;
    while ticks(&text) < end {
        text = site.metrics();
        let joules = measured(&text, "package-0");
        if seen.last() != Some(&joules) {
            seen.push(joules);
        }
    }
    assert!(seen.is_sorted() && seen.len() >= 3, "{seen:?}");
    let (text, truth) = site.settled(&["intel-rapl:0"]);
    let path = "class/powercap/intel-rapl:0/energy_uj";
    let shown = std::fs::read_to_string(site.truth.sys_root().join(path)).unwrap();
    let used = shown.trim().parse::<u64>().unwrap() as f64 / 1e6;
    assert!(used <= truth.total("package-0") - start);
    let booked = measured(&text, "package-0");
    assert!((booked - used).abs() < 1e-5, "{booked} J of {used} J");
}

#[test]
fn fault_19_series_end_with_what_they_were_of() {
    let site = Site::with(
        &[PACKAGE],
        &["--usage", "accounting", "--metrics-linger", "1s"],
    );
    let run = named("f19");
    let of_run = |text: &str| counters(text, &run).len();
    let mut most = 0;
    for number in 0..150 {
        let group = Cgroup::exec("faults", &run, &format!("s{number}")).unwrap();
        let script = "/bin/true; /bin/true; /bin/true; /bin/true";
        group.shell(script).unwrap().run().unwrap();
        if number % 50 == 0 {
            site.after_ticks(1);
        }
        most = most.max(of_run(&site.metrics()));
    }
    assert!(most > 0, "none was ever shown");
    // Hundreds of processes and cgroups later: nothing of them.
    site.until("the end of their series", |text| of_run(text) == 0);
}

#[test]
fn fault_19_three_thousand_dead_processes_and_containers_leave_nothing_ebpf() {
    check_that_the_dead_leave_nothing("ebpf", 0x30);
}

#[test]
fn fault_19_three_thousand_dead_processes_and_containers_leave_nothing_accounting() {
    check_that_the_dead_leave_nothing("accounting", 0x31);
}

/// Rounds of containers, each of a process that starts nine others: 300 containers, 3,000 processes.
const ROUNDS: u32 = 10;
const CONTAINERS: u32 = 30;

fn check_that_the_dead_leave_nothing(usage: &str, test: u8) {
    let flags = ["--usage", usage, "--metrics-linger", "1s"];
    let site = Site::with(&[PACKAGE], &flags);
    let top = top(test);
    // The first round is what the agent makes room for.
    round_of_containers(&top, 0);
    let before = at_rest(&site);
    for round in 1..=ROUNDS {
        round_of_containers(&top, round);
        site.after_ticks(1);
    }
    let after = at_rest(&site);
    println!("{usage}: (series, files, resident kB) {before:?}, then {after:?}");
    let (series, files, resident_kb) = after;
    assert!(series <= before.0 + 5, "{} series, then {series}", before.0);
    assert!(files <= before.1 + 2, "{} files, then {files}", before.1);
    // Less than a kilobyte for each of the dead, where 22 were seen elsewhere: what the allocator keeps.
    let grown_kb = resident_kb.saturating_sub(before.2);
    assert!(grown_kb < 3_000, "grown by {grown_kb} kB");
}

/// Containers that come and go, with ten processes each.
fn round_of_containers(top: &str, round: u32) {
    let script = "/bin/true; ".repeat(9);
    for number in 0..CONTAINERS {
        let id = format!("{:064x}", u128::from(round) << 32 | u128::from(number));
        let path = format!("{top}/kubepods/pod{round:08x}-0000-4000-8000-{number:012x}/{id}");
        let cgroup = Cgroup::new(&path).unwrap();
        cgroup.shell(&script).unwrap().run().unwrap();
    }
}

/// (series, open files, resident kB) once nothing is shown of the containers any more.
fn at_rest(site: &Site) -> (usize, usize, u64) {
    let of_dead = |text: &str| counters(text, "-0000-4000-8000-").len();
    site.until("the end of their series", |text| of_dead(text) == 0);
    let text = site.after_ticks(3);
    // The machine's own processes come and go too: the top of them is bounded, and of no matter here.
    let is_series =
        |line: &&str| !line.starts_with('#') && !line.contains("{pid=") && !line.contains(",pid=");
    let series = text.lines().filter(is_series).count();
    let process = format!("/proc/{}", site.agent.pid());
    let files = std::fs::read_dir(format!("{process}/fd")).unwrap().count();
    let status = std::fs::read_to_string(format!("{process}/status")).unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let resident = resident.unwrap().trim().trim_end_matches(" kB");
    (series, files, resident.parse().unwrap())
}
