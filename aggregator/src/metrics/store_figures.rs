//! What the ledger holds and lacks, as a collector: a scrape shows what was told last.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{MetricFamily, MetricType};

use super::family::Family;
use crate::store::{Figures, LostBy};

const LOST: Family = Family {
    name: "hxmlops_ingest_lost_energy_joules_total",
    help: "Energy of batches that agents declared lost, over the whole ledger; it is in no other family.",
    kind: MetricType::COUNTER,
    labels: &["reason"],
};
const LOST_BATCHES: Family = Family {
    name: "hxmlops_ingest_lost_batches_total",
    help: "Batches that agents declared lost, over the whole ledger.",
    kind: MetricType::COUNTER,
    labels: &["reason"],
};
const MISSING: Family = Family {
    name: "hxmlops_ingest_missing_batches",
    help: "Batches that have neither come nor been declared lost although later ones of their streams came.",
    kind: MetricType::GAUGE,
    labels: &[],
};
const WAITING: Family = Family {
    name: "hxmlops_ingest_waiting_batches",
    help: "Batches that wait to be written.",
    kind: MetricType::GAUGE,
    labels: &[],
};
const FREE: Family = Family {
    name: "hxmlops_store_free_bytes",
    help: "Part of the ledger's file that is free to be used again.",
    kind: MetricType::GAUGE,
    labels: &[],
};

/// The figures; clones share them.
#[derive(Clone, Debug)]
pub(super) struct StoreFigures {
    figures: Arc<Mutex<Figures>>,
    descriptions: Vec<Desc>,
}

impl StoreFigures {
    pub(super) fn new() -> Self {
        let families = [LOST, LOST_BATCHES, MISSING, WAITING, FREE];
        Self {
            figures: Arc::default(),
            descriptions: families.iter().map(Family::describe).collect(),
        }
    }

    pub(super) fn show(&self, figures: Figures) {
        *self.figures.lock().unwrap_or_else(PoisonError::into_inner) = figures;
    }
}

impl Collector for StoreFigures {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let figures = self.figures.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |reason: LostBy| figures.losses.iter().find(|lost| lost.by == reason);
        let joules = LostBy::ALL.map(|by| {
            let joules = of(by).map_or(0.0, |lost| lost.energy.joules());
            (vec![by.as_str()], joules)
        });
        let batches = LostBy::ALL.map(|by| {
            let batches = of(by).map_or(0, |lost| lost.batches);
            (vec![by.as_str()], batches as f64)
        });
        let one = |value: u64| [(Vec::<&str>::new(), value as f64)];
        vec![
            LOST.with(joules),
            LOST_BATCHES.with(batches),
            MISSING.with(one(figures.missing)),
            WAITING.with(one(figures.waiting)),
            FREE.with(one(figures.free_bytes)),
        ]
    }
}
