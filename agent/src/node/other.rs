//! The additive zone `other`: what the platform meter shows beyond the zones that are measured one by one.

use wire::v1::Basis;

use super::ZoneState;
use crate::idle::{IdlePower, Origin};
use crate::remainder::Remainder;
use crate::sample::Sample;
use crate::sensor::{IdleSource, Zone};

/// Name of the zone that a platform meter gives.
const PLATFORM: &str = "platform";

/// Which of the node's zones make it.
pub(super) struct Other {
    zone: usize,
    platform: usize,
    parts: Vec<usize>,
    remainder: Remainder,
}

impl Other {
    /// Adds the zone where one of `zones` is a platform meter's.
    pub(super) fn find(zones: &mut Vec<ZoneState>) -> Option<Self> {
        let platform = zones.iter().position(|state| state.zone.name == PLATFORM)?;
        let is_part = |&index: &usize| zones[index].zone.parent.is_empty();
        let parts: Vec<usize> = (0..zones.len()).filter(is_part).collect();
        let is_modelled = |&index: &usize| zones[index].zone.basis == Basis::Modelled;
        let is_modelled = parts.iter().chain([&platform]).any(is_modelled);
        let names: Vec<&str> = parts
            .iter()
            .map(|&index| &*zones[index].zone.name)
            .collect();
        let zone = Zone {
            name: "other".to_owned(),
            parent: String::new(),
            basis: if is_modelled {
                Basis::Modelled
            } else {
                Basis::Measured
            },
            package: None,
            range_uj: None,
            is_lasting: false,
            range_percent: None,
            idle: IdleSource::Seed(0.0),
            source: format!("{PLATFORM} - {}", names.join(" - ")),
            reason: "a platform meter is there".to_owned(),
        };
        let sensor = zones[platform].sensor;
        zones.push(ZoneState::new(zone, sensor));
        Some(Self {
            zone: zones.len() - 1,
            platform,
            parts,
            remainder: Remainder::default(),
        })
    }

    /// Which zone it is itself.
    pub(super) fn zone(&self) -> usize {
        self.zone
    }

    /// One more of the node's zones is a part of what the meter shows: what was learned of the rest holds no more.
    pub(super) fn add(&mut self, part: usize, zones: &mut [ZoneState]) {
        self.parts.push(part);
        let more = format!(" - {}", zones[part].zone.name);
        let other = &mut zones[self.zone];
        other.zone.source += &more;
        if other.idle.origin() != Origin::Configured {
            other.idle = IdlePower::new(other.zone.idle);
        }
    }

    /// From the samples of the node's other zones.
    pub(super) fn sample(&mut self, samples: &[Sample]) -> Sample {
        let parts: Vec<Sample> = self.parts.iter().map(|&index| samples[index]).collect();
        self.remainder.sample(samples[self.platform], &parts)
    }
}
