//! Recorded trees that a test may spoil, and threads that may not do everything.
#![allow(dead_code, reason = "each test uses some of it")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use agent::sample::Sampler;
use agent::sensor::cpus::{Cpu, Vendor};
use agent::sensor::model::Machine;
use agent::sensor::{IdleSource, Reading, Sensor, SensorError, Zone};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

/// The recorded tree of this name.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(name)
}

/// A copy of it.
pub(crate) fn copy(name: &str) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    let mut command = Command::new("cp");
    command
        .arg("-r")
        .arg(fixture(name).join("."))
        .arg(copy.path());
    assert!(command.status().unwrap().success());
    copy
}

/// A directory cannot be read as a file, not even by root.
pub(crate) fn make_unreadable(path: &Path) {
    fs::remove_file(path).unwrap();
    fs::create_dir(path).unwrap();
}

/// Nobody may read it but who may read everything.
pub(crate) fn forbid(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o0)).unwrap();
}

/// Does something without these capabilities, in a thread of its own.
pub(crate) fn without<T: Send>(lost: CapabilitySet, act: impl FnOnce() -> T + Send) -> T {
    let act = || {
        let mut sets = capabilities(None).unwrap();
        sets.effective.remove(lost);
        set_capabilities(None, sets).unwrap();
        act()
    };
    thread::scope(|scope| scope.spawn(act).join().unwrap())
}

/// What lets root read everything.
pub(crate) const READ_EVERYTHING: CapabilitySet =
    CapabilitySet::DAC_OVERRIDE.union(CapabilitySet::DAC_READ_SEARCH);

/// This machine, with a CPU of another kind.
pub(crate) fn machine_of(vendor: Vendor, family: u32, model: u32) -> Machine {
    Machine {
        cpu: Cpu {
            vendor,
            family,
            model,
        },
        ..Machine::find(Path::new("/proc"), Path::new("/sys")).unwrap()
    }
}

/// (name, parent, package) of each zone.
pub(crate) fn places(zones: &[Zone]) -> Vec<(&str, &str, Option<u16>)> {
    let zones = zones.iter();
    zones
        .map(|zone| (&*zone.name, &*zone.parent, zone.package))
        .collect()
}

/// Watts that a zone's idle power begins with.
pub(crate) fn seed(zones: &[Zone], name: &str) -> f64 {
    match zones.iter().find(|zone| zone.name == name).unwrap().idle {
        IdleSource::Seed(watts) => watts,
        IdleSource::Exact(watts) => panic!("{watts} W are no seed"),
    }
}

/// The counters that a sensor reads.
pub(crate) fn counters(sensor: &mut dyn Sensor) -> Vec<u64> {
    let counter = |reading: Result<Reading, SensorError>| reading.unwrap().counter_uj;
    sensor.read().into_iter().map(counter).collect()
}

/// What a sampler makes of a sensor's first zone, read at `seconds`: outcome and microjoules.
pub(crate) fn sample(
    sensor: &mut dyn Sensor,
    sampler: &mut Sampler,
    seconds: u64,
) -> (&'static str, u64) {
    let range_uj = sensor.zones()[0].range_uj;
    let reading = sensor.read().swap_remove(0).map(|reading| Reading {
        counter_uj: reading.counter_uj,
        boottime_ns: seconds * 1_000_000_000,
        awake_ns: seconds * 1_000_000_000,
    });
    let sample = sampler.sample(&reading, range_uj);
    (sample.outcome.as_str_name(), sample.energy.microjoules())
}
