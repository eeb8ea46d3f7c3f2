//! Chips of `/sys/class/hwmon`, their channels, and power channels as a counter, for whoever knows what they measure.

use std::io;
use std::path::{Path, PathBuf};

use super::integral::Integral;
use super::{Reading, SensorError, awake_ns, boottime_ns, read_number, read_trimmed};

/// More is no power: what cannot be measured is told as 2^32 - 1 mW (ACPI 6.0, 10.4.3).
const MAX_MICROWATTS: u64 = 100_000_000_000;

/// What a channel tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Microjoules, counted.
    Energy,
    /// Microwatts.
    Power,
}

impl Kind {
    /// How its files begin.
    fn prefix(self) -> &'static str {
        match self {
            Self::Energy => "energy",
            Self::Power => "power",
        }
    }
}

/// One channel of a chip.
#[derive(Debug)]
pub(super) struct Channel {
    /// What the chip says that it is of; empty where it says nothing.
    pub(super) label: String,
    /// Where its value is.
    pub(super) path: PathBuf,
}

/// The directories of the chips of this name, in the order of their numbers; none where there is no hwmon at all.
pub(super) fn chips(sys_root: &Path, name: &str) -> Result<Vec<PathBuf>, SensorError> {
    let mut chips: Vec<(u32, PathBuf)> = Vec::new();
    for (entry, path) in list(&sys_root.join("class/hwmon"))? {
        let Some(number) = entry
            .strip_prefix("hwmon")
            .and_then(|number| number.parse().ok())
        else {
            continue;
        };
        // Drivers of the older form, as acpi_power_meter was for long, have their files in the device's directory.
        for directory in [path.clone(), path.join("device")] {
            if read_trimmed(&directory.join("name")).is_ok_and(|found| found == name) {
                chips.push((number, directory));
                break;
            }
        }
    }
    chips.sort();
    Ok(chips.into_iter().map(|(_, directory)| directory).collect())
}

/// A chip's channels of one kind, in the order of their numbers.
pub(super) fn channels(chip: &Path, kind: Kind) -> Result<Vec<Channel>, SensorError> {
    let mut channels: Vec<(u32, PathBuf)> = Vec::new();
    for (entry, path) in list(chip)? {
        if let Some(number) = channel_number(&entry, kind.prefix()) {
            channels.push((number, path));
        }
    }
    // Where there is an average it comes before the value of the moment.
    channels.sort();
    channels.dedup_by_key(|(number, _)| *number);
    let label = |number| {
        let read =
            |what| read_trimmed(&chip.join(format!("{}{number}_{what}", kind.prefix()))).ok();
        read("label")
            .or_else(|| read("oem_info"))
            .unwrap_or_default()
    };
    let channel = |(number, path)| Channel {
        label: label(number),
        path,
    };
    Ok(channels.into_iter().map(channel).collect())
}

/// The number of the channel whose value is in the file of this name, such as `power1_average`.
#[must_use]
pub fn channel_number(file: &str, prefix: &str) -> Option<u32> {
    match file.strip_prefix(prefix)?.split_once('_')? {
        (number, "average" | "input") => number.parse().ok(),
        _ => None,
    }
}

fn list(directory: &Path) -> Result<Vec<(String, PathBuf)>, SensorError> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => {
            let directory = directory.display();
            return Err(SensorError::Failed(format!(
                "cannot list {directory}: {error}"
            )));
        }
    };
    let name =
        |entry: std::fs::DirEntry| Some((entry.file_name().into_string().ok()?, entry.path()));
    Ok(entries.filter_map(|entry| name(entry.ok()?)).collect())
}

/// Power channels whose sum is one zone's power.
#[derive(Debug)]
pub(super) struct Meter {
    paths: Vec<PathBuf>,
    integral: Integral,
}

impl Meter {
    pub(super) fn new(paths: Vec<PathBuf>) -> Self {
        Self {
            paths,
            integral: Integral::default(),
        }
    }

    /// Energy since the first reading. All channels or none: a part is not the whole.
    pub(super) fn read(&mut self) -> Result<Reading, SensorError> {
        let microwatts: Result<Vec<u64>, SensorError> =
            self.paths.iter().map(|path| read_power(path)).collect();
        let watts = microwatts?.iter().sum::<u64>() as f64 / 1e6;
        Ok(self.integral.add(watts, boottime_ns(), awake_ns()))
    }
}

fn read_power(path: &Path) -> Result<u64, SensorError> {
    match read_number(path)? {
        microwatts if microwatts <= MAX_MICROWATTS => Ok(microwatts),
        _ => Err(SensorError::Failed(format!(
            "{} shows no power just now",
            path.display()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_has_a_number_and_a_value() {
        let check = |file, expected| assert_eq!(channel_number(file, "power"), expected, "{file}");
        check("power1_average", Some(1));
        check("power12_input", Some(12));
        for other in [
            "power1_label",
            "power1_average_min",
            "power_input",
            "power",
            "energy1_input",
            "power-1_input",
        ] {
            check(other, None);
        }
    }
}
