//! RAPL through powercap: `/sys/class/powercap/intel-rapl:N[:M]/{name,energy_uj,max_energy_range_uj}`, on
//! Intel and (with the same driver) on AMD Zen. Format: the kernel's Documentation/power/powercap.
//!
//! `intel-rapl-mmio:*` repeats a package and is left out. A host may share such a tree with a virtual machine, with what it
//! used for it in `intel-rapl:0/energy_uj` and, as Scaphandre's `qemu` does it, nothing beside that.

use std::path::{Path, PathBuf};

use super::cpus::Vendor;
use super::model::Machine;
use super::rapl::{keep_readable, name_zone};
use super::{Reading, Sensor, SensorError, Zone, read_number, read_trimmed};

/// All RAPL zones below one powercap directory.
#[derive(Debug)]
pub struct Powercap {
    zones: Vec<Zone>,
    counters: Vec<PathBuf>,
}

impl Powercap {
    /// Finds the zones in `powercap` (/sys/class/powercap). `machine` seeds their idle power.
    ///
    /// # Errors
    /// [`SensorError::Absent`] where there is no RAPL zone; why the first could not be read where no additive
    /// one can. A zone that cannot be read beside others that can is left out.
    pub fn find(powercap: &Path, machine: &Machine) -> Result<Self, SensorError> {
        let directories = rapl_directories(powercap)?;
        let found = directories
            .iter()
            .map(|directory| open_zone(directory, machine.cpu.vendor));
        let (zones, counters) = keep_readable(found, machine)?;
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

fn open_zone(directory: &Path, vendor: Vendor) -> Result<(Zone, PathBuf), SensorError> {
    let read_name = |directory: &Path| match read_trimmed(&directory.join("name")) {
        Err(error @ SensorError::Absent(_)) => package_without_name(directory).ok_or(error),
        name => Ok(package_name(&name?, vendor).to_owned()),
    };
    let parent = parent_of(directory).map(|parent| read_name(&parent));
    let name = read_name(directory)?;
    let counter = directory.join("energy_uj");
    read_number(&counter)?;
    let mut zone = name_zone(&name, parent.transpose()?.as_deref());
    zone.range_uj = read_range(&directory.join("max_energy_range_uj"))?;
    zone.source = counter.display().to_string();
    Ok((zone, counter))
}

/// Linux 6.9 to 6.11 show AMD's one counter of a package once for each of its core complexes, as if they were dies of
/// Intel's (mended by commit 26096aed255f). By one name it counts once.
fn package_name(name: &str, vendor: Vendor) -> &str {
    match name.split_once("-die-") {
        Some((package, _)) if vendor == Vendor::Amd => package,
        _ => name,
    }
}

/// `intel-rapl:N` is package N where nothing says what it is.
fn package_without_name(directory: &Path) -> Option<String> {
    let name = directory.file_name()?.to_str()?;
    let number: u16 = name.strip_prefix("intel-rapl:")?.parse().ok()?;
    Some(format!("package-{number}"))
}

/// A counter's range; `None` where there is none, as of one that a host writes: if it falls, it has started again.
fn read_range(path: &Path) -> Result<Option<u64>, SensorError> {
    match read_number(path) {
        Ok(0) => Err(SensorError::Failed(format!("{} is 0", path.display()))),
        Err(SensorError::Absent(_)) => Ok(None),
        range_uj => range_uj.map(Some),
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
