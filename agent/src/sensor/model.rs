//! Power by a model, for machines with no counter (most cloud VMs): watts = idle + (max - idle) x busy, and
//! a constant for memory. Its energy is always `modelled`, with the parameters in the open.
//!
//! Since the model is linear, its energy is a function of two cumulative counters (CPU time busy and time
//! awake), so it is a counter too: it needs no state, and a restart loses nothing.
//!
//! Sources. Watts per hardware thread, idle and at full load: medians over the SPECpower_ssj2008 results of a
//! microarchitecture (7 to 163 servers each; spec.org, as Cloud Carbon Footprint's ccf-coefficients collects them, commit
//! b0032d92 of 2026-04-24), and their 10th and 90th percentiles. They are those of a whole server at the plug, with
//! 1 to 2 GB of memory a thread, tuned by its maker. Watts per GB of memory: Cloud Carbon Footprint's 0.392; the least and the
//! most that Teads measured on machines of AWS, idle and at full load (CC BY 4.0). An instance of AWS EC2 says what type it
//! is, and has Teads' watts of that type ([`ec2`]).

mod ec2;

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

use procfs_core::{CpuInfo, FromBufRead};
use wire::v1::Basis;

use super::cpus::Cpu;
use super::{IdleSource, Reading, Sensor, SensorError, Zone, awake_ns, boottime_ns};
use crate::usage::proc_stat::BusyTime;

/// Watts of memory per GB (10^9 bytes), whatever it does.
const DRAM_PER_GB: Figure = Figure::new([0.13, 0.392, 1.10]);

/// A figure in watts, and between what most of its kind lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// Few are below: of servers one in ten.
    pub low: f64,
    /// What the model takes.
    pub watts: f64,
    /// Few are above.
    pub high: f64,
}

impl Figure {
    const fn new([low, watts, high]: [f64; 3]) -> Self {
        Self { low, watts, high }
    }

    /// The range in per cent of the figure.
    fn range_percent(self) -> (u32, u32) {
        let percent = |watts: f64| 100.0 * watts / self.watts;
        let (low, high) = (percent(self.low).floor(), percent(self.high).ceil());
        (
            low.clamp(1.0, 100.0) as u32,
            high.clamp(100.0, 1_000.0) as u32,
        )
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { low, watts, high } = self;
        write!(f, "{watts} W ({low} to {high})")
    }
}

/// Watts per hardware thread of one family of CPUs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Family {
    /// Name of the microarchitecture, or of the type of a cloud's machines.
    pub name: &'static str,
    /// Whose figures they are, where they are not SPECpower's.
    pub by: &'static str,
    /// Per thread when the machine is idle.
    pub idle: Figure,
    /// Per thread when every thread is busy.
    pub max: Figure,
}

const fn family(name: &'static str, idle: [f64; 3], max: [f64; 3]) -> Family {
    Family {
        name,
        by: "",
        idle: Figure::new(idle),
        max: Figure::new(max),
    }
}

impl Family {
    /// Whatever the load, few machines use less than the first or more than the second, in per cent of the model's energy:
    /// power is between idle and full load, and so is the ratio of two of them.
    fn range_percent(self) -> (u32, u32) {
        let (idle, max) = (self.idle.range_percent(), self.max.range_percent());
        (idle.0.min(max.0), idle.1.max(max.1))
    }
}

/// Arm's own number as an implementer; the architecture stands for the family then, and the part for the model.
const ARM: &str = "0x41";

/// (vendor, CPU family, models, figures).
#[rustfmt::skip]
const FAMILIES: &[(&str, u32, std::ops::RangeInclusive<u32>, Family)] = &[
    ("GenuineIntel", 6, 0x2a..=0x2d, family("Sandy Bridge", [1.578, 1.767, 3.272], [6.625, 7.923, 12.750])),
    ("GenuineIntel", 6, 0x3a..=0x3a, family("Ivy Bridge", [1.312, 2.192, 5.617], [5.417, 7.013, 11.640])),
    ("GenuineIntel", 6, 0x3e..=0x3e, family("Ivy Bridge", [1.312, 2.192, 5.617], [5.417, 7.013, 11.640])),
    ("GenuineIntel", 6, 0x3c..=0x3f, family("Haswell", [0.561, 0.700, 2.191], [3.696, 3.993, 7.939])),
    ("GenuineIntel", 6, 0x4f..=0x4f, family("Broadwell", [0.475, 0.530, 1.188], [2.775, 3.091, 5.426])),
    ("GenuineIntel", 6, 0x56..=0x56, family("Broadwell", [0.475, 0.530, 1.188], [2.775, 3.091, 5.426])),
    ("GenuineIntel", 6, 0x55..=0x55, family("Skylake and Cascade Lake", [0.428, 0.556, 0.892], [3.223, 4.085, 4.500])),
    ("GenuineIntel", 6, 0x9e..=0x9e, family("Coffee Lake", [0.977, 1.116, 1.629], [3.509, 6.117, 7.241])),
    ("GenuineIntel", 6, 0x6a..=0x6c, family("Ice Lake", [0.742, 0.967, 1.611], [3.603, 4.123, 4.788])),
    ("GenuineIntel", 6, 0x8f..=0x8f, family("Sapphire Rapids", [0.654, 0.897, 1.669], [3.098, 4.000, 4.897])),
    ("GenuineIntel", 6, 0xcf..=0xcf, family("Emerald Rapids", [0.603, 0.834, 1.010], [2.544, 3.373, 4.659])),
    ("GenuineIntel", 6, 0xad..=0xae, family("Granite Rapids", [0.476, 0.618, 0.718], [2.276, 2.712, 3.045])),
    ("AuthenticAMD", 0x17, 0x00..=0x2f, family("EPYC 1st generation", [0.631, 0.744, 1.029], [2.227, 2.320, 2.980])),
    ("AuthenticAMD", 0x17, 0x30..=0xff, family("EPYC 2nd generation", [0.322, 0.437, 0.672], [1.533, 1.664, 1.922])),
    ("AuthenticAMD", 0x19, 0x00..=0x0f, family("EPYC 3rd generation", [0.327, 0.424, 0.621], [1.772, 1.916, 2.221])),
    ("AuthenticAMD", 0x19, 0x10..=0xff, family("EPYC 4th generation", [0.223, 0.328, 1.285], [1.279, 1.660, 3.042])),
    ("AuthenticAMD", 0x1a, 0x00..=0xff, family("EPYC 5th generation", [0.185, 0.217, 0.371], [1.108, 1.178, 1.983])),
    // Ampere Altra.
    (ARM, 8, 0xd0c..=0xd0c, family("Neoverse N1", [0.563, 0.617, 1.043], [1.144, 1.922, 2.009])),
];

/// All results since 2018, whoever made the CPU, for one that is in none of the rows above.
const UNKNOWN: Family = family("unknown CPU", [0.275, 0.640, 1.331], [1.386, 3.275, 4.760]);

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
    /// From `proc_root`/cpuinfo and meminfo, and what the firmware says in `sys_root`/class/dmi.
    ///
    /// # Errors
    /// Where one of them cannot be read.
    pub fn find(proc_root: &Path, sys_root: &Path) -> Result<Self, SensorError> {
        let cpus =
            CpuInfo::from_buf_read(std::io::BufReader::new(open(&proc_root.join("cpuinfo"))?))
                .map_err(|error| SensorError::Failed(format!("cannot parse cpuinfo: {error}")))?;
        let unread = |what: &str| SensorError::Failed(format!("cannot parse meminfo: {what}"));
        let meminfo = std::io::read_to_string(open(&proc_root.join("meminfo"))?)
            .map_err(|error| unread(&error.to_string()))?;
        let memory = memory_bytes(&meminfo).ok_or_else(|| unread("no MemTotal in kB"))?;
        let cpu = Cpu::of(&cpus);
        let field = |name| cpus.get_field(0, name);
        let vendor = field("vendor_id").or(field("CPU implementer"));
        let family = family_of(vendor.unwrap_or_default(), cpu.family, cpu.model);
        let threads = cpus.num_cores().max(1) as u32;
        Ok(Self {
            cpu,
            family: ec2::family(sys_root, threads, &family).unwrap_or(family),
            threads,
            memory_bytes: memory,
        })
    }

    /// Watts of all threads when nothing runs.
    #[must_use]
    pub fn idle_watts(&self) -> f64 {
        self.family.idle.watts * f64::from(self.threads)
    }

    /// Watts of the memory.
    #[must_use]
    pub fn dram_watts(&self) -> f64 {
        DRAM_PER_GB.watts * self.memory_bytes as f64 / 1e9
    }

    /// Watts that one busy thread adds.
    fn watts_per_busy_thread(&self) -> f64 {
        self.family.max.watts - self.family.idle.watts
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
        let Family {
            name,
            by,
            idle,
            max,
        } = machine.family;
        let package = Zone {
            source: format!(
                "model: {} x {idle} idle, {max} busy ({name}{by})",
                machine.threads
            ),
            ..zone(
                "package-0",
                machine.idle_watts(),
                machine.family.range_percent(),
            )
        };
        let gigabytes = machine.memory_bytes as f64 / 1e9;
        let dram = Zone {
            source: format!("model: {gigabytes:.1} GB x {DRAM_PER_GB}"),
            ..zone("dram-0", machine.dram_watts(), DRAM_PER_GB.range_percent())
        };
        let zones = [package, dram];
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

fn zone(name: &str, idle_watts: f64, range_percent: (u32, u32)) -> Zone {
    Zone {
        name: name.to_owned(),
        parent: String::new(),
        basis: Basis::Modelled,
        package: None,
        range_uj: None,
        is_lasting: true,
        range_percent: Some(range_percent),
        idle: IdleSource::Exact(idle_watts),
        source: String::new(),
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
        family: family("test", [0.5, 1.0, 1.2], [2.0, 3.0, 6.0]),
        threads: 4,
        memory_bytes: 10_000_000_000,
    };

    #[test]
    fn energy_is_linear_in_time_and_in_busy_time() {
        let model = Model::new(Path::new("/proc"), MACHINE);
        // 10 s up, 8 CPU seconds busy: 4 x 1 W x 10 s + 2 W x 8 s; memory 3.92 W x 10 s.
        assert_eq!(model.counters_uj(10.0, 8.0), [56_000_000, 39_200_000]);
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
        check("0x41", 8, 0xd0c, "Neoverse N1");
        check("0x41", 8, 0xd40, UNKNOWN.name);
    }

    fn found(cpuinfo: &str, vendor: &str, product: &str) -> Machine {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("cpuinfo", cpuinfo);
        write("meminfo", "MemTotal: 1000 kB\n");
        write("class/dmi/id/sys_vendor", &format!("{vendor}\n"));
        write("class/dmi/id/product_name", &format!("{product}\n"));
        Machine::find(root.path(), root.path()).unwrap()
    }

    #[test]
    fn a_machine_of_a_cloud_that_says_its_type_has_that_type_s_figures() {
        let arm = "processor\t: 0\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: 0xd0c\n\n\
                   processor\t: 1\nCPU implementer\t: 0x41\nCPU architecture: 8\nCPU part\t: 0xd0c\n\n";
        let altra = found(arm, "WIWYNN", "Mt.Jade");
        assert_eq!((altra.family.name, altra.threads), ("Neoverse N1", 2));
        let machine = found(arm, "Amazon EC2", "m6g.large");
        let model = Model::new(Path::new("/proc"), machine);
        assert_eq!(
            model.zones[0].source,
            "model: 2 x 0.27 W (0.27 to 1.043) idle, 2.385 W (1.144 to 2.385) busy \
             (m6g.large, estimated by Teads)"
        );
        assert_eq!(model.zones[0].range_percent, Some((47, 387)));
    }

    #[test]
    fn busy_never_costs_less_than_idle_and_each_figure_is_within_its_range() {
        let unknown = [("", 0, 0..=0, UNKNOWN)];
        for (_, _, _, figures) in FAMILIES.iter().chain(&unknown) {
            let (idle, max) = (figures.idle, figures.max);
            assert!(
                idle.low < max.low && idle.watts < max.watts && idle.high < max.high,
                "{figures:?}"
            );
            for Figure { low, watts, high } in [idle, max, DRAM_PER_GB] {
                assert!(0.0 < low && low <= watts && watts <= high, "{figures:?}");
            }
        }
    }

    #[test]
    fn the_range_holds_at_every_load() {
        let family = MACHINE.family;
        let (low, high) = family.range_percent();
        assert_eq!((low, high), (50, 200));
        for load in 0..=100 {
            let at = |idle: f64, max: f64| idle + (max - idle) * f64::from(load) / 100.0;
            let told = at(family.idle.watts, family.max.watts);
            assert!(at(family.idle.low, family.max.low) >= told * f64::from(low) / 100.0);
            assert!(at(family.idle.high, family.max.high) <= told * f64::from(high) / 100.0);
        }
    }
}
