//! RAPL through the registers themselves, for machines whose kernel has neither the powercap driver nor the PMU:
//! `/dev/cpu/N/msr` of the module `msr`, read at a register's number (msr(4)).
//!
//! Registers: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 4, and volume 3B on RAPL; AMD's
//! Processor Programming Reference for family 17h, `RAPL_PWR_UNIT` and `PKG_ENERGY_STAT`. They count 32 bits of a unit
//! of 2^-n J, about every millisecond, and wrap within minutes to hours.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use super::cpus::{Cpu, Vendor, leaders, online};
use super::model::Machine;
use super::rapl::{keep_readable, zone_of};
use super::{Reading, Sensor, SensorError, Zone};

/// The registers of one maker.
struct Registers {
    /// `RAPL_POWER_UNIT`; bits 12 to 8 are the energy unit's n.
    unit: u64,
    /// What powercap calls the domains, and their energy status.
    domains: &'static [(&'static str, u64)],
}

static INTEL: Registers = Registers {
    unit: 0x606,
    domains: &[("package", 0x611), ("dram", 0x619), ("core", 0x639)],
};

/// 0xC001029A is the energy of a single core, of which a package has many: left out.
static AMD: Registers = Registers {
    unit: 0xC001_0299,
    domains: &[("package", 0xC001_029B)],
};

/// Intel's family 6 from Silvermont to Airmont counts in another form (`rapl_check_unit_atom` of the kernel's
/// `drivers/powercap/intel_rapl_msr.c`).
const OTHER_UNITS: [u32; 4] = [0x37, 0x4a, 0x4c, 0x5a];

/// Server parts that count memory in units of 2^-16 J, whatever the unit register says (`RAPL_UNIT_QUIRK_INTEL_HSW` of
/// the kernel's `arch/x86/events/rapl.c`): Haswell, Broadwell, Broadwell-D, Skylake and Cascade Lake, Ice Lake and its
/// D, Knights Landing, Knights Mill.
const FIXED_DRAM_UNIT: [u32; 8] = [0x3f, 0x4f, 0x56, 0x55, 0x6a, 0x6c, 0x57, 0x85];

/// RAPL zones of the machine's registers.
#[derive(Debug)]
pub struct Msr {
    zones: Vec<Zone>,
    counters: Vec<Counter>,
}

impl Msr {
    /// Opens `devices`/N/msr for one CPU of each package that `sys_root` tells of; `machine` says which registers there
    /// are, and seeds their zones' idle power.
    ///
    /// # Errors
    /// [`SensorError::Absent`] where the CPU has none or the device is missing, [`SensorError::NotPermitted`] where
    /// CAP_SYS_RAWIO or the device's permission is.
    pub fn find(devices: &Path, sys_root: &Path, machine: &Machine) -> Result<Self, SensorError> {
        let cpu = &machine.cpu;
        let registers = registers(cpu).ok_or_else(|| {
            SensorError::Absent(format!("an energy register that is known of {cpu:?}"))
        })?;
        let packages = leaders(sys_root, &online(sys_root)?, cpu.vendor);
        let mut found = Vec::new();
        for (number, package) in packages {
            match Registered::open(devices, number, registers) {
                Ok(opened) => found.extend(opened.zones(registers, &package, cpu)),
                Err(error) => found.push(Err(error)),
            }
        }
        let (zones, counters) = keep_readable(found.into_iter(), machine)?;
        if zones.is_empty() {
            return Err(SensorError::Absent(format!(
                "an energy register in {}",
                devices.display()
            )));
        }
        Ok(Self { zones, counters })
    }
}

impl Sensor for Msr {
    fn name(&self) -> &'static str {
        "msr"
    }

    fn zones(&self) -> &[Zone] {
        &self.zones
    }

    fn read(&mut self) -> Vec<Result<Reading, SensorError>> {
        self.counters.iter().map(Counter::read).collect()
    }
}

fn registers(cpu: &Cpu) -> Option<&'static Registers> {
    match (cpu.vendor, cpu.family) {
        (Vendor::Intel, 6) if !OTHER_UNITS.contains(&cpu.model) => Some(&INTEL),
        (Vendor::Amd, 0x17..) => Some(&AMD),
        _ => None,
    }
}

/// An energy unit: 2^-n J.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit(u32);

impl Unit {
    /// From the unit register; `None` for one that reads 0, as where a hypervisor makes up what it does not know.
    #[must_use]
    pub fn of_register(value: u64) -> Option<Self> {
        (value != 0).then_some(Self((value >> 8 & 0x1f) as u32))
    }

    /// A counter's value in microjoules, rounded down: 32 bits x 10^6 fit into 52.
    #[must_use]
    pub fn counter_uj(self, count: u32) -> u64 {
        (u64::from(count) * 1_000_000) >> self.0
    }

    /// The range of 32 bits, of which this is exact: 2^32 x 10^6 is a multiple of 2^38. So over any number of turns the
    /// microjoules that rounding left out of one reading are in the next.
    #[must_use]
    pub fn range_uj(self) -> u64 {
        (1_000_000 << 32) >> self.0
    }
}

/// An open device, and the unit of its registers.
struct Registered {
    device: Arc<File>,
    path: String,
    unit: Unit,
}

impl Registered {
    fn open(devices: &Path, cpu: u32, registers: &Registers) -> Result<Self, SensorError> {
        let path = devices.join(format!("{cpu}/msr")).display().to_string();
        let device = File::open(&path).map_err(|error| refused(&path, &error))?;
        let unit = match read_register(&device, registers.unit) {
            Ok(value) => Unit::of_register(value),
            Err(error) if error.raw_os_error() == Some(libc::EIO) => None,
            Err(error) => return Err(unread(&path, registers.unit, &error)),
        };
        let absent = || {
            let why = "a virtual machine, as a rule";
            SensorError::Absent(format!("an energy unit in {path} ({why})"))
        };
        let unit = unit.ok_or_else(absent)?;
        Ok(Self {
            device: Arc::new(device),
            path,
            unit,
        })
    }

    /// Zones of those registers that count.
    fn zones(
        &self,
        registers: &Registers,
        package: &str,
        cpu: &Cpu,
    ) -> Vec<Result<(Zone, Counter), SensorError>> {
        let zone = |&(domain, register): &(&str, u64)| match read_register(&self.device, register) {
            // What the CPU does not have reads 0, or is an error (`perf_msr_probe` of the kernel goes by the same).
            Ok(0) => None,
            Err(error) if error.raw_os_error() == Some(libc::EIO) => None,
            Ok(_) => Some(Ok(self.zone(domain, register, package, cpu))),
            Err(error) => Some(Err(unread(&self.path, register, &error))),
        };
        registers.domains.iter().filter_map(zone).collect()
    }

    fn zone(&self, domain: &str, register: u64, package: &str, cpu: &Cpu) -> (Zone, Counter) {
        let is_fixed = domain == "dram" && FIXED_DRAM_UNIT.contains(&cpu.model);
        let counter = Counter {
            device: self.device.clone(),
            path: self.path.clone(),
            register,
            unit: if is_fixed { Unit(16) } else { self.unit },
        };
        let zone = Zone {
            range_uj: Some(counter.unit.range_uj()),
            source: format!("{} at 0x{register:x}", self.path),
            ..zone_of(domain, package)
        };
        (zone, counter)
    }
}

/// One register.
#[derive(Debug)]
struct Counter {
    device: Arc<File>,
    path: String,
    register: u64,
    unit: Unit,
}

impl Counter {
    fn read(&self) -> Result<Reading, SensorError> {
        match read_register(&self.device, self.register) {
            // The upper half is reserved.
            Ok(value) => Ok(Reading::now(self.unit.counter_uj(value as u32))),
            Err(error) => Err(unread(&self.path, self.register, &error)),
        }
    }
}

fn read_register(device: &File, register: u64) -> io::Result<u64> {
    let mut value = [0; 8];
    device.read_exact_at(&mut value, register)?;
    Ok(u64::from_ne_bytes(value))
}

fn refused(path: &str, error: &io::Error) -> SensorError {
    match error.kind() {
        io::ErrorKind::NotFound => SensorError::Absent(format!("{path} (`modprobe msr` makes it)")),
        io::ErrorKind::PermissionDenied => SensorError::NotPermitted(format!(
            "{path} may not be opened: run the agent as root with CAP_SYS_RAWIO"
        )),
        _ => SensorError::Failed(format!("cannot open {path}: {error}")),
    }
}

fn unread(path: &str, register: u64, error: &io::Error) -> SensorError {
    SensorError::Failed(format!("cannot read 0x{register:x} of {path}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_is_five_bits_of_its_register() {
        let check = |value, expected: Option<u32>| {
            assert_eq!(Unit::of_register(value), expected.map(Unit), "{value:x}");
        };
        // Skylake-SP and EPYC as they are, what a hypervisor makes up, all bits.
        check(0xa_0e03, Some(14));
        check(0xa_1003, Some(16));
        check(0, None);
        check(u64::MAX, Some(31));
    }

    #[test]
    fn counters_are_microjoules() {
        let check = |unit, count, expected| assert_eq!(Unit(unit).counter_uj(count), expected);
        check(16, 1, 15);
        check(16, 65_536, 1_000_000);
        check(14, u32::MAX, 262_143_999_938);
        check(0, u32::MAX, 4_294_967_295_000_000);
        assert_eq!(Unit(14).range_uj(), 262_144_000_000);
        assert_eq!(Unit(31).range_uj(), 2_000_000);
    }

    #[test]
    fn the_registers_are_those_of_the_maker() {
        let check = |vendor, family, model, expected: Option<u64>| {
            let cpu = Cpu {
                vendor,
                family,
                model,
            };
            assert_eq!(
                registers(&cpu).map(|registers| registers.unit),
                expected,
                "{cpu:?}"
            );
        };
        check(Vendor::Intel, 6, 0x55, Some(0x606));
        check(Vendor::Intel, 6, 0x37, None);
        check(Vendor::Intel, 15, 4, None);
        check(Vendor::Amd, 0x1a, 2, Some(0xC001_0299));
        check(Vendor::Amd, 0x15, 2, None);
        check(Vendor::Other, 8, 0, None);
    }
}
