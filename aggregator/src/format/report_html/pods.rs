//! Energy and grams by pod.

use maud::{Markup, html};

use super::told;
use crate::format::escape::terminal;
use crate::format::units::{energy, known_mass};
use crate::report::{PodReport, Report};

/// Pods that are listed; the others are one row.
pub(super) const LISTED: usize = 20;

pub(super) fn pods(report: &Report) -> Markup {
    let is_told = report.pods.iter().any(|pod| !pod.pod.is_empty());
    if !is_told && report.pods.len() < 2 {
        return of_one(report);
    }
    let (listed, rest) = report.pods.split_at(report.pods.len().min(LISTED));
    html! {
        section aria-labelledby="pods" {
            h2 id="pods" { "Pods" }
            p.note { "Those with the most energy first." }
            table {
                thead {
                    tr {
                        th scope="col" { "Pod" }
                        th.number scope="col" { "Energy" }
                        th.number scope="col" { "Idle part" }
                        th.number scope="col" { "Carbon" }
                    }
                }
                tbody {
                    @for (number, pod) in listed.iter().enumerate() { (row(number, pod)) }
                    @if !rest.is_empty() { (others(rest)) }
                }
            }
        }
    }
}

/// Nothing of it ran in a pod: its figures are the run's, and there is no table of them.
fn of_one(report: &Report) -> Markup {
    html! {
        @for (number, pod) in report.pods.iter().enumerate() {
            section aria-labelledby="pods" {
                h2 id="pods" { "Pods" }
                p.note {
                    "All of its energy (" (told::energy(format!("/pods/{number}/energy_joules"), pod.energy_joules))
                    ", idle part " (told::energy(format!("/pods/{number}/idle_joules"), pod.idle_joules))
                    ", carbon " (told::mass(format!("/pods/{number}/carbon_grams"), pod.carbon_grams))
                    ") is of what ran in no pod."
                }
            }
        }
    }
}

fn row(number: usize, pod: &PodReport) -> Markup {
    let at = format!("/pods/{number}");
    html! {
        tr {
            th scope="row" { (name(pod)) }
            td.number { (told::energy(format!("{at}/energy_joules"), pod.energy_joules)) }
            td.number { (told::energy(format!("{at}/idle_joules"), pod.idle_joules)) }
            td.number { (told::mass(format!("{at}/carbon_grams"), pod.carbon_grams)) }
        }
    }
}

fn name(pod: &PodReport) -> Markup {
    html! {
        @if pod.pod.is_empty() {
            span.of { "in no pod, and all pods beyond the report's bound" }
        } @else {
            @if !pod.namespace.is_empty() { span.of { (terminal(&pod.namespace)) "/" } }
            (terminal(&pod.pod))
        }
    }
}

fn others(rest: &[PodReport]) -> Markup {
    let joules: f64 = rest.iter().map(|pod| pod.energy_joules).sum();
    let idle: f64 = rest.iter().map(|pod| pod.idle_joules).sum();
    let grams = rest.iter().map(|pod| pod.carbon_grams).sum::<Option<f64>>();
    html! {
        tr {
            th scope="row" { span.of { (rest.len()) " more, together" } }
            td.number { (energy(joules)) }
            td.number { (energy(idle)) }
            td.number { (known_mass(grams)) }
        }
    }
}
