//! What one batch adds to the books: pure sums by stage and run.

use std::collections::BTreeMap;

use jiff::Timestamp;
use wire::Energy;
use wire::v1::{Basis, Batch, Interval};

use crate::carbon::carbon;
use crate::intensity::Slot;
use crate::rollup::{StageKey, end_ms};
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
    /// Sums up a batch of a site. `slots` are its grid's over the batch's time; empty where it has none.
    #[must_use]
    pub fn of(batch: &'a Batch, site: &'a Site, slots: &'a [Slot]) -> Self {
        let mut booking = Self {
            cluster: &batch.cluster,
            site: &site.name,
            signal: slots.first().map_or("", |slot| slot.kind.as_str()),
            ..Self::default()
        };
        for interval in &batch.intervals {
            for (key, energy) in booking.add_energy(batch, interval) {
                booking.add_grams(key, Energy::from_microjoules(energy), interval, site, slots);
            }
        }
        booking
    }

    /// Books an interval's energy; returns it by stage.
    fn add_energy(&mut self, batch: &'a Batch, interval: &Interval) -> BTreeMap<StageKey<'a>, u64> {
        let mut by_stage = BTreeMap::new();
        for sample in &interval.zones {
            let zone = &batch.zones[sample.zone as usize];
            let basis = match zone.basis() {
                Basis::Modelled => "modelled",
                Basis::Measured | Basis::Unspecified => "measured",
            };
            for (&workload, &active_uj) in interval.workloads.iter().zip(&sample.active_uj) {
                let Some(key) = StageKey::of(&batch.workloads[workload as usize]) else {
                    continue;
                };
                let sum = self.energy_uj.entry((key, &zone.name, basis)).or_default();
                *sum = sum.saturating_add(active_uj);
                *by_stage.entry(key).or_default() += active_uj;
            }
        }
        by_stage
    }

    fn add_grams(
        &mut self,
        key: StageKey<'a>,
        energy: Energy,
        interval: &Interval,
        site: &Site,
        slots: &[Slot],
    ) {
        let time = |ms| Timestamp::from_millisecond(ms).expect("a rollup was made of the batch");
        let (from, to) = (time(interval.start_unix_ms), time(end_ms(interval)));
        let carbon = carbon(energy, from, to, site.pue_at(from), slots);
        if !slots.is_empty() {
            *self.grams.entry(key).or_default() += carbon.grams;
        }
        let uncovered = Energy::from_joules(carbon.uncovered_joules).unwrap_or_default();
        self.uncovered_uj = self.uncovered_uj.saturating_add(uncovered.microjoules());
    }
}

/// Start of the first interval of a batch and end of the last; `None` where it has no interval.
#[must_use]
pub fn time_range(batch: &Batch) -> Option<(Timestamp, Timestamp)> {
    let start = batch
        .intervals
        .iter()
        .map(|interval| interval.start_unix_ms);
    let end = batch.intervals.iter().map(end_ms);
    let time = |ms| Timestamp::from_millisecond(ms).ok();
    Some((time(start.min()?)?, time(end.max()?)?))
}
