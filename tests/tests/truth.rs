//! The power truth itself: what it says is what the kernel counted. Needs root, for the cgroups.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use e2e::cgroups::Cgroup;
use e2e::truth::client::PowerTruth;

const SPIN: &str = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";

fn start(lines: &[&str]) -> PowerTruth {
    PowerTruth::start(Path::new(env!("CARGO_BIN_EXE_power-truth")), lines).unwrap()
}

fn file(truth: &PowerTruth, name: &str) -> PathBuf {
    let zone = truth.sys_root().join("class/powercap/intel-rapl:0");
    zone.join(name)
}

fn number(path: &Path) -> u64 {
    fs::read_to_string(path).unwrap().trim().parse().unwrap()
}

#[test]
fn energy_is_the_kernel_s_cpu_time_by_the_watts_of_each() {
    let (group, other) = (cgroup("a"), cgroup("b"));
    let mut truth = start(&[
        "zone intel-rapl:0 package-0 10 20",
        "zone intel-rapl:0:0 dram 1 2",
    ]);
    let shells = [&group, &other].map(|cgroup| cgroup.shell(SPIN).unwrap());
    let before = [&group, &other].map(|cgroup| cgroup.cpu_ns().unwrap());
    truth.tell(&format!("group {} 30 3", group.path())).unwrap();
    truth.tell(&format!("group {} 5.5", other.path())).unwrap();
    for shell in shells {
        shell.run().unwrap();
    }
    truth.tell(&format!("end {}", other.path())).unwrap();
    let used = [&group, &other].map(|cgroup| cgroup.cpu_ns().unwrap());
    let other_path = other.path().to_owned();
    drop(other);
    let said = truth.sync().unwrap();

    // A process can be waited for a few microseconds before it stops to run.
    let near = |a: f64, b: f64| assert!((a - b).abs() < 30.0 * 5e-4, "{a} {b}");
    for (cgroup, at, package, dram) in [
        (group.path(), 0, 30.0, 3.0),
        (other_path.as_str(), 1, 5.5, 0.0),
    ] {
        let seconds = (used[at] - before[at]) as f64 / 1e9;
        assert!(seconds > 0.0);
        near(said.cpu_seconds(cgroup), seconds);
        near(said.group("package-0", cgroup), package * seconds);
        near(said.group("dram-0", cgroup), dram * seconds);
    }
    for (zone, idle, rest) in [("package-0", 10.0, 20.0), ("dram-0", 1.0, 2.0)] {
        near(said.idle(zone), idle * said.elapsed_seconds());
        near(said.rest(zone), rest * said.rest_seconds());
        let groups = said.group(zone, group.path()) + said.group(zone, &other_path);
        let sum = said.idle(zone) + said.rest(zone) + groups;
        // A tick of the kernel's that fell between two reads may be in the total already.
        let tick = 0.01 * 30.0;
        assert!(
            (-1e-5..tick).contains(&(said.total(zone) - sum)),
            "{said:?}"
        );
    }
    let shown = number(&file(&truth, "energy_uj")) as f64 / 1e6;
    assert!(shown >= said.total("package-0") - 1e-5);
    let after = truth.sync().unwrap();
    assert!(shown <= after.total("package-0"));
}

#[test]
fn each_package_is_driven_by_its_own_cpus() {
    let last = std::thread::available_parallelism().unwrap().get() - 1;
    let group = cgroup("p");
    let mut truth = start(&[
        "zone intel-rapl:0 package-0 0 1",
        "zone intel-rapl:1 package-1 0 1",
        &format!("cpu {last} 1"),
    ]);
    let script = format!("exec taskset --cpu-list {last} sh -c '{SPIN}'");
    let shell = group.shell(&format!("taskset -p -c {last} $$ >/dev/null; {script}"));
    let shell = shell.unwrap();
    truth.tell(&format!("group {} 10", group.path())).unwrap();
    shell.run().unwrap();
    let said = truth.sync().unwrap();
    let on = |zone| said.group(zone, group.path());
    assert!(on("package-1") > 0.0);
    assert!(
        last == 0 || on("package-1") > 10.0 * on("package-0"),
        "{said:?}"
    );
    let topology = format!("devices/system/cpu/cpu{last}/topology/physical_package_id");
    assert_eq!(number(&truth.sys_root().join(topology)), 1);
}

#[test]
fn files_wrap_jump_vanish_and_stand_still_as_they_are_told() {
    let mut truth = start(&["zone intel-rapl:0 package-0 1000 0 1000000"]);
    let energy = file(&truth, "energy_uj");
    let range = file(&truth, "max_energy_range_uj");
    assert_eq!(number(&range), 1_000_000);
    truth.tell("stop intel-rapl:0").unwrap();
    let stands = number(&energy);
    assert!(stands < 1_000_000);
    let total = truth.sync().unwrap().total("package-0");
    assert_eq!(number(&energy), stands);
    truth.tell("continue intel-rapl:0").unwrap();
    assert!(truth.sync().unwrap().total("package-0") > total);

    truth.tell("range intel-rapl:0 77000000000").unwrap();
    assert_eq!(number(&range), 77_000_000_000);
    truth.tell("jump intel-rapl:0 5000000000").unwrap();
    assert!(number(&energy) >= 5_000_000_000);
    truth.tell("wrong-range intel-rapl:0 9").unwrap();
    assert_eq!(number(&range), 9);
    assert!(number(&energy) >= 5_000_000_000);

    truth.tell("vanish intel-rapl:0").unwrap();
    assert!(!energy.exists() && !range.exists());
    truth.sync().unwrap();
    truth.tell("return intel-rapl:0").unwrap();
    truth.tell("unreadable intel-rapl:0").unwrap();
    assert!(fs::read_to_string(&energy).is_err());
    truth.sync().unwrap();
    truth.tell("return intel-rapl:0").unwrap();
    assert!(number(&energy) >= 5_000_000_000);

    for (line, said) in [
        ("hello", "no such command"),
        ("vanish intel-rapl:7", "no zone"),
        ("group no/such/group 1", "no cgroup"),
        ("zone intel-rapl:1 package-1 1 1", "before start"),
    ] {
        let error = truth.tell(line).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
}

fn cgroup(name: &str) -> Cgroup {
    Cgroup::new(&format!("hxmlops-truth-{name}-{}", std::process::id())).unwrap()
}
