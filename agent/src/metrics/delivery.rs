//! What waits to be delivered, what was, and what never will be.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use wire::Energy;

use super::families::{counter, gauge};
use crate::spool::Figures;
use crate::uplink::Uplink;

pub(super) fn families(uplink: &Uplink) -> Vec<MetricFamily> {
    let figures = uplink.spool().figures();
    let mut families = delivered(uplink, &figures);
    families.extend(spooled(&figures));
    families.extend(uplink.spool().write_seconds.collect());
    families
}

fn delivered(uplink: &Uplink, Figures { counts, .. }: &Figures) -> Vec<MetricFamily> {
    let number = |counted: &AtomicU64| counted.load(Relaxed) as f64;
    let sent = &uplink.counts;
    let undelivered = Energy::from_microjoules(sent.undelivered_uj.load(Relaxed));
    vec![
        counter(
            "hxmlops_agent_batches_total",
            "Batches by what became of them.",
            [
                ("acknowledged", number(&sent.acknowledged)),
                ("refused", counts.refused as f64),
                ("dropped", counts.dropped as f64),
                ("damaged", counts.damaged as f64),
                ("undelivered", number(&sent.undelivered)),
            ]
            .map(|(result, batches)| (vec![("result", result)], batches)),
        ),
        counter(
            "hxmlops_agent_batch_retries_total",
            "Requests that failed and were made again.",
            [(vec![], number(&sent.retries))],
        ),
        counter(
            "hxmlops_agent_dropped_joules_total",
            "Energy that did not reach the ledger: refused, or dropped from a full spool, of which the ledger is told; or in memory at shutdown.",
            [
                ("refused", counts.refused_energy),
                ("spool_full", counts.dropped_energy),
                ("shutdown", undelivered),
            ]
            .map(|(reason, energy)| (vec![("reason", reason)], energy.joules())),
        ),
    ]
}

fn spooled(figures: &Figures) -> Vec<MetricFamily> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now_unix_ms = now.unwrap_or_default().as_millis() as i64;
    let age_ms = figures
        .oldest_unix_ms
        .map_or(0, |oldest| (now_unix_ms - oldest).max(0));
    vec![
        gauge(
            "hxmlops_agent_spool_batches",
            "Batches that wait to be sent.",
            [(vec![], figures.batches as f64)],
        ),
        gauge(
            "hxmlops_agent_spool_bytes",
            "Size of the batches that wait to be sent.",
            [(vec![], figures.bytes as f64)],
        ),
        gauge(
            "hxmlops_agent_spool_oldest_age_seconds",
            "Time since the oldest batch that waits was sealed; 0 where none waits.",
            [(vec![], age_ms as f64 / 1e3)],
        ),
        gauge(
            "hxmlops_agent_spool_intervals",
            "Intervals of the batch that is being filled, and those that could not be written yet.",
            [(vec![], figures.intervals as f64)],
        ),
        gauge(
            "hxmlops_agent_spool_up",
            "Whether the spool could be written when it last was.",
            [(
                vec![],
                f64::from(u8::from(figures.failing_since_ns.is_none())),
            )],
        ),
        counter(
            "hxmlops_agent_spool_failures_total",
            "Writes to the spool that failed and were made again.",
            [(vec![], figures.counts.failures as f64)],
        ),
        counter(
            "hxmlops_agent_forgotten_intervals_total",
            "Intervals of which it was forgotten who used their energy: they waited too long for a disk, or had more names than a batch takes.",
            [(vec![], figures.counts.forgotten as f64)],
        ),
    ]
}
