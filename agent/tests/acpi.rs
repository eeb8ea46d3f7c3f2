//! The machine's own power meter: present in both forms of its driver, absent, unreadable, garbage.
#![allow(clippy::unwrap_used)]

#[path = "surroundings/tree.rs"]
mod tree;

use std::fs;
use std::path::Path;

use agent::sample::Sampler;
use agent::sensor::acpi::Acpi;
use agent::sensor::{Sensor as _, SensorError, integral};
use tree::{READ_EVERYTHING, copy, fixture, forbid, make_unreadable, places, sample, without};
use wire::v1::Basis;

const METER: &str = "class/hwmon/hwmon1/device";

fn put(root: &Path, file: &str, text: &str) {
    let path = root.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn absent(root: &Path) {
    let error = Acpi::find(root).unwrap_err();
    assert!(
        matches!(&error, SensorError::Absent(what) if what.contains("whole machine")),
        "{error}"
    );
}

#[test]
fn the_meter_is_a_nested_zone_of_the_node() {
    let acpi = Acpi::find(&fixture("acpi-server")).unwrap();
    assert_eq!(places(acpi.zones()), [("platform", "node", None)]);
    let zone = &acpi.zones()[0];
    assert_eq!((zone.basis, zone.range_uj), (Basis::Measured, None));
    assert!(
        zone.source.ends_with("hwmon1/device/power1_average"),
        "{}",
        zone.source
    );
    assert_eq!(acpi.period(), Some(integral::PERIOD));
}

#[test]
fn newer_drivers_have_their_files_in_the_chip_s_own_directory() {
    let tree = copy("acpi-server");
    let hwmon = tree.path().join("class/hwmon");
    fs::rename(hwmon.join("hwmon1/device"), hwmon.join("hwmon2")).unwrap();
    let acpi = Acpi::find(tree.path()).unwrap();
    assert!(acpi.zones()[0].source.ends_with("hwmon2/power1_average"));
}

#[test]
fn power_over_time_is_energy() {
    let mut acpi = Acpi::find(&fixture("acpi-server")).unwrap();
    let mut read = || acpi.read().swap_remove(0).unwrap();
    let (first, mut last) = (read(), read());
    while last.awake_ns < first.awake_ns + 20_000_000 {
        last = read();
    }
    let joules = (last.counter_uj - first.counter_uj) as f64 / 1e6;
    let seconds = (last.awake_ns - first.awake_ns) as f64 / 1e9;
    assert!(
        (joules / seconds - 214.0).abs() < 1e-3,
        "{joules} J in {seconds} s"
    );
}

#[test]
fn a_counter_that_begins_again_with_the_agent_is_no_energy() {
    let tree = fixture("acpi-server");
    let (mut earlier, mut sampler) = (Acpi::find(&tree).unwrap(), Sampler::default());
    sample(&mut earlier, &mut sampler, 1);
    while sample(&mut earlier, &mut sampler, 2).1 < 1000 {}
    let next = sample(&mut Acpi::find(&tree).unwrap(), &mut sampler, 3);
    assert_eq!(next, ("OUTCOME_RESET", 0));
}

#[test]
fn a_machine_without_a_meter_of_all_of_it_says_so() {
    absent(tempfile::tempdir().unwrap().path());
    // Meters of sockets and parts of them.
    absent(&fixture("hwmon-grace"));
    absent(&fixture("hwmon-zenpower"));
    let battery = copy("acpi-server");
    put(battery.path(), &format!("{METER}/power1_is_battery"), "1\n");
    absent(battery.path());
    // It cannot measure: only cap.
    let cap = copy("acpi-server");
    fs::remove_file(cap.path().join(METER).join("power1_average")).unwrap();
    absent(cap.path());
}

#[test]
fn of_several_meters_the_one_of_the_system_counts() {
    let tree = copy("acpi-server");
    let second = "class/hwmon/hwmon0/device";
    put(tree.path(), &format!("{second}/name"), "power_meter\n");
    put(
        tree.path(),
        &format!("{second}/power1_average"),
        "107000000\n",
    );
    put(
        tree.path(),
        &format!("{second}/measures/PNP0A08:00/hid"),
        "PNP0A08",
    );
    fs::remove_file(tree.path().join("class/hwmon/hwmon0/name")).unwrap();
    let acpi = Acpi::find(tree.path()).unwrap();
    assert!(acpi.zones()[0].source.contains("hwmon1"));
    // Neither says so, or both.
    for file in [None, Some(format!("{second}/measures/LNXSYBUS:00/hid"))] {
        match file {
            None => fs::remove_dir_all(tree.path().join(METER).join("measures")).unwrap(),
            Some(file) => {
                put(tree.path(), &file, "");
                put(
                    tree.path(),
                    &format!("{METER}/measures/LNXSYBUS:00/hid"),
                    "",
                );
            }
        }
        let error = Acpi::find(tree.path()).unwrap_err();
        assert!(
            matches!(&error, SensorError::Failed(why) if why.contains("of 2")),
            "{error}"
        );
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    let tree = copy("acpi-server");
    let mut acpi = Acpi::find(tree.path()).unwrap();
    let average = tree.path().join(METER).join("power1_average");
    let mut fails = |text: &str| {
        fs::write(&average, text).unwrap();
        matches!(&acpi.read()[0], Err(SensorError::Failed(why)) if why.contains("power1_average"))
    };
    // All bits set: not available (ACPI 6.0, 10.4.3), of 32 and of 64 bits.
    assert!(fails("4294967295000\n") && fails("18446744073709550616\n"));
    assert!(fails("214 W") && fails("") && fails("-1"));
    forbid(&average);
    let error = without(READ_EVERYTHING, || Acpi::find(tree.path()).unwrap_err());
    assert!(
        matches!(&error, SensorError::NotPermitted(why) if why.contains("root")),
        "{error}"
    );
    make_unreadable(&average);
    assert!(matches!(
        Acpi::find(tree.path()).unwrap_err(),
        SensorError::Failed(_)
    ));
    assert!(matches!(&acpi.read()[0], Err(SensorError::Failed(_))));
}
