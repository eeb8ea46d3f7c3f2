//! What one batch adds to the books: pure sums by stage and run.

use std::collections::BTreeMap;

use jiff::Timestamp;
use wire::Energy;
use wire::v1::{Basis, Batch};

use crate::carbon::carbon;
use crate::intensity::Slot;
use crate::rollup::{MINUTE_MS, Rollup, StageKey};
use crate::site::Site;

/// Active energy and grams of one batch.
#[derive(Clone, Debug, Default)]
pub struct Booking<'a> {
    pub(super) cluster: &'a str,
    pub(super) site: &'a str,
    /// What the grams count; empty where there are none.
    pub(super) signal: &'a str,
    /// By stage, zone and basis.
    pub(super) energy_uj: BTreeMap<(StageKey<'a>, &'a str, &'static str), u64>,
    /// By stage.
    pub(super) grams: BTreeMap<StageKey<'a>, f64>,
    /// Active energy of stages for whose time no intensity is known.
    pub(super) uncovered_uj: u64,
}

impl<'a> Booking<'a> {
    /// Sums up a batch of a site by the minutes that its rollup has, as reports do. `slots` are its grid's over these
    /// minutes; empty where it has none.
    #[must_use]
    pub fn of(batch: &'a Batch, rollup: &Rollup, site: &'a Site, slots: &'a [Slot]) -> Self {
        let mut booking = Self {
            cluster: &batch.cluster,
            site: &site.name,
            signal: slots.first().map_or("", |slot| slot.kind.as_str()),
            ..Self::default()
        };
        for ((minute, key), energy) in booking.add_energy(batch, rollup) {
            booking.add_grams(minute, key, Energy::from_microjoules(energy), site, slots);
        }
        booking
    }

    /// Books the energy; returns it by minute and stage.
    fn add_energy(
        &mut self,
        batch: &'a Batch,
        rollup: &Rollup,
    ) -> BTreeMap<(i64, StageKey<'a>), u64> {
        let mut by_stage = BTreeMap::new();
        for (&(minute, zone, workload), share) in &rollup.shares {
            let Some(key) = StageKey::of(&batch.workloads[workload]) else {
                continue;
            };
            let zone = &batch.zones[zone];
            let basis = match zone.basis() {
                Basis::Modelled => "modelled",
                Basis::Measured | Basis::Unspecified => "measured",
            };
            let sum = self.energy_uj.entry((key, &zone.name, basis)).or_default();
            *sum = sum.saturating_add(share.active_uj);
            let sum: &mut u64 = by_stage.entry((minute, key)).or_default();
            *sum = sum.saturating_add(share.active_uj);
        }
        by_stage
    }

    fn add_grams(
        &mut self,
        minute: i64,
        key: StageKey<'a>,
        energy: Energy,
        site: &Site,
        slots: &[Slot],
    ) {
        let Some((from, to)) = bounds(minute, minute) else {
            return;
        };
        let carbon = carbon(energy, from, to, site.pue_at(from), slots);
        if !slots.is_empty() {
            *self.grams.entry(key).or_default() += carbon.grams;
        }
        let uncovered = Energy::from_joules(carbon.uncovered_joules).unwrap_or_default();
        self.uncovered_uj = self.uncovered_uj.saturating_add(uncovered.microjoules());
    }
}

/// Start of the first minute of a batch and end of the last; `None` where it has none.
#[must_use]
pub fn time_range(rollup: &Rollup) -> Option<(Timestamp, Timestamp)> {
    let mut minutes = rollup.zones.keys().map(|(minute, _)| *minute);
    let first = minutes.next()?;
    bounds(first, minutes.next_back().unwrap_or(first))
}

fn bounds(first_minute: i64, last_minute: i64) -> Option<(Timestamp, Timestamp)> {
    let start = |minute: i64| Timestamp::from_millisecond(minute.checked_mul(MINUTE_MS)?).ok();
    Some((start(first_minute)?, start(last_minute + 1)?))
}
