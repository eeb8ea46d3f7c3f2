//! RAPL zones as the kernel lays them out: present, absent, unreadable, garbage.
#![allow(clippy::unwrap_used)]

#[path = "surroundings/tree.rs"]
mod tree;

use std::fs;
use std::path::{Path, PathBuf};

use agent::sample::Sampler;
use agent::sensor::cpus::{Cpu, Vendor};
use agent::sensor::model::Machine;
use agent::sensor::powercap::Powercap;
use agent::sensor::{IdleSource, Sensor, SensorError};
use tree::make_unreadable;
use wire::v1::Outcome;

fn machine() -> Machine {
    Machine::find(Path::new("/proc"), Path::new("/sys")).unwrap()
}

/// In the powercap directory of a sysfs root.
fn find(sys_root: &Path, machine: &Machine) -> Result<Powercap, SensorError> {
    Powercap::find(&sys_root.join("class/powercap"), machine)
}

fn fixture() -> PathBuf {
    tree::fixture("powercap-two-sockets")
}

/// A copy that a test may spoil.
fn copy() -> tempfile::TempDir {
    tree::copy("powercap-two-sockets")
}

fn counter(root: &Path, zone: &str) -> PathBuf {
    root.join("class/powercap").join(zone).join("energy_uj")
}

#[test]
fn two_sockets_give_additive_packages_and_dram_and_nested_cores() {
    let mut powercap = find(&fixture(), &machine()).unwrap();
    let zones: Vec<(&str, &str, Option<u64>)> = powercap
        .zones()
        .iter()
        .map(|zone| (zone.name.as_str(), zone.parent.as_str(), zone.range_uj))
        .collect();
    let package_range = Some(262_143_328_850);
    let dram_range = Some(65_712_999_613);
    let expected = [
        ("package-0", "", package_range),
        ("core-0", "package-0", package_range),
        ("dram-0", "", dram_range),
        ("package-1", "", package_range),
        ("core-1", "package-1", package_range),
        ("dram-1", "", dram_range),
        ("psys", "platform", package_range),
    ];
    assert_eq!(zones, expected);
    let counters: Vec<u64> = powercap
        .read()
        .into_iter()
        .map(|reading| reading.unwrap().counter_uj)
        .collect();
    assert_eq!(
        counters[..3],
        [118_432_901_554, 70_117_220_013, 9_813_220_447]
    );
    assert_eq!(
        counters[3..],
        [
            99_120_443_210,
            61_998_120_004,
            8_120_993_111,
            39_076_786_050
        ]
    );
}

#[test]
fn idle_power_is_seeded_from_the_model_and_shared_by_the_sockets() {
    let powercap = find(&fixture(), &machine()).unwrap();
    let seed = |name: &str| match powercap
        .zones()
        .iter()
        .find(|zone| zone.name == name)
        .unwrap()
        .idle
    {
        IdleSource::Seed(watts) => watts,
        IdleSource::Exact(watts) => panic!("{watts} W are no seed"),
    };
    assert!((seed("package-0") - machine().idle_watts() / 2.0).abs() < 1e-9);
    assert!((seed("dram-1") - machine().dram_watts() / 2.0).abs() < 1e-9);
}

#[test]
fn a_machine_without_rapl_says_so() {
    let empty = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let error = find(empty.path(), &machine()).unwrap_err();
        let SensorError::Absent(what) = &error else {
            panic!("{error}")
        };
        assert!(what.ends_with("class/powercap/intel-rapl:*"), "{what}");
        fs::create_dir_all(empty.path().join("class/powercap")).unwrap();
    }
}

#[test]
fn one_zone_that_vanishes_or_shows_garbage_spoils_only_itself() {
    let tree = copy();
    let mut powercap = find(tree.path(), &machine()).unwrap();
    fs::write(counter(tree.path(), "intel-rapl:0"), "\u{1}not a number").unwrap();
    fs::remove_file(counter(tree.path(), "intel-rapl:1")).unwrap();
    make_unreadable(&counter(tree.path(), "intel-rapl:1:1"));

    let readings = powercap.read();
    let by_name = |name: &str| {
        let position = powercap
            .zones()
            .iter()
            .position(|zone| zone.name == name)
            .unwrap();
        readings[position].clone()
    };
    assert!(
        matches!(by_name("package-0"), Err(SensorError::Failed(why)) if why.contains("is no number"))
    );
    assert!(matches!(by_name("package-1"), Err(SensorError::Absent(_))));
    assert!(
        matches!(by_name("dram-1"), Err(SensorError::Failed(why)) if why.contains("cannot read"))
    );
    assert!(by_name("dram-0").is_ok() && by_name("core-1").is_ok());
}

#[test]
fn one_zone_that_cannot_be_read_at_the_start_is_left_out() {
    let tree = copy();
    make_unreadable(&counter(tree.path(), "intel-rapl:2"));
    let powercap = find(tree.path(), &machine()).unwrap();
    assert!(powercap.zones().iter().all(|zone| zone.name != "psys"));
    assert_eq!(powercap.zones().len(), 6);
}

#[test]
fn a_zone_whose_range_makes_no_sense_is_left_out() {
    for range in ["0\n", "", "-5", "18446744073709551616", "wide"] {
        let tree = copy();
        let zone = tree.path().join("class/powercap/intel-rapl:0:1");
        fs::write(zone.join("max_energy_range_uj"), range).unwrap();
        let powercap = find(tree.path(), &machine()).unwrap();
        assert!(powercap.zones().iter().all(|zone| zone.name != "dram-0"));
        assert_eq!(powercap.zones().len(), 6, "{range:?}");
    }
}

#[test]
fn counters_that_may_not_be_read_are_named() {
    let tree = copy();
    for zone in [
        "intel-rapl:0",
        "intel-rapl:0:1",
        "intel-rapl:1",
        "intel-rapl:1:1",
    ] {
        make_unreadable(&counter(tree.path(), zone));
    }
    let error = find(tree.path(), &machine()).unwrap_err();
    assert!(
        error.to_string().contains("intel-rapl:0/energy_uj"),
        "{error}"
    );
}

/// Leaves one zone of a tree.
fn only(root: &Path, kept: &str) {
    for entry in fs::read_dir(root.join("class/powercap")).unwrap() {
        let path = entry.unwrap().path();
        if !path.ends_with(kept) {
            fs::remove_dir_all(path).unwrap();
        }
    }
}

#[test]
fn what_repeats_a_package_is_never_read_not_even_alone() {
    let tree = copy();
    let sources = |powercap: &Powercap| -> Vec<String> {
        let zones = powercap.zones().iter();
        zones.map(|zone| zone.source.clone()).collect()
    };
    let powercap = find(tree.path(), &machine()).unwrap();
    assert!(
        sources(&powercap)
            .iter()
            .all(|source| !source.contains("mmio"))
    );
    only(tree.path(), "intel-rapl-mmio:0");
    assert!(counter(tree.path(), "intel-rapl-mmio:0").exists());
    let error = find(tree.path(), &machine()).unwrap_err();
    assert!(matches!(error, SensorError::Absent(_)), "{error}");
}

#[test]
fn amd_s_package_counts_once_however_many_dies_the_kernel_shows() {
    let tree = copy();
    for (zone, name) in [
        ("intel-rapl:0", "package-0-die-0"),
        ("intel-rapl:1", "package-0-die-1"),
    ] {
        fs::write(
            tree.path().join("class/powercap").join(zone).join("name"),
            name,
        )
        .unwrap();
    }
    let packages = |vendor| -> Vec<String> {
        let cpu = Cpu {
            vendor,
            ..machine().cpu
        };
        let machine = Machine { cpu, ..machine() };
        let powercap = find(tree.path(), &machine).unwrap();
        let zones = powercap.zones().iter();
        let packages = zones.filter(|zone| zone.kind() == "package");
        packages.map(|zone| zone.name.clone()).collect()
    };
    assert_eq!(packages(Vendor::Amd), ["package-0"]);
    assert_eq!(
        packages(Vendor::Intel),
        ["package-0-die-0", "package-0-die-1"]
    );
}

#[test]
fn without_permission_it_says_what_would_help() {
    let tree = copy();
    for zone in [
        "intel-rapl:0",
        "intel-rapl:0:1",
        "intel-rapl:1",
        "intel-rapl:1:1",
    ] {
        tree::forbid(&counter(tree.path(), zone));
    }
    let refused = || find(tree.path(), &machine()).unwrap_err();
    let error = tree::without(tree::READ_EVERYTHING, refused);
    assert!(
        matches!(&error, SensorError::NotPermitted(why) if why.contains("CAP_DAC_READ_SEARCH")),
        "{error}"
    );
}

/// As Scaphandre's `qemu` shares it with a guest: one counter without a range, and an empty directory beside it.
#[test]
fn what_a_host_shares_with_its_guest_is_read_like_hardware() {
    let share = tempfile::tempdir().unwrap();
    let package = share.path().join("intel-rapl:0");
    fs::create_dir(&package).unwrap();
    fs::create_dir(share.path().join("intel-rapl:0:0")).unwrap();
    let publish = |microjoules: &str| fs::write(package.join("energy_uj"), microjoules).unwrap();
    publish("5000000");
    let mut powercap = Powercap::find(share.path(), &machine()).unwrap();
    let [zone] = powercap.zones() else {
        panic!("{:?}", powercap.zones())
    };
    assert_eq!(
        (&*zone.name, &*zone.parent, zone.range_uj),
        ("package-0", "", None)
    );
    let mut sampler = Sampler::default();
    let mut next = |microjoules: &str| {
        publish(microjoules);
        let sample = sampler.sample(&powercap.read()[0], None);
        (sample.outcome, sample.energy.microjoules())
    };
    assert_eq!(next("5000000"), (Outcome::First, 0));
    assert_eq!(next("5000700"), (Outcome::Sampled, 700));
    // The host is just writing it: the next reading covers the time.
    assert_eq!(next(""), (Outcome::Failed, 0));
    assert_eq!(next("5000900"), (Outcome::Sampled, 200));
    assert_eq!(next("12"), (Outcome::Reset, 0), "the host has begun anew");
    assert_eq!(next("42"), (Outcome::Sampled, 30));
}
