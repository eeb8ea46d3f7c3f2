//! CPU packages by hwmon chips, as their drivers show them: present, absent, unreadable, reset, garbage.
#![allow(clippy::unwrap_used)]

#[path = "surroundings/tree.rs"]
mod tree;

use std::fs;
use std::path::Path;

use agent::sample::Sampler;
use agent::sensor::cpus::Vendor;
use agent::sensor::hwmon::Hwmon;
use agent::sensor::model::Machine;
use agent::sensor::{Sensor as _, SensorError, integral};
use tree::{
    READ_EVERYTHING, copy, counters, fixture, forbid, machine_of, make_unreadable, places, sample,
    seed, without,
};

fn machine() -> Machine {
    machine_of(Vendor::Amd, 0x17, 0x31)
}

fn find(root: &Path) -> Result<Hwmon, SensorError> {
    Hwmon::find(root, &machine())
}

const TWO: [(&str, &str, Option<u16>); 2] =
    [("package-0", "", Some(0)), ("package-1", "", Some(1))];

#[test]
fn a_socket_of_four_numa_nodes_counts_once_and_its_cores_not_again() {
    let mut hwmon = find(&fixture("hwmon-epyc")).unwrap();
    assert_eq!(places(hwmon.zones()), TWO);
    assert!(
        hwmon.zones()[1].source.ends_with("hwmon2/energy9_input"),
        "that of node 4"
    );
    assert_eq!(counters(&mut hwmon), [1_902_335_120_117, 1_788_004_551_843]);
    assert_eq!(
        hwmon.period(),
        None,
        "a counter is not read more often than needed"
    );
    assert!((seed(hwmon.zones(), "package-1") - machine().idle_watts() / 2.0).abs() < 1e-9);
}

#[test]
fn a_numa_node_without_cpus_is_no_package_and_without_numa_a_node_is_one() {
    let tree = copy("hwmon-epyc");
    let nodes = tree.path().join("devices/system/node");
    for node in 5..8 {
        fs::write(nodes.join(format!("node{node}/cpulist")), "\n").unwrap();
    }
    assert_eq!(places(find(tree.path()).unwrap().zones()), TWO);
    fs::remove_dir_all(nodes).unwrap();
    assert_eq!(find(tree.path()).unwrap().zones().len(), 8);
}

#[test]
fn two_rails_of_a_package_are_one_zone() {
    let hwmon = find(&fixture("hwmon-zenpower")).unwrap();
    assert_eq!(places(hwmon.zones()), TWO);
    let source = &hwmon.zones()[1].source;
    assert!(
        source.ends_with("hwmon2/power2_input") && source.contains("hwmon2/power1_input + "),
        "{source}"
    );
    assert_eq!(hwmon.period(), Some(integral::PERIOD));
}

#[test]
fn chips_without_numbers_are_those_of_the_packages_in_order() {
    let hwmon = find(&fixture("hwmon-altra")).unwrap();
    let expected = [
        ("package-5418", "", Some(5418)),
        ("package-7000", "", Some(7000)),
    ];
    assert_eq!(places(hwmon.zones()), expected);
    assert!(hwmon.zones()[0].source.ends_with("hwmon1/power1_input"));
}

#[test]
fn of_grace_s_meters_the_processor_s_two_rails_count() {
    let hwmon = find(&fixture("hwmon-grace")).unwrap();
    assert_eq!(places(hwmon.zones()), TWO);
    let source = &hwmon.zones()[0].source;
    assert!(
        source.contains("hwmon3/device/power1_average + ") && source.contains("hwmon4/"),
        "{source}"
    );
}

#[test]
fn power_over_time_is_energy() {
    let tree = copy("hwmon-zenpower");
    let mut hwmon = find(tree.path()).unwrap();
    let mut read = || hwmon.read().swap_remove(0).unwrap();
    let first = read();
    let mut last = read();
    while last.awake_ns < first.awake_ns + 20_000_000 {
        last = read();
    }
    let joules = (last.counter_uj - first.counter_uj) as f64 / 1e6;
    let seconds = (last.awake_ns - first.awake_ns) as f64 / 1e9;
    // 41.337 W and 9.812 W; a microjoule of rounding.
    assert!(
        (joules / seconds - 51.149).abs() < 1e-3,
        "{joules} J in {seconds} s"
    );
}

#[test]
fn a_counter_that_starts_again_is_no_energy() {
    let tree = copy("hwmon-epyc");
    let mut hwmon = find(tree.path()).unwrap();
    let mut sampler = Sampler::default();
    let mut at = |seconds, microjoules: u64| {
        let counter = tree.path().join("class/hwmon/hwmon2/energy5_input");
        fs::write(counter, format!("{microjoules}\n")).unwrap();
        sample(&mut hwmon, &mut sampler, seconds)
    };
    assert_eq!(at(0, 1_000_000_000), ("OUTCOME_FIRST", 0));
    assert_eq!(at(5, 1_500_000_000), ("OUTCOME_SAMPLED", 500_000_000));
    assert_eq!(at(10, 20_000), ("OUTCOME_RESET", 0));
    assert_eq!(at(15, 1_020_000), ("OUTCOME_SAMPLED", 1_000_000));
}

#[test]
fn chips_that_measure_something_else_are_no_cpu() {
    let absent = |root: &Path| match find(root).unwrap_err() {
        SensorError::Absent(what) => what,
        error => panic!("{error}"),
    };
    let empty = tempfile::tempdir().unwrap();
    assert!(absent(empty.path()).contains("amd_energy, zenpower, apm_xgene"));
    let tree = copy("hwmon-zenpower");
    for chip in ["hwmon1", "hwmon2"] {
        fs::remove_dir_all(tree.path().join("class/hwmon").join(chip)).unwrap();
    }
    absent(tree.path());
    // The whole machine is not the CPU either.
    absent(&fixture("acpi-server"));
}

#[test]
fn without_permission_it_says_what_would_help() {
    let tree = copy("hwmon-epyc");
    forbid(&tree.path().join("class/hwmon/hwmon2/energy5_input"));
    let error = without(READ_EVERYTHING, || find(tree.path()).unwrap_err());
    let SensorError::NotPermitted(why) = error else {
        panic!("{error}")
    };
    assert!(
        why.contains("energy5_input") && why.contains("CAP_DAC_READ_SEARCH"),
        "{why}"
    );
}

#[test]
fn a_rail_that_cannot_be_read_fails_its_package_alone() {
    let tree = copy("hwmon-zenpower");
    let mut hwmon = find(tree.path()).unwrap();
    let rail = |name: &str| tree.path().join("class/hwmon/hwmon1").join(name);
    fs::write(rail("power2_input"), "-12\n").unwrap();
    let readings = hwmon.read();
    assert!(matches!(&readings[0], Err(SensorError::Failed(why)) if why.contains("is no number")));
    assert!(readings[1].is_ok());
    // More than any CPU: what cannot be measured just now.
    fs::write(rail("power2_input"), "4294967295000\n").unwrap();
    assert!(matches!(&hwmon.read()[0], Err(SensorError::Failed(why)) if why.contains("no power")));
    fs::remove_file(rail("power2_input")).unwrap();
    assert!(matches!(hwmon.read()[0], Err(SensorError::Absent(_))));
    make_unreadable(&rail("power1_input"));
    assert!(matches!(hwmon.read()[0], Err(SensorError::Failed(_))));
    assert!(matches!(
        find(tree.path()).unwrap_err(),
        SensorError::Failed(_)
    ));
}

#[test]
fn garbage_beside_the_chips_is_passed_over() {
    let tree = copy("hwmon-zenpower");
    let hwmon = tree.path().join("class/hwmon");
    for directory in ["hwmon", "hwmonx", "hwmon9", "hwmon10/device"] {
        fs::create_dir_all(hwmon.join(directory)).unwrap();
    }
    fs::write(hwmon.join("hwmon9/name"), [0xff, 0xfe]).unwrap();
    fs::write(hwmon.join("hwmon1/powerx_input"), "1").unwrap();
    fs::write(hwmon.join("hwmon1/power3_input"), "1").unwrap();
    assert_eq!(places(find(tree.path()).unwrap().zones()), TWO);
}
