//! What a reader must know, and who says so.

use maud::{Markup, html};

use super::told;
use crate::format::escape::terminal;
use crate::intensity::{citation, yearly_all};
use crate::report::Report;

pub(super) fn notes(report: &Report) -> Markup {
    if report.notes.is_empty() {
        return Markup::default();
    }
    html! {
        section aria-labelledby="notes" {
            h2 id="notes" { "Notes" }
            ul.notes {
                @for note in &report.notes { li { (terminal(note)) } }
            }
        }
    }
}

pub(super) fn equivalents(report: &Report) -> Markup {
    if report.equivalents.is_empty() {
        return Markup::default();
    }
    html! {
        section aria-labelledby="equivalents" {
            h2 id="equivalents" { "As much as" }
            p.note { "The operational carbon, by published factors." }
            ul.notes {
                @for (number, equivalent) in report.equivalents.iter().enumerate() {
                    li {
                        (told::figure(format!("/equivalents/{number}/count"), equivalent.count)) " "
                        (terminal(&equivalent.what)) ", at "
                        (told::figure(format!("/equivalents/{number}/g_per_unit"), equivalent.g_per_unit)) " g each "
                        span.of { "(" (terminal(&equivalent.source)) ")" }
                    }
                }
            }
        }
    }
}

pub(super) fn footer(report: &Report) -> Markup {
    html! {
        footer {
            p {
                "Made by hxmlops " (env!("CARGO_PKG_VERSION"))
                ". Each figure has its exact value, and its place in the JSON report, in this file's source."
            }
            @if is_from_the_table(report) { p { (citation()) } }
        }
    }
}

/// Whether some of the grams are by the yearly table, whose licence asks for its name.
fn is_from_the_table(report: &Report) -> bool {
    let is_of_it = |provider: &str| yearly_all().iter().any(|row| row.source() == provider);
    let mut used = report.intensity.iter();
    used.any(|used| is_of_it(&used.provider))
}
