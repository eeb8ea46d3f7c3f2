//! Which source each zone is read from.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use agent::sensor::{Selection, Source, Surroundings, select};

/// RAPL zones as (directory, name).
fn tree(zones: &[(&str, &str)]) -> tempfile::TempDir {
    let tree = tempfile::tempdir().unwrap();
    for (directory, name) in zones {
        let zone = tree.path().join("class/powercap").join(directory);
        fs::create_dir_all(&zone).unwrap();
        for (file, content) in [
            ("name", *name),
            ("energy_uj", "7"),
            ("max_energy_range_uj", "262143328850"),
        ] {
            fs::write(zone.join(file), content).unwrap();
        }
    }
    tree
}

/// (zone, source, why from there) of all that is read.
fn chosen(sys_root: &Path, power: &[&str]) -> (Selection, Vec<(String, &'static str, String)>) {
    let wanted: Vec<_> = power
        .iter()
        .map(|name| Source::named(name).unwrap())
        .collect();
    let around = Surroundings::new(Path::new("/proc"), sys_root, None, None);
    let mut selection = select(&wanted, &around);
    let mut zones = Vec::new();
    for sensor in &mut selection.sensors {
        assert_eq!(sensor.read().len(), sensor.zones().len());
        for zone in sensor.zones() {
            zones.push((zone.name.clone(), sensor.name(), zone.reason.clone()));
        }
    }
    (selection, zones)
}

fn check(sys_root: &Path, power: &[&str], expected: &[(&str, &str, &str)]) -> Selection {
    let (selection, zones) = chosen(sys_root, power);
    let found: Vec<_> = zones
        .iter()
        .map(|(zone, source, why)| (&**zone, *source, &**why))
        .collect();
    assert_eq!(found, expected, "{power:?}");
    selection
}

const FIRST: &str = "first choice";

#[test]
fn what_one_source_lacks_another_gives() {
    let tree = tree(&[("intel-rapl:0", "package-0"), ("intel-rapl:0:0", "core")]);
    let lack = "rapl has no dram, perf is not there";
    let expected = [
        ("package-0", "rapl", FIRST),
        ("core-0", "rapl", FIRST),
        ("dram-0", "model", lack),
    ];
    check(tree.path(), &[], &expected);
    check(tree.path(), &["rapl"], &expected[..2]);
}

#[test]
fn nothing_is_read_twice_and_the_order_is_the_user_s() {
    let tree = tree(&[
        ("intel-rapl:0", "package-0"),
        ("intel-rapl:0:0", "core"),
        ("intel-rapl:0:1", "dram"),
        ("intel-rapl:1", "psys"),
    ]);
    let rapl = ["package-0", "core-0", "dram-0", "psys"].map(|zone| (zone, "rapl", FIRST));
    let selection = check(tree.path(), &["rapl", "model"], &rapl);
    assert!(selection.findings[1].found.is_ok() && selection.findings[1].used.is_empty());
    let model = ["package-0", "dram-0"].map(|zone| (zone, "model", FIRST));
    check(tree.path(), &["model", "rapl"], &model);
}

#[test]
fn zones_that_cannot_be_added_up_are_not_enough() {
    let tree = tree(&[("intel-rapl:0", "psys")]);
    let selection = check(tree.path(), &["rapl"], &[]);
    assert!(selection.findings[0].found.is_ok());
    let why = "rapl has no package, perf is not there, hwmon is not there";
    let memory = "rapl has no dram, perf is not there";
    check(
        tree.path(),
        &[],
        &[("package-0", "model", why), ("dram-0", "model", memory)],
    );
}
