//! What a reader must know of a report's figures, one sentence each.

use std::collections::BTreeSet;

use super::embodied::Embodied;
use super::footprint::Footprint;
use super::{Lost, Report};
use crate::format::units;
use crate::intensity::regions::OWN_SITE_PUE;
use crate::store::LostBy;

/// Below this share of known time a report says so.
const FULL_COVERAGE: f64 = 0.95;

/// What a report does not say in figures.
pub(super) struct Known<'a> {
    pub(super) footprint: &'a Footprint,
    pub(super) embodied: &'a Embodied,
}

/// When a note is due, and what it says.
type Note = fn(&Report, &Known<'_>) -> Option<String>;

/// All notes, in the order in which they are told.
const NOTES: [Note; 17] = [
    |report, _| {
        nothing_known(report).then(|| {
            "No grams: no energy is known for the run; no zone could be read while it ran."
                .to_owned()
        })
    },
    |_, known| {
        let sites = list(known.footprint.sites_without_zone.iter())?;
        Some(format!(
            "No grams: nobody said which grid feeds site {sites}; set its intensity zone, \
             such as `hxmlops serve --intensity-zone FR`."
        ))
    },
    |_, known| {
        let gaps = &known.footprint.zones_with_gaps;
        let zones = list(gaps.iter().map(|(zone, _)| zone))?;
        let signals: BTreeSet<&str> = gaps.iter().map(|(_, signal)| signal.as_str()).collect();
        let signals: Vec<&str> = signals.into_iter().collect();
        Some(format!(
            "No grams: no intensity ({}) is known for some of the time in intensity zone {zones}; \
             bring it with `hxmlops import intensity FILE`, or correct the site's zone or signal.",
            signals.join(", ")
        ))
    },
    |_, known| {
        let signals = known.footprint.signals();
        let kinds: Vec<&str> = signals.iter().map(|kind| kind.as_str()).collect();
        (kinds.len() > 1).then(|| {
            format!(
                "No grams: its sites count different things ({}), which are never added; each is a subtotal of its own.",
                kinds.join(", ")
            )
        })
    },
    |report, _| {
        let part = report.energy_basis.modelled;
        (part > 0.0).then(|| {
            let told = format!("Modelled, not measured: {} of the energy", percent(part));
            match report.energy_range {
                Some(range) => format!(
                    "{told}; in truth it all may be {} to {}.",
                    units::energy(range.low_joules),
                    units::energy(range.high_joules)
                ),
                None => format!("{told}."),
            }
        })
    },
    |report, _| {
        report.idle_seeded.then(|| {
            "Some of the idle energy rests on the model's first guess: the node was not yet seen \
             under 20 % load."
                .to_owned()
        })
    },
    |report, _| {
        let known = report.coverage_ratio;
        (known < FULL_COVERAGE && !nothing_known(report)).then(|| {
            let known = percent(known);
            format!("Energy is known for {known} of the run's time only; the rest is missing here.")
        })
    },
    |report, _| {
        (!report.lost.is_empty()).then(|| {
            let lost: Vec<String> = report.lost.iter().map(lost).collect();
            format!(
                "Of the nodes that it ran on, energy of its time never came here: {}; whose it was is not known.",
                lost.join(", ")
            )
        })
    },
    |report, _| {
        report.idle_by_hour.then(|| {
            "By the hour: the minutes of so long ago are folded into hours, within which idle energy was shared out and the \
             intensity applied as if all was used evenly; the figures may differ from those of before."
                .to_owned()
        })
    },
    |report, _| {
        let part = report.intensity_basis.annual;
        (part > 0.0).then(|| {
            let part = percent(part);
            format!("From a yearly average of the grid's intensity: {part} of the grams.")
        })
    },
    |report, known| {
        let site = report.intensity.iter().map(|used| &used.intensity_zone);
        let asked = &known.footprint.asked_zones;
        let others = list(site.filter(|zone| !asked.contains(*zone)))?;
        let asked = list(asked.iter())?;
        Some(format!(
            "There is no yearly average for {asked}: that of {others} is taken."
        ))
    },
    |_, known| {
        let kinds: Vec<&str> = known
            .footprint
            .other_signals()
            .map(|kind| kind.as_str())
            .collect();
        (!kinds.is_empty()).then(|| {
            format!(
                "Of some of the energy without a figure only other signals tell ({}); they are subtotals of their \
                 own and are never added.",
                kinds.join(", ")
            )
        })
    },
    |report, known| {
        let (covers, lacks) = known.footprint.range_covers();
        let join = |set: &BTreeSet<&str>| set.iter().copied().collect::<Vec<_>>().join(", ");
        report.carbon_grams?;
        match (covers.is_empty(), lacks.is_empty()) {
            (_, true) => None,
            (true, false) => Some(format!(
                "How far the grams may be off is not known: nothing is known here of the errors of {}.",
                join(lacks)
            )),
            (false, false) => Some(format!(
                "The range of the grams comes from {}; the errors of {} are not known and not in it.",
                join(covers),
                join(lacks)
            )),
        }
    },
    |_, known| {
        let nodes = &known.embodied.unknown_nodes;
        let some = list(nodes.iter().take(3))?;
        let more = if nodes.len() > 3 { " and others" } else { "" };
        let is_told = known.embodied.is_told();
        is_told.then(|| {
            format!("No embodied grams: node {some}{more} is in no inventory of its site.")
        })
    },
    |report, known| {
        let missing = list(known.footprint.sites_without_market.iter())?;
        (!report.scope2.market_sources.is_empty())
            .then(|| format!("No market-based figure: site {missing} has no factor of its own."))
    },
    |_, known| {
        let sources: Vec<String> = known
            .footprint
            .pue_sources
            .iter()
            .map(|(site, source)| format!("'{site}': {source}"))
            .collect();
        (!sources.is_empty())
            .then(|| format!("PUE is not the site's own ({}).", sources.join(", ")))
    },
    |report, known| {
        let sites = list(known.footprint.sites_without_pue.iter())?;
        (report.energy_joules > 0.0).then(|| {
            format!(
                "PUE is 1 for site {sites}: nothing is added for cooling and power supply (on average {OWN_SITE_PUE}); \
                 set it with `hxmlops serve --pue`."
            )
        })
    },
];

pub(super) fn notes(report: &Report, known: &Known<'_>) -> Vec<String> {
    NOTES
        .iter()
        .filter_map(|note| note(report, known))
        .collect()
}

fn lost(lost: &Lost) -> String {
    let why = match lost.reason {
        LostBy::Dropped => "the agent's spool was full",
        LostBy::Refused => "refused for good",
        LostBy::Damaged => "damaged in the agent's spool",
    };
    format!("{} ({why})", units::energy(lost.joules))
}

fn nothing_known(report: &Report) -> bool {
    report.coverage_ratio <= 0.0 && report.energy_joules <= 0.0
}

/// Each once, in order; `None` where there are none.
fn list<'a>(names: impl Iterator<Item = &'a String>) -> Option<String> {
    let quoted: BTreeSet<String> = names.map(|name| format!("'{name}'")).collect();
    let quoted: Vec<String> = quoted.into_iter().collect();
    (!quoted.is_empty()).then(|| quoted.join(", "))
}

/// Never 100 % for a little less, nor 0 % for a little more.
fn percent(ratio: f64) -> String {
    match ratio * 100.0 {
        below if below < 1.0 => "under 1 %".to_owned(),
        above if above > 99.0 && ratio < 1.0 => "over 99 %".to_owned(),
        part => format!("{part:.0} %"),
    }
}
