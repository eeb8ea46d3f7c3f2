//! What a reader must know, and who says so.

use maud::{Markup, html};

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
