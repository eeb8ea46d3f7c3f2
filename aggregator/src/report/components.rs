//! What components (long-lived modules, such as a database) used over a time.
//!
//! Active energy alone: a node's idle energy is nobody's own, and is shared out in reports on runs only.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::Energy;

use super::footprint::Footprint;
use super::sites::Sites;
use super::{EnergyBasis, IntensityShares, IntensityUsed, Subtotal};
use crate::intensity::Grids;
use crate::rollup::MINUTE_MS;
use crate::site::Site;
use crate::store::{Cell, ComponentEnergy, ComponentKey, ComponentPart, NodeKey, ZoneUse};

/// Minutes that a component's power is the mean of.
const RECENT: SignedDuration = SignedDuration::from_mins(5);
/// So long an agent may gather intervals before it sends them: of a later minute not all is told yet.
const ON_ITS_WAY: SignedDuration = SignedDuration::from_mins(1);

/// What one component used over a time: active energy (IT side) alone. The idle energy of its nodes is not shared out
/// among components.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ComponentUse {
    /// Which one.
    #[serde(flatten)]
    pub key: ComponentKey,
    /// Active energy, exact to the microjoule.
    pub active_joules: f64,
    /// Mean active power over the five whole minutes that ended a minute or more before the end of the time: of each zone
    /// of each node that it used, its energy over the time for which the zone's energy is known, and the sum of these.
    /// Null where nothing of these minutes is known.
    pub active_watts: Option<f64>,
    /// `active_joules` x PUE x intensity of the sites' own signal; null where no intensity is known for some of it, where
    /// the sites count different things, and where there is no energy that is known.
    pub carbon_grams: Option<f64>,
    /// Energy (IT side) that `carbon_grams` could not be told for.
    pub uncovered_joules: f64,
    /// What each signal says, where there is not one figure for all. Never part of `carbon_grams`.
    pub subtotals: Vec<Subtotal>,
    /// Power usage effectiveness, weighted by energy where several sites took part.
    pub pue: f64,
    /// Sites that it ran at, by name.
    pub sites: Vec<String>,
    /// Known time over elapsed time, 0 to 1, of each zone of each node that it used, from the first minute in which it
    /// did to the last.
    pub coverage_ratio: f64,
    /// Part of the energy by basis.
    pub energy_basis: EnergyBasis,
    /// Part of the grams by basis.
    pub intensity_basis: IntensityShares,
    /// The grids that fed it.
    pub intensity: Vec<IntensityUsed>,
}

/// The minutes that the power at a time is the mean of: five whole ones, of which all is told by then.
#[must_use]
pub fn recent_minutes(to: Timestamp) -> (Timestamp, Timestamp) {
    let told = to.checked_sub(ON_ITS_WAY).unwrap_or(Timestamp::MIN);
    let end_ms = told.as_millisecond().div_euclid(MINUTE_MS) * MINUTE_MS;
    let end = Timestamp::from_millisecond(end_ms).unwrap_or(Timestamp::MIN);
    let start = end.checked_sub(RECENT).unwrap_or(Timestamp::MIN);
    (start, end)
}

/// What components used, from all that the ledger has of them; in its order.
///
/// `grids` has each site's intensity zone, over the parts' time.
#[must_use]
pub fn component_uses(
    energies: &[ComponentEnergy],
    sites: &[Site],
    grids: &Grids,
) -> Vec<ComponentUse> {
    let sites = Sites::new(sites, grids);
    let one = |energy: &ComponentEnergy| component_use(energy, &sites);
    energies.iter().map(one).collect()
}

fn component_use(energy: &ComponentEnergy, sites: &Sites<'_>) -> ComponentUse {
    let mut footprint = Footprint::default();
    let (mut active, mut modelled) = (Energy::ZERO, Energy::ZERO);
    for part in &energy.parts {
        active += part.active;
        if part.modelled {
            modelled += part.active;
        }
        let cell = cell(part);
        footprint.add(sites, &cell, part.active, cell.start, cell.end());
    }
    let is_told = !energy.parts.is_empty() && footprint.is_complete();
    ComponentUse {
        key: energy.key.clone(),
        active_joules: active.joules(),
        active_watts: watts(&energy.zones),
        carbon_grams: is_told.then(|| footprint.grams()),
        uncovered_joules: footprint.uncovered_joules(),
        subtotals: footprint.subtotals(),
        pue: footprint.pue(),
        sites: footprint.sites(),
        coverage_ratio: coverage(&energy.zones),
        energy_basis: EnergyBasis::of(active, modelled),
        intensity_basis: footprint.shares_by_basis(),
        intensity: footprint.intensity(),
    }
}

/// A part as a cell that nobody else has a share of: what a footprint is made from.
fn cell(part: &ComponentPart) -> Cell {
    Cell {
        start: part.start,
        length_ms: part.seconds * 1_000,
        node: NodeKey {
            cluster: String::new(),
            node: String::new(),
        },
        site: part.site.clone(),
        zone: String::new(),
        modelled: part.modelled,
        range_percent: None,
        measured: part.active,
        idle: Energy::ZERO,
        system: Energy::ZERO,
        system_usage_ns: 0,
        covered_ms: part.seconds * 1_000,
        idle_seeded: false,
        shares: Vec::new(),
    }
}

fn watts(zones: &[ZoneUse]) -> Option<f64> {
    let known = zones.iter().filter(|zone| zone.recent_known_ms > 0);
    let watts = known.map(|zone| zone.recent.joules() / (zone.recent_known_ms as f64 / 1e3));
    watts.reduce(|sum, watts| sum + watts)
}

fn coverage(zones: &[ZoneUse]) -> f64 {
    let sum = |of: fn(&ZoneUse) -> u64| zones.iter().map(of).sum::<u64>() as f64;
    let elapsed_ms = sum(|zone| zone.elapsed_ms);
    if elapsed_ms <= 0.0 {
        return 0.0;
    }
    (sum(|zone| zone.known_ms) / elapsed_ms).min(1.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::intensity::{Grid, IntensityBasis, Signal, Slot};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn minute(number: i64) -> Timestamp {
        at("2026-01-05T10:00:00Z") + SignedDuration::from_mins(number)
    }

    fn part(number: i64, site: &str, microjoules: u64) -> ComponentPart {
        ComponentPart {
            site: site.to_owned(),
            start: minute(number),
            seconds: 60,
            modelled: site == "oslo",
            active: Energy::from_microjoules(microjoules),
        }
    }

    fn energy(parts: &[ComponentPart], zones: &[ZoneUse]) -> ComponentEnergy {
        ComponentEnergy {
            key: ComponentKey {
                cluster: "c1".to_owned(),
                namespace: "mlops".to_owned(),
                component: "postgres".to_owned(),
            },
            parts: parts.to_vec(),
            zones: zones.to_vec(),
        }
    }

    /// Paris and Lyon by two hours of one grid, Oslo by a marginal signal; nothing is known of Rome.
    fn uses(energy: ComponentEnergy) -> ComponentUse {
        let site = |name: &str, zone: &str, signal: &str, pue| Site {
            intensity_zone: Some(zone.to_owned()),
            signal: signal.parse().unwrap(),
            pue,
            ..Site::named(name)
        };
        let average = Signal::default().as_str();
        let sites = [
            site("paris", "X", average, 1.5),
            site("lyon", "X", average, 1.0),
            site("oslo", "Y", "marginal-direct", 1.0),
        ];
        let slot = |zone: &str, from, to, kind: &str, g_per_kwh| Slot {
            intensity_zone: zone.to_owned(),
            from: minute(from),
            to: minute(to),
            g_per_kwh,
            kind: kind.parse().unwrap(),
            basis: IntensityBasis::Measured,
            source: "a test".to_owned(),
        };
        let grid = |zone: &str, slots| {
            let grid = Grid::new(slots, zone, minute(-60), minute(120));
            (zone.to_owned(), grid)
        };
        let grids = Grids::from([
            grid(
                "X",
                vec![
                    slot("X", 0, 60, average, 100.0),
                    slot("X", 60, 120, average, 300.0),
                ],
            ),
            grid("Y", vec![slot("Y", 0, 120, "marginal-direct", 50.0)]),
        ]);
        let uses = component_uses(&[energy], &sites, &grids);
        uses.into_iter().next().unwrap()
    }

    const KWH: u64 = 3_600_000_000_000;

    #[test]
    fn grams_are_of_the_sites_own_signals_and_kinds_that_differ_are_never_added() {
        let check = |parts: &[ComponentPart], grams: Option<f64>, uncovered: f64, subtotals| {
            let used = uses(energy(parts, &[]));
            let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
            assert_eq!(used.carbon_grams.is_some(), grams.is_some(), "{used:?}");
            let found = used.carbon_grams.unwrap_or_default();
            assert!(near(found, grams.unwrap_or_default()), "{used:?}");
            assert!(near(used.uncovered_joules, uncovered), "{used:?}");
            assert_eq!(used.subtotals.len(), subtotals, "{used:?}");
        };
        check(&[], None, 0.0, 0);
        check(&[part(59, "paris", KWH)], Some(150.0), 0.0, 0);
        let both = [part(59, "paris", KWH), part(60, "lyon", KWH)];
        check(&both, Some(450.0), 0.0, 0);
        check(&[part(0, "oslo", KWH)], Some(50.0), 0.0, 0);
        check(&[part(0, "oslo", KWH), part(0, "lyon", KWH)], None, 0.0, 2);
        check(
            &[part(0, "rome", KWH), part(0, "lyon", KWH)],
            None,
            3.6e6,
            0,
        );
        check(&[part(-1, "lyon", KWH)], None, 3.6e6, 0);
        check(&[part(0, "lyon", 0)], Some(0.0), 0.0, 0);
    }

    #[test]
    fn energy_has_its_basis() {
        let used = uses(energy(
            &[part(0, "oslo", 1_000_000), part(0, "lyon", 3_000_000)],
            &[],
        ));
        assert_eq!(used.active_joules, 4.0);
        let basis = (used.energy_basis.measured, used.energy_basis.modelled);
        assert_eq!(basis, (0.75, 0.25));
        assert_eq!(used.sites, ["lyon", "oslo"]);
    }

    #[test]
    fn power_is_energy_over_the_time_that_is_known() {
        let zone = |millijoules: u64, recent_known_ms| ZoneUse {
            recent: Energy::from_microjoules(millijoules * 1_000),
            recent_known_ms,
            ..ZoneUse::default()
        };
        let check = |zones: &[ZoneUse], expected: Option<f64>| {
            assert_eq!(uses(energy(&[], zones)).active_watts, expected, "{zones:?}");
        };
        check(&[], None);
        check(&[zone(0, 0)], None);
        check(&[zone(0, 300_000)], Some(0.0));
        check(&[zone(600_000, 300_000)], Some(2.0));
        check(&[zone(600_000, 150_000)], Some(4.0));
        // One that fell silent says nothing of the others.
        check(&[zone(600_000, 300_000), zone(0, 0)], Some(2.0));
        check(&[zone(600_000, 300_000), zone(30_000, 60_000)], Some(2.5));
    }

    #[test]
    fn coverage_is_known_time_over_elapsed_time() {
        let zone = |known_ms, elapsed_ms| ZoneUse {
            known_ms,
            elapsed_ms,
            ..ZoneUse::default()
        };
        let check = |zones: &[ZoneUse], expected: f64| {
            assert_eq!(uses(energy(&[], zones)).coverage_ratio, expected);
        };
        check(&[], 0.0);
        check(&[zone(0, 0)], 0.0);
        check(&[zone(60, 60), zone(0, 60)], 0.5);
        check(&[zone(90, 60)], 1.0);
    }

    #[test]
    fn the_recent_minutes_are_whole_and_told() {
        let check = |to: &str, end: &str| {
            let (start, found) = recent_minutes(at(to));
            assert_eq!(found, at(end));
            assert_eq!(start.duration_until(found), RECENT);
        };
        check("2026-01-05T10:07:59.999Z", "2026-01-05T10:06:00Z");
        check("2026-01-05T10:07:00Z", "2026-01-05T10:06:00Z");
        check("2026-01-05T00:00:00Z", "2026-01-04T23:59:00Z");
        let (start, end) = recent_minutes(Timestamp::MIN);
        assert!(start <= end);
    }

    proptest! {
        #[test]
        fn splitting_the_time_anywhere_changes_nothing(
            parts in prop::collection::vec((0_i64..120, 0_usize..2, 0..KWH), 0..20),
            cut in 0_i64..121,
        ) {
            let parts: Vec<ComponentPart> = parts
                .into_iter()
                .map(|(number, site, active)| part(number, ["paris", "lyon"][site], active))
                .collect();
            let (before, after): (Vec<_>, Vec<_>) =
                parts.iter().cloned().partition(|part| part.start < minute(cut));
            let [whole, one, two] = [parts, before, after].map(|parts| uses(energy(&parts, &[])));
            let near = |a: f64, b: f64| (a - b).abs() < 1e-6 + 1e-9 * a.abs();
            prop_assert!(near(whole.active_joules, one.active_joules + two.active_joules));
            let grams = |used: &ComponentUse| used.carbon_grams.unwrap_or_default();
            prop_assert!(near(grams(&whole), grams(&one) + grams(&two)));
        }
    }
}
