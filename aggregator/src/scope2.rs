//! Purchased electricity of whole sites by the hour, location-based and market-based side by side (GHG Protocol
//! Scope 2 Guidance, 2015). Pure.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::carbon::{JOULES_PER_KWH, grams, spread};
use crate::intensity::{Grids, IntensityBasis, Signal, normalized_zone};
use crate::site::Site;
use crate::store::SiteEnergy;

const HOUR_MS: i64 = 3_600_000;

/// One hour (UTC) of one site.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SiteHour {
    /// The site.
    pub site: String,
    /// Start of the hour.
    pub hour: Timestamp,
    /// Energy of its nodes (IT side).
    pub it_kwh: f64,
    /// The part of it that is modelled, not measured.
    pub modelled_kwh: f64,
    /// PUE of that hour.
    pub pue: f64,
    /// Energy of its building: what was bought.
    pub facility_kwh: f64,
    /// What the location-based figure counts.
    pub signal: Signal,
    /// gCO2e by the grid's intensity; `None` where some of the hour has none, and of marginal signals.
    pub location_g: Option<f64>,
    /// The part of it that rests on settled or estimated figures of that hour; the rest on forecasts and years.
    pub hourly_g: Option<f64>,
    /// gCO2e by the site's contracts; `None` where nobody said.
    pub market_g: Option<f64>,
    /// The contracts; empty where nobody said.
    pub market_source: String,
    /// Known time over elapsed time of the nodes and zones, 0 to 1.
    pub coverage_ratio: f64,
}

impl SiteHour {
    /// Names of its fields, in their order.
    pub const FIELDS: [&str; 12] = [
        "site",
        "hour",
        "it_kwh",
        "modelled_kwh",
        "pue",
        "facility_kwh",
        "signal",
        "location_g",
        "hourly_g",
        "market_g",
        "market_source",
        "coverage_ratio",
    ];
}

/// The hours of all sites, by site and time; an hour of which nothing is known is not there.
///
/// `energies` are by site and time; `grids` has each site's intensity zone over their time.
#[must_use]
pub fn site_hours(energies: &[SiteEnergy], sites: &[Site], grids: &Grids) -> Vec<SiteHour> {
    let sites: BTreeMap<&str, &Site> = sites
        .iter()
        .map(|site| (site.name.as_str(), site))
        .collect();
    let hour = |energy: &SiteEnergy| energy.start.as_millisecond().div_euclid(HOUR_MS);
    energies
        .chunk_by(|a, b| a.site == b.site && hour(a) == hour(b))
        .filter_map(|energies| {
            let first = energies.first()?;
            let start = Timestamp::from_millisecond(hour(first) * HOUR_MS).ok()?;
            let unknown = Site::named(&first.site);
            let site = sites.get(first.site.as_str()).copied().unwrap_or(&unknown);
            Some(site_hour(start, energies, site, grids))
        })
        .collect()
}

fn site_hour(hour: Timestamp, energies: &[SiteEnergy], site: &Site, grids: &Grids) -> SiteHour {
    let zone = site.intensity_zone.as_deref().map(normalized_zone);
    let grid = zone.and_then(|zone| grids.get(&zone));
    let slots = grid.map_or(&[][..], |grid| grid.of(site.signal));
    let pue = site.pue_at(hour);
    let (mut location_g, mut hourly_g, mut uncovered) = (0.0, 0.0, 0.0);
    let (mut known_s, mut elapsed_s) = (0.0, 0.0);
    for energy in energies {
        let length = SignedDuration::from_secs(energy.seconds.into());
        let spread = spread(
            energy.measured.joules(),
            energy.start,
            energy.start + length,
            slots,
        );
        uncovered += spread.uncovered_joules();
        for (slot, joules) in spread.parts {
            let grams = grams(joules, pue, slot.g_per_kwh);
            location_g += grams;
            if matches!(
                slot.basis,
                IntensityBasis::Measured | IntensityBasis::Estimated
            ) {
                hourly_g += grams;
            }
        }
        known_s += energy.coverage_ratio * f64::from(energy.seconds);
        elapsed_s += f64::from(energy.seconds);
    }
    let kwh = |of: fn(&SiteEnergy) -> f64| energies.iter().map(of).sum::<f64>() / JOULES_PER_KWH;
    let it_kwh = kwh(|energy| energy.measured.joules());
    let is_told = uncovered <= 0.0 && site.signal.is_average();
    let market = site.market.as_ref();
    SiteHour {
        site: site.name.clone(),
        hour,
        it_kwh,
        modelled_kwh: kwh(|energy| energy.modelled.joules()),
        pue,
        facility_kwh: it_kwh * pue,
        signal: site.signal,
        location_g: is_told.then_some(location_g),
        hourly_g: is_told.then_some(hourly_g),
        market_g: market.map(|market| it_kwh * pue * market.at(hour)),
        market_source: market
            .map(|market| market.source.clone())
            .unwrap_or_default(),
        coverage_ratio: known_s / elapsed_s,
    }
}

#[cfg(test)]
mod tests {
    use wire::Energy;

    use super::*;
    use crate::intensity::{Grid, Slot};
    use crate::site::MarketFactor;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn energy(start: &str, seconds: u32, kwh: f64) -> SiteEnergy {
        SiteEnergy {
            site: "paris".to_owned(),
            start: at(start),
            seconds,
            measured: Energy::from_joules(kwh * JOULES_PER_KWH).unwrap(),
            modelled: Energy::ZERO,
            coverage_ratio: 1.0,
        }
    }

    fn paris() -> Site {
        Site {
            intensity_zone: Some("X".to_owned()),
            pue: 1.2,
            pue_by_year: BTreeMap::from([(2025, 1.5)]),
            market: Some(MarketFactor {
                g_per_kwh: 10.0,
                by_year: BTreeMap::from([(2025, 20.0)]),
                source: "a contract".to_owned(),
            }),
            ..Site::named("paris")
        }
    }

    fn grids(known: &[(&str, &str, f64)]) -> Grids {
        let slot = |&(from, to, g_per_kwh): &(&str, &str, f64)| Slot {
            intensity_zone: "X".to_owned(),
            from: at(from),
            to: at(to),
            g_per_kwh,
            kind: Signal::default(),
            basis: IntensityBasis::Measured,
            source: "a test".to_owned(),
        };
        let slots = known.iter().map(slot).collect();
        let grid = Grid::new(slots, "X", at("2025-12-31T00:00Z"), at("2026-01-02T00:00Z"));
        Grids::from([("X".to_owned(), grid)])
    }

    #[test]
    fn a_year_ends_with_its_last_hour() {
        let energies = [
            energy("2025-12-31T23:30:00Z", 60, 1.0),
            energy("2025-12-31T23:59:00Z", 60, 1.0),
            energy("2026-01-01T00:00:00Z", 3_600, 4.0),
        ];
        let grids = grids(&[
            ("2025-12-31T23:00Z", "2025-12-31T23:59Z", 100.0),
            ("2025-12-31T23:59Z", "2026-01-01T00:30Z", 300.0),
            ("2026-01-01T00:30Z", "2026-01-01T01:00Z", 500.0),
        ]);
        let hours = site_hours(&energies, &[paris()], &grids);
        let [old, new] = &hours[..] else {
            panic!("two hours, not {hours:?}");
        };
        let check = |found: f64, expected: f64| {
            assert!((found - expected).abs() < 1e-9, "{found}: {hours:?}");
        };
        check(old.facility_kwh, 3.0);
        check(old.location_g.unwrap(), 1.5 * 100.0 + 1.5 * 300.0);
        check(old.market_g.unwrap(), 3.0 * 20.0);
        check(new.facility_kwh, 4.8);
        check(new.location_g.unwrap(), 2.4 * 300.0 + 2.4 * 500.0);
        check(new.market_g.unwrap(), 48.0);
        assert_eq!(old.hour, at("2025-12-31T23:00Z"));
    }

    #[test]
    fn what_is_not_known_has_no_figure() {
        let energies = [energy("2026-01-01T00:00:00Z", 3_600, 4.0)];
        let half = grids(&[("2026-01-01T00:00Z", "2026-01-01T00:30Z", 100.0)]);
        let hours = site_hours(&energies, &[paris()], &half);
        assert_eq!((hours[0].location_g, hours[0].hourly_g), (None, None));
        let hours = site_hours(&energies, &[], &half);
        assert_eq!((hours[0].location_g, hours[0].market_g), (None, None));
        let marginal = Site {
            signal: "marginal-direct".parse().unwrap(),
            ..paris()
        };
        let hours = site_hours(&energies, &[marginal], &half);
        assert_eq!(hours[0].location_g, None);
        assert!(hours[0].market_g.is_some());
    }
}
