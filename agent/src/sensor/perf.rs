//! RAPL through the kernel's PMU `power` (`arch/x86/events/rapl.c`), for machines whose powercap tree is not there or
//! not readable: `/sys/bus/event_source/devices/power/{type,cpumask,events/energy-*}`, opened with perf_event_open(2).
//!
//! An event counts from 0 from when it is opened, in units of its `.scale` (2^-32 J), 64 bits wide: it wraps after
//! 4.3 GJ, some four months at 400 W.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::cpus::{leaders, read_cpu_list};
use super::model::Machine;
use super::rapl::{keep_readable, zone_of};
use super::{Reading, Sensor, SensorError, Zone, read_number, read_trimmed};
use crate::perf_event;

/// The PMU's events, and what powercap calls their domains; the additive first.
const EVENTS: [(&str, &str); 5] = [
    ("energy-pkg", "package"),
    ("energy-ram", "dram"),
    ("energy-cores", "core"),
    ("energy-gpu", "uncore"),
    ("energy-psys", "psys"),
];

/// Turns of an event's 64 bits.
const TURN: f64 = 18_446_744_073_709_551_616.0;

/// RAPL zones of the PMU `power`.
#[derive(Debug)]
pub struct Perf {
    zones: Vec<Zone>,
    counters: Vec<Counter>,
}

impl Perf {
    /// Opens every event that the PMU below `sys_root` has, once for each package. `machine` seeds their idle power.
    ///
    /// # Errors
    /// [`SensorError::Absent`] where there is no such PMU, [`SensorError::NotPermitted`] where CAP_PERFMON is missing.
    pub fn find(sys_root: &Path, machine: &Machine) -> Result<Self, SensorError> {
        let opened = plan(sys_root, machine)?
            .into_iter()
            .map(|zone| zone?.open());
        let (zones, counters) = keep_readable(opened, machine)?;
        Ok(Self { zones, counters })
    }
}

impl Sensor for Perf {
    fn name(&self) -> &'static str {
        "perf"
    }

    fn zones(&self) -> &[Zone] {
        &self.zones
    }

    fn read(&mut self) -> Vec<Result<Reading, SensorError>> {
        self.counters.iter_mut().map(Counter::read).collect()
    }
}

/// A zone, and the event that counts it.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// The zone.
    pub zone: Zone,
    /// The PMU's number.
    pub kind: u32,
    /// The event's.
    pub config: u64,
    /// Where it is counted.
    pub cpu: u32,
    /// What one of its counts is worth.
    pub uj_per_count: f64,
}

/// What the PMU says that there is to open.
///
/// # Errors
/// [`SensorError::Absent`] where there is no such PMU; within, what is wrong with a single event.
pub fn plan(
    sys_root: &Path,
    machine: &Machine,
) -> Result<Vec<Result<Planned, SensorError>>, SensorError> {
    let pmu = sys_root.join("bus/event_source/devices/power");
    let kind = read_number(&pmu.join("type"))?;
    let kind = u32::try_from(kind).map_err(|_| garbled(&pmu.join("type")))?;
    let cpus = read_cpu_list(&pmu.join("cpumask"))?;
    let packages = leaders(sys_root, &cpus, machine.cpu.vendor);
    let events = EVENTS.map(|(event, domain)| (pmu.join("events").join(event), domain));
    let mut planned = Vec::new();
    for (path, domain) in events.iter().filter(|(path, _)| path.exists()) {
        match Event::read(path, kind) {
            Ok(event) => planned.extend(event.of(domain, &packages).map(Ok)),
            Err(error) => planned.push(Err(error)),
        }
    }
    if planned.is_empty() {
        let pmu = pmu.display();
        return Err(SensorError::Absent(format!("{pmu}/events/energy-*")));
    }
    Ok(planned)
}

/// An event as the PMU describes it.
struct Event {
    path: PathBuf,
    kind: u32,
    config: u64,
    uj_per_count: f64,
}

impl Event {
    fn read(path: &Path, kind: u32) -> Result<Self, SensorError> {
        let beside = |suffix| path.with_extension(suffix);
        let (scale, unit) = (beside("scale"), beside("unit"));
        let config = event_config(&read_trimmed(path)?);
        let uj_per_count = uj_per_count(&read_trimmed(&scale)?, &read_trimmed(&unit)?);
        Ok(Self {
            path: path.to_path_buf(),
            kind,
            config: config.ok_or_else(|| garbled(path))?,
            uj_per_count: uj_per_count.ok_or_else(|| garbled(&scale))?,
        })
    }

    /// It in each package; psys in the first: the platform is one, whoever asks.
    fn of(&self, domain: &str, packages: &[(u32, String)]) -> impl Iterator<Item = Planned> {
        let of = if domain == "psys" { 1 } else { packages.len() };
        packages.iter().take(of).map(move |(cpu, package)| Planned {
            zone: Zone {
                range_uj: range_uj(self.uj_per_count),
                is_lasting: false,
                source: format!("{} on CPU {cpu}", self.path.display()),
                ..zone_of(domain, package)
            },
            kind: self.kind,
            config: self.config,
            cpu: *cpu,
            uj_per_count: self.uj_per_count,
        })
    }
}

fn garbled(path: &Path) -> SensorError {
    SensorError::Failed(format!("{} is not of a form that is known", path.display()))
}

/// The number of an event such as `event=0x02`; `None` where it has other terms, or none.
#[must_use]
pub fn event_config(text: &str) -> Option<u64> {
    let number = text.trim().strip_prefix("event=")?;
    match number.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => number.parse().ok(),
    }
}

/// What one count of this scale is worth, in microjoules; `None` where it is not in joules or no positive number.
#[must_use]
pub fn uj_per_count(scale: &str, unit: &str) -> Option<f64> {
    let joules: f64 = scale.trim().parse().ok()?;
    let uj = joules * 1e6;
    (unit.trim() == "Joules" && uj.is_finite() && uj > 0.0).then_some(uj)
}

/// A count in microjoules: to one of them over all the range, since 2^-32 J x 2^64 has 52 bits of microjoules.
fn counter_uj(count: u64, uj_per_count: f64) -> u64 {
    (count as f64 * uj_per_count) as u64
}

/// Where the event's 64 bits end; `None` where that is beyond 64 bits of microjoules.
fn range_uj(uj_per_count: f64) -> Option<u64> {
    let range = TURN * uj_per_count;
    (1.0..TURN).contains(&range).then_some(range as u64)
}

impl Planned {
    fn open(self) -> Result<(Zone, Counter), SensorError> {
        let event = perf_event::open(self.kind, self.config, self.cpu)
            .map_err(|error| refused(&self.zone.source, self.cpu, &error))?;
        let counter = Counter {
            event: event.into(),
            source: self.zone.source.clone(),
            uj_per_count: self.uj_per_count,
        };
        Ok((self.zone, counter))
    }
}

fn refused(event: &str, cpu: u32, error: &io::Error) -> SensorError {
    if error.kind() == io::ErrorKind::PermissionDenied {
        return SensorError::NotPermitted(format!(
            "{event} may not be counted: give the agent CAP_PERFMON (before Linux 5.8 CAP_SYS_ADMIN), or set \
             kernel.perf_event_paranoid to 0"
        ));
    }
    SensorError::Failed(format!("cannot count {event} on CPU {cpu}: {error}"))
}

/// An open event.
#[derive(Debug)]
struct Counter {
    event: File,
    source: String,
    uj_per_count: f64,
}

impl Counter {
    fn read(&mut self) -> Result<Reading, SensorError> {
        let mut count = [0; 8];
        match self.event.read_exact(&mut count) {
            Ok(()) => {
                let count = u64::from_ne_bytes(count);
                Ok(Reading::now(counter_uj(count, self.uj_per_count)))
            }
            Err(error) => Err(SensorError::Failed(format!(
                "cannot read the count of {}: {error}",
                self.source
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCALE: &str = "2.3283064365386962890625e-10";

    #[test]
    fn an_event_is_its_number() {
        let check = |text, expected| assert_eq!(event_config(text), expected, "{text}");
        check("event=0x02\n", Some(2));
        check("event=5", Some(5));
        for garbage in [
            "",
            "event=",
            "event=0x",
            "0x02",
            "event=0x02,umask=0x01",
            "event=-1",
        ] {
            check(garbage, None);
        }
    }

    #[test]
    fn a_scale_is_a_positive_number_of_joules() {
        let check =
            |scale, unit, expected| assert_eq!(uj_per_count(scale, unit), expected, "{scale}");
        check("1e-9\n", "Joules\n", Some(1e-9 * 1e6));
        check(SCALE, "Joules", Some(1e6 / 4_294_967_296.0));
        check(SCALE, "Watts", None);
        for garbage in ["", "0", "-1", "NaN", "inf", "1e400", "wide"] {
            check(garbage, "Joules", None);
        }
    }

    #[test]
    fn a_wrap_is_energy() {
        let uj = uj_per_count(SCALE, "Joules").unwrap();
        let mut sampler = crate::sample::Sampler::default();
        let mut at = |seconds: u64, count| {
            let ns = seconds * 1_000_000_000;
            let reading = Reading {
                counter_uj: counter_uj(count, uj),
                boottime_ns: ns,
                awake_ns: ns,
            };
            let sample = sampler.sample(&Ok(reading), range_uj(uj));
            (sample.outcome.as_str_name(), sample.energy.microjoules())
        };
        let joules = |joules: u64| joules << 32;
        assert_eq!(at(0, joules(100).wrapping_neg()), ("OUTCOME_FIRST", 0));
        assert_eq!(at(5, joules(400)), ("OUTCOME_WRAPPED", 500_000_000));
        assert_eq!(at(10, joules(900)), ("OUTCOME_SAMPLED", 500_000_000));
        assert_eq!(at(15, 0), ("OUTCOME_RESET", 0));
    }

    #[test]
    fn the_range_is_that_of_64_bits() {
        let uj = uj_per_count(SCALE, "Joules").unwrap();
        assert_eq!(range_uj(uj), Some(4_294_967_296_000_000));
        // A turn that is never seen, and one that is over at once.
        assert_eq!((range_uj(1.0), range_uj(1e-30)), (None, None));
    }
}
