//! What a report states beside its stages, as lines of text: of a terminal's table and of Markdown.

use std::fmt::Write;

use super::units::{energy, figure, known_mass, mass, percent, time};
use crate::equivalents::Equivalent;
use crate::report::{IdlePolicy, Report, Revision};

/// One fact: what of, and what. Names in it are not escaped.
pub(super) type Fact = (&'static str, String);

/// Grams beside those of the stages.
pub(super) fn figures(report: &Report) -> Vec<Fact> {
    let mut facts = Vec::new();
    if let Some(range) = report.carbon_range {
        let (low, high) = (mass(range.low_grams), mass(range.high_grams));
        facts.push(("Range", format!("{low} to {high}")));
    }
    let by = report.embodied_by.as_str();
    let embodied = report.embodied_grams.map_or_else(
        || "unknown".to_owned(),
        |grams| format!("{}, shared out by {by}", mass(grams)),
    );
    facts.push(("Embodied", embodied));
    if let Some(sci) = &report.sci {
        let of = [sci.operational_grams_per_unit, sci.embodied_grams_per_unit].map(known_mass);
        facts.push((
            "SCI",
            format!(
                "{} per {}, of which there were {}; operational {}, embodied {}",
                known_mass(sci.grams_per_unit),
                sci.unit,
                sci.count,
                of[0],
                of[1]
            ),
        ));
    }
    if !report.scope2.market_sources.is_empty() {
        let scope2 = &report.scope2;
        facts.push((
            "Scope 2",
            format!(
                "location-based {}, market-based {} ({}); never added",
                known_mass(scope2.location_grams),
                known_mass(scope2.market_grams),
                scope2.market_sources.join("; ")
            ),
        ));
    }
    let equivalents = report.equivalents.iter();
    facts.extend(equivalents.map(|equivalent| ("As much as", equivalent_text(equivalent))));
    facts
}

/// What grams compare to, and by whose figure.
pub(super) fn equivalent_text(equivalent: &Equivalent) -> String {
    format!(
        "{} {} ({})",
        figure(equivalent.count),
        equivalent.what,
        equivalent.source
    )
}

/// How well the energy is known, and how it was shared out.
pub(super) fn grounds(report: &Report) -> Vec<Fact> {
    let idle = match report.idle_policy {
        IdlePolicy::None => "not shared out",
        IdlePolicy::Usage => "shared out by CPU time",
        IdlePolicy::Request => "shared out by CPU requests",
        IdlePolicy::Equal => "shared out equally",
    };
    vec![
        (
            "Energy",
            format!(
                "{} measured, {} modelled; known for {} of the time",
                percent(report.energy_basis.measured),
                percent(report.energy_basis.modelled),
                percent(report.coverage_ratio),
            ),
        ),
        ("Idle", idle.to_owned()),
        ("PUE", figure(report.pue)),
    ]
}

/// What the grams rest on.
pub(super) fn intensities(report: &Report) -> Vec<Fact> {
    let mut facts: Vec<Fact> = report
        .intensity
        .iter()
        .map(|used| {
            let (zone, figure) = (&used.intensity_zone, figure(used.g_per_kwh));
            (
                "Intensity",
                format!(
                    "{zone} {figure} gCO2e/kWh, {}, {}",
                    used.kind, used.provider
                ),
            )
        })
        .collect();
    if report.carbon_grams.is_some_and(|grams| grams > 0.0) {
        facts.push(("Basis", intensity_basis(report)));
    }
    facts.push(("Revision", revision(&report.revision)));
    if report.uncovered_joules > 0.0 {
        facts.push((
            "No grams",
            format!("for {}", energy(report.uncovered_joules)),
        ));
    }
    let others = report.subtotals.iter();
    facts.extend(others.map(|other| {
        let (grams, energy) = (mass(other.carbon_grams), energy(other.energy_joules));
        (
            "Apart",
            format!(
                "{grams} for {energy} by {}: another kind, in no sum",
                other.kind
            ),
        )
    }));
    facts
}

/// The shares of the grams by the basis of their intensity, those that there are.
fn intensity_basis(report: &Report) -> String {
    let shares = &report.intensity_basis;
    let shares = [
        (shares.measured, "measured"),
        (shares.estimated, "estimated"),
        (shares.forecast, "forecast"),
        (shares.annual, "annual average"),
    ];
    let there = shares.iter().filter(|(share, _)| *share > 0.0);
    let texts: Vec<String> = there
        .map(|(share, name)| format!("{} {name}", percent(*share)))
        .collect();
    format!("of the grams {}", texts.join(", "))
}

/// Which state of the intensities.
fn revision(revision: &Revision) -> String {
    let mut text = revision.number.to_string();
    for (what, time_of) in [("recorded", revision.recorded), ("as of", revision.as_of)] {
        if let Some(time_of) = time_of {
            let _ = write!(text, ", {what} {}", time(time_of));
        }
    }
    text
}
