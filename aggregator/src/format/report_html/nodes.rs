//! The nodes' own books over the run's minutes.

use maud::{Markup, html};

use super::told;
use crate::format::escape::terminal;
use crate::report::{Report, ZoneBalance};

pub(super) fn nodes(report: &Report) -> Markup {
    if report.balance.is_empty() {
        return Markup::default();
    }
    html! {
        section aria-labelledby="nodes" {
            h2 id="nodes" { "Where the nodes' energy went" }
            p.note { "Over the run's minutes: measured = this run + others + system + idle, to the microjoule." }
            table {
                thead {
                    tr {
                        th scope="col" { "Node, zone" }
                        @for name in ["Mea\u{ad}sured", "This run", "Others", "System", "Idle"] {
                            th.number scope="col" { (name) }
                        }
                    }
                }
                tbody {
                    @for (number, row) in report.balance.iter().enumerate() { (zone(number, row)) }
                }
            }
        }
    }
}

fn zone(number: usize, row: &ZoneBalance) -> Markup {
    let parts = [
        ("measured", row.measured_microjoules),
        ("run", row.run_microjoules),
        ("other", row.other_microjoules),
        ("system", row.system_microjoules),
        ("idle", row.idle_microjoules),
    ];
    html! {
        tr {
            th scope="row" {
                (terminal(&row.node)) " " span.of { (terminal(&row.zone)) }
                @if row.basis != "measured" { " " span.mark { (terminal(&row.basis)) } }
            }
            @for (name, microjoules) in parts {
                td.number { (told::balance(format!("/balance/{number}/{name}_microjoules"), microjoules)) }
            }
        }
    }
}
