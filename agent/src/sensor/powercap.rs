//! RAPL through powercap: `/sys/class/powercap/intel-rapl:N[:M]/{name,energy_uj,max_energy_range_uj}`, on
//! Intel and (with the same driver) on AMD Zen. Format: the kernel's Documentation/power/powercap.
//!
//! `package-N` and `dram` add up; `core` and `uncore` lie inside their package, `psys` holds the whole
//! platform: those three are nested. `intel-rapl-mmio:*` repeats a package and is left out.

use std::path::{Path, PathBuf};

use tracing::warn;
use wire::v1::Basis;

use super::model::Machine;
use super::{IdleSource, Reading, Sensor, SensorError, Zone, read_number, read_trimmed};

/// All RAPL zones below one powercap directory.
#[derive(Debug)]
pub struct Powercap {
    zones: Vec<Zone>,
    counters: Vec<PathBuf>,
}

impl Powercap {
    /// Finds the zones below `sys_root`/class/powercap. `machine` seeds their idle power.
    ///
    /// # Errors
    /// [`SensorError::Absent`] where there is no RAPL zone; why the first could not be read where no additive
    /// one can. A zone that cannot be read beside others that can is left out.
    pub fn find(sys_root: &Path, machine: &Machine) -> Result<Self, SensorError> {
        let powercap = sys_root.join("class/powercap");
        let mut found: Vec<(Zone, PathBuf)> = Vec::new();
        let mut first_error = None;
        for directory in rapl_directories(&powercap)? {
            match open_zone(&directory) {
                Ok((zone, _)) if found.iter().any(|(other, _)| other.name == zone.name) => {}
                Ok(zone) => found.push(zone),
                Err(error) => {
                    warn!("a RAPL zone is left out: {error}");
                    first_error.get_or_insert(error);
                }
            }
        }
        // Without a package or dram what is left could not be added up.
        if let Some(error) =
            first_error.filter(|_| found.iter().all(|(zone, _)| !zone.parent.is_empty()))
        {
            return Err(error);
        }
        seed_idle(&mut found, machine);
        let (zones, counters) = found.into_iter().unzip();
        Ok(Self { zones, counters })
    }
}

impl Sensor for Powercap {
    fn name(&self) -> &'static str {
        "rapl"
    }

    fn zones(&self) -> &[Zone] {
        &self.zones
    }

    fn read(&mut self) -> Vec<Result<Reading, SensorError>> {
        let read = |path: &PathBuf| read_number(path).map(Reading::now);
        self.counters.iter().map(read).collect()
    }
}

fn open_zone(directory: &Path) -> Result<(Zone, PathBuf), SensorError> {
    let parent = parent_of(directory).map(|parent| read_trimmed(&parent.join("name")));
    let name = read_trimmed(&directory.join("name"))?;
    let counter = directory.join("energy_uj");
    read_number(&counter)?;
    let mut zone = name_zone(&name, parent.transpose()?.as_deref());
    zone.range_uj = Some(read_range(&directory.join("max_energy_range_uj"))?);
    zone.source = counter.display().to_string();
    Ok((zone, counter))
}

/// A counter's range. Without one a turn could not be told from a new start.
fn read_range(path: &Path) -> Result<u64, SensorError> {
    match read_number(path)? {
        0 => Err(SensorError::Failed(format!("{} is 0", path.display()))),
        range_uj => Ok(range_uj),
    }
}

/// `intel-rapl:*` in the order of their numbers.
fn rapl_directories(powercap: &Path) -> Result<Vec<PathBuf>, SensorError> {
    let absent = || SensorError::Absent(format!("{}/intel-rapl:*", powercap.display()));
    let entries = match std::fs::read_dir(powercap) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(absent()),
        Err(error) => {
            return Err(SensorError::Failed(format!(
                "cannot list {}: {error}",
                powercap.display()
            )));
        }
    };
    let mut directories: Vec<(Vec<u32>, PathBuf)> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let numbers = path.file_name()?.to_str()?.strip_prefix("intel-rapl:")?;
            let numbers = numbers
                .split(':')
                .map(str::parse)
                .collect::<Result<_, _>>()
                .ok()?;
            Some((numbers, path))
        })
        .collect();
    directories.sort();
    if directories.is_empty() {
        Err(absent())
    } else {
        Ok(directories.into_iter().map(|(_, path)| path).collect())
    }
}

/// The package that `intel-rapl:0:1` lies inside: its sibling `intel-rapl:0`.
fn parent_of(directory: &Path) -> Option<PathBuf> {
    let name = directory.file_name()?.to_str()?;
    let (parent, _) = name.strip_prefix("intel-rapl:")?.split_once(':')?;
    Some(directory.with_file_name(format!("intel-rapl:{parent}")))
}

/// Names a zone so that it is unique on the node, and says what it lies inside.
#[must_use]
pub fn name_zone(name: &str, parent: Option<&str>) -> Zone {
    let package = parent.unwrap_or(name).strip_prefix("package-");
    let number = package.and_then(|suffix| suffix.split('-').next()?.parse().ok());
    let (name, inside) = match (name, package) {
        ("dram", Some(suffix)) => (format!("dram-{suffix}"), String::new()),
        ("psys", _) => ("psys".to_owned(), "platform".to_owned()),
        (name, Some(suffix)) if parent.is_some() => {
            (format!("{name}-{suffix}"), format!("package-{suffix}"))
        }
        (name, Some(_)) => (name.to_owned(), String::new()),
        // Neither a package nor inside one: of unknown relation to the others, so never added to them.
        (name, None) => (name.to_owned(), "unknown".to_owned()),
    };
    Zone {
        name,
        parent: inside,
        basis: Basis::Measured,
        package: number,
        range_uj: None,
        idle: IdleSource::Seed(0.0),
        source: String::new(),
        reason: String::new(),
    }
}

fn seed_idle(found: &mut [(Zone, PathBuf)], machine: &Machine) {
    let count = |kind: &str| {
        found
            .iter()
            .filter(|(zone, _)| zone.name.starts_with(kind))
            .count()
            .max(1) as f64
    };
    let (packages, drams) = (count("package-"), count("dram-"));
    for (zone, _) in found {
        let watts = match zone.name.split('-').next() {
            Some("package") => machine.idle_watts() / packages,
            Some("dram") => machine.dram_watts() / drams,
            _ => 0.0,
        };
        zone.idle = IdleSource::Seed(watts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, parent: Option<&str>, expected: (&str, &str, Option<u16>)) {
        let zone = name_zone(name, parent);
        assert_eq!(
            (zone.name.as_str(), zone.parent.as_str(), zone.package),
            expected
        );
    }

    #[test]
    fn only_packages_and_dram_are_additive() {
        check("package-0", None, ("package-0", "", Some(0)));
        check("package-1-die-0", None, ("package-1-die-0", "", Some(1)));
        check("dram", Some("package-1"), ("dram-1", "", Some(1)));
        check("core", Some("package-0"), ("core-0", "package-0", Some(0)));
        check(
            "uncore",
            Some("package-0"),
            ("uncore-0", "package-0", Some(0)),
        );
        check("psys", None, ("psys", "platform", None));
        check("dram", None, ("dram", "unknown", None));
    }
}
