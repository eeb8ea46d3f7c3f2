//! What a reader looks for first: which run, how much energy, how many grams.

use jiff::Timestamp;
use maud::{Markup, html};

use super::told;
use crate::format::escape::terminal;
use crate::format::units::{duration, time};
use crate::report::{EmbodiedPolicy, Report};

pub(super) fn headline(report: &Report) -> Markup {
    html! {
        header {
            p.kind { "Energy and carbon report" }
            h1 { (terminal(&report.run)) }
            p.facts {
                span { "Workflow " b { (terminal(&report.workflow)) } }
                span { "Cluster " b { (terminal(&report.cluster)) } }
                @if !report.sites.is_empty() {
                    span { "Site " b { (terminal(&report.sites.join(", "))) } }
                }
                span { (at(report.start)) " to " (at(report.end)) ", " (duration(report.start, report.end)) }
            }
        }
    }
}

/// A time as people read it, and as programs do.
pub(super) fn at(at: Timestamp) -> Markup {
    html! { time datetime=(at) { (time(at)) } }
}

pub(super) fn tiles(report: &Report) -> Markup {
    html! {
        section.tiles aria-label="Headline figures" {
            (energy(report))
            (carbon(report))
            (embodied(report))
            (sci(report))
        }
    }
}

fn tile(name: &str, figure: &Markup, notes: &Markup) -> Markup {
    html! {
        div.tile {
            h2 { (name) }
            p.big { (figure) }
            (notes)
        }
    }
}

fn energy(report: &Report) -> Markup {
    let range = report.energy_range;
    let notes = html! {
        p { (told::energy("/idle_joules", report.idle_joules)) " of it idle" }
        @if let Some(range) = range {
            p {
                "By its models " (told::energy("/energy_range/low_joules", range.low_joules))
                " to " (told::energy("/energy_range/high_joules", range.high_joules))
            }
        }
    };
    tile(
        "Energy",
        &told::energy("/energy_joules", report.energy_joules),
        &notes,
    )
}

fn carbon(report: &Report) -> Markup {
    let figure = html! {
        (told::mass("/carbon_grams", report.carbon_grams))
        @if report.carbon_grams.is_some() { " " small { "CO₂e" } }
    };
    let notes = html! {
        @match report.carbon_range {
            Some(range) => p {
                "Between " (told::mass("/carbon_range/low_grams", Some(range.low_grams)))
                " and " (told::mass("/carbon_range/high_grams", Some(range.high_grams)))
            }
            None if report.carbon_grams.is_some() => p { "How far it may be off is not known" }
            None => {}
        }
    };
    tile("Operational carbon", &figure, &notes)
}

fn embodied(report: &Report) -> Markup {
    let figure = html! {
        (told::mass("/embodied_grams", report.embodied_grams))
        @if report.embodied_grams.is_some() { " " small { "CO₂e" } }
    };
    let by = match report.embodied_by {
        EmbodiedPolicy::Use => "by the CPU time that it used",
        EmbodiedPolicy::Reservation => "by the CPU that it reserved",
    };
    let notes = html! { p { "Its share of making the nodes, " (by) } };
    tile("Embodied carbon", &figure, &notes)
}

fn sci(report: &Report) -> Markup {
    let Some(sci) = &report.sci else {
        return Markup::default();
    };
    let figure = html! {
        (told::mass("/sci/grams_per_unit", sci.grams_per_unit))
        @if sci.grams_per_unit.is_some() { " " small { "CO₂e" } }
    };
    let notes = html! {
        p { "Per " b { (terminal(&sci.unit)) } ", of which it made " (told::count("/sci/count", sci.count)) }
        p {
            "Operational " (told::mass("/sci/operational_grams_per_unit", sci.operational_grams_per_unit))
            ", embodied " (told::mass("/sci/embodied_grams_per_unit", sci.embodied_grams_per_unit))
        }
    };
    tile("SCI, carbon per unit", &figure, &notes)
}
