//! What a reader must know of a report's figures, one sentence each.

use std::collections::BTreeSet;

use super::footprint::Footprint;
use super::{Lost, Report};
use crate::format::units;
use crate::store::LostBy;

/// Below this share of known time a report says so.
const FULL_COVERAGE: f64 = 0.95;

/// When a note is due, and what it says.
type Note = fn(&Report, &Footprint) -> Option<String>;

/// All notes, in the order in which they are told.
const NOTES: [Note; 10] = [
    |report, _| {
        nothing_known(report).then(|| {
            "No grams: no energy is known for the run; no zone could be read while it ran."
                .to_owned()
        })
    },
    |_, footprint| {
        let sites = list(&footprint.sites_without_zone)?;
        Some(format!(
            "No grams: nobody said which grid feeds site {sites}; set its intensity zone, \
             such as `hxmlops serve --intensity-zone FR`."
        ))
    },
    |_, footprint| {
        let zones = list(&footprint.zones_with_gaps)?;
        Some(format!(
            "No grams: no intensity is known for some of the time in intensity zone {zones}; \
             bring it with `hxmlops import intensity FILE`, or correct the site's zone."
        ))
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
            "Idle energy was shared out by the hour: the minutes of so long ago are folded into hours.".to_owned()
        })
    },
    |report, _| {
        let part = report.intensity_basis.annual;
        (part > 0.0).then(|| {
            let part = percent(part);
            format!("From a yearly average of the grid's intensity: {part} of the grams.")
        })
    },
    |report, footprint| {
        let sites = list(&footprint.sites_without_pue)?;
        (report.energy_joules > 0.0).then(|| {
            format!(
                "PUE is 1 for site {sites}: nothing is added for cooling and power supply; \
                 set it with `hxmlops serve --pue`."
            )
        })
    },
];

pub(super) fn notes(report: &Report, footprint: &Footprint) -> Vec<String> {
    NOTES
        .iter()
        .filter_map(|note| note(report, footprint))
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

fn list(names: &BTreeSet<String>) -> Option<String> {
    if names.is_empty() {
        return None;
    }
    let quoted: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    Some(quoted.join(", "))
}

/// Never 100 % for a little less, nor 0 % for a little more.
fn percent(ratio: f64) -> String {
    match ratio * 100.0 {
        below if below < 1.0 => "under 1 %".to_owned(),
        above if above > 99.0 && ratio < 1.0 => "over 99 %".to_owned(),
        part => format!("{part:.0} %"),
    }
}
