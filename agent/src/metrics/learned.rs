//! What the agent has learned of its zones: by what it splits their energy, what events cost, and idle power.

use prometheus::proto::MetricFamily;

use super::families::{Series, gauge};
use crate::fit::{CPU_TIME, Fit};
use crate::node::ZoneState;
use crate::run::{Record, ZoneRecord};

/// One additive zone, as of the last interval.
#[derive(Debug)]
pub(super) struct Learned {
    zone: String,
    weighed_by: &'static str,
    idle_watts: f64,
    idle_origin: &'static str,
    joules_per_event: Vec<(&'static str, f64)>,
    error_ratios: Vec<(&'static str, f64)>,
}

/// Of all additive zones.
pub(super) fn learned(zones: &[ZoneState], record: &Record) -> Vec<Learned> {
    let additive = zones.iter().zip(&record.zones);
    additive
        .filter(|(state, _)| state.zone.parent.is_empty())
        .map(|(state, zone)| of_zone(state, zone))
        .collect()
}

fn of_zone(state: &ZoneState, record: &ZoneRecord) -> Learned {
    let fit = state.fit.as_ref();
    let per_event = fit.and_then(|fit| {
        let names = fit.terms().names.into_iter();
        Some(names.zip(fit.joules_per_event()?).collect())
    });
    let errors = fit
        .and_then(Fit::error_ratios)
        .map(|(by_events, by_cpu_time)| vec![("events", by_events), (CPU_TIME, by_cpu_time)]);
    Learned {
        zone: state.zone.name.clone(),
        weighed_by: record.weighed_by,
        idle_watts: state.idle.watts(),
        idle_origin: state.idle.origin().as_str(),
        joules_per_event: per_event.unwrap_or_default(),
        error_ratios: errors.unwrap_or_default(),
    }
}

pub(super) fn families(zones: &[Learned]) -> [MetricFamily; 4] {
    let each = |values: fn(&Learned) -> &[(&'static str, f64)], name: &'static str| {
        zones.iter().flat_map(move |zone| {
            let series = move |(label, value): &(&'static str, f64)| -> Series<'_> {
                (vec![("zone", &zone.zone), (name, *label)], *value)
            };
            values(zone).iter().map(series)
        })
    };
    [
        gauge(
            "hxmlops_agent_weights_info",
            "By what the active energy of a zone is split: cpu_time or the counters of the CPUs, gpu_time or gpu_presence.",
            zones.iter().map(|zone| {
                (
                    vec![("zone", &*zone.zone), ("weights", zone.weighed_by)],
                    1.0,
                )
            }),
        ),
        gauge(
            "hxmlops_agent_fit_joules_per_event",
            "Active energy of a zone for each event that its CPUs count, as fitted.",
            each(|zone| &zone.joules_per_event, "event"),
        ),
        gauge(
            "hxmlops_agent_fit_error_ratio",
            "Root mean square of the error of predicting a zone's active power one interval ahead, over its mean.",
            each(|zone| &zone.error_ratios, "weights"),
        ),
        gauge(
            "hxmlops_agent_idle_power_watts",
            "Idle power of a zone, and where it comes from: seeded, learned, configured or exact.",
            zones.iter().map(|zone| {
                (
                    vec![("zone", &*zone.zone), ("origin", zone.idle_origin)],
                    zone.idle_watts,
                )
            }),
        ),
    ]
}
