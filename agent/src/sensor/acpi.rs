//! The whole machine by its own power meter: the hwmon chip `power_meter` (the kernel's drivers/hwmon/acpi_power_meter.c),
//! which asks the firmware (ACPI 6.0, chapter 10.4).
//!
//! What it measures holds everything else, so it is one nested zone that is never added to anything.

use std::path::{Path, PathBuf};
use std::time::Duration;

use wire::v1::Basis;

use super::channels::{Channel, Kind, Meter, channels, chips};
use super::integral::PERIOD;
use super::{IdleSource, Reading, Sensor, SensorError, Zone, read_number};

/// The ACPI name of all there is, `\_SB`, as sysfs writes it.
const SYSTEM: &str = "LNXSYBUS";

/// The machine's power meter, as zone `platform` inside `node`.
#[derive(Debug)]
pub struct Acpi {
    zones: [Zone; 1],
    meter: Meter,
}

impl Acpi {
    /// Finds the meter below `sys_root`/class/hwmon.
    ///
    /// # Errors
    /// [`SensorError::Absent`] where there is none of the whole machine; [`SensorError::Failed`] where there are several,
    /// and nothing says which of them it is.
    pub fn find(sys_root: &Path) -> Result<Self, SensorError> {
        let path = system_meter(meters(sys_root)?)?;
        let source = path.display().to_string();
        let mut meter = Meter::new(vec![path]);
        meter.read()?;
        Ok(Self {
            zones: [platform(source)],
            meter,
        })
    }
}

impl Sensor for Acpi {
    fn name(&self) -> &'static str {
        "acpi"
    }

    fn zones(&self) -> &[Zone] {
        &self.zones
    }

    fn read(&mut self) -> Vec<Result<Reading, SensorError>> {
        vec![self.meter.read()]
    }

    fn period(&self) -> Option<Duration> {
        Some(PERIOD)
    }
}

fn platform(source: String) -> Zone {
    Zone {
        name: "platform".to_owned(),
        parent: "node".to_owned(),
        basis: Basis::Measured,
        package: None,
        range_uj: None,
        is_lasting: false,
        range_percent: None,
        idle: IdleSource::Seed(0.0),
        source,
        reason: String::new(),
    }
}

/// A meter that may be the machine's.
struct Found {
    path: PathBuf,
    /// It measures `\_SB`, says the firmware.
    is_system: bool,
}

fn meters(sys_root: &Path) -> Result<Vec<Found>, SensorError> {
    let mut meters = Vec::new();
    for chip in chips(sys_root, "power_meter")? {
        if read_number(&chip.join("power1_is_battery")) == Ok(1) {
            continue;
        }
        for Channel { label, path } in channels(&chip, Kind::Power)? {
            if !is_of_part(&label) {
                let is_system = measures(&chip).any(|device| device.starts_with(SYSTEM));
                meters.push(Found { path, is_system });
            }
        }
    }
    let place = sys_root.join("class/hwmon");
    let absent = || {
        SensorError::Absent(format!(
            "an ACPI meter of the whole machine in {}",
            place.display()
        ))
    };
    if meters.is_empty() {
        Err(absent())
    } else {
        Ok(meters)
    }
}

/// It says that it is of one socket, as NVIDIA Grace's do (`CPU Power Socket 0`).
fn is_of_part(label: &str) -> bool {
    label.contains(" Socket ")
}

/// What a meter measures (`_PMD`), by the driver's links.
fn measures(chip: &Path) -> impl Iterator<Item = String> {
    let directories = [chip.join("measures"), chip.join("device/measures")];
    let entries = directories
        .into_iter()
        .filter_map(|directory| std::fs::read_dir(directory).ok());
    entries
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
}

/// The only one, or the only one of `\_SB`: a machine's meter has that as its sole device (ACPI 6.0, 10.4.8).
fn system_meter(meters: Vec<Found>) -> Result<PathBuf, SensorError> {
    let count = meters.len();
    let candidates = meters
        .into_iter()
        .filter(|meter| count == 1 || meter.is_system);
    let mut paths = candidates.map(|meter| meter.path);
    match (paths.next(), paths.next()) {
        (Some(path), None) => Ok(path),
        _ => Err(SensorError::Failed(format!(
            "of {count} ACPI power meters nothing says which one is the whole machine's"
        ))),
    }
}
