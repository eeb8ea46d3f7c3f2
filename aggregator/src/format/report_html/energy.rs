//! Energy and grams by stage, component and zone: a table with a bar in each row, on one scale.

use maud::{Markup, html};

use super::palette::classes;
use super::power::swatch;
use super::told;
use crate::format::escape::terminal;
use crate::format::report_table::stage_name;
use crate::format::units::energy as joules_text;
use crate::report::{ComponentReport, IdlePolicy, Report, StageReport};

pub(super) fn energy(report: &Report) -> Markup {
    let most = report
        .stages
        .iter()
        .map(|stage| stage.energy_joules)
        .fold(0.0, f64::max);
    let rows = report.stages.iter().zip(classes(report)).enumerate();
    html! {
        section aria-labelledby="energy" {
            h2 id="energy" { "Energy by stage and component" }
            p.note {
                "Bars: active energy in the stage's colour, then its share of idle energy " (swatch("idle"))
                ", " (idle_policy(report.idle_policy)) ". All on the IT side, before PUE."
            }
            table.energy {
                thead {
                    tr {
                        th scope="col" { "Stage, zone" }
                        th.number scope="col" { "Active" }
                        th.number scope="col" { "Idle" }
                        th.number scope="col" { "Energy" }
                        th.number scope="col" { "PUE" }
                        th.number scope="col" { "Carbon" }
                    }
                }
                @for (number, (stage, class)) in rows {
                    tbody { (stage_rows(number, stage, class, most)) }
                }
                tfoot {
                    tr {
                        th scope="row" { "Total" }
                        td.number { (joules_text(report.energy_joules - report.idle_joules)) }
                        td.number { (told::energy("/idle_joules", report.idle_joules)) }
                        td.number { (told::energy("/energy_joules", report.energy_joules)) }
                        td.number {}
                        td.number { (told::mass("/carbon_grams", report.carbon_grams)) }
                    }
                }
            }
        }
    }
}

fn idle_policy(policy: IdlePolicy) -> &'static str {
    match policy {
        IdlePolicy::None => "not shared out here",
        IdlePolicy::Usage => "shared out by CPU time",
        IdlePolicy::Request => "shared out by CPU requests",
        IdlePolicy::Equal => "shared out equally",
    }
}

fn stage_rows(number: usize, stage: &StageReport, class: &str, most: f64) -> Markup {
    let active: f64 = stage.components.iter().map(|part| part.active_joules).sum();
    let idle: f64 = stage.components.iter().map(|part| part.idle_joules).sum();
    let at = format!("/stages/{number}");
    html! {
        tr.stage {
            th scope="rowgroup" {
                div.named {
                    span { (terminal(stage_name(&stage.stage))) }
                    (bar(class, active, idle, most))
                }
            }
            td.number { (joules_text(active)) }
            td.number { (joules_text(idle)) }
            td.number { (told::energy(format!("{at}/energy_joules"), stage.energy_joules)) }
            td.number { (told::figure(format!("{at}/pue"), stage.pue)) }
            td.number { (told::mass(format!("{at}/carbon_grams"), stage.carbon_grams)) }
        }
        @for (part, component) in stage.components.iter().enumerate() {
            (component_row(&format!("{at}/components/{part}"), component, class, most))
        }
    }
}

fn component_row(at: &str, part: &ComponentReport, class: &str, most: f64) -> Markup {
    html! {
        tr {
            th scope="row" {
                div.named {
                    span {
                        (terminal(&part.zone))
                        @if !part.component.is_empty() { " " span.of { "of " (terminal(&part.component)) } }
                        @if part.basis != "measured" { " " span.mark { (terminal(&part.basis)) } }
                    }
                    (bar(class, part.active_joules, part.idle_joules, most))
                }
            }
            td.number { (told::energy(format!("{at}/active_joules"), part.active_joules)) }
            td.number { (told::energy(format!("{at}/idle_joules"), part.idle_joules)) }
            td.number { (joules_text(part.active_joules + part.idle_joules)) }
            td.number {}
            td.number {}
        }
    }
}

/// What the row's figures say; so it says nothing to those who read them.
fn bar(class: &str, active: f64, idle: f64, most: f64) -> Markup {
    let width = |joules: f64| {
        if most > 0.0 {
            joules / most * 100.0
        } else {
            0.0
        }
    };
    let (active, idle) = (width(active), width(idle));
    html! {
        svg.bar aria-hidden="true" {
            rect class=(class) width={ (round(active)) "%" } height="100%" {}
            rect.idle x={ (round(active)) "%" } width={ (round(idle)) "%" } height="100%" {}
        }
    }
}

fn round(percent: f64) -> f64 {
    (percent * 100.0).round() / 100.0
}
