//! How well the figures are known.

use maud::{Markup, html};

use super::power::swatch;
use super::told;
use crate::report::{Lost, Report};
use crate::store::LostBy;

/// A part of a whole: its name, its colour, where it stands in the report, and its share.
type Part = (&'static str, &'static str, &'static str, f64);

pub(super) fn known(report: &Report) -> Markup {
    let (energy, grams) = (&report.energy_basis, &report.intensity_basis);
    let energy: [Part; 2] = [
        ("measured", "c0", "/energy_basis/measured", energy.measured),
        ("modelled", "c4", "/energy_basis/modelled", energy.modelled),
    ];
    let grams: [Part; 4] = [
        (
            "measured",
            "c0",
            "/intensity_basis/measured",
            grams.measured,
        ),
        (
            "estimated",
            "c5",
            "/intensity_basis/estimated",
            grams.estimated,
        ),
        (
            "forecast",
            "c3",
            "/intensity_basis/forecast",
            grams.forecast,
        ),
        (
            "annual average",
            "c4",
            "/intensity_basis/annual",
            grams.annual,
        ),
    ];
    html! {
        section aria-labelledby="known" {
            h2 id="known" { "How well it is known" }
            h3 { "Energy" }
            (whole(&energy))
            h3 { "Intensity of the grid, by grams" }
            (whole(&grams))
            dl {
                dt { "Time of which the energy is known" }
                dd { (told::percent("/coverage_ratio", report.coverage_ratio)) }
                dt { "Energy without a carbon figure" }
                dd { (told::energy("/uncovered_joules", report.uncovered_joules)) }
                @for (number, lost) in report.lost.iter().enumerate() {
                    dt { "Energy of its nodes that was lost" }
                    dd { (lost_energy(number, lost)) }
                }
            }
        }
    }
}

fn whole(parts: &[Part]) -> Markup {
    let mut left = 0.0;
    let mut rects = Vec::new();
    for (_, class, _, share) in parts {
        rects.push((class, left, share * 100.0));
        left += share * 100.0;
    }
    html! {
        svg.whole aria-hidden="true" {
            @for (class, left, width) in rects {
                rect class=(class) x={ (format!("{left:.2}")) "%" } width={ (format!("{width:.2}")) "%" } height="100%" {}
            }
        }
        ul.legend {
            @for (name, class, pointer, share) in parts {
                li { (swatch(class)) (name) " " (told::percent(pointer, *share)) }
            }
        }
    }
}

fn lost_energy(number: usize, lost: &Lost) -> Markup {
    let why = match lost.reason {
        LostBy::Dropped => "an agent's spool was full",
        LostBy::Refused => "refused for good",
        LostBy::Damaged => "damaged in an agent's spool",
    };
    html! {
        (told::energy(format!("/lost/{number}/joules"), lost.joules))
        " in " (told::count(format!("/lost/{number}/batches"), lost.batches)) " batches: " (why)
    }
}
