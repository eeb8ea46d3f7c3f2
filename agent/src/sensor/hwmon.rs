//! CPU packages by the chips of `/sys/class/hwmon`: `hwmonN/{name,energyM_input,powerM_input,powerM_label}` (the kernel's
//! Documentation/hwmon/sysfs-interface), for machines whose CPUs have no RAPL, or a kernel that does not show it.
//!
//! Most chips measure something else: only those of [`CHIPS`] count.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::channels::{Channel, Kind, Meter, channels, chips};
use super::cpus::{package_of, packages, read_cpu_list};
use super::integral::PERIOD;
use super::model::Machine;
use super::rapl::{seed_idle, zone_of};
use super::{Reading, Sensor, SensorError, Zone, read_number};

/// A chip that measures CPUs.
struct Chip {
    /// What its driver calls it.
    name: &'static str,
    /// What it tells.
    kind: Kind,
    /// The labels that count, without their number. Where several are of one package, they are parts of it, which add up.
    labels: &'static [&'static str],
    /// What that number is.
    number: Number,
}

/// What the number in a label is.
#[derive(Clone, Copy)]
enum Number {
    /// That of a NUMA node; several of one package show the same.
    Node,
    /// The package's; 0 where there is none.
    Package,
    /// There is none: the first chip of the name is the first package's.
    Chip,
}

/// In the order in which they are preferred. Left out: `Ecore*` of amd_energy (parts of Esocket), `IO power` of X-Gene
/// and Altra (not of the package's cores), NVIDIA's `Module` and `Grace` power (they hold memory and the GPU too).
static CHIPS: [Chip; 4] = [
    // The kernel's drivers/hwmon/amd_energy.c, up to 5.12; AMD's own since then.
    Chip {
        name: "amd_energy",
        kind: Kind::Energy,
        labels: &["Esocket"],
        number: Number::Node,
    },
    // The zenpower module, outside the kernel: voltage times current of two rails.
    Chip {
        name: "zenpower",
        kind: Kind::Power,
        labels: &["SVI2_P_Core", "SVI2_P_SoC"],
        number: Number::Package,
    },
    // drivers/hwmon/xgene-hwmon.c: X-Gene, eMAG, Altra.
    Chip {
        name: "apm_xgene",
        kind: Kind::Power,
        labels: &["CPU power"],
        number: Number::Chip,
    },
    // drivers/hwmon/acpi_power_meter.c on NVIDIA Grace, by its Performance Tuning Guide ("Power Telemetry").
    Chip {
        name: "power_meter",
        kind: Kind::Power,
        labels: &["CPU Power Socket", "SysIO Power Socket"],
        number: Number::Package,
    },
];

/// The packages that a chip measures.
#[derive(Debug)]
pub struct Hwmon {
    zones: Vec<Zone>,
    counters: Vec<Counter>,
}

impl Hwmon {
    /// Finds the first of [`CHIPS`] below `sys_root`/class/hwmon. `machine` seeds the idle power.
    ///
    /// # Errors
    /// [`SensorError::Absent`] where there is no such chip; why one of its channels cannot be read.
    pub fn find(sys_root: &Path, machine: &Machine) -> Result<Self, SensorError> {
        for chip in &CHIPS {
            let found = packages_of(chip, sys_root)?;
            if !found.is_empty() {
                return Self::open(chip, found, machine);
            }
        }
        let names: Vec<&str> = CHIPS.iter().map(|chip| chip.name).collect();
        let place = sys_root.join("class/hwmon");
        Err(SensorError::Absent(format!(
            "a chip that measures CPUs ({}) in {}",
            names.join(", "),
            place.display()
        )))
    }

    fn open(
        chip: &Chip,
        found: BTreeMap<u16, Vec<PathBuf>>,
        machine: &Machine,
    ) -> Result<Self, SensorError> {
        let (mut zones, mut counters) = (Vec::new(), Vec::new());
        for (package, paths) in found {
            let mut counter = Counter::new(chip, &paths);
            counter.read()?;
            counters.push(counter);
            let paths: Vec<String> = paths
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            zones.push(Zone {
                is_lasting: chip.kind == Kind::Energy,
                source: paths.join(" + "),
                ..zone_of("package", &format!("package-{package}"))
            });
        }
        seed_idle(&mut zones, machine);
        Ok(Self { zones, counters })
    }
}

impl Sensor for Hwmon {
    fn name(&self) -> &'static str {
        "hwmon"
    }

    fn zones(&self) -> &[Zone] {
        &self.zones
    }

    fn read(&mut self) -> Vec<Result<Reading, SensorError>> {
        self.counters.iter_mut().map(Counter::read).collect()
    }

    fn period(&self) -> Option<Duration> {
        let is_power = |counter: &Counter| matches!(counter, Counter::Power(_));
        self.counters.iter().any(is_power).then_some(PERIOD)
    }
}

/// The channels of each package.
fn packages_of(chip: &Chip, sys_root: &Path) -> Result<BTreeMap<u16, Vec<PathBuf>>, SensorError> {
    let mut found: BTreeMap<u16, Vec<PathBuf>> = BTreeMap::new();
    for (index, directory) in chips(sys_root, chip.name)?.iter().enumerate() {
        for Channel { label, path } in channels(directory, chip.kind)? {
            let mut words = chip.labels.iter();
            let number = words.find_map(|word| number_beside(&label, word));
            let package = number.and_then(|number| package(chip.number, number, index, sys_root));
            let Some(package) = package else { continue };
            let paths = found.entry(package).or_default();
            // A counter that is shown twice is one; rails of one package are two.
            if chip.kind == Kind::Power || paths.is_empty() {
                paths.push(path);
            }
        }
    }
    Ok(found)
}

/// The package that a channel is of; `None` where it is of a NUMA node without CPUs.
fn package(means: Number, number: Option<u16>, chip: usize, sys_root: &Path) -> Option<u16> {
    let number = number.unwrap_or_default();
    match means {
        Number::Node => package_of_node(number, sys_root),
        Number::Package => Some(nth_package(number.into(), sys_root)),
        Number::Chip => Some(nth_package(chip, sys_root)),
    }
}

fn package_of_node(node: u16, sys_root: &Path) -> Option<u16> {
    let list = sys_root.join(format!("devices/system/node/node{node}/cpulist"));
    match read_cpu_list(&list) {
        Ok(cpus) => Some(package_of(sys_root, *cpus.first()?)),
        // A kernel without NUMA has one node for each socket.
        Err(SensorError::Absent(_)) => Some(node),
        Err(_) => None,
    }
}

fn nth_package(index: usize, sys_root: &Path) -> u16 {
    let packages = packages(sys_root);
    packages.get(index).copied().unwrap_or(index as u16)
}

/// The number beside `word` in a label, as in `Esocket0`, `cpu1 SVI2_P_Core` or `CPU Power Socket 1`. `None` for another
/// label; `Some(None)` where there is no number.
#[must_use]
pub fn number_beside(label: &str, word: &str) -> Option<Option<u16>> {
    let rest = label.replacen(word, "", 1);
    if rest.len() == label.len() {
        return None;
    }
    match rest.trim().trim_start_matches("cpu") {
        "" => Some(None),
        number => number.parse().ok().map(Some),
    }
}

/// What one package is read from.
#[derive(Debug)]
enum Counter {
    /// A counter in microjoules, 64 bits wide. amd_energy's own arithmetic starts again at 0 after 2^(64-16) uJ (281 MJ,
    /// 16 days at 200 W): a range that it tells nobody, so that this is a reset.
    Energy(PathBuf),
    /// Power of its parts.
    Power(Meter),
}

impl Counter {
    fn new(chip: &Chip, paths: &[PathBuf]) -> Self {
        match (chip.kind, paths) {
            (Kind::Energy, [path, ..]) => Self::Energy(path.clone()),
            _ => Self::Power(Meter::new(paths.to_vec())),
        }
    }

    fn read(&mut self) -> Result<Reading, SensorError> {
        match self {
            Self::Energy(path) => read_number(path).map(Reading::now),
            Self::Power(meter) => meter.read(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_a_word_and_a_number() {
        let check =
            |label, word, expected| assert_eq!(number_beside(label, word), expected, "{label}");
        check("Esocket0", "Esocket", Some(Some(0)));
        check("Ecore000", "Esocket", None);
        check("SVI2_P_Core", "SVI2_P_Core", Some(None));
        check("cpu1 SVI2_P_SoC", "SVI2_P_SoC", Some(Some(1)));
        check("SVI2_P_SoC", "SVI2_P_Core", None);
        check("CPU power", "CPU power", Some(None));
        check("IO power", "CPU power", None);
        check("CPU Power Socket 1", "CPU Power Socket", Some(Some(1)));
        check("Esocket one", "Esocket", None);
        check("Esocket70000", "Esocket", None);
    }
}
