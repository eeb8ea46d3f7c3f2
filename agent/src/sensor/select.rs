//! Which sensors a node gets: of each domain, the first source in `--power` that gives it.

use std::time::Duration;

use super::activity::Activity;
use super::source::{Domain, SOURCES, Source, Surroundings};
use super::{Reading, Sensor, SensorError, Zone};

/// Why a zone is read from the first source that could give it.
pub const FIRST_CHOICE: &str = "first choice";

/// The sensors that were chosen, and what was found of each source that was tried.
pub struct Selection {
    /// To be read, each on a thread of its own.
    pub sensors: Vec<Box<dyn Sensor>>,
    /// In the order tried.
    pub findings: Vec<Finding>,
}

/// What was found of one source.
#[derive(Debug)]
pub struct Finding {
    /// The source.
    pub source: &'static Source,
    /// All its zones, or why there is none.
    pub found: Result<Vec<Zone>, SensorError>,
    /// What there is of it besides and cannot be read.
    pub left_out: Vec<SensorError>,
    /// Those that are read.
    pub used: Vec<Zone>,
}

impl Finding {
    /// The source is there and cannot be used, which somebody may want to mend.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        !matches!(self.found, Ok(_) | Err(SensorError::Absent(_)))
    }

    /// The zone of this name, where it is read from here.
    #[must_use]
    pub fn using(&self, zone: &Zone) -> Option<&Zone> {
        self.used.iter().find(|used| used.name == zone.name)
    }
}

/// The domain of a zone; `None`: of a part of one.
fn domain(zone: &Zone) -> Option<Domain> {
    match (&*zone.parent, zone.kind()) {
        ("", "package") => Some(Domain::Package),
        ("", "dram") => Some(Domain::Dram),
        ("", "gpu") => Some(Domain::Gpu),
        (_, "platform") => Some(Domain::Platform),
        _ => None,
    }
}

/// Tries `wanted` in order; empty means auto. Of a source whose zones others have given already, none is read.
#[must_use]
pub fn select(wanted: &[&'static Source], around: &Surroundings) -> Selection {
    let automatic = SOURCES.iter().filter(|source| source.is_automatic);
    let tried: Vec<&'static Source> = if wanted.is_empty() {
        automatic.collect()
    } else {
        wanted.to_vec()
    };
    let mut selection = Selection {
        sensors: Vec::new(),
        findings: Vec::new(),
    };
    let mut taken: Vec<Domain> = Vec::new();
    for source in tried {
        let found = source.find(around);
        let mut finding = Finding {
            source,
            found: found
                .as_ref()
                .map(|sensor| sensor.zones().to_vec())
                .map_err(Clone::clone),
            left_out: found
                .as_ref()
                .map_or(Vec::new(), |sensor| sensor.left_out().to_vec()),
            used: Vec::new(),
        };
        if let Ok(sensor) = found {
            let parts = apart(sensor).into_iter();
            let parts: Vec<Part> = parts
                .filter_map(|part| Part::of(part, &taken, &selection.findings))
                .collect();
            let used = || parts.iter().flat_map(|part| &part.zones);
            taken.extend(used().filter_map(domain));
            finding.used = used().cloned().collect();
            let parts = parts
                .into_iter()
                .map(|part| Box::new(part) as Box<dyn Sensor>);
            selection.sensors.extend(parts);
        }
        selection.findings.push(finding);
    }
    selection
}

/// The sensor, or what it can be taken apart into.
fn apart(mut sensor: Box<dyn Sensor>) -> Vec<Box<dyn Sensor>> {
    let parts = sensor.take_parts();
    if parts.is_empty() {
        vec![sensor]
    } else {
        parts
    }
}

/// A sensor of which only some zones are wanted.
struct Part {
    sensor: Box<dyn Sensor>,
    /// How many there were when it was last looked.
    seen: usize,
    /// Indexes of them.
    kept: Vec<usize>,
    zones: Vec<Zone>,
}

impl Part {
    /// The zones of the domains that are not taken yet, and the parts of these; `None` where there are none.
    fn of(sensor: Box<dyn Sensor>, taken: &[Domain], before: &[Finding]) -> Option<Self> {
        let is_free = |zone: &Zone| domain(zone).is_some_and(|domain| !taken.contains(&domain));
        let all = sensor.zones();
        let whole: Vec<&str> = all
            .iter()
            .filter(|zone| is_free(zone))
            .map(|zone| &*zone.name)
            .collect();
        // What is of no known domain is kept beside something that is.
        let is_part = |zone: &Zone| {
            domain(zone).is_none()
                && (whole.contains(&&*zone.parent)
                    || all.iter().all(|other| other.name != zone.parent))
        };
        let is_new = |zone: &Zone| before.iter().all(|other| other.using(zone).is_none());
        let is_kept = |zone: &Zone| (is_free(zone) || is_part(zone)) && is_new(zone);
        let kept: Vec<usize> = (0..all.len())
            .filter(|&index| is_kept(&all[index]))
            .collect();
        let why = |zone: &Zone| reason(zone, before);
        let zones = kept
            .iter()
            .map(|&index| Zone {
                reason: why(&all[index]),
                ..all[index].clone()
            })
            .collect();
        (!whole.is_empty()).then_some(Self {
            seen: all.len(),
            sensor,
            kept,
            zones,
        })
    }

    /// Keeps zones that have come inside one that is kept.
    fn take_up(&mut self) {
        let all = self.sensor.zones();
        for (index, zone) in all.iter().enumerate().skip(self.seen) {
            let parent = self.zones.iter().find(|kept| kept.name == zone.parent);
            if let Some(parent) = parent {
                let reason = parent.reason.clone();
                self.kept.push(index);
                self.zones.push(Zone {
                    reason,
                    ..zone.clone()
                });
            }
        }
        self.seen = all.len();
    }
}

/// Why a zone is read from the source that comes after `before`: what those of them that could give it have instead.
fn reason(zone: &Zone, before: &[Finding]) -> String {
    let lacks = |finding: &Finding| {
        let name = finding.source.name;
        match &finding.found {
            Err(SensorError::Absent(_)) => format!("{name} is not there"),
            Err(SensorError::NotPermitted(_)) => format!("{name} is not permitted"),
            Err(SensorError::Failed(_)) => format!("{name} failed"),
            Ok(_) => format!("{name} has no {}", zone.kind()),
        }
    };
    let gives = |finding: &&Finding| {
        domain(zone).is_some_and(|domain| finding.source.domains.contains(&domain))
    };
    let lacks: Vec<String> = before.iter().filter(gives).map(lacks).collect();
    if lacks.is_empty() {
        return FIRST_CHOICE.to_owned();
    }
    lacks.join(", ")
}

impl Sensor for Part {
    fn name(&self) -> &'static str {
        self.sensor.name()
    }

    fn zones(&self) -> &[Zone] {
        &self.zones
    }

    fn device(&self) -> Option<&str> {
        self.sensor.device()
    }

    fn wait_for_answer(&mut self, patience: Duration) {
        self.sensor.wait_for_answer(patience);
    }

    fn period(&self) -> Option<Duration> {
        self.sensor.period()
    }

    fn activity(&mut self) -> Vec<Activity> {
        let all = self.sensor.activity();
        self.kept
            .iter()
            .filter_map(|&index| all.get(index).cloned())
            .collect()
    }

    fn read(&mut self) -> Vec<Result<Reading, SensorError>> {
        let mut readings: Vec<_> = self.sensor.read().into_iter().map(Some).collect();
        self.take_up();
        let none = || {
            Err(SensorError::Failed(format!(
                "sensor {} gave no reading",
                self.name()
            )))
        };
        let take = |&index: &usize| readings.get_mut(index).and_then(Option::take);
        let kept: Vec<_> = self.kept.iter().map(take).collect();
        kept.into_iter()
            .map(|reading| reading.unwrap_or_else(none))
            .collect()
    }
}
