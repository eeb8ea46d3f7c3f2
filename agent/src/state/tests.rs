//! What is written is read again; what is not ours is set aside.

use std::path::Path;

use wire::Energy;
use wire::v1::Basis;

use super::*;
use crate::idle::Origin;
use crate::sensor::{IdleSource, Zone};

fn zones(source: &str) -> Vec<ZoneState> {
    let zone = |name: &str| Zone {
        name: name.into(),
        parent: String::new(),
        basis: Basis::Measured,
        package: Some(0),
        range_uj: None,
        is_lasting: true,
        range_percent: None,
        idle: IdleSource::Seed(50.0),
        source: source.into(),
        reason: String::new(),
    };
    vec![
        ZoneState::new(zone("package-0"), "rapl"),
        ZoneState::new(zone("dram-0"), "rapl"),
    ]
}

fn file(directory: &Path, node: &str) -> IdleFile {
    IdleFile {
        directory: directory.to_path_buf(),
        machine: Machine {
            node: node.into(),
            cpu: "CPU".into(),
            threads: 4,
        },
        written_ns: None,
        failing: false,
        others: Vec::new(),
        restored: 0,
    }
}

/// A directory with what a package of 30 W idle has taught, read at `/a`.
fn learned() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    learn(directory.path(), "/a");
    directory
}

/// One start that reads it there.
fn learn(directory: &Path, source: &str) {
    let mut zones = zones(source);
    let mut file = file(directory, "n1");
    file.restore(&mut zones);
    for _ in 0..20 {
        let joules = Energy::from_microjoules(150_000_000);
        zones[0].idle.observe(joules, 5_000_000_000, Some(0.01));
    }
    file.keep(&mut zones, 0, true);
}

fn restored(directory: &Path, node: &str, source: &str) -> [(f64, Origin); 2] {
    let mut zones = zones(source);
    file(directory, node).restore(&mut zones);
    [0, 1].map(|zone| (zones[zone].idle.watts(), zones[zone].idle.origin()))
}

const SEED: (f64, Origin) = (50.0, Origin::Seeded);

#[test]
fn what_was_learned_outlives_the_agent_zone_by_zone() {
    let directory = learned();
    let learned = (30.0, Origin::Learned);
    assert_eq!(restored(directory.path(), "n1", "/a"), [learned, SEED]);
    assert_eq!(
        restored(directory.path(), "n1", "/b"),
        [SEED, SEED],
        "another sensor's figures are not taken over"
    );
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn a_start_without_a_zone_does_not_lose_what_was_learned_of_it() {
    let directory = learned();
    let mut others = zones("/b");
    let mut once = file(directory.path(), "n1");
    once.restore(&mut others);
    once.keep(&mut others, 0, true);
    let mut configured = zones("/a");
    configured[0].idle.configure(7.0);
    let mut again = file(directory.path(), "n1");
    again.restore(&mut configured);
    again.keep(&mut configured, 0, true);
    let learned = (30.0, Origin::Learned);
    assert_eq!(restored(directory.path(), "n1", "/a"), [learned, SEED]);
}

#[test]
fn a_zone_that_comes_later_has_what_was_learned_of_it() {
    let directory = learned();
    let mut all = zones("/a");
    let mut file = file(directory.path(), "n1");
    let mut there = vec![all.remove(1)];
    file.restore(&mut there);
    file.keep(&mut there, 0, true);
    there.append(&mut all);
    file.keep(&mut there, 1, true);
    assert_eq!(there[1].idle.origin(), Origin::Learned);
    let learned = (30.0, Origin::Learned);
    assert_eq!(restored(directory.path(), "n1", "/a"), [learned, SEED]);
}

#[test]
fn of_names_that_change_at_every_boot_the_last_ones_are_kept() {
    let directory = learned();
    let size = || fs::metadata(directory.path().join(NAME)).unwrap().len();
    for boot in 0..100 {
        learn(directory.path(), &format!("/hwmon{boot:03}"));
    }
    let after_a_hundred = size();
    for boot in 100..150 {
        learn(directory.path(), &format!("/hwmon{boot:03}"));
    }
    assert_eq!(size(), after_a_hundred);
    let learned = (30.0, Origin::Learned);
    for boot in [120, 149] {
        let source = format!("/hwmon{boot}");
        assert_eq!(restored(directory.path(), "n1", &source), [learned, SEED]);
    }
    assert_eq!(restored(directory.path(), "n1", "/a"), [SEED, SEED]);
}

#[test]
fn what_is_set_aside_is_not_overwritten() {
    let directory = learned();
    let good = fs::read_to_string(directory.path().join(NAME)).unwrap();
    restored(directory.path(), "n2", "/a");
    fs::write(directory.path().join(NAME), "{").unwrap();
    restored(directory.path(), "n2", "/a");
    let aside = |name: &str| fs::read_to_string(directory.path().join(name)).unwrap();
    assert_eq!(aside("idle.json.broken"), good);
    assert_eq!(aside("idle.json.broken.1"), "{");
}

#[test]
fn a_file_that_cannot_be_used_is_set_aside() {
    let good = fs::read_to_string(learned().path().join(NAME)).unwrap();
    let cut = good[..good.len() / 2].to_owned();
    let check = |text: &str, node| {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(NAME), text).unwrap();
        assert_eq!(
            restored(directory.path(), node, "/a"),
            [SEED, SEED],
            "{text}"
        );
        let aside = directory.path().join("idle.json.broken");
        assert_eq!(fs::read_to_string(aside).unwrap(), text);
        assert!(!directory.path().join(NAME).exists());
    };
    check(&good, "n2");
    check("", "n1");
    check(&cut, "n1");
    check("{\"version\":2}", "n1");
    check(&good.replace("\"watts\":30.0", "\"watts\":-30.0"), "n1");
    check(&good.replace("\"watts\":30.0", "\"watts\":1e300"), "n1");
    check(
        &good.replace("\"utilisation\":0.01", "\"utilisation\":7"),
        "n1",
    );
}

#[test]
fn it_is_written_every_few_minutes_and_at_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(NAME);
    let mut file = file(directory.path(), "n1");
    let mut written = |boottime_s: u64, now| {
        file.keep(&mut zones("/a"), boottime_s * 1_000_000_000, now);
        fs::remove_file(&path).is_ok()
    };
    assert!(!written(1_000, false), "not yet");
    assert!(!written(1_299, false));
    assert!(written(1_300, false));
    assert!(!written(1_301, false));
    assert!(written(1_302, true), "at the end");
}
