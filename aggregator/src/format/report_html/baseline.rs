//! How the run differs from another, and why.

use maud::{Markup, html};

use super::told::{self, signed};
use crate::compare::{Comparison, Difference, Reasons};
use crate::format::escape::terminal;
use crate::format::report_table::stage_name;
use crate::format::units::{energy, mass};
use crate::report::Report;

pub(super) fn baseline(report: &Report) -> Markup {
    let Some(baseline) = &report.baseline else {
        return Markup::default();
    };
    html! {
        section aria-labelledby="baseline" {
            h2 id="baseline" { "Against " (terminal(&baseline.baseline)) }
            @if let Some(reasons) = &baseline.total.difference_grams { (in_words(reasons)) }
            div.pair { (energies(baseline)) (carbon(baseline)) }
            (reasons(baseline))
            @if !baseline.notes.is_empty() {
                h3 { "Notes on " (terminal(&baseline.baseline)) }
                ul.notes {
                    @for note in &baseline.notes { li { (terminal(note)) } }
                }
            }
        }
    }
}

fn in_words(reasons: &Reasons) -> Markup {
    html! {
        p.note {
            (signed(reasons.total, mass)) " CO₂e: " (signed(reasons.energy, mass)) " by the energy, "
            (signed(reasons.intensity, mass)) " by the intensity of the grid, " (signed(reasons.pue, mass))
            " by the PUE. The parts add up."
        }
    }
}

/// The lines of a table: where each stands in the report, and its name.
fn lines(baseline: &Comparison) -> Vec<(String, &str, &Difference)> {
    let stages = baseline.stages.iter().enumerate();
    let stages = stages.map(|(number, line)| {
        let at = format!("/baseline/stages/{number}");
        (at, stage_name(&line.stage), line)
    });
    let total = ("/baseline/total".to_owned(), "Total", &baseline.total);
    stages.chain([total]).collect()
}

fn table(
    columns: &[&str],
    baseline: &Comparison,
    cells: fn(&str, &Difference) -> Markup,
) -> Markup {
    let lines = lines(baseline);
    let (total, stages) = lines.split_last().expect("there is always a total");
    let row = |(at, name, line): &(String, &str, &Difference)| {
        html! { tr { th scope="row" { (terminal(name)) } (cells(at, line)) } }
    };
    html! {
        table {
            thead {
                tr {
                    th scope="col" { "Stage" }
                    @for column in columns { th.number scope="col" { (column) } }
                }
            }
            tbody { @for line in stages { (row(line)) } }
            tfoot { (row(total)) }
        }
    }
}

fn energies(baseline: &Comparison) -> Markup {
    let table = table(&["before", "now", "change"], baseline, |at, line| {
        html! {
            td.number { (told::energy(format!("{at}/baseline_joules"), line.baseline_joules)) }
            td.number { (told::energy(format!("{at}/run_joules"), line.run_joules)) }
            td.number { (told::difference(format!("{at}/difference_joules"), line.difference_joules, energy)) }
        }
    });
    html! { div { h3 { "Energy" } (table) } }
}

fn carbon(baseline: &Comparison) -> Markup {
    let table = table(&["before", "now", "change"], baseline, |at, line| {
        html! {
            td.number { (told::mass(format!("{at}/baseline_grams"), line.baseline_grams)) }
            td.number { (told::mass(format!("{at}/run_grams"), line.run_grams)) }
            td.number { (reason(at, "total", line, |why| why.total)) }
        }
    });
    html! { div { h3 { "Carbon" } (table) } }
}

fn reasons(baseline: &Comparison) -> Markup {
    let columns = ["by energy", "by intensity", "by PUE", "together"];
    let table = table(&columns, baseline, |at, line| {
        html! {
            td.number { (reason(at, "energy", line, |why| why.energy)) }
            td.number { (reason(at, "intensity", line, |why| why.intensity)) }
            td.number { (reason(at, "pue", line, |why| why.pue)) }
            td.number { (reason(at, "total", line, |why| why.total)) }
        }
    });
    html! {
        h3 { "Why the carbon differs" }
        (table)
    }
}

fn reason(at: &str, name: &str, line: &Difference, of: fn(&Reasons) -> f64) -> Markup {
    let pointer = format!("{at}/difference_grams/{name}");
    match line.difference_grams.as_ref().map(of) {
        Some(grams) => told::difference(pointer, grams, mass),
        None => told::mass(format!("{at}/difference_grams"), None),
    }
}
