//! The machine's CPUs, as far as their energy registers ask: vendor and model, and which CPU stands for which package.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use procfs_core::CpuInfo;

use super::{SensorError, read_trimmed};

/// No kernel knows more (`NR_CPUS` of its Kconfig is at most 8,192).
const MAX_CPUS: u32 = 65_536;

/// Who made a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vendor {
    /// Intel.
    Intel,
    /// AMD, and Hygon, whose CPUs are AMD's.
    Amd,
    /// Somebody else.
    Other,
}

/// What kind of CPU the machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// Who made it.
    pub vendor: Vendor,
    /// Its family, as CPUID tells it; of Arm's the architecture.
    pub family: u32,
    /// Its model within the family; of Arm's the part.
    pub model: u32,
}

impl Cpu {
    /// From `/proc/cpuinfo`, of the first CPU: all of a machine are of one kind.
    #[must_use]
    pub fn of(cpus: &CpuInfo) -> Self {
        let field = |name| cpus.get_field(0, name).unwrap_or_default();
        let number = |name| field(name).parse().unwrap_or_default();
        if let Some(part) = field("CPU part").strip_prefix("0x") {
            return Self {
                vendor: Vendor::Other,
                family: number("CPU architecture"),
                model: u32::from_str_radix(part, 16).unwrap_or_default(),
            };
        }
        Self {
            vendor: match field("vendor_id") {
                "GenuineIntel" => Vendor::Intel,
                "AuthenticAMD" | "HygonGenuine" => Vendor::Amd,
                _ => Vendor::Other,
            },
            family: number("cpu family"),
            model: number("model"),
        }
    }
}

/// Where a CPU is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    package: u16,
    die: u16,
}

/// One CPU for each of the packages that `cpus` are in, and what powercap would call that package.
///
/// Intel's energy registers are a die's own; AMD's are the package's. Linux 6.9 to 6.11 list a CPU for each of AMD's
/// core complexes, which would count a package as often as it has of them (mended by commit 8d72eba1cf8c).
pub(super) fn leaders(sys_root: &Path, cpus: &[u32], vendor: Vendor) -> Vec<(u32, String)> {
    let place = |cpu: &u32| place_of(sys_root, *cpu, vendor == Vendor::Intel);
    name_leaders(cpus.iter().map(|cpu| (place(cpu), *cpu)))
}

fn name_leaders(cpus: impl Iterator<Item = (Place, u32)>) -> Vec<(u32, String)> {
    let mut first = BTreeMap::new();
    for (place, cpu) in cpus {
        first.entry(place).or_insert(cpu);
    }
    let dies = |package| {
        first
            .keys()
            .filter(|place| place.package == package)
            .count()
    };
    let name = |place: &Place| match dies(place.package) {
        1 => format!("package-{}", place.package),
        _ => format!("package-{}-die-{}", place.package, place.die),
    };
    first
        .iter()
        .map(|(place, cpu)| (*cpu, name(place)))
        .collect()
}

/// Numbers of all packages with a CPU that is online, in order.
pub(super) fn packages(sys_root: &Path) -> Vec<u16> {
    let online = online(sys_root).unwrap_or_default();
    let mut packages: Vec<u16> = online
        .iter()
        .map(|cpu| package_of(sys_root, *cpu))
        .collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

/// The CPUs that are online.
pub(super) fn online(sys_root: &Path) -> Result<Vec<u32>, SensorError> {
    read_cpu_list(&sys_root.join("devices/system/cpu/online"))
}

/// Reads a file that lists CPUs.
pub(super) fn read_cpu_list(path: &Path) -> Result<Vec<u32>, SensorError> {
    let text = read_trimmed(path)?;
    let none = || {
        format!(
            "{} lists no CPUs: {:.40}",
            path.display(),
            text.escape_debug()
        )
    };
    cpu_list(&text).ok_or_else(|| SensorError::Failed(none()))
}

/// The package of a CPU, as whoever counts CPU time numbers it: 0 where the kernel does not say.
pub(super) fn package_of(sys_root: &Path, cpu: u32) -> u16 {
    topology(sys_root, cpu, "physical_package_id")
}

fn place_of(sys_root: &Path, cpu: u32, with_die: bool) -> Place {
    Place {
        package: package_of(sys_root, cpu),
        die: if with_die {
            topology(sys_root, cpu, "die_id")
        } else {
            0
        },
    }
}

fn topology(sys_root: &Path, cpu: u32, what: &str) -> u16 {
    let path = format!("devices/system/cpu/cpu{cpu}/topology/{what}");
    let text = fs::read_to_string(sys_root.join(path)).unwrap_or_default();
    // The kernel writes -1 for "unknown".
    text.trim().parse().unwrap_or_default()
}

/// CPUs from a list such as `0,18-20`, as the kernel writes them (`%*pbl` in its printk-formats); `None` where it is
/// none, or empty.
#[must_use]
pub fn cpu_list(text: &str) -> Option<Vec<u32>> {
    let number = |text: &str| text.parse().ok().filter(|&cpu: &u32| cpu < MAX_CPUS);
    let mut cpus = Vec::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        cpus.extend(number(first)?..=number(last)?);
        if cpus.len() > MAX_CPUS as usize {
            return None;
        }
    }
    (!cpus.is_empty()).then_some(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_cpus_is_numbers_and_ranges() {
        let check = |text, expected: Option<&[u32]>| {
            assert_eq!(cpu_list(text).as_deref(), expected, "{text}");
        };
        check("0\n", Some(&[0]));
        check("0,18", Some(&[0, 18]));
        check("0-2,9", Some(&[0, 1, 2, 9]));
        for garbage in [
            "",
            "\n",
            "a",
            "0,",
            "-1",
            "3-",
            "5-4",
            "0x1",
            "0-4294967295",
            "70000",
        ] {
            check(garbage, None);
        }
        check(&["0-65535"; 9].join(","), None);
    }

    #[test]
    fn a_package_is_counted_once_and_a_die_is_named_where_there_are_several() {
        let check = |cpus: &[(u16, u16, u32)], expected: &[(u32, &str)]| {
            let place = |&(package, die, cpu): &(u16, u16, u32)| (Place { package, die }, cpu);
            let found = name_leaders(cpus.iter().map(place));
            let found: Vec<_> = found.iter().map(|(cpu, name)| (*cpu, &**name)).collect();
            assert_eq!(found, expected);
        };
        check(&[(0, 0, 0), (0, 0, 1)], &[(0, "package-0")]);
        check(
            &[(1, 0, 1), (0, 0, 2)],
            &[(2, "package-0"), (1, "package-1")],
        );
        let two_dies = [(0, 0, 0), (0, 1, 8), (1, 0, 16)];
        check(
            &two_dies,
            &[
                (0, "package-0-die-0"),
                (8, "package-0-die-1"),
                (16, "package-1"),
            ],
        );
    }
}
