//! Power by a model, for machines with no counter (most cloud VMs): watts = idle + (max - idle) x busy, and
//! a constant for memory. Its energy is always `modelled`, with the parameters in the open.
//!
//! Since the model is linear, its energy is a function of two cumulative counters (CPU time busy and time
//! awake), so it is a counter too: it needs no state, and a restart loses nothing.
//!
//! Sources. Watts per hardware thread, idle and at full load: Cloud Carbon Footprint, ccf-coefficients,
//! `output/coefficients-aws-use.csv` as of 2026-04-24 (Apache-2.0), made from SPECpower_ssj2008 results.
//! 0.38 W per GB of memory: Cloud Carbon Footprint's methodology, after the memory makers' figures.

use std::fs::File;
use std::path::{Path, PathBuf};

use procfs_core::{CpuInfo, FromBufRead};
use wire::v1::Basis;

use super::cpus::Cpu;
use super::{IdleSource, Reading, Sensor, SensorError, Zone, awake_ns, boottime_ns};
use crate::usage::proc_stat::BusyTime;

/// Watts of memory per GB (10^9 bytes), whatever it does.
const DRAM_WATTS_PER_GB: f64 = 0.38;

/// Watts per hardware thread of one family of CPUs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Family {
    /// Name of the microarchitecture.
    pub name: &'static str,
    /// Watts per thread when the machine is idle.
    pub idle_watts: f64,
    /// Watts per thread when every thread is busy.
    pub max_watts: f64,
}

const fn family(name: &'static str, idle_watts: f64, max_watts: f64) -> Family {
    Family {
        name,
        idle_watts,
        max_watts,
    }
}

/// (vendor, CPU family, models, figures). The published row for EPYC 5th generation mixes in small desktop
/// parts (9 W per thread); the 4th generation's stands in for it.
#[rustfmt::skip]
const FAMILIES: &[(&str, u32, std::ops::RangeInclusive<u32>, Family)] = &[
    ("GenuineIntel", 6, 0x2a..=0x2d, family("Sandy Bridge", 2.212, 8.631)),
    ("GenuineIntel", 6, 0x3a..=0x3a, family("Ivy Bridge", 1.707, 5.557)),
    ("GenuineIntel", 6, 0x3e..=0x3e, family("Ivy Bridge", 1.707, 5.557)),
    ("GenuineIntel", 6, 0x3c..=0x3f, family("Haswell", 1.857, 5.595)),
    ("GenuineIntel", 6, 0x4f..=0x4f, family("Broadwell", 0.713, 3.685)),
    ("GenuineIntel", 6, 0x56..=0x56, family("Broadwell", 0.713, 3.685)),
    ("GenuineIntel", 6, 0x55..=0x55, family("Skylake and Cascade Lake", 0.613, 4.104)),
    ("GenuineIntel", 6, 0x9e..=0x9e, family("Coffee Lake", 1.138, 5.422)),
    ("GenuineIntel", 6, 0x6a..=0x6c, family("Ice Lake", 0.767, 3.758)),
    ("GenuineIntel", 6, 0x8f..=0x8f, family("Sapphire Rapids", 1.036, 4.160)),
    ("GenuineIntel", 6, 0xcf..=0xcf, family("Emerald Rapids", 0.814, 4.482)),
    ("GenuineIntel", 6, 0xad..=0xae, family("Granite Rapids", 0.582, 2.527)),
    ("AuthenticAMD", 0x17, 0x00..=0x2f, family("EPYC 1st generation", 0.847, 2.604)),
    ("AuthenticAMD", 0x17, 0x30..=0xff, family("EPYC 2nd generation", 0.474, 1.693)),
    ("AuthenticAMD", 0x19, 0x00..=0x0f, family("EPYC 3rd generation", 0.456, 1.957)),
    ("AuthenticAMD", 0x19, 0x10..=0xff, family("EPYC 4th generation", 0.739, 2.282)),
    ("AuthenticAMD", 0x1a, 0x00..=0xff, family("EPYC 5th generation, by the figures of the 4th", 0.739, 2.282)),
];

/// Mean of the rows above, for a CPU that is in none of them (Cloud Carbon Footprint's own averages for
/// the three large clouds lie between 0.71 and 0.78 W idle, 3.5 and 4.26 W at full load).
const UNKNOWN: Family = family("unknown CPU, average of clouds", 0.74, 3.5);

/// What the model needs to know of a machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    /// What kind of CPU it has.
    pub cpu: Cpu,
    /// Figures of its CPUs.
    pub family: Family,
    /// Hardware threads (a VM's vCPUs).
    pub threads: u32,
    /// Bytes of memory.
    pub memory_bytes: u64,
}

impl Machine {
    /// From `proc_root`/cpuinfo and meminfo.
    ///
    /// # Errors
    /// Where one of them cannot be read.
    pub fn find(proc_root: &Path) -> Result<Self, SensorError> {
        let cpus =
            CpuInfo::from_buf_read(std::io::BufReader::new(open(&proc_root.join("cpuinfo"))?))
                .map_err(|error| SensorError::Failed(format!("cannot parse cpuinfo: {error}")))?;
        let unread = |what: &str| SensorError::Failed(format!("cannot parse meminfo: {what}"));
        let meminfo = std::io::read_to_string(open(&proc_root.join("meminfo"))?)
            .map_err(|error| unread(&error.to_string()))?;
        let memory = memory_bytes(&meminfo).ok_or_else(|| unread("no MemTotal in kB"))?;
        let cpu = Cpu::of(&cpus);
        let vendor = cpus.get_field(0, "vendor_id").unwrap_or_default();
        Ok(Self {
            cpu,
            family: family_of(vendor, cpu.family, cpu.model),
            threads: cpus.num_cores().max(1) as u32,
            memory_bytes: memory,
        })
    }

    /// Watts of all threads when nothing runs.
    #[must_use]
    pub fn idle_watts(&self) -> f64 {
        self.family.idle_watts * f64::from(self.threads)
    }

    /// Watts of the memory.
    #[must_use]
    pub fn dram_watts(&self) -> f64 {
        DRAM_WATTS_PER_GB * self.memory_bytes as f64 / 1e9
    }

    /// Watts that one busy thread adds.
    fn watts_per_busy_thread(&self) -> f64 {
        self.family.max_watts - self.family.idle_watts
    }
}

/// The model as a sensor: zones package-0 (all CPUs) and dram-0.
#[derive(Debug)]
pub struct Model {
    machine: Machine,
    stat: PathBuf,
    zones: [Zone; 2],
}

impl Model {
    /// For a machine whose busy time is in `proc_root`/stat.
    #[must_use]
    pub fn new(proc_root: &Path, machine: Machine) -> Self {
        let cpu_source = format!(
            "model: {} x {} W idle, {} W busy ({})",
            machine.threads,
            machine.family.idle_watts,
            machine.family.max_watts,
            machine.family.name
        );
        let gigabytes = machine.memory_bytes as f64 / 1e9;
        let dram_source = format!("model: {gigabytes:.1} GB x {DRAM_WATTS_PER_GB} W");
        let zones = [
            zone("package-0", machine.idle_watts(), cpu_source),
            zone("dram-0", machine.dram_watts(), dram_source),
        ];
        Self {
            machine,
            stat: proc_root.join("stat"),
            zones,
        }
    }

    fn counters_uj(&self, up_seconds: f64, busy_seconds: f64) -> [u64; 2] {
        let cpu = self.machine.idle_watts() * up_seconds
            + self.machine.watts_per_busy_thread() * busy_seconds;
        let dram = self.machine.dram_watts() * up_seconds;
        [(cpu * 1e6) as u64, (dram * 1e6) as u64]
    }
}

impl Sensor for Model {
    fn name(&self) -> &'static str {
        "model"
    }

    fn zones(&self) -> &[Zone] {
        &self.zones
    }

    fn read(&mut self) -> Vec<Result<Reading, SensorError>> {
        let busy = BusyTime::read(&self.stat);
        let boottime_ns = boottime_ns();
        // A suspended machine draws next to nothing, and this clock stands still with it.
        let awake_ns = awake_ns();
        let up_seconds = awake_ns as f64 / 1e9;
        match busy {
            Ok(busy) => self
                .counters_uj(up_seconds, busy.seconds())
                .map(|counter_uj| {
                    Ok(Reading {
                        counter_uj,
                        boottime_ns,
                        awake_ns,
                    })
                })
                .into(),
            Err(error) => vec![Err(SensorError::Failed(error.to_string())); self.zones.len()],
        }
    }
}

fn zone(name: &str, idle_watts: f64, source: String) -> Zone {
    Zone {
        name: name.to_owned(),
        parent: String::new(),
        basis: Basis::Modelled,
        package: None,
        range_uj: None,
        is_lasting: true,
        range_percent: None,
        idle: IdleSource::Exact(idle_watts),
        source,
        reason: String::new(),
    }
}

fn family_of(vendor: &str, cpu_family: u32, model: u32) -> Family {
    let row = FAMILIES.iter().find(|(row_vendor, row_family, models, _)| {
        *row_vendor == vendor && *row_family == cpu_family && models.contains(&model)
    });
    row.map_or(UNKNOWN, |(_, _, _, figures)| *figures)
}

/// All memory, from the text of `/proc/meminfo` (proc_meminfo(5)). procfs-core reads every line of it, and panics
/// on some that are broken.
#[must_use]
pub fn memory_bytes(meminfo: &str) -> Option<u64> {
    let mut lines = meminfo.lines();
    let total = lines.find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes = total.trim().strip_suffix("kB")?.trim_end();
    kilobytes.parse::<u64>().ok()?.checked_mul(1024)
}

fn open(path: &Path) -> Result<File, SensorError> {
    File::open(path)
        .map_err(|error| SensorError::Failed(format!("cannot open {}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensor::cpus::Vendor;

    #[test]
    fn memory_is_mem_total_whatever_else_is_there() {
        let check = |text: &str, expected| assert_eq!(memory_bytes(text), expected, "{text}");
        check(
            "MemTotal:        2048 kB\nMemFree: 1 kB\n",
            Some(2048 * 1024),
        );
        check(
            "Odd: 18446744073709551615 \u{5fd}B\nMemTotal: 1 kB",
            Some(1024),
        );
        check("MemTotal: 18446744073709551615 kB", None);
        check("MemTotal: 1 MB", None);
        check("", None);
    }

    const MACHINE: Machine = Machine {
        cpu: Cpu {
            vendor: Vendor::Other,
            family: 0,
            model: 0,
        },
        family: family("test", 1.0, 3.0),
        threads: 4,
        memory_bytes: 10_000_000_000,
    };

    #[test]
    fn energy_is_linear_in_time_and_in_busy_time() {
        let model = Model::new(Path::new("/proc"), MACHINE);
        // 10 s up, 8 CPU seconds busy: 4 x 1 W x 10 s + 2 W x 8 s; memory 3.8 W x 10 s.
        assert_eq!(model.counters_uj(10.0, 8.0), [56_000_000, 38_000_000]);
    }

    #[test]
    fn a_cpu_is_found_by_vendor_family_and_model() {
        let check = |vendor, family, model, expected: &str| {
            assert_eq!(family_of(vendor, family, model).name, expected);
        };
        check("AuthenticAMD", 0x17, 0x31, "EPYC 2nd generation");
        check("AuthenticAMD", 0x19, 0x11, "EPYC 4th generation");
        check("GenuineIntel", 6, 0x3e, "Ivy Bridge");
        check("GenuineIntel", 6, 0x3f, "Haswell");
        check("GenuineIntel", 6, 0x6a, "Ice Lake");
        check("ARM", 8, 0, UNKNOWN.name);
    }

    #[test]
    fn busy_never_costs_less_than_idle() {
        for (_, _, _, figures) in FAMILIES {
            assert!(
                0.0 < figures.idle_watts && figures.idle_watts < figures.max_watts,
                "{figures:?}"
            );
        }
    }
}
