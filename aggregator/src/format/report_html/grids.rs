//! Where the grams come from: intensities, other signals, Scope 2.

use maud::{Markup, html};

use super::headline::at;
use super::told;
use crate::format::escape::terminal;
use crate::format::place::place;
use crate::report::{Report, Revision};

pub(super) fn intensity(report: &Report) -> Markup {
    html! {
        section aria-labelledby="intensity" {
            h2 id="intensity" { "Carbon intensity" }
            p.note {
                "Grams = energy × PUE × intensity, for each slot of time. PUE "
                (told::figure("/pue", report.pue)) ". " (revision(&report.revision))
            }
            @if !report.intensity.is_empty() { (used(report)) }
            @if !report.subtotals.is_empty() { (others(report)) }
        }
    }
}

fn used(report: &Report) -> Markup {
    html! {
        table {
            thead {
                tr {
                    th scope="col" { "Grid" }
                    th scope="col" { "Provider" }
                    th scope="col" { "Kind" }
                    th.number scope="col" { "gCO₂e/kWh" }
                }
            }
            tbody {
                @for (number, used) in report.intensity.iter().enumerate() {
                    tr {
                        th scope="row" { (grid(&used.intensity_zone)) }
                        td { (terminal(&used.provider)) }
                        td { (used.kind) }
                        td.number { (told::figure(format!("/intensity/{number}/g_per_kwh"), used.g_per_kwh)) }
                    }
                }
            }
        }
        p.note { "Weighted by the energy that each was applied to." }
    }
}

fn grid(zone: &str) -> Markup {
    let (zone, place) = (terminal(zone), place(zone));
    html! {
        @if place.contains(&*zone) { (place) } @else { (zone) " " span.of { (place) } }
    }
}

fn revision(revision: &Revision) -> Markup {
    html! {
        "Revision " (told::count("/revision/number", revision.number))
        @if let Some(recorded) = revision.recorded { " of the intensities, recorded " (at(recorded)) }
        @if let Some(as_of) = revision.as_of { ", as of " (at(as_of)) }
        "."
    }
}

fn others(report: &Report) -> Markup {
    html! {
        h3 { "Other signals" }
        p.note { "Of energy that has no figure of its site's own signal. They count something else, and are in no sum." }
        table {
            thead {
                tr {
                    th scope="col" { "Kind" }
                    th.number scope="col" { "Energy" }
                    th.number scope="col" { "Carbon" }
                }
            }
            tbody {
                @for (number, other) in report.subtotals.iter().enumerate() {
                    tr {
                        th scope="row" { (other.kind) }
                        td.number { (told::energy(format!("/subtotals/{number}/energy_joules"), other.energy_joules)) }
                        td.number { (told::mass(format!("/subtotals/{number}/carbon_grams"), Some(other.carbon_grams))) }
                    }
                }
            }
        }
    }
}

pub(super) fn scope2(report: &Report) -> Markup {
    let scope2 = &report.scope2;
    html! {
        section aria-labelledby="scope2" {
            h2 id="scope2" { "GHG Protocol, Scope 2" }
            p.note { "The same electricity, counted in two ways. The two are never added." }
            div.sides {
                div {
                    h3 { "Location-based" }
                    p.big { (told::mass("/scope2/location_grams", scope2.location_grams)) }
                    p { "By the average of the grids" }
                }
                div {
                    h3 { "Market-based" }
                    p.big { (told::mass("/scope2/market_grams", scope2.market_grams)) }
                    @if scope2.market_sources.is_empty() {
                        p { "By contracts: none is known" }
                    } @else {
                        p { "By contracts: " (terminal(&scope2.market_sources.join("; "))) }
                    }
                }
            }
        }
    }
}
