//! RAPL through the kernel's PMU, and the PMU's real system call with events that every kernel has.
//! Needs root, or CAP_PERFMON.
#![allow(clippy::unwrap_used)]

#[path = "surroundings/tree.rs"]
mod tree;

use std::fs;
use std::path::{Path, PathBuf};

use agent::sample::Sampler;
use agent::sensor::cpus::Vendor;
use agent::sensor::model::Machine;
use agent::sensor::perf::{Perf, plan};
use agent::sensor::{Sensor as _, SensorError, Zone, awake_ns};
use rustix::thread::CapabilitySet;
use tree::{copy, counters, fixture, machine_of, make_unreadable, places, sample, seed, without};

const PMU: &str = "bus/event_source/devices/power";

fn xeon() -> Machine {
    machine_of(Vendor::Intel, 6, 0x55)
}

/// The recorded tree as that of this machine's first two CPUs, whose packages count this kernel's own clock: type 1 is
/// PERF_TYPE_SOFTWARE, event 0 of it PERF_COUNT_SW_CPU_CLOCK, which counts nanoseconds: of 1 nJ they are 1 W.
fn clocks() -> tempfile::TempDir {
    let tree = copy("perf-two-sockets");
    let pmu = tree.path().join(PMU);
    for (file, text) in [
        ("type", "1"),
        ("cpumask", "0-1"),
        ("events/energy-pkg", "event=0x00"),
        ("events/energy-pkg.scale", "1e-9"),
    ] {
        fs::write(pmu.join(file), text).unwrap();
    }
    for event in ["cores", "psys"] {
        fs::remove_file(pmu.join(format!("events/energy-{event}"))).unwrap();
    }
    let package = "devices/system/cpu/cpu1/topology/physical_package_id";
    fs::write(tree.path().join(package), "1").unwrap();
    tree
}

fn planned(root: &Path, machine: &Machine) -> Vec<Zone> {
    let planned = plan(root, machine).unwrap();
    planned.into_iter().map(|zone| zone.unwrap().zone).collect()
}

#[test]
fn each_event_is_a_zone_of_each_package_but_psys() {
    let zones = planned(&fixture("perf-two-sockets"), &xeon());
    let expected = [
        ("package-0", "", Some(0)),
        ("package-1", "", Some(1)),
        ("dram-0", "", Some(0)),
        ("dram-1", "", Some(1)),
        ("core-0", "package-0", Some(0)),
        ("core-1", "package-1", Some(1)),
        ("psys", "platform", None),
    ];
    assert_eq!(places(&zones), expected);
    // 2^64 x 2^-32 J.
    assert!(
        zones
            .iter()
            .all(|zone| zone.range_uj == Some(4_294_967_296_000_000))
    );
}

#[test]
fn an_event_is_opened_as_the_pmu_says_on_the_cpu_that_stands_for_its_package() {
    let opened: Vec<(String, u32, u64, u32)> = plan(&fixture("perf-two-sockets"), &xeon())
        .unwrap()
        .into_iter()
        .map(Result::unwrap)
        .map(|zone| (zone.zone.name, zone.kind, zone.config, zone.cpu))
        .collect();
    assert_eq!(opened[1], ("package-1".to_owned(), 21, 2, 18));
    assert_eq!(opened[2], ("dram-0".to_owned(), 21, 3, 0));
}

#[test]
fn a_counter_of_two_dies_counts_each_and_amd_s_of_a_package_once() {
    let tree = copy("perf-two-sockets");
    let cpu = tree.path().join("devices/system/cpu/cpu18/topology");
    fs::write(cpu.join("physical_package_id"), "0").unwrap();
    fs::write(cpu.join("die_id"), "1").unwrap();
    let names = |machine| -> Vec<String> {
        let zones = planned(tree.path(), &machine).into_iter();
        zones
            .map(|zone| zone.name)
            .filter(|name| name.starts_with("package"))
            .collect()
    };
    assert_eq!(names(xeon()), ["package-0-die-0", "package-0-die-1"]);
    assert_eq!(names(machine_of(Vendor::Amd, 0x19, 1)), ["package-0"]);
}

#[test]
fn real_counters_run_on_their_own_cpus() {
    let tree = clocks();
    let mut perf = Perf::find(tree.path(), &xeon()).unwrap();
    let expected = [
        ("package-0", "", Some(0)),
        ("package-1", "", Some(1)),
        ("dram-0", "", Some(0)),
        ("dram-1", "", Some(1)),
    ];
    assert_eq!(places(perf.zones()), expected);
    assert!((seed(perf.zones(), "package-0") - xeon().idle_watts() / 2.0).abs() < 1e-9);
    let first = counters(&mut perf);
    let mut last = first.clone();
    // A watt of each of the two, for as long as it takes.
    while last[0] < first[0] + 1000 || last[1] < first[1] + 1000 {
        let next = counters(&mut perf);
        assert!(next.iter().zip(&last).all(|(next, last)| next >= last));
        last = next;
    }
}

#[test]
fn a_real_counter_s_energy_is_the_time_that_passed() {
    let tree = clocks();
    let mut perf = Perf::find(tree.path(), &xeon()).unwrap();
    // The clock before, the counter, the clock after.
    let mut read = || (awake_ns(), counters(&mut perf)[0], awake_ns());
    let first = read();
    let mut last = read();
    while last.0 < first.2 + 50_000_000 {
        last = read();
    }
    let uj = last.1 - first.1;
    // 1 W is a microjoule in 1000 ns; the two clocks are not of one rate to the last.
    let (least, most) = ((last.0 - first.2) / 1000, (last.2 - first.0) / 1000);
    assert!(
        (least - least / 100..=most + most / 100).contains(&uj),
        "{least} {uj} {most} uJ"
    );
}

#[test]
fn a_counter_that_begins_again_with_the_agent_is_no_energy() {
    let tree = clocks();
    let mut sampler = Sampler::default();
    let begin = || Perf::find(tree.path(), &xeon()).unwrap();
    let mut earlier = begin();
    sample(&mut earlier, &mut sampler, 1);
    let before = counters(&mut earlier)[0];
    while counters(&mut earlier)[0] < before + 10_000 {}
    sample(&mut earlier, &mut sampler, 6);
    let (outcome, uj) = sample(&mut begin(), &mut sampler, 11);
    assert_eq!((outcome, uj), ("OUTCOME_RESET", 0));
}

#[test]
fn a_machine_without_the_pmu_or_its_events_says_so() {
    let empty = tempfile::tempdir().unwrap();
    let absent = |root: &Path| match Perf::find(root, &xeon()).unwrap_err() {
        SensorError::Absent(what) => what,
        error => panic!("{error}"),
    };
    assert!(absent(empty.path()).ends_with("devices/power/type"));
    let tree = copy("perf-two-sockets");
    fs::remove_dir_all(tree.path().join(PMU).join("events")).unwrap();
    assert!(absent(tree.path()).ends_with("power/events/energy-*"));
}

#[test]
fn without_cap_perfmon_it_says_what_would_help() {
    let tree = clocks();
    let lost = CapabilitySet::PERFMON | CapabilitySet::SYS_ADMIN;
    let error = without(lost, || Perf::find(tree.path(), &xeon()).unwrap_err());
    let SensorError::NotPermitted(why) = error else {
        panic!("{error}")
    };
    assert!(
        why.contains("energy-pkg") && why.contains("CAP_PERFMON"),
        "{why}"
    );
}

#[test]
fn a_pmu_that_this_kernel_does_not_have_has_failed() {
    let tree = clocks();
    fs::write(tree.path().join(PMU).join("type"), "4000000000").unwrap();
    let error = Perf::find(tree.path(), &xeon()).unwrap_err();
    assert!(
        matches!(&error, SensorError::Failed(why) if why.contains("energy-pkg")),
        "{error}"
    );
}

#[test]
fn garbage_is_named() {
    let check = |file: &str, text: &str| {
        let tree = clocks();
        let path = tree.path().join(PMU).join(file);
        fs::write(&path, text).unwrap();
        let error = match plan(tree.path(), &xeon()) {
            Ok(planned) => planned.into_iter().find_map(Result::err).unwrap(),
            Err(error) => error,
        };
        assert!(
            matches!(&error, SensorError::Failed(why) if why.contains(file)),
            "{file}: {error}"
        );
    };
    check("type", "power");
    check("type", "4294967296");
    check("cpumask", "0-");
    check("cpumask", "");
    check("events/energy-pkg", "event=0x02,umask=0x01");
    check("events/energy-pkg.scale", "-1");
}

#[test]
fn an_event_that_cannot_be_read_is_left_out_beside_others() {
    let tree = clocks();
    make_unreadable(&tree.path().join(PMU).join("events/energy-ram"));
    let perf = Perf::find(tree.path(), &xeon()).unwrap();
    assert_eq!(perf.zones().len(), 2);
    // In watts it is no energy.
    let unit: PathBuf = tree.path().join(PMU).join("events/energy-pkg.unit");
    fs::write(unit, "Watts").unwrap();
    let error = Perf::find(tree.path(), &xeon()).unwrap_err();
    assert!(matches!(error, SensorError::Failed(_)), "{error}");
}
