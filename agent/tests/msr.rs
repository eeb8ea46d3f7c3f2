//! RAPL's registers, in files that have them where a device has them: present, absent, unreadable, wrapping, reset.
#![allow(clippy::unwrap_used)]

#[path = "surroundings/tree.rs"]
mod tree;

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, symlink};
use std::path::Path;

use agent::sample::Sampler;
use agent::sensor::cpus::Vendor;
use agent::sensor::model::Machine;
use agent::sensor::msr::{Msr, Unit};
use agent::sensor::{Reading, Sensor as _, SensorError};
use proptest::prelude::*;
use tree::{
    READ_EVERYTHING, copy, counters, fixture, forbid, machine_of, places, sample, seed, without,
};

const PACKAGE: u64 = 0x611;
const DRAM: u64 = 0x619;
const CORE: u64 = 0x639;

fn skylake() -> Machine {
    machine_of(Vendor::Intel, 6, 0x55)
}

fn epyc() -> Machine {
    machine_of(Vendor::Amd, 0x17, 0x31)
}

/// Puts a register where its device has it; the file has holes elsewhere. A register is eight bytes and the numbers of
/// AMD's differ by two: what is put last stands whole, and of the unit before it those two bytes that tell it.
fn put(devices: &Path, cpu: u32, register: u64, value: u64) {
    let directory = devices.join(cpu.to_string());
    fs::create_dir_all(&directory).unwrap();
    let device = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(directory.join("msr"));
    device
        .unwrap()
        .write_all_at(&value.to_ne_bytes(), register)
        .unwrap();
}

/// The devices of a recorded machine.
fn devices(fixture_name: &str) -> tempfile::TempDir {
    let devices = tempfile::tempdir().unwrap();
    let registers = fs::read_to_string(fixture(fixture_name).join("registers")).unwrap();
    let hex = |text: &str| u64::from_str_radix(text.strip_prefix("0x").unwrap(), 16).unwrap();
    for line in registers.lines() {
        let [cpu, register, value] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        put(
            devices.path(),
            cpu.parse().unwrap(),
            hex(register),
            hex(value),
        );
    }
    devices
}

fn find(devices: &Path) -> Result<Msr, SensorError> {
    Msr::find(devices, &fixture("msr-skylake"), &skylake())
}

#[test]
fn intel_s_packages_and_memory_count_each_in_its_unit() {
    let devices = devices("msr-skylake");
    let mut msr = find(devices.path()).unwrap();
    let expected = [
        ("package-0", "", Some(0)),
        ("dram-0", "", Some(0)),
        ("package-1", "", Some(1)),
        ("dram-1", "", Some(1)),
    ];
    assert_eq!(
        places(msr.zones()),
        expected,
        "cores read 0: they are not counted there"
    );
    let ranges: Vec<u64> = msr
        .zones()
        .iter()
        .map(|zone| zone.range_uj.unwrap())
        .collect();
    assert_eq!(ranges[..2], [262_144_000_000, 65_536_000_000]);
    // 0x9d30a1c4 / 2^14 J, 0x21f4d802 / 2^16 J.
    assert_eq!(counters(&mut msr)[..2], [160_962_527_587, 8_692_843_780]);
    assert!((seed(msr.zones(), "dram-1") - skylake().dram_watts() / 2.0).abs() < 1e-9);
}

#[test]
fn a_client_part_counts_cores_and_its_memory_in_the_common_unit() {
    let devices = devices("msr-skylake");
    put(devices.path(), 0, CORE, 0x1000);
    let machine = machine_of(Vendor::Intel, 6, 0x9e);
    let msr = Msr::find(devices.path(), &fixture("msr-skylake"), &machine).unwrap();
    assert_eq!(places(msr.zones())[2], ("core-0", "package-0", Some(0)));
    assert_eq!(msr.zones()[1].range_uj, Some(262_144_000_000));
}

#[test]
fn amd_s_packages_count() {
    let devices = devices("msr-epyc");
    let mut msr = Msr::find(devices.path(), &fixture("msr-epyc"), &epyc()).unwrap();
    let expected = [("package-0", "", Some(0)), ("package-1", "", Some(1))];
    assert_eq!(places(msr.zones()), expected);
    // 0xe08f3c55 / 2^16 J.
    assert_eq!(counters(&mut msr)[0], 57_487_235_671);
}

#[test]
fn fault_16_and_17_a_wrap_is_energy_and_a_new_start_is_none() {
    let devices = devices("msr-skylake");
    let mut msr = find(devices.path()).unwrap();
    let mut sampler = Sampler::default();
    let mut at = |seconds, count| {
        put(devices.path(), 0, PACKAGE, count);
        sample(&mut msr, &mut sampler, seconds)
    };
    let joules = |joules: u64| joules << 14;
    assert_eq!(at(0, (1 << 32) - joules(100)), ("OUTCOME_FIRST", 0));
    assert_eq!(at(5, joules(400)), ("OUTCOME_WRAPPED", 500_000_000));
    assert_eq!(at(10, joules(1000)), ("OUTCOME_SAMPLED", 600_000_000));
    // It would have drawn 262 kJ in five seconds.
    assert_eq!(at(15, joules(10)), ("OUTCOME_RESET", 0));
    // The register's upper half is reserved.
    assert_eq!(
        at(20, 0xffff_ffff_0000_0000 | joules(12)),
        ("OUTCOME_SAMPLED", 2_000_000)
    );
}

#[test]
fn without_the_module_or_the_registers_it_says_so() {
    let empty = tempfile::tempdir().unwrap();
    let absent = |found: Result<Msr, SensorError>| match found.unwrap_err() {
        SensorError::Absent(what) => what,
        error => panic!("{error}"),
    };
    assert!(absent(find(empty.path())).contains("modprobe msr"));
    let arm = machine_of(Vendor::Other, 8, 0);
    let what = absent(Msr::find(empty.path(), &fixture("msr-skylake"), &arm));
    assert!(what.contains("energy register"), "{what}");
    // Where a hypervisor makes up what it does not know.
    let guest = tempfile::tempdir().unwrap();
    for cpu in [0, 18] {
        put(guest.path(), cpu, CORE, 0);
    }
    assert!(absent(find(guest.path())).contains("virtual machine"));
    for cpu in [0, 18] {
        put(guest.path(), cpu, 0x606, 0xa0e03);
    }
    assert!(absent(find(guest.path())).contains("energy register"));
    // Or refuses: EIO, as this process's memory gives it where there is none.
    fs::remove_file(guest.path().join("0/msr")).unwrap();
    symlink("/proc/self/mem", guest.path().join("0/msr")).unwrap();
    assert!(absent(find(guest.path())).contains("virtual machine"));
}

#[test]
fn without_permission_it_says_what_would_help() {
    let devices = devices("msr-skylake");
    for cpu in ["0/msr", "18/msr"] {
        forbid(&devices.path().join(cpu));
    }
    let error = without(READ_EVERYTHING, || find(devices.path()).unwrap_err());
    let SensorError::NotPermitted(why) = error else {
        panic!("{error}")
    };
    assert!(
        why.contains("0/msr") && why.contains("CAP_SYS_RAWIO"),
        "{why}"
    );
}

#[test]
fn one_package_that_cannot_be_read_is_left_out_and_one_that_ends_fails_by_itself() {
    let devices = devices("msr-skylake");
    fs::remove_file(devices.path().join("18/msr")).unwrap();
    let mut msr = find(devices.path()).unwrap();
    assert_eq!(places(msr.zones()).len(), 2);
    // Memory's register lies behind the end, the package's before it.
    let device = File::options()
        .write(true)
        .open(devices.path().join("0/msr"))
        .unwrap();
    device.set_len(DRAM).unwrap();
    let readings = msr.read();
    assert!(readings[0].is_ok());
    assert!(matches!(&readings[1], Err(SensorError::Failed(why)) if why.contains("0x619")));
}

#[test]
fn a_device_that_is_cut_short_has_failed() {
    let devices = tempfile::tempdir().unwrap();
    for cpu in [0, 18] {
        put(devices.path(), cpu, 0x10, 1);
    }
    let error = find(devices.path()).unwrap_err();
    assert!(
        matches!(&error, SensorError::Failed(why) if why.contains("0x606")),
        "{error}"
    );
}

#[test]
fn a_list_of_cpus_that_is_garbage_has_failed() {
    let tree = copy("msr-skylake");
    fs::write(tree.path().join("devices/system/cpu/online"), "all").unwrap();
    let devices = devices("msr-skylake");
    let error = Msr::find(devices.path(), tree.path(), &skylake()).unwrap_err();
    assert!(
        matches!(&error, SensorError::Failed(why) if why.contains("lists no CPUs")),
        "{error}"
    );
}

proptest! {
    /// Over any number of turns the energy is that of the counts, to the microjoule.
    #[test]
    fn no_energy_is_lost_or_made_by_rounding_and_turns(
        exponent in 10_u32..=20,
        first: u32,
        steps in prop::collection::vec(0.0..1.0, 1..200),
    ) {
        let unit = Unit::of_register(u64::from(exponent) << 8).unwrap();
        let seconds = (unit.range_uj() / 800_000_000).clamp(1, 5);
        let most = f64::from((seconds * 700) as u32) * f64::from(1_u32 << exponent);
        let (mut sampler, mut count, mut energy_uj) = (Sampler::default(), u64::from(first), 0);
        for (index, step) in std::iter::once(&0.0).chain(&steps).enumerate() {
            count += (step * most) as u64;
            let ns = index as u64 * seconds * 1_000_000_000;
            let reading = Reading { counter_uj: unit.counter_uj(count as u32), boottime_ns: ns, awake_ns: ns };
            let sample = sampler.sample(&Ok(reading), Some(unit.range_uj()));
            prop_assert!(index == 0 || sample.is_known());
            energy_uj += sample.energy.microjoules();
        }
        let exact_uj = (u128::from(count - u64::from(first)) * 1_000_000) >> exponent;
        prop_assert!(exact_uj.abs_diff(u128::from(energy_uj)) <= 1);
    }
}
