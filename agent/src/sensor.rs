//! Energy counters: what there is to read on this node, and reading it.
//!
//! A sensor gives cumulative counters and nothing else; differences, wraps and resets are judged in
//! [`crate::sample`]. Each sensor is one file here and one line in [`source`].

use std::fmt;
use std::path::Path;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use wire::v1::Basis;

pub mod acpi;
pub mod activity;
pub mod channels;
pub mod cpus;
pub mod hwmon;
pub mod integral;
pub mod model;
pub mod msr;
pub mod nvml;
pub mod perf;
pub mod powercap;
pub mod rapl;
pub mod redfish;
pub mod select;
pub mod source;
pub mod worker;

use self::activity::Activity;
pub use select::{Finding, Selection, select};
pub use source::{Source, Surroundings};

/// One zone that a sensor reads: a powercap directory, a modelled part of the machine, a GPU.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone {
    /// package-0, dram-0, core-0, psys: unique on the node.
    pub name: String,
    /// The zone that it lies inside; empty where it is additive.
    pub parent: String,
    /// Read or computed.
    pub basis: Basis,
    /// CPU package whose work drives it; `None` where it is the whole node's.
    pub package: Option<u16>,
    /// Where it is computed: the true energy lies between so many per cent of it; `None`: nobody says.
    pub range_percent: Option<(u32, u32)>,
    /// The counter's range in microjoules, after which it starts again at 0; `None` where it never wraps.
    pub range_uj: Option<u64>,
    /// The counter is the machine's; else it began with this agent, and says nothing of what was before.
    pub is_lasting: bool,
    /// Where idle power is computed and not learned, its watts.
    pub idle: IdleSource,
    /// Where it is read from, for people: a path, or the model's parameters.
    pub source: String,
    /// Why from there, for people: what the sources that are tried before have instead; empty until one is chosen.
    pub reason: String,
}

impl Zone {
    /// The name without its number: package, dram, gpu, core, psys.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.name.split('-').next().unwrap_or_default()
    }

    /// Its energy is for work of its own, and not of the CPUs: [`Sensor::activity`] tells whose.
    #[must_use]
    pub fn is_device(&self) -> bool {
        self.kind() == "gpu"
    }
}

/// What is known of a zone's idle power before any was seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum IdleSource {
    /// This is the zone's idle power, by the same model that gives its energy.
    Exact(f64),
    /// The model's figure for this machine; to be learned.
    Seed(f64),
}

/// A cumulative counter and the time of its reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The counter, in microjoules.
    pub counter_uj: u64,
    /// CLOCK_BOOTTIME when it was read.
    pub boottime_ns: u64,
    /// CLOCK_MONOTONIC then, which stands still while the machine is suspended.
    pub awake_ns: u64,
}

impl Reading {
    /// A counter as it was just read.
    #[must_use]
    pub fn now(counter_uj: u64) -> Self {
        Self {
            counter_uj,
            boottime_ns: boottime_ns(),
            awake_ns: awake_ns(),
        }
    }
}

/// Why a zone has no reading.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SensorError {
    /// It is not there (any more).
    #[error("{0} is not there")]
    Absent(String),
    /// It is there, and this process may not read it: why, and what would let it.
    #[error("{0}")]
    NotPermitted(String),
    /// It is there and could not be read.
    #[error("{0}")]
    Failed(String),
}

/// A source of energy counters. Calls may block.
pub trait Sensor: Send {
    /// As `--power` names it.
    fn name(&self) -> &'static str;

    /// Its zones, in the order in which [`Sensor::read`] gives their readings. After a reading there may be more, and never
    /// less.
    fn zones(&self) -> &[Zone];

    /// What tells the one device that it reads from all others of its kind, where it reads one.
    fn device(&self) -> Option<&str> {
        None
    }

    /// What there is of it besides and cannot be read.
    fn left_out(&self) -> &[SensorError] {
        &[]
    }

    /// One reading per zone.
    fn read(&mut self) -> Vec<Result<Reading, SensorError>>;

    /// For each zone that is a device, what it did between the last two calls of [`Sensor::read`], and for whom; nothing
    /// where none is. After a reading that failed a default, which says that nothing is known.
    fn activity(&mut self) -> Vec<Activity> {
        Vec::new()
    }

    /// Takes the sensor apart, where its zones can be read on a thread each, so that one that hangs costs itself alone:
    /// a sensor for each, in their order. Nothing where it is to be read as a whole.
    fn take_parts(&mut self) -> Vec<Box<dyn Sensor>> {
        Vec::new()
    }

    /// Waits until there is something to read, for people who ask what there is; for so long at most.
    fn wait_for_answer(&mut self, _patience: Duration) {}

    /// How often it wants to be read, however long the interval; `None` where the interval will do.
    fn period(&self) -> Option<Duration> {
        None
    }
}

/// Nanoseconds since boot, suspended time left out.
#[must_use]
pub fn awake_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Nanoseconds since boot, suspended time included.
#[must_use]
pub fn boottime_ns() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Reads a small file without the white space around it.
pub(crate) fn read_trimmed(path: &Path) -> Result<String, SensorError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(SensorError::Absent(show(path)))
        }
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Err(SensorError::NotPermitted(format!(
                "{} may not be read: run the agent as root, or give it CAP_DAC_READ_SEARCH",
                show(path)
            )))
        }
        Err(error) => Err(SensorError::Failed(format!(
            "cannot read {}: {error}",
            show(path)
        ))),
    }
}

/// Reads a file that holds one unsigned number.
pub(crate) fn read_number(path: &Path) -> Result<u64, SensorError> {
    let text = read_trimmed(path)?;
    text.parse().map_err(|_| {
        SensorError::Failed(format!(
            "{} is no number: {:.40}",
            show(path),
            text.escape_debug()
        ))
    })
}

fn show(path: &Path) -> String {
    path.display().to_string()
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
